//! Nodes as things: what they have, say and are told.

use serde_json::{Value as Json, json};
use thingward_zigbee::library;
use thingward_zigbee::thing::{Endpoint, OrderError, Scalar, Thing, Told, describe};
use thingward_zigbee::zcl::{Attribute, DataType, Foundation, Value, ZclHeader};

use crate::vectors::{hex, unhex};

fn node(endpoints: &[(u8, &[u16], &[u16])]) -> Thing {
    let endpoint = |(id, servers, clients): &(u8, &[u16], &[u16])| Endpoint {
        id: *id,
        servers: servers.to_vec(),
        clients: clients.to_vec(),
    };
    Thing::new(endpoints.iter().map(endpoint).collect())
}

fn bulb() -> Thing {
    node(&[(11, &[0x0000, 0x0003, 0x0006, 0x0008, 0x0300], &[0x0019])])
}

const REPORT: ZclHeader = ZclHeader { control: 0x18, manufacturer: None, sequence: 1, command: 0x0a };

fn told(thing: &Thing, endpoint: u8, cluster: u16, id: u16, data_type: u8, octets: &str) -> Told {
    let (value, _) = Value::parse(DataType::new(data_type).unwrap(), &unhex(octets)).unwrap();
    thing.attribute(endpoint, cluster, &REPORT, &Attribute { id, value })
}

