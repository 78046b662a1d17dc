//! The driver starts again, with what was kept.

use std::time::Duration;

use thingward_radio::Radio;
use thingward_radio::wire::{Order, Report};
use thingward_radio::zigbee::ZigbeeRadio;

use crate::emulated::node::{Kind, Node};
use crate::world::{BULB, CODE, World, address, done, last, things, trouble};

fn world() -> World {
    let mut world = World::started(vec![Node::new(Kind::Bulb, BULB, 0x2002, Some(CODE))]);
    world.join(BULB);
    world.pass(2);
    world
}

#[test]
fn a_network_goes_on_with_its_things() {
    let mut world = world();
    let key = world.coordinator.borrow().key;
    world.restart();
    let reports = world.take();
    assert!(reports.iter().any(|report| matches!(report, Report::Ready { .. })));
    assert_eq!(things(&reports)[0].address, address(BULB));
    assert!(last(&reports, "on").is_some());
    world.call(BULB, "turn-on", &[]);
    assert_eq!(done(&world.take()), Some(None));
    assert_eq!(world.coordinator.borrow().key, key);
}

#[test]
fn a_coordinator_that_forgot_its_network_gets_it_back_with_counters_that_nobody_has_seen() {
    let mut world = world();
    let (key, mut seen) = (world.coordinator.borrow().key, world.coordinator.borrow().counter);
    // Again and again, without time for a counter to be kept.
    for _ in 0..3 {
        world.coordinator.borrow_mut().wipe();
        world.restart();
        assert_eq!(things(&world.take()).len(), 1);
        let coordinator = world.coordinator.borrow();
        assert_eq!(coordinator.key, key);
        assert!(coordinator.counter > seen);
        seen = coordinator.counter;
    }
    world.call(BULB, "turn-on", &[]);
    assert_eq!(done(&world.take()), Some(None));
}

#[test]
fn a_counter_that_went_far_is_kept() {
    let mut world = world();
    world.coordinator.borrow_mut().counter = 1_000_000;
    world.pass(61);
    world.coordinator.borrow_mut().wipe();
    world.restart();
    assert!(world.coordinator.borrow().counter > 1_000_000);
}

#[test]
fn what_was_kept_and_is_damaged_is_trouble_and_never_a_new_network() {
    let mut world = world();
    let kept = world.kept.clone().unwrap();
    world.coordinator.borrow_mut().wipe();
    let damaged = |world: &mut World, bytes: Vec<u8>| {
        world.kept = Some(bytes);
        world.restart();
        assert!(trouble(&world.take()).is_some());
        assert!(!world.coordinator.borrow().has_network());
    };
    for at in 0..kept.len() {
        let mut bent = kept.clone();
        bent[at] ^= 0x04;
        damaged(&mut world, bent);
    }
    damaged(&mut world, Vec::new());
    damaged(&mut world, kept[..kept.len() - 1].to_vec());
    damaged(&mut world, [&kept[..], &[0]].concat());
    let mut later = kept.clone();
    later[1] = 2;
    world.kept = Some(later);
    world.restart();
    assert_eq!(trouble(&world.take()).unwrap(), "what was kept is of version 2, and not of 1");
}

#[test]
fn another_network_than_the_one_that_was_kept_is_trouble() {
    let mut ours = world();
    let mut other = World::started(Vec::new());
    ours.kept = other.kept.take();
    ours.restart();
    let another = "the coordinator has another network than the one that was kept";
    assert_eq!(trouble(&ours.take()).unwrap(), another);
    // Nor is a network taken that nobody here has formed.
    ours.kept = None;
    ours.restart();
    assert!(trouble(&ours.take()).unwrap().contains("not formed from here"));
}

#[test]
fn a_coordinator_that_says_nothing_is_trouble_after_a_while() {
    let mut radio = ZigbeeRadio::default();
    radio.order(Order::Start(thingward_radio::wire::Start::default()), Duration::ZERO);
    let mut said = Vec::new();
    while let Some(due) = radio.due() {
        assert!(due <= Duration::from_secs(60), "{due:?}");
        radio.tick(due);
        while let Some(output) = radio.output() {
            if let thingward_radio::Output::Report(report) = output {
                said.push(report);
            }
        }
    }
    assert!(matches!(&said[..], [Report::Trouble(_)]), "{said:?}");
    // It is alive and says so, and does nothing.
    radio.order(Order::Ask(5), Duration::from_secs(99));
    assert!(matches!(radio.output(), Some(thingward_radio::Output::Report(Report::Alive { answer: 5, .. }))));
}

#[test]
fn a_coordinator_whose_network_does_not_come_up_is_trouble_after_a_while() {
    let mut world = World::new(Vec::new());
    world.coordinator.borrow_mut().is_down = true;
    world.start();
    world.pass(31);
    assert!(trouble(&world.take()).unwrap().contains("does not come up"));
}

#[test]
fn orders_that_come_too_early_wait() {
    let mut world = world();
    world.radio = ZigbeeRadio::default();
    world.keeps = false;
    world.restart();
    world.call(BULB, "turn-on", &[]);
    assert_eq!(done(&world.take()), None);
    world.keeps = true;
    world.order(Order::Kept);
    assert_eq!(done(&world.take()), Some(None));
}
