//! The course of a use is what the document's table says.

use std::collections::BTreeSet;

use thingward_grant::Refusal;
use thingward_grant::usage::{OutOfTurn, State, Step};

const DOCUMENT: &str = include_str!("../../../../docs/wire/grants.md");

/// The cells of each row of the table with this first heading.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let lines = DOCUMENT.lines().skip_while(|line| !line.starts_with(&format!("| {heading} |")));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn a_use_takes_the_steps_of_the_document_on_its_grounds_and_no_others() {
    let rows = table("From");
    let mut seen = BTreeSet::new();
    for state in State::ALL {
        for step in Step::ALL {
            let row = rows.iter().find(|row| row[..2] == [state.as_str(), step.as_str()]);
            let want = row.map(|row| (row[2], row[3]));
            let got = state.after(step).map(|next| (next.as_str(), step.ground().as_str()));
            assert_eq!(got.ok(), want, "{} {}", state.as_str(), step.as_str());
            match row {
                Some(row) => assert!(seen.insert(row[..2].to_vec()), "a row that comes twice"),
                None => assert_eq!(state.after(step), Err(OutOfTurn { state, step })),
            }
        }
    }
    assert_eq!(seen.len(), rows.len(), "a row that no step takes");
}

#[test]
fn every_use_can_end_and_what_has_ended_does_not_begin_again() {
    for state in State::ALL {
        let next = |state: State| Step::ALL.into_iter().filter_map(move |step| state.after(step).ok());
        let mut reached = BTreeSet::from([state.as_str()]);
        let mut open = vec![state];
        while let Some(state) = open.pop() {
            open.extend(next(state).filter(|next| reached.insert(next.as_str())));
        }
        assert!(reached.contains("ended"), "{}", state.as_str());
        let is_over = matches!(state, State::Ended | State::Disputed);
        assert!(!is_over || !reached.contains("active"), "{}", state.as_str());
    }
}

#[test]
fn a_step_out_of_turn_is_named() {
    let error = State::Offered.after(Step::Start).unwrap_err();
    assert_eq!(error.to_string(), "a use that is offered does not start");
}

#[test]
fn the_document_has_every_word_of_a_refusal_in_the_order_of_the_decision() {
    let rows = table("Word");
    let words: Vec<&str> =
        rows.iter().flat_map(|row| row[0].split(", ")).map(|w| w.trim_matches('`')).collect();
    assert_eq!(words, Refusal::ALL.map(|refusal| refusal.to_string()));
}
