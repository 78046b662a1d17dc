//! The network gets another key.

use thingward_radio::wire::Order;

use crate::world::{BULB, CODE, World, done, node, trouble};
use thingward_zigbee::emulated::Kind;

fn world() -> World {
    let mut world = World::started(vec![node(Kind::Bulb, BULB, 0x2002, Some(CODE))]);
    world.join(BULB);
    world.pass(2);
    world.take();
    world
}

#[test]
fn a_key_is_changed_on_demand_and_the_things_go_on() {
    let mut world = world();
    let before = world.coordinator.borrow().key;
    world.order(Order::Roll);
    world.pass(10);
    assert_eq!(world.coordinator.borrow().key, before);
    world.pass(25);
    let after = world.coordinator.borrow().key;
    assert_ne!(after, before);
    assert_eq!(world.coordinator.borrow().key_sequence, 1);
    world.call(BULB, "turn-on", &[]);
    assert_eq!(done(&world.take()), Some(None));
    // The new key is the one that was kept.
    world.coordinator.borrow_mut().wipe();
    world.restart();
    assert_eq!(trouble(&world.take()), None);
    assert_eq!((world.coordinator.borrow().key, world.coordinator.borrow().key_sequence), (after, 1));
}

#[test]
fn a_change_that_was_interrupted_is_finished_wherever_that_was() {
    for seconds in [0, 1, 31] {
        for keeps in [true, false] {
            let mut world = world();
            let before = world.coordinator.borrow().key;
            world.keeps = keeps;
            world.order(Order::Roll);
            world.pass(seconds);
            world.keeps = true;
            world.restart();
            world.pass(40);
            assert_eq!(trouble(&world.take()), None);
            assert_ne!(world.coordinator.borrow().key, before);
            assert_eq!(world.coordinator.borrow().key_sequence, 1);
            world.restart();
            assert_eq!(trouble(&world.take()), None);
        }
    }
}

#[test]
fn a_coordinator_that_forgets_in_the_middle_of_a_change_gets_a_key_that_the_things_have() {
    for seconds in [1, 31] {
        let mut world = world();
        world.order(Order::Roll);
        world.pass(seconds);
        let there = world.coordinator.borrow().key;
        world.coordinator.borrow_mut().wipe();
        world.restart();
        assert_eq!(trouble(&world.take()), None);
        assert_eq!(world.coordinator.borrow().key, there);
    }
}

#[test]
fn a_key_is_changed_by_itself_after_a_month() {
    let mut world = world();
    let before = world.coordinator.borrow().key;
    // A day at a time, with a restart each.
    for _ in 0..32 {
        world.now += std::time::Duration::from_secs(24 * 3600);
        world.pass(1);
        assert_eq!(trouble(&world.take()), None);
    }
    world.pass(60);
    assert_ne!(world.coordinator.borrow().key, before);
}

#[test]
fn a_coordinator_that_takes_no_other_key_is_trouble_and_goes_on() {
    let mut world = world();
    world.coordinator.borrow_mut().has_one_key = true;
    world.order(Order::Roll);
    world.pass(40);
    assert!(trouble(&world.take()).unwrap().contains("cannot be changed"));
    world.call(BULB, "turn-on", &[]);
    assert_eq!(done(&world.take()), Some(None));
    world.restart();
    assert_eq!(trouble(&world.take()), None);
}
