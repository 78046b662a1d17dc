//! Every line of the tables against the code.

use std::collections::BTreeSet;

use super::actions::ACTIONS;
use super::questions::QUESTIONS;
use super::tables::{AFFORDANCES, EVENTS, QUANTITIES, STATES};
use super::*;
use crate::command_class::field::Scaled;
use crate::command_class::sensors::MultilevelSensor;

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn written(value: &Shown) -> String {
    match value {
        Shown::Number(number) => number.to_string(),
        Shown::Flag(flag) => flag.to_string(),
        Shown::Word(word) => word.to_string(),
        Shown::Bytes(_) | Shown::Unknown => format!("{value:?}"),
    }
}

fn all_rows() -> Vec<&'static Row> {
    (0..=u8::MAX).flat_map(rows).collect()
}

#[test]
fn every_example_shows_what_its_line_says() {
    for row in all_rows() {
        let command = Command::parse(&unhex(row.example)).unwrap();
        assert!(!matches!(command, Command::Raw { .. }), "{row:?}");
        let reading = readings(&command).into_iter().find(|reading| {
            reading.kind == row.kind
                && (reading.name == row.name || matches!(row.by, By::Name(_) | By::Quantity))
        });
        let reading = reading.unwrap_or_else(|| panic!("{row:?} shows nothing"));
        assert_eq!(written(&reading.value), row.shows, "{row:?}");
        let fits = match row.value_type {
            ValueType::Boolean => matches!(reading.value, Shown::Flag(_)),
            ValueType::Integer | ValueType::Number => matches!(reading.value, Shown::Number(_)),
            ValueType::Word => matches!(reading.value, Shown::Word(_)),
        };
        assert!(fits, "{row:?}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "every line against every other takes too long")]
fn every_line_is_read_and_none_says_a_thing_twice() {
    let files = [(AFFORDANCES, 5), (QUANTITIES, 3), (STATES, 3), (EVENTS, 2), (ACTIONS, 2), (QUESTIONS, 1)];
    for (text, keys) in files {
        let lines: Vec<_> = text.lines().skip(1).collect();
        let keys: BTreeSet<_> =
            lines.iter().map(|line| line.split(',').take(keys).collect::<Vec<_>>()).collect();
        assert_eq!(keys.len(), lines.len());
    }
    assert_eq!(all_rows().len(), AFFORDANCES.lines().count() - 1);
    assert_eq!((0..=u8::MAX).flat_map(actions).count(), ACTIONS.lines().count() - 1);
    assert_eq!(super::questions::count(), QUESTIONS.lines().count() - 1);
    let numbers = 0..=255;
    let read = |class| {
        numbers
            .clone()
            .flat_map(move |kind| (0..=255).filter_map(move |scale| quantities(class, kind, scale)))
    };
    assert_eq!((0..=u8::MAX).flat_map(read).count(), QUANTITIES.lines().count() - 1);
    let events = numbers.clone().flat_map(|kind| (0..=255).filter_map(move |event| events(kind, event)));
    assert_eq!(events.count(), EVENTS.lines().count() - 1);
    for line in STATES.lines().skip(1) {
        let [class, field, number, name] = line.split(',').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let [class, number] = [class, number].map(|text| u8::from_str_radix(&text[2..], 16).unwrap());
        assert_eq!(states(class, field, number.into()), Some(name));
    }
}

#[test]
fn every_name_is_lower_case_with_hyphens_and_short_enough() {
    let names = [(AFFORDANCES, 4), (QUANTITIES, 3), (STATES, 3), (EVENTS, 2), (ACTIONS, 1)];
    for (text, column) in names {
        for line in text.lines().skip(1) {
            let name = line.split(',').nth(column).unwrap();
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
            assert!(!name.is_empty() && name.len() <= 63 && name.chars().all(fits), "{line}");
        }
    }
}

/// `name=value` for each, or a value alone.
fn given(text: &'static str) -> Vec<(&'static str, Shown)> {
    let value = |text: &'static str| text.parse().map_or(Shown::Word(text.into()), Shown::Number);
    let pair = |text: &'static str| {
        text.split_once('=').map_or(("", value(text)), |(name, text)| (name, value(text)))
    };
    text.split_whitespace().map(pair).collect()
}

fn all_actions() -> Vec<&'static Action> {
    (0..=u8::MAX).flat_map(actions).collect()
}

#[test]
fn every_action_makes_the_command_that_its_line_says() {
    for action in all_actions() {
        let (input, sends) = action.example;
        let command = action.command(&given(input)).unwrap();
        assert!(!matches!(command, Command::Raw { .. }), "{action:?}");
        assert_eq!((command.class(), command.to_bytes()), (action.class.into(), unhex(sends)), "{action:?}");
    }
}

#[test]
#[cfg_attr(miri, ignore = "every bound of every action takes too long")]
fn every_action_takes_its_bounds_and_its_words_and_nothing_beyond() {
    for action in all_actions() {
        for input in action.inputs() {
            let others = given(action.example.0).into_iter().filter(|(name, _)| *name != input.name);
            let others: Vec<_> = others.collect();
            let with = |value| action.command(&[others.clone(), vec![(input.name, value)]].concat());
            if let Coding::Word(_) = input.coding {
                assert!(!input.words().is_empty(), "{action:?}");
                assert!(input.words().into_iter().all(|word| with(Shown::Word(word.into())).is_ok()));
                assert!(with(Shown::Word("warm".into())).is_err());
            } else {
                assert!(
                    [input.minimum, input.maximum].into_iter().all(|n| with(Shown::Number(n)).is_ok()),
                    "{action:?}"
                );
                let beyond = [input.minimum - 0.6, input.maximum + 0.6, f64::NAN, f64::INFINITY];
                assert!(beyond.into_iter().all(|n| with(Shown::Number(n)).is_err()), "{action:?}");
                assert!(with(Shown::Flag(true)).is_err());
            }
            assert_eq!(action.command(&others).is_ok(), input.is_optional, "{action:?}");
        }
        let unknown = ActionError::Unknown("speed".to_owned());
        assert_eq!(action.command(&[("speed", Shown::Number(1.0))]), Err(unknown));
    }
}

#[test]
fn what_an_action_needs_is_something_that_is_shown_and_what_it_asks_is_answered() {
    let names: BTreeSet<_> = QUANTITIES.lines().skip(1).map(|line| line.split(',').nth(3).unwrap()).collect();
    for action in all_actions() {
        assert!(action.needs.is_empty() || names.contains(action.needs), "{action:?}");
        assert!(action.asks().is_none_or(|asks| asks.class() == action.class.into()), "{action:?}");
    }
}

#[test]
fn a_level_that_is_set_is_the_level_that_is_shown() {
    let set = actions(0x26).find(|action| action.name == "set-level").unwrap();
    for per_cent in 0..=100 {
        let command = set.command(&[("level", Shown::Number(per_cent.into()))]).unwrap();
        let report = Command::parse(&[0x26, 0x03, command.to_bytes()[2]]).unwrap();
        let Shown::Number(shown) = readings(&report)[1].value else { panic!("{report:?}") };
        assert!((shown - f64::from(per_cent)).abs() <= 1.0, "{per_cent} is shown as {shown}");
        assert_eq!(shown.fract(), 0.0);
    }
    for (level, shows) in [(0, "0"), (1, "1"), (99, "100"), (255, "100"), (254, "Unknown"), (120, "Unknown")]
    {
        let report = Command::parse(&[0x26, 0x03, level]).unwrap();
        assert_eq!(written(&readings(&report)[1].value), shows, "{level}");
    }
}

#[test]
fn every_question_is_one_and_what_is_listed_in_its_answer_is_asked() {
    for class in 0..=u8::MAX {
        for question in questions(class) {
            assert!(question.class() == class.into() && !matches!(question, Command::Raw { .. }));
        }
    }
    for (answer, asks) in [
        // Types are bits, from 1 on.
        ("3102 11", vec!["31040100", "31040500"]),
        // Electricity in kWh and W.
        ("3204 2105", vec!["320100", "320110"]),
        ("4305 06", vec!["430201", "430202"]),
        ("3004 0010", vec!["30020c"]),
        ("2503 ff", vec![]),
    ] {
        let answer = Command::parse(&unhex(&answer.replace(' ', ""))).unwrap();
        let asked: Vec<_> = follow_ups(&answer).iter().map(Command::to_bytes).collect();
        assert_eq!(asked, asks.into_iter().map(unhex).collect::<Vec<_>>(), "{answer:?}");
    }
}

fn sensor(sensor_type: u8, scale: u8, digits: i32) -> Vec<Reading> {
    let value = Scaled { precision: 1, scale, size: 2, digits };
    readings(&MultilevelSensor::Report { sensor_type, value }.into())
}

#[test]
fn a_value_is_shown_in_the_unit_of_its_quantity() {
    let show =
        |value, name: &'static str, unit| Reading { kind: Kind::Property, name: name.into(), value, unit };
    assert_eq!(sensor(1, 0, 215), [show(Shown::Number(21.5), "temperature", "Cel")]);
    let fahrenheit = sensor(1, 1, 2120);
    assert_eq!((fahrenheit[0].unit, written(&fahrenheit[0].value).get(..3)), ("Cel", Some("100")));
    assert_eq!(sensor(8, 0, 1013), [show(Shown::Number(101_300.0), "pressure", "Pa")]);
}

#[test]
fn what_no_table_has_is_shown_raw_and_by_a_name_that_says_so() {
    assert_eq!(sensor(0xee, 2, 10)[0].name, "measured-238-2");
    let raw = readings(&Command::parse(&[0x91, 0x01, 0x0f]).unwrap());
    assert_eq!((raw[0].name.as_ref(), &raw[0].value), ("raw-91", &Shown::Bytes(vec![0x01, 0x0f])));
    let event = readings(&Command::parse(&unhex("7105000000ffee0900")).unwrap());
    assert_eq!(written(&event[0].value), "238-9");
    let over = readings(&Command::parse(&unhex("7105000000ff07000108")).unwrap());
    assert_eq!(written(&over[0].value), "over");
}