fn number(thing: &Thing, cluster: u16, id: u16, data_type: u8, octets: &str) -> (String, &'static str, f64) {
    match told(thing, 1, cluster, id, data_type, octets) {
        Told::Property { name, unit, value: Some(Scalar::Number(number)) } => (name, unit, number),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bulb_has_the_properties_and_actions_of_its_clusters() {
    let description = describe(&bulb(), "Bulb").unwrap();
    let properties: Vec<&str> = description.properties.keys().map(String::as_str).collect();
    assert_eq!(
        properties,
        [
            "color-temperature",
            "color-x",
            "color-y",
            "hue",
            "level",
            "manufacturer",
            "model",
            "on",
            "saturation",
            "software-build",
        ]
    );
    let actions: Vec<String> = description.actions.keys().map(ToString::to_string).collect();
    assert_eq!(
        actions,
        [
            "identify",
            "set-color",
            "set-color-temperature",
            "set-hue-and-saturation",
            "set-level",
            "toggle",
            "turn-off",
            "turn-on",
        ]
    );
    assert_eq!(description.as_json()["properties"]["on"]["type"], "boolean");
    let level = &description.as_json()["actions"]["set-level"]["input"];
    assert_eq!(
        level["properties"]["level"],
        json!({"type": "number", "minimum": 0.0, "maximum": 100.0, "unit": "%"})
    );
    assert_eq!(level["required"], json!(["level"]));
}

#[test]
fn who_unlocks_a_door_says_so_with_their_own_passkey() {
    let description = describe(&node(&[(1, &[0x0101], &[])]), "Lock").unwrap();
    let sensitive =
        |name: &str| description.actions.iter().any(|(n, a)| n.as_str() == name && a.is_sensitive);
    assert!(sensitive("unlock") && !sensitive("lock"));
    assert!(description.events.contains_key("lock-operated"));
}

#[test]
fn equal_things_at_two_endpoints_have_the_number_in_their_names() {
    let strip = node(&[(1, &[0x0006], &[]), (2, &[0x0006, 0x0402], &[])]);
    let description = describe(&strip, "Strip").unwrap();
    let properties: Vec<&str> = description.properties.keys().map(String::as_str).collect();
    assert_eq!(properties, ["on-1", "on-2", "temperature"]);
    assert_eq!(strip.order("turn-on-2", &Json::Null).unwrap().endpoint, 2);
    assert!(matches!(strip.order("turn-on", &Json::Null), Err(OrderError::NoAction(_))));
}

#[test]
fn every_cluster_of_the_table_makes_a_description_that_can_be_read() {
    for cluster in 0..=0x1000 {
        if library::cluster(cluster).is_some() {
            describe(&node(&[(1, &[cluster], &[cluster])]), "Thing").unwrap();
        }
    }
}

#[test]
fn values_come_in_their_units() {
    let thing = node(&[(1, &[0x0001, 0x0006, 0x0400, 0x0402, 0x0403, 0x0405, 0x0406, 0x040d], &[])]);
    assert_eq!(number(&thing, 0x0402, 0, 0x29, "5608"), ("temperature".to_owned(), "Cel", 21.34));
    assert_eq!(number(&thing, 0x0402, 0, 0x29, "dafd"), ("temperature".to_owned(), "Cel", -5.5));
    assert_eq!(number(&thing, 0x0405, 0, 0x21, "a816"), ("humidity".to_owned(), "%RH", 58.0));
    assert_eq!(number(&thing, 0x0403, 0, 0x29, "f503"), ("pressure".to_owned(), "Pa", 101_300.0));
    assert_eq!(number(&thing, 0x0001, 0x21, 0x20, "c7"), ("battery".to_owned(), "%EL", 99.5));
    let (name, unit, lux) = number(&thing, 0x0400, 0, 0x21, "214e");
    assert_eq!((name.as_str(), unit), ("illuminance", "lx"));
    assert!((lux - 100.0).abs() < 1e-9);
    let value = |told| match told {
        Told::Property { value, .. } => value,
        other => panic!("{other:?}"),
    };
    assert_eq!(value(told(&thing, 1, 0x0006, 0, 0x10, "01")), Some(Scalar::Bool(true)));
    assert_eq!(value(told(&thing, 1, 0x0406, 0, 0x18, "01")), Some(Scalar::Bool(true)));
    assert_eq!(value(told(&thing, 1, 0x0402, 0, 0x29, "0080")), None);
    assert_eq!(value(told(&thing, 1, 0x040d, 0, 0x39, "0000c07f")), None);
}

#[test]
fn what_no_line_has_passes_through_with_its_type_and_octets() {
    let thing = node(&[(1, &[0x0402], &[])]);
    let raw = |attribute, data_type, octets: &str| Told::Raw {
        endpoint: 1,
        cluster: 0x0402,
        manufacturer: None,
        attribute,
        data_type,
        octets: unhex(octets),
    };
    assert_eq!(told(&thing, 1, 0x0402, 0xf012, 0x21, "0500"), raw(0xf012, 0x21, "0500"));
    // Another type than the library's, another maker's, and a cluster that the endpoint does not have.
    assert_eq!(told(&thing, 1, 0x0402, 0, 0x21, "5608"), raw(0, 0x21, "5608"));
    let value = Value::integer(DataType::named("int16").unwrap(), 2134).unwrap();
    let header = ZclHeader { manufacturer: Some(0x115f), ..REPORT };
    let foreign = thing.attribute(1, 0x0402, &header, &Attribute { id: 0, value });
    assert!(matches!(foreign, Told::Raw { manufacturer: Some(0x115f), .. }));
    assert!(matches!(told(&thing, 1, 0x0405, 0, 0x21, "5608"), Told::Raw { cluster: 0x0405, .. }));
}

#[test]
fn actions_become_the_frames_of_their_clusters() {
    let frame = |action: &str, input: Json| hex(&bulb().order(action, &input).unwrap().frame(7));
    assert_eq!(frame("turn-on", Json::Null), "010701");
    assert_eq!(frame("set-level", json!({"level": 50})), "0107047f0000");
    assert_eq!(frame("set-level", json!({"level": 100, "transition": 1.5})), "010704fe0f00");
    assert_eq!(frame("set-color-temperature", json!({"color-temperature": 370})), "01070a72010000");
    assert_eq!(frame("set-color", json!({"x": 0.3, "y": 0.25})), "010707cd4c00400000");
    let thermostat = node(&[(1, &[0x0201], &[])]);
    let order = thermostat.order("set-heating-setpoint", &json!(21.5)).unwrap();
    assert_eq!(hex(&order.frame(7)), "0007021200296608");
    let read = Foundation::read(0x02, &order.frame(7)[3..]).unwrap();
    assert!(matches!(read, Some(Foundation::Write(_))));
}

#[test]
fn actions_outside_their_bounds_are_refused() {
    let wrong = [
        ("set-level", json!({"level": 100.5})),
        ("set-level", json!({"level": "full"})),
        ("set-level", json!({})),
        ("set-level", json!({"level": 1, "transition": -1})),
        ("set-color", json!({"x": 1.0, "y": 0.2})),
    ];
    for (action, input) in wrong {
        assert!(matches!(bulb().order(action, &input), Err(OrderError::Input { .. })), "{action} {input}");
    }
    let thermostat = node(&[(1, &[0x0201], &[])]);
    for wrong in [json!(400), json!(-1e300), json!(null), json!("warm")] {
        assert!(thermostat.order("set-heating-setpoint", &wrong).is_err(), "{wrong}");
    }
    assert!(matches!(bulb().order("explode", &Json::Null), Err(OrderError::NoAction(_))));
}

#[test]
fn what_happens_becomes_an_event() {
    let sensor = node(&[(1, &[0x0500], &[])]);
    let header = ZclHeader { control: 0x09, manufacturer: None, sequence: 1, command: 0 };
    let info = library::command(0x0500, header.direction(), 0).unwrap();
    let (record, _) = info.layout.read(&unhex("210000050000")).unwrap();
    match sensor.event(1, 0x0500, &header, &record) {
        Some(Told::Event { name, data }) => {
            assert_eq!(name, "zone-status-changed");
            assert_eq!(data.number("zoneStatus"), Some(0x21));
        }
        other => panic!("{other:?}"),
    }
    let keypad = node(&[(1, &[], &[0x0501])]);
    let header = ZclHeader { control: 0x01, manufacturer: None, sequence: 1, command: 4 };
    let panic = keypad.event(1, 0x0501, &header, &thingward_zigbee::layout::Record::default());
    assert!(matches!(panic, Some(Told::Event { name, .. }) if name == "panic"));
    assert!(sensor.event(1, 0x0501, &header, &thingward_zigbee::layout::Record::default()).is_none());
}

#[test]
fn every_whole_per_cent_of_a_level_comes_back_as_it_was_set() {
    for level in 0..=100 {
        let frame = bulb().order("set-level", &json!({"level": level})).unwrap().frame(7);
        let (name, unit, read) = number(&node(&[(1, &[0x0008], &[])]), 0x0008, 0, 0x20, &hex(&frame[3..4]));
        assert_eq!((name.as_str(), unit, read), ("level", "%", f64::from(level)));
    }
    assert_eq!(describe(&bulb(), "Bulb").unwrap().as_json()["properties"]["level"]["type"], "integer");
}

#[test]
fn a_meter_is_worth_something_when_it_has_said_what_its_steps_are() {
    let mut meter = node(&[(1, &[0x0702, 0x0b04], &[])]);
    let properties = |meter: &Thing| describe(meter, "Meter").unwrap().properties.len();
    assert_eq!(properties(&meter), 0);
    assert!(matches!(told(&meter, 1, 0x0702, 0, 0x25, "e80300000000"), Told::Raw { .. }));
    let asked = meter.figures_asked();
    assert_eq!(asked[&(1, 0x0702)], [0x0301, 0x0302, 0x0300]);
    assert_eq!(asked[&(1, 0x0b04)], [0x0400, 0x0401, 0x0600, 0x0601, 0x0602, 0x0603, 0x0604, 0x0605]);
    for (cluster, id, figure) in [
        (0x0702, 0x0300, 0),
        (0x0702, 0x0301, 1),
        (0x0702, 0x0302, 1000),
        (0x0b04, 0x0600, 1),
        (0x0b04, 0x0601, 10),
    ] {
        meter.learn(1, cluster, id, figure);
    }
    meter.learn(1, 0x0006, 0, 1);
    assert_eq!(meter.figures().count(), 5);
    assert_eq!(number(&meter, 0x0702, 0, 0x25, "e80300000000"), ("energy".to_owned(), "Wh", 1000.0));
    assert_eq!(number(&meter, 0x0b04, 0x0505, 0x21, "fc08"), ("voltage".to_owned(), "V", 230.0));
    assert_eq!(properties(&meter), 3);
    // Cubic metres are not kilowatt hours, and nobody divides by nothing.
    meter.learn(1, 0x0702, 0x0300, 1);
    meter.learn(1, 0x0b04, 0x0601, 0);
    assert_eq!(properties(&meter), 0);
}

#[test]
fn what_is_one_of_a_list_is_a_word_which_is_that_of_other_radios() {
    let thing = node(&[(1, &[0x0101, 0x0201, 0x0202], &[])]);
    let says = |cluster, id, number: &str, name: &str, word: &str| {
        let told = told(&thing, 1, cluster, id, 0x30, number);
        let value = Some(Scalar::Text(word.to_owned()));
        assert_eq!(told, Told::Property { name: name.to_owned(), unit: "", value });
    };
    says(0x0101, 0, "01", "lock-state", "secured");
    says(0x0101, 3, "01", "door-state", "closed");
    says(0x0201, 0x1c, "04", "system-mode", "heat");
    says(0x0202, 0, "03", "fan-mode", "high");
    assert!(matches!(told(&thing, 1, 0x0202, 0, 0x30, "20"), Told::Raw { .. }));
    let order = thing.order("set-system-mode", &json!("heat")).unwrap();
    assert_eq!(hex(&order.frame(7)), "0007021c003004");
    let error = thing.order("set-fan-mode", &json!(1)).unwrap_err().to_string();
    assert_eq!(error, "`set-fan-mode` has to be one of off, low, medium, high, on, auto, smart");
    let description = describe(&thing, "Thermostat").unwrap();
    let input = &description.as_json()["actions"]["set-fan-mode"]["input"];
    assert_eq!(
        (&input["type"], &input["enum"][1], &input["minimum"]),
        (&json!("string"), &json!("low"), &json!(null))
    );
    assert_eq!(description.as_json()["properties"]["lock-state"]["type"], "string");
    // The other radio's table, where both have a word.
    let other =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../zwave/data/states.csv")).unwrap();
    for (of, words) in [
        ("0x62,current_mode", &["secured", "unsecured"][..]),
        ("0x40,mode", &["off", "heat", "cool", "auto", "auxiliary", "fan", "dry"]),
        ("0x44,mode", &["low", "medium", "high"]),
    ] {
        for word in words {
            let is_one = |line: &str| line.starts_with(of) && line.ends_with(&format!(",{word}"));
            assert!(other.lines().any(is_one), "{word}");
        }
    }
}

#[test]
fn power_is_power_whichever_cluster_says_it() {
    let mut meter = node(&[(1, &[0x0702], &[]), (2, &[0x0b04], &[])]);
    for (endpoint, cluster, id, figure) in [
        (1, 0x0702, 0x0300, 0),
        (1, 0x0702, 0x0301, 1),
        (1, 0x0702, 0x0302, 1000),
        (2, 0x0b04, 0x0604, 1),
        (2, 0x0b04, 0x0605, 10),
    ] {
        meter.learn(endpoint, cluster, id, figure);
    }
    let description = describe(&meter, "Meter").unwrap();
    let properties: Vec<&str> = description.properties.keys().map(String::as_str).collect();
    assert_eq!(properties, ["energy", "power-1", "power-2"]);
    assert_eq!(number(&meter, 0x0702, 0x0400, 0x2a, "e80300"), ("power-1".to_owned(), "W", 1000.0));
}
