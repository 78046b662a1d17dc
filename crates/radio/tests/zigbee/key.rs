//! The network gets another key.

use std::collections::BTreeSet;
use std::time::Duration;

use thingward_radio::wire::Order;
use thingward_zigbee::emulated::{Kind, Node, Presence};

use crate::world::{BULB, CODE, THERMOMETER, World, address, done, node, readings, refusals, trouble};

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
        assert!(world.coordinator.borrow().nodes[0].is_in(there));
    }
}

#[test]
fn a_key_is_changed_by_itself_after_as_many_days_as_the_gateway_says_restarts_or_not() {
    for (key_days, days) in [(Some(30), 30), (None, 365)] {
        let mut world = world();
        world.key_days = key_days;
        world.restart();
        let before = world.coordinator.borrow().key;
        for day in 0..days + 2 {
            if day == days - 1 {
                assert_eq!(world.coordinator.borrow().key, before, "{days} days");
            }
            world.now += Duration::from_secs(24 * 3600);
            world.pass(1);
            if day % 7 == 0 {
                world.restart();
            }
            assert_eq!(trouble(&world.take()), None);
        }
        world.pass(60);
        assert_ne!(world.coordinator.borrow().key, before, "{days} days");
    }
}

/// A thermometer and a bulb with link keys of their own.
fn two() -> World {
    let mut nodes = vec![node(Kind::Bulb, BULB, 0x2002, Some(CODE))];
    nodes.push(node(Kind::Thermometer, THERMOMETER, 0x2001, Some(CODE)));
    let mut world = World::started(nodes);
    world.join(BULB);
    world.join(THERMOMETER);
    world.pass(2);
    world.take();
    world
}

/// Of which things readings came within some seconds.
fn heard(world: &mut World, seconds: u64) -> BTreeSet<String> {
    world.take();
    world.pass(seconds);
    readings(&world.take()).into_iter().map(|said| said.thing.to_string()).collect()
}

const UNICAST_KEY: u16 = 0x00a9;
const SWITCH: u16 = 0x0074;

#[test]
fn the_next_key_goes_to_each_thing_by_itself_and_what_is_said_meanwhile_arrives() {
    let mut world = two();
    let before = world.coordinator.borrow().key;
    world.order(Order::Roll);
    for second in 0..40 {
        assert_eq!(heard(&mut world, 1).len(), 1, "second {second}");
    }
    let coordinator = world.coordinator.borrow();
    assert_ne!(coordinator.key, before);
    assert!(coordinator.nodes.iter().all(|node| node.is_in(coordinator.key)));
    assert_eq!(coordinator.unopened, 0);
    drop(coordinator);
    assert_eq!((world.asked(UNICAST_KEY), world.asked(SWITCH)), (2, 1));
    world.call(BULB, "turn-on", &[]);
    assert_eq!(done(&world.take()), Some(None));
}

#[test]
fn nobody_is_given_a_key_that_is_not_durable() {
    let mut world = two();
    world.keeps = false;
    world.order(Order::Roll);
    world.pass(60);
    assert_eq!((world.asked(UNICAST_KEY), world.asked(SWITCH)), (0, 0));
}

#[test]
fn a_thing_without_a_link_key_of_its_own_is_told_of_and_not_opened_any_more() {
    let mut nodes = vec![node(Kind::Bulb, BULB, 0x2002, Some(CODE))];
    nodes.push(node(Kind::Thermometer, THERMOMETER, 0x2001, Some(CODE)));
    nodes[1].asks_for_key = false;
    let mut world = World::started(nodes);
    world.join(BULB);
    world.join(THERMOMETER);
    assert_eq!(heard(&mut world, 5).len(), 1);
    world.order(Order::Roll);
    world.pass(30);
    let told = refusals(&world.take());
    let told: Vec<_> = told.iter().filter(|(thing, ..)| *thing == Some(address(THERMOMETER))).collect();
    assert!(told.iter().any(|(.., reason)| reason.contains("no link key of its own")), "{told:?}");
    world.pass(5);
    // Under the old key nothing is heard.
    assert!(heard(&mut world, 30).is_empty());
    assert!(world.coordinator.borrow().unopened > 20);
    world.call(BULB, "turn-on", &[]);
    assert_eq!(done(&world.take()), Some(None));
    // Admitted again it is there again.
    let reset = |node: &mut Node| (node.presence, node.tries_at) = (Presence::Away, Duration::ZERO);
    reset(&mut world.coordinator.borrow_mut().nodes[1]);
    world.join(THERMOMETER);
    assert_eq!(heard(&mut world, 5).len(), 1);
}

