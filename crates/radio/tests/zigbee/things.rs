//! What things say and are told.

use serde_json::Value as Json;
use thingward_model::Link;
use thingward_radio::wire::{RefusalKind, Value};

use crate::world::{BULB, CODE, THERMOMETER, World, address, done, last, node, readings, refusals, things};
use thingward_zigbee::emulated::{Kind, Presence, Said};

fn world(kind: Kind) -> World {
    let mut world = World::started(vec![node(kind, BULB, 0x2002, Some(CODE))]);
    world.join(BULB);
    world.pass(2);
    world
}

#[test]
fn a_bulb_is_switched_and_says_that_it_is_on() {
    let mut world = world(Kind::Bulb);
    assert_eq!(last(&world.take(), "on").unwrap().value, Value::Bool(false));
    world.call(BULB, "turn-on", &[]);
    let reports = world.take();
    assert_eq!(done(&reports), Some(None));
    assert_eq!(last(&reports, "on").unwrap().value, Value::Bool(true));
    assert_eq!(world.coordinator.borrow().nodes[0].number(0x0006, 0), 1);
    world.call(BULB, "toggle", &[]);
    assert_eq!(last(&world.take(), "on").unwrap().value, Value::Bool(false));
}

#[test]
fn a_level_is_set_and_read_in_per_cent() {
    let mut world = world(Kind::Bulb);
    world.call(BULB, "set-level", &[("level", Value::Number(50.0)), ("transition", Value::Number(0.5))]);
    let reports = world.take();
    assert_eq!(done(&reports), Some(None));
    let level = last(&reports, "level").unwrap();
    assert_eq!((level.unit.as_str(), level.value), ("%", Value::Number(50.0)));
    assert_eq!(last(&reports, "on").unwrap().value, Value::Bool(true));
    assert_eq!(world.coordinator.borrow().nodes[0].number(0x0008, 0), 127);
}

#[test]
fn what_cannot_be_done_is_said_with_its_reason() {
    let mut world = world(Kind::Bulb);
    let mut failure = |eui64, action: &str, arguments: &[(&str, Value)]| {
        world.call(eui64, action, arguments);
        done(&world.take()).unwrap().unwrap()
    };
    assert_eq!(failure(THERMOMETER, "turn-on", &[]), "this network has no such thing");
    assert_eq!(failure(BULB, "explode", &[]), "no action `explode`");
    let over = failure(BULB, "set-level", &[("level", Value::Number(101.0))]);
    assert_eq!(over, "`level` has to be a number from 0 to 100");
    let data = failure(BULB, "set-level", &[("level", Value::Data(vec![1]))]);
    assert_eq!(data, over);
    // A maker's bulb that lacks a command, one that says nothing, and one that is gone.
    world.coordinator.borrow_mut().nodes[0].kind = Kind::Thermometer;
    world.call(BULB, "turn-on", &[]);
    assert_eq!(done(&world.take()), Some(Some("the thing answers: unsupported cluster command".to_owned())));
    world.coordinator.borrow_mut().nodes[0].is_dumb = true;
    world.call(BULB, "turn-on", &[]);
    world.pass(10);
    let silent = "the thing received it and does not say whether it did it";
    assert_eq!(done(&world.take()), Some(Some(silent.to_owned())));
    world.coordinator.borrow_mut().nodes[0].presence = Presence::Away;
    world.call(BULB, "turn-on", &[]);
    assert_eq!(done(&world.take()), Some(Some("the thing did not confirm that it received it".to_owned())));
}

#[test]
fn a_plug_says_what_goes_through_it_in_units() {
    let mut world = world(Kind::Plug);
    let reports = world.take();
    let energy = last(&reports, "energy").unwrap();
    assert_eq!(energy.unit.as_str(), "Wh");
    assert!(matches!(energy.value, Value::Number(energy) if (1500.0..1510.0).contains(&energy)));
    let power = last(&reports, "power").unwrap();
    assert_eq!((power.unit.as_str(), power.value), ("W", Value::Number(42.5)));
    let mut all = readings(&reports).into_iter().flat_map(|said| said.readings);
    assert!(all.all(|reading| !reading.name.as_str().starts_with("raw")));
}

#[test]
fn a_contact_is_enrolled_and_says_when_the_door_opens() {
    let mut world = world(Kind::Contact);
    world.pass(2);
    let reports = world.take();
    let changed = last(&reports, "zone-status-changed").unwrap().value;
    assert!(matches!(changed, Value::Number(_)));
    assert_eq!(last(&reports, "zone-status").unwrap().value, changed);
}

#[test]
fn a_contact_that_asks_to_be_enrolled_is_answered_with_its_number() {
    let mut world = world(Kind::Contact);
    world.coordinator.borrow_mut().nodes[0].is_enrolled = false;
    world.pass(3);
    world.take();
    world.pass(3);
    assert!(last(&world.take(), "zone-status-changed").is_none());
    let mut asks = |payload: Vec<u8>| {
        let mut coordinator = world.coordinator.borrow_mut();
        let said = Said { profile: 0x0104, cluster: 0x0500, endpoint: 1, payload };
        let news = coordinator.incoming(0, said);
        coordinator.news.push(news);
        drop(coordinator);
        world.pass(2);
        world.coordinator.borrow().nodes[0].enrolled_with
    };
    // A maker's own command of that number is something else.
    assert_ne!(asks(vec![0x0d, 0x5f, 0x11, 77, 0x01, 0x15, 0, 0, 0]), Some(77));
    assert_eq!(asks(vec![0x09, 77, 0x01, 0x15, 0, 0, 0]), Some(77));
    assert!(last(&world.take(), "zone-status-changed").is_some());
}

