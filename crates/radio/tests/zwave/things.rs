//! Nodes that have joined: what they are, say and do.

use std::time::Duration;

use serde_json::json;
use thingward_model::Link;
use thingward_model::description::ThingDescription;
use thingward_radio::wire::{RefusalKind, Value};
use thingward_radio::{Order, Report};

use crate::home::{
    DOOR_LOCK, Home, MULTILEVEL_SENSOR, SECURITY_2, SUPERVISION, SWITCH, WAKE_UP, done, reading, refusal,
    thing,
};

#[test]
fn a_switch_joins_with_its_key_and_is_read_and_switched() {
    let Some(mut home) = Home::start(1, &[]) else { return };
    let thing = home.include(&["S2_AccessControl", "S2_Authenticated"], &SWITCH, false);
    assert_eq!((thing.address, thing.link), (home.address(), Link::ZwaveS2Access));
    let description = ThingDescription::parse(&thing.description).unwrap();
    assert!(description.properties.contains_key("on"));
    for action in ["turn-on", "turn-off"] {
        assert!(description.actions.contains_key(&action.parse().unwrap()));
    }
    for (id, on) in [(1, true), (2, false), (3, true)] {
        // Done, and then the property follows.
        assert_eq!(home.call(id, if on { "turn-on" } else { "turn-off" }, &[]), None);
        assert_eq!(home.state(), on.to_string());
        assert_eq!(home.until(|report| reading(report, "on")), (Link::ZwaveS2Access, Value::Bool(on)));
    }
    home.node_says(false, true);
    assert_eq!(home.until(|report| reading(report, "on")), (Link::ZwaveS2Access, Value::Bool(false)));
    assert_eq!(home.call(9, "turn-round", &[]).as_deref(), Some("it has no such action"));
}

#[test]
fn a_lock_and_a_sensor_are_described_and_read() {
    let Some(mut home) = Home::start(2, &[]) else { return };
    let secure = [SUPERVISION, DOOR_LOCK, MULTILEVEL_SENSOR].map(|class| (class, true));
    home.begin_including(&["S2_AccessControl"], &[&[(SECURITY_2, false)], secure.as_slice()].concat(), false);
    // It is described once more with what it has shown.
    home.until(|report| {
        thing(report).filter(|it| String::from_utf8_lossy(&it.description).contains("\"temperature\""))
    });
    let said = home.during(Duration::from_millis(500));
    assert!(!said.iter().any(|report| matches!(report, Report::Refused { .. })), "{said:?}");
    home.restart(&[]);
    let thing = home.until(thing);
    let description = ThingDescription::parse(&thing.description).unwrap();
    let temperature = &description.properties["temperature"];
    assert_eq!(temperature.schema.unit.as_deref(), Some("Cel"));
    assert!(description.actions[&"unlock".parse().unwrap()].is_sensitive);
    let (link, value) = home.until(|report| reading(report, "lock-state"));
    assert_eq!((link, matches!(value, Value::Text(_))), (Link::ZwaveS2Access, true));
    let (_, value) = home.until(|report| reading(report, "temperature"));
    assert!(matches!(value, Value::Number(_)));
    assert_eq!(home.call(1, "lock", &[]), None);
}

#[test]
fn after_a_restart_a_thing_is_known_and_works() {
    let Some(mut home) = Home::start(8, &[]) else { return };
    let before = home.include(&["S2_Authenticated"], &SWITCH, false);
    home.restart(&[]);
    let after = home.until(thing);
    assert_eq!(after, before);
    assert_eq!(home.call(1, "turn-on", &[]), None);
    assert_eq!(home.state(), "true");
    home.during(Duration::from_millis(500));
    home.node_says(false, true);
    let on = home.until(|report| reading(report, "on").filter(|(_, value)| *value == Value::Bool(false)));
    assert_eq!(on.0, Link::ZwaveS2Authenticated);
}

#[test]
fn what_was_said_before_and_what_is_in_the_clear_is_not_believed() {
    let Some(mut home) = Home::start(9, &[]) else { return };
    home.include(&["S2_Authenticated"], &SWITCH, false);
    assert_eq!(home.call(1, "turn-on", &[]), None);
    home.node_says(true, true);
    home.during(Duration::from_millis(500));
    home.do_it(json!({ "do": "replay" }));
    let reports = home.during(Duration::from_secs(1));
    assert!(reports.iter().any(|report| matches!(refusal(report), Some((RefusalKind::Replay, _)))));
    assert!(reports.iter().all(|report| reading(report, "on").is_none()), "{reports:#?}");
    home.node_says(false, false);
    let reports = home.during(Duration::from_secs(1));
    assert!(reports.iter().any(|report| matches!(refusal(report), Some((RefusalKind::Forgery, _)))));
    assert!(reports.iter().all(|report| reading(report, "on").is_none()), "{reports:#?}");
}

#[test]
fn a_thing_that_sleeps_does_it_when_it_wakes_up_in_time_and_otherwise_never() {
    let Some(mut home) = Home::start(10, &[]) else { return };
    home.include(&["S2_Authenticated"], &[SWITCH.as_slice(), &[(WAKE_UP, true)]].concat(), true);
    home.do_it(json!({ "do": "sleep", "id": 2 }));
    home.call_without_waiting(1, "turn-on", &[]);
    let reports = home.during(Duration::from_secs(2));
    assert!(reports.iter().all(|report| done(report, 1).is_none()), "{reports:#?}");
    home.do_it(json!({ "do": "wake", "id": 2 }));
    assert_eq!(home.until(|report| done(report, 1)), None);
    assert_eq!(home.state(), "true");
    home.during(Duration::from_secs(1));
    home.do_it(json!({ "do": "sleep", "id": 2 }));
    let failure = home.call(2, "turn-off", &[]).unwrap();
    assert!(failure.contains("sleeps"), "{failure}");
    home.do_it(json!({ "do": "wake", "id": 2 }));
    home.during(Duration::from_secs(1));
    assert_eq!(home.state(), "true");
}

#[test]
fn a_thing_that_was_removed_is_not_believed() {
    let Some(mut home) = Home::start(11, &[]) else { return };
    home.include(&["S2_Authenticated"], &SWITCH, false);
    home.order(Order::Remove(home.address()));
    let left = home.until(|report| if let Report::Left(thing) = report { Some(thing.clone()) } else { None });
    assert_eq!(left, home.address());
    home.node_says(true, true);
    assert!(matches!(home.until(refusal), (RefusalKind::Forgery, _)));
    home.restart(&[]);
    home.node_says(true, true);
    let reports = home.during(Duration::from_secs(1));
    assert!(reports.iter().all(|report| reading(report, "on").is_none()), "{reports:#?}");
}
