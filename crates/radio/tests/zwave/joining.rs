//! Nodes that want to join, and who of them may.

use std::time::Duration;

use thingward_model::Link;
use thingward_radio::Report;
use thingward_radio::wire::{RefusalKind, Value};

use crate::home::{BINARY_SWITCH, Home, SECURITY_0, SWITCH, reading, refusal, thing};

#[test]
fn five_digits_let_a_thing_in_and_wrong_ones_do_not() {
    let Some(mut home) = Home::start(3, &[]) else { return };
    let pin = home.dsk()[..5].to_owned();
    home.wants_to_join(&["S2_Authenticated"], &SWITCH, false);
    let wrong = format!("{:05}", (pin.parse::<u32>().unwrap() + 1) % 65536);
    home.admit(Some(&wrong));
    let joining = |report: &Report| refusal(report).filter(|(kind, _)| *kind == RefusalKind::Join);
    let (_, reason) = home.until(joining);
    assert!(reason.starts_with("the key exchange was ended"), "{reason}");
    assert_eq!(home.call(1, "turn-on", &[]).as_deref(), Some("there is no such thing"));
    home.close();
    home.wants_to_join(&["S2_Authenticated"], &SWITCH, false);
    home.admit(Some(&pin));
    assert_eq!(home.until(thing).link, Link::ZwaveS2Authenticated);
}

#[test]
fn another_thing_than_the_one_whose_digits_were_given_is_refused() {
    let Some(mut home) = Home::start(4, &[]) else { return };
    let other = home.dsk();
    home.dsk();
    home.wants_to_join(&["S2_Authenticated"], &SWITCH, false);
    home.admit(Some(&other));
    let (kind, reason) = home.until(refusal);
    assert_eq!(kind, RefusalKind::Join);
    assert!(reason.contains("device-specific key"), "{reason}");
}

#[test]
fn without_its_digits_a_thing_that_has_some_is_refused_and_one_without_joins() {
    let Some(mut home) = Home::start(5, &[]) else { return };
    home.dsk();
    home.wants_to_join(&["S2_Authenticated"], &SWITCH, false);
    home.admit(None);
    let refused = home.until(refusal);
    assert_eq!(refused, (RefusalKind::Join, "give the digits that are printed on it".to_owned()));
    home.close();
    home.wants_to_join(&["S2_Unauthenticated"], &SWITCH, false);
    home.admit(None);
    assert_eq!(home.until(thing).link, Link::ZwaveS2Unauthenticated);
}

#[test]
fn a_thing_without_security_is_refused_and_not_believed() {
    let Some(mut home) = Home::start(6, &[]) else { return };
    home.dsk();
    home.wants_to_join(&[], &[(BINARY_SWITCH, false)], false);
    home.admit(None);
    assert_eq!(home.until(refusal), (RefusalKind::Join, "it has no link security".to_owned()));
    home.node_says(true, false);
    let reports = home.during(Duration::from_secs(1));
    assert!(reports.iter().any(|report| matches!(refusal(report), Some((RefusalKind::Forgery, _)))));
    assert!(reports.iter().all(|report| reading(report, "on").is_none()), "{reports:#?}");
}

#[test]
fn security_0_is_for_what_an_exception_names_with_a_reason() {
    const OLD: [(u8, bool); 2] = [(SECURITY_0, false), (BINARY_SWITCH, true)];
    let Some(mut home) = Home::start(7, &[]) else { return };
    home.dsk();
    home.wants_to_join(&["S0_Legacy"], &OLD, false);
    home.admit(None);
    let (kind, reason) = home.until(refusal);
    assert_eq!(kind, RefusalKind::Join);
    assert!(reason.starts_with("it has Security 0 only"), "{reason}");
    let exceptions = [("s0", "the valve of 2009, until it is replaced")];
    home.restart(&exceptions);
    home.wants_to_join(&["S0_Legacy"], &OLD, false);
    home.admit(None);
    assert_eq!(home.until(thing).link, Link::ZwaveS0);
    home.close();
    home.call(1, "turn-on", &[]);
    assert_eq!(home.until(|report| reading(report, "on")), (Link::ZwaveS0, Value::Bool(true)));
    // Nobody permits it any more.
    home.restart(&[]);
    let reports = home.during(Duration::from_millis(500));
    assert!(reports.iter().all(|report| thing(report).is_none()), "{reports:#?}");
    let address = home.address();
    home.restart(&[(address.as_str(), "the valve of 2009, until it is replaced")]);
    assert_eq!(home.until(thing).address, address);
}
