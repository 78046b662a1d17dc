//! What is not done any more when it could be done, and what still is.

use thingward_radio::wire::{Admission, AdmissionState, Order, RefusalKind, Report, Secret};

use crate::world::{BULB, CODE, THERMOMETER, World, address, admissions, done, node, refusals, things};
use thingward_zigbee::emulated::{Kind, Presence};

/// `clearTransientLinkKeys`, which each admission begins with.
const EXPECT_NOBODY: u16 = 0x006b;

fn world(kind: Kind) -> World {
    let mut world = World::started(vec![node(kind, BULB, 0x2002, Some(CODE))]);
    world.join(BULB);
    world.pass(2);
    world.take();
    world
}

/// The driver, while its first state is not durable yet.
fn starting(kind: Kind) -> World {
    let mut world = world(kind);
    world.keeps = false;
    world.restart();
    world
}

#[test]
fn a_call_before_the_radio_works_fails_and_is_not_done_later() {
    let mut world = starting(Kind::Bulb);
    world.call(BULB, "turn-on", &[]);
    assert_eq!(done(&world.take()), Some(Some("the radio does not work".to_owned())));
    world.keeps = true;
    world.order(Order::Kept);
    world.pass(5);
    assert_eq!(done(&world.take()), None);
    assert_eq!(world.coordinator.borrow().nodes[0].number(0x0006, 0), 0);
}

#[test]
fn nobody_is_admitted_before_the_radio_works_nor_later_for_that() {
    let mut world = starting(Kind::Bulb);
    let thermometer = node(Kind::Thermometer, THERMOMETER, 0x2001, Some(CODE));
    world.coordinator.borrow_mut().nodes.push(thermometer);
    let printed = Some(Secret::new(format!("{THERMOMETER:016x}:{CODE}").into_bytes()));
    world.order(Order::Admit(Admission { seconds: 600, printed }));
    assert_eq!(admissions(&world.take()), [AdmissionState::Closed]);
    world.keeps = true;
    world.order(Order::Kept);
    world.pass(5);
    let reports = world.take();
    assert!(admissions(&reports).is_empty());
    assert_eq!(world.coordinator.borrow().nodes[1].presence, Presence::Away);
    // What is to be removed is, though.
    world.keeps = false;
    world.restart();
    world.order(Order::Remove(address(BULB)));
    world.keeps = true;
    world.order(Order::Kept);
    world.pass(1);
    assert_eq!(world.coordinator.borrow().nodes[0].presence, Presence::Away);
}

#[test]
fn calls_that_wait_for_too_long_fail_in_time_and_are_not_done_later() {
    let mut world = world(Kind::Bulb);
    world.coordinator.borrow_mut().nodes[0].is_dumb = true;
    for _ in 0..4 {
        world.call(BULB, "turn-on", &[]);
    }
    world.pass(19);
    let failures: Vec<String> = world.take().into_iter().filter_map(failure).collect();
    assert_eq!(failures.len(), 4);
    assert_eq!(failures.iter().filter(|failure| failure.starts_with("it was not told")).count(), 2);
    world.coordinator.borrow_mut().nodes[0].is_dumb = false;
    world.pass(60);
    assert_eq!(done(&world.take()), None);
    assert_eq!(world.coordinator.borrow().nodes[0].number(0x0006, 0), 0);
}

fn failure(report: Report) -> Option<String> {
    if let Report::Done { failure, .. } = report { failure.map(|failure| failure.to_string()) } else { None }
}

#[test]
fn a_call_goes_before_what_a_thing_is_asked_again() {
    let mut world = world(Kind::Bulb);
    world.coordinator.borrow_mut().nodes[0].is_dumb = true;
    // It is asked what it has, and does not answer.
    world.restart();
    world.call(BULB, "turn-on", &[]);
    world.pass(17);
    let told = "the thing received it and does not say whether it did it";
    assert_eq!(done(&world.take()), Some(Some(told.to_owned())));
}

#[test]
fn who_has_not_joined_when_the_network_closes_does_not_join_any_more() {
    let mut world = World::started(vec![node(Kind::Bulb, BULB, 0x2002, Some(CODE))]);
    world.coordinator.borrow_mut().nodes[0].is_dumb = true;
    world.admit(Some(format!("{BULB:016x}:{CODE}")));
    world.pass(3);
    assert_eq!(world.coordinator.borrow().nodes[0].presence, Presence::Joined);
    world.take();
    world.order(Order::Close);
    let reports = world.take();
    assert_eq!(admissions(&reports), [AdmissionState::Closed]);
    assert!(matches!(
        &refusals(&reports)[..],
        [(Some(thing), RefusalKind::Join, reason)] if *thing == address(BULB) && reason.contains("closed")
    ));
    world.coordinator.borrow_mut().nodes[0].is_dumb = false;
    world.pass(10);
    assert!(things(&world.take()).is_empty());
    assert_eq!(world.coordinator.borrow().nodes[0].presence, Presence::Away);
    // Nor under the key that was expected of it, whoever opens the network next.
    assert_eq!(world.asked(EXPECT_NOBODY), 2);
}

#[test]
fn the_key_of_a_thing_that_has_yet_to_show_its_own_is_expected_until_then() {
    let mut world = World::started(vec![node(Kind::Bulb, BULB, 0x2002, Some(CODE))]);
    world.coordinator.borrow_mut().nodes[0].asks_for_key = false;
    world.join(BULB);
    assert_eq!(world.asked(EXPECT_NOBODY), 1);
    world.coordinator.borrow_mut().news.push((0x009b, [&BULB.to_le_bytes()[..], &[52]].concat()));
    world.pass(1);
    assert_eq!(world.asked(EXPECT_NOBODY), 2);
}

/// A contact that joined, and slept when it was to be told what to report.
fn asleep_while_it_was_to_be_told() -> World {
    let mut world = World::started(vec![node(Kind::Contact, BULB, 0x2002, Some(CODE))]);
    world.keeps = false;
    world.admit(Some(format!("{BULB:016x}:{CODE}")));
    world.pass(3);
    world.coordinator.borrow_mut().nodes[0].is_dumb = true;
    world.keeps = true;
    world.order(Order::Kept);
    world.pass(300);
    world
}

#[test]
fn a_thing_that_slept_while_it_was_to_be_told_is_told_when_it_speaks() {
    let mut world = asleep_while_it_was_to_be_told();
    assert!(world.coordinator.borrow().nodes[0].bound.is_empty());
    world.coordinator.borrow_mut().nodes[0].is_dumb = false;
    let speaks = |world: &World| {
        let mut coordinator = world.coordinator.borrow_mut();
        let said = coordinator.nodes[0].command(0x0500, 0x18, 0x0a, &[2, 0, 0x19, 0, 0]);
        let news = coordinator.incoming(0, said);
        coordinator.news.push(news);
    };
    speaks(&world);
    world.pass(5);
    assert_eq!(world.coordinator.borrow().nodes[0].bound, [0x0500]);
    assert!(world.coordinator.borrow().nodes[0].is_enrolled);
    // It was told now, and is not told at the next start.
    world.restart();
    world.pass(5);
    assert_eq!(world.coordinator.borrow().nodes[0].bound.len(), 1);
}

#[test]
fn a_thing_that_was_told_nothing_is_told_at_the_next_start() {
    let mut world = asleep_while_it_was_to_be_told();
    world.coordinator.borrow_mut().nodes[0].is_dumb = false;
    world.restart();
    world.pass(5);
    assert_eq!(world.coordinator.borrow().nodes[0].bound, [0x0500]);
}
