//! Sensitive commands, and passkeys that the device does not know yet.

use super::*;

/// A sensitive command, approved with a passkey that the membership of the bench does not have.
fn with_new_passkey(id: u8, issued: Timestamp) -> Vec<u8> {
    let mut sent = Sent::new(id);
    set_rate(&mut sent, 1.5);
    sent.issued = issued;
    sent.approval.as_mut().unwrap().credential = 2;
    sent.bytes()
}

#[test]
fn a_passkey_that_is_newer_than_the_membership_is_asked_for_before_it_is_refused_and_not_by_every_command() {
    let bench = Bench::new();
    let mut commands = bench.open(START).unwrap();
    let sent = with_new_passkey;
    assert!(!commands.receive([1; 16], &sent(1, START), START));
    assert!(commands.waits_for_membership());
    assert_eq!(said(&mut commands), [""; 0]);
    commands.set_membership(bench.with_new_passkey());
    assert!(commands.membership_is_fresh(START));
    assert!(!commands.waits_for_membership());
    assert_eq!(commands.next_order(START).unwrap().id, [1; 16]);
    // One that the service does not know either is refused, and the next one is at once.
    commands.set_membership(bench.membership.clone());
    let later = START.plus_micros(60 * SECOND);
    assert!(!commands.receive([2; 16], &sent(2, later), later));
    assert!(commands.waits_for_membership());
    assert!(!commands.membership_is_fresh(later));
    assert!(!commands.receive([3; 16], &sent(3, later), later));
    assert!(!commands.waits_for_membership());
    let answers = said(&mut commands);
    assert!(answers.len() == 2 && answers.iter().all(|a| a.starts_with("approval-invalid")), "{answers:?}");
}

#[test]
fn what_comes_while_the_membership_is_asked_for_is_not_refused() {
    let bench = Bench::new();
    let mut commands = bench.open(START).unwrap();
    let later = START.plus_micros(5 * SECOND);
    assert!(!commands.receive([1; 16], &with_new_passkey(1, START), START));
    // The service sends it again, and another one.
    assert!(!commands.receive([1; 16], &with_new_passkey(1, START), later));
    assert!(!commands.receive([2; 16], &with_new_passkey(2, later), later));
    assert_eq!(said(&mut commands), [""; 0]);
    commands.set_membership(bench.with_new_passkey());
    assert!(commands.membership_is_fresh(later));
    assert!(commands.receive([2; 16], &with_new_passkey(2, later), later));
    for id in [1, 2] {
        assert_eq!(commands.next_order(later).unwrap().id, [id; 16]);
    }
    assert_eq!(said(&mut commands), [""; 0]);
}

#[test]
fn a_membership_that_is_not_to_be_had_refuses_nothing_and_is_asked_for_again() {
    let bench = Bench::new();
    let mut commands = bench.open(START).unwrap();
    assert!(!commands.receive([1; 16], &with_new_passkey(1, START), START));
    commands.membership_is_not_had();
    assert!(!commands.waits_for_membership());
    assert_eq!(said(&mut commands), [""; 0]);
    let later = START.plus_micros(5 * SECOND);
    assert!(!commands.receive([1; 16], &with_new_passkey(1, START), later));
    assert!(commands.waits_for_membership());
    commands.set_membership(bench.with_new_passkey());
    assert!(commands.membership_is_fresh(later));
    // Nobody waits for one now: that it is not had frees nobody to ask within the minute.
    commands.set_membership(bench.membership.clone());
    commands.membership_is_not_had();
    assert!(!commands.receive([2; 16], &with_new_passkey(2, later), later));
    assert!(!commands.waits_for_membership());
}

#[test]
fn an_approved_command_within_its_bounds_is_executed() {
    let mut commands = Bench::new().open(START).unwrap();
    let mut sent = Sent::new(1);
    set_rate(&mut sent, 1.5);
    assert!(commands.receive([1; 16], &sent.bytes(), START));
    assert_eq!(commands.next_order(START).unwrap().input, json!(1.5));
}