#[test]
fn a_network_of_things_without_link_keys_gets_a_key_that_none_of_them_has() {
    let mut nodes = vec![node(Kind::Thermometer, THERMOMETER, 0x2001, Some(CODE))];
    nodes[0].asks_for_key = false;
    let mut world = World::started(nodes);
    world.join(THERMOMETER);
    let before = world.coordinator.borrow().key;
    world.order(Order::Roll);
    world.pass(5);
    assert_eq!(trouble(&world.take()), None);
    assert_ne!(world.coordinator.borrow().key, before);
    assert_eq!((world.asked(UNICAST_KEY), world.asked(SWITCH)), (0, 0));
    world.restart();
    assert_eq!(trouble(&world.take()), None);
}

#[test]
fn a_thing_that_missed_the_key_gets_it_under_its_own_when_it_comes_back() {
    let mut world = two();
    world.coordinator.borrow_mut().nodes[1].hears_keys = false;
    world.order(Order::Roll);
    world.pass(60);
    assert_eq!(heard(&mut world, 5).len(), 1);
    assert!(world.coordinator.borrow().unopened > 0);
}

#[test]
fn a_removed_thing_has_no_key_that_is_used_afterwards() {
    let mut world = two();
    let before = world.coordinator.borrow().key;
    world.order(Order::Remove(address(THERMOMETER)));
    world.pass(40);
    assert_ne!(world.coordinator.borrow().key, before);
    assert_eq!(world.coordinator.borrow().key_sequence, 1);
    assert_eq!(world.asked(UNICAST_KEY), 1);
}

#[test]
fn a_thing_that_is_removed_with_the_next_key_in_hand_has_that_changed_too_restarts_or_not() {
    for restarts in [false, true] {
        let mut world = two();
        world.order(Order::Roll);
        world.pass(10);
        let given = world.coordinator.borrow().nodes[1].next_key.unwrap();
        world.order(Order::Remove(address(THERMOMETER)));
        if restarts {
            world.restart();
        }
        world.pass(35);
        assert_eq!(world.coordinator.borrow().key, given);
        world.pass(120);
        assert_ne!(world.coordinator.borrow().key, given);
        assert_eq!(world.coordinator.borrow().key_sequence, 2);
        assert_eq!(trouble(&world.take()), None);
    }
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

#[test]
fn a_busy_coordinator_is_asked_again() {
    let mut world = two();
    let before = world.coordinator.borrow().key;
    world.coordinator.borrow_mut().busy_times = 2;
    world.order(Order::Roll);
    world.pass(40);
    assert_eq!(trouble(&world.take()), None);
    assert_ne!(world.coordinator.borrow().key, before);
    assert_eq!(world.asked(UNICAST_KEY), 4);
}

#[test]
fn a_key_that_somebody_outside_has_is_changed_when_the_coordinator_lets_it_restarts_or_not() {
    for restarts in [false, true] {
        let mut world = two();
        let before = world.coordinator.borrow().key;
        world.coordinator.borrow_mut().has_one_key = true;
        world.order(Order::Remove(address(THERMOMETER)));
        world.pass(40);
        assert!(trouble(&world.take()).unwrap().contains("tried again in an hour"));
        world.coordinator.borrow_mut().has_one_key = false;
        if restarts {
            world.restart();
        } else {
            world.now += Duration::from_secs(3600);
        }
        world.pass(180);
        assert_ne!(world.coordinator.borrow().key, before, "restarts: {restarts}");
    }
}