#[test]
fn what_no_table_has_passes_through_with_its_numbers() {
    let mut world = world(Kind::Thermometer);
    let say = |cluster, control, fields: &[u8]| {
        let mut coordinator = world.coordinator.borrow_mut();
        let said = coordinator.nodes[0].command(cluster, control, 0x0a, fields);
        let news = coordinator.incoming(0, said);
        coordinator.news.push(news);
    };
    say(0x0402, 0x18, &[0x34, 0x12, 0x29, 0x05, 0x00]);
    say(0xfc00, 0x18, &[0x01, 0x00, 0x42, 0x03, 0x61, 0x00, 0x62]);
    world.take();
    world.pass(1);
    let reports = world.take();
    assert_eq!(last(&reports, "raw-0402-1234-29").unwrap().value, Value::Data(vec![5, 0]));
    assert_eq!(last(&reports, "raw-fc00-0001-42").unwrap().value, Value::Data(vec![3, 0x61, 0, 0x62]));
}

#[test]
fn a_message_that_comes_a_second_time_is_refused() {
    let mut world = world(Kind::Thermometer);
    world.take();
    let news = {
        let mut coordinator = world.coordinator.borrow_mut();
        let said = coordinator.nodes[0].command(0x0402, 0x18, 0x0a, &[0, 0, 0x29, 0x0f, 0x27]);
        coordinator.incoming(0, said)
    };
    let hot = |reports: &[_]| {
        let all = readings(reports).into_iter().flat_map(|said| said.readings);
        all.filter(|reading| reading.value == Value::Number(99.99)).count()
    };
    world.coordinator.borrow_mut().news.push(news.clone());
    world.pass(1);
    assert_eq!(hot(&world.take()), 1);
    world.coordinator.borrow_mut().news.push(news);
    world.pass(1);
    let reports = world.take();
    assert_eq!(hot(&reports), 0);
    assert!(
        refusals(&reports)
            .iter()
            .any(|(thing, kind, _)| *thing == Some(address(BULB)) && *kind == RefusalKind::Replay)
    );
}

#[test]
fn what_is_cut_short_is_refused_and_the_rest_goes_on() {
    let mut world = world(Kind::Thermometer);
    for octets in [&[0, 0, 0x29, 0x0f][..], &[0], &[0, 0, 0x05, 0]] {
        let mut coordinator = world.coordinator.borrow_mut();
        let said = coordinator.nodes[0].command(0x0402, 0x18, 0x0a, octets);
        let news = coordinator.incoming(0, said);
        coordinator.news.push(news);
    }
    world.take();
    world.pass(2);
    let reports = world.take();
    let malformed = refusals(&reports).into_iter().filter(|(_, kind, _)| *kind == RefusalKind::Malformed);
    assert_eq!(malformed.count(), 3);
    assert!(last(&reports, "temperature").is_some());
}

#[test]
fn a_thing_that_moves_in_the_network_is_found_again() {
    let mut world = world(Kind::Thermometer);
    // With an announcement, and without, when the coordinator knows who it is.
    let announcement = {
        let mut coordinator = world.coordinator.borrow_mut();
        coordinator.nodes[0].short = 0x3003;
        let said = coordinator.nodes[0].announcement();
        coordinator.incoming(0, said)
    };
    world.coordinator.borrow_mut().news.push(announcement);
    world.pass(2);
    world.take();
    world.pass(2);
    assert!(last(&world.take(), "temperature").is_some());
    world.coordinator.borrow_mut().nodes[0].short = 0x3004;
    world.pass(3);
    assert!(last(&world.take(), "temperature").is_some());
}

#[test]
fn a_description_has_the_names_of_all_radios() {
    let mut world = World::started(vec![node(Kind::Bulb, BULB, 0x2002, Some(CODE))]);
    world.join(BULB);
    let thing = &things(&world.take())[0];
    assert_eq!(thing.link, Link::ZigbeeInstallCode);
    let description: Json = serde_json::from_slice(&thing.description).unwrap();
    assert_eq!(description["properties"]["on"]["type"], "boolean");
    assert_eq!(description["properties"]["level"]["unit"], "%");
    for action in ["turn-on", "turn-off", "toggle", "set-level"] {
        assert!(description["actions"][action].is_object(), "{action}");
    }
}

#[test]
fn what_a_thing_with_a_link_key_of_its_own_is_to_do_goes_under_that_key() {
    for asks_for_key in [true, false] {
        let mut nodes = vec![node(Kind::Bulb, BULB, 0x2002, Some(CODE))];
        nodes[0].asks_for_key = asks_for_key;
        let mut world = World::started(nodes);
        world.join(BULB);
        world.pass(5);
        assert!(world.coordinator.borrow().encrypted.is_empty());
        world.call(BULB, "turn-on", &[]);
        assert_eq!(done(&world.take()), Some(None));
        let under_link_key = world.coordinator.borrow().encrypted.clone();
        assert_eq!(under_link_key, if asks_for_key { vec![0x2002] } else { Vec::new() });
    }
}
