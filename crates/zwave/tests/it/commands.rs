//! Commands against the shared vectors, and against bytes that are none.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use thingward_zwave::command_class::Value;
use thingward_zwave::{Command, ParseError};

use crate::vectors::{bytes, cases, unhex};

/// Classes of the vectors that are passed through raw, with the reason.
const RAW: [(&str, &str); 1] = [("FibaroVenetianBlind", "one maker's own")];

/// How the oracle works, not what travels.
const NOT_IN_THE_BYTES: [&str; 1] = ["allowUnexpectedResponse"];

fn is_raw(case: &Json) -> bool {
    let class = case["class"].as_str().unwrap();
    RAW.iter().any(|(name, _)| class.starts_with(name))
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap().to_owned();
    words.fold(first, |name, word| {
        let (initial, rest) = word.split_at(1);
        name + &initial.to_uppercase() + rest
    })
}

/// What a command says, in the words of the vectors: most by spelling, some by another cut.
fn fields(command: &Command) -> BTreeMap<String, Value> {
    let mut fields: BTreeMap<String, Value> = BTreeMap::new();
    for (name, value) in command.values() {
        let name = match name {
            "class_version" => "ccVersion".to_owned(),
            "requested_class" => "requestedCC".to_owned(),
            other => camel(other),
        };
        // Of two units the second is that of the greatest value.
        if name == "scale" && fields.contains_key("maxValue") {
            fields.insert("maxValueScale".to_owned(), value.clone());
            fields.insert("minValueScale".to_owned(), value.clone());
        }
        fields.insert(name, value);
    }
    let int = |name: &str| match fields.get(name) {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    };
    let mut more: Vec<(&str, Value)> = Vec::new();
    for (ours, theirs) in [
        ("outsideHandles", "outsideHandlesCanOpenDoorConfiguration"),
        ("insideHandles", "insideHandlesCanOpenDoorConfiguration"),
        ("outsideHandles", "outsideHandlesCanOpenDoor"),
        ("insideHandles", "insideHandlesCanOpenDoor"),
        ("outsideHandles", "supportedOutsideHandles"),
        ("insideHandles", "supportedInsideHandles"),
    ] {
        if let Some(mask) = int(ours) {
            more.push((theirs, Value::List((0..4).map(|bit| Value::Bool(mask >> bit & 1 == 1)).collect())));
        }
    }
    if let (Some(minutes), Some(seconds)) = (int("timeoutMinutes"), int("timeoutSeconds")) {
        more.push(("lockTimeoutConfiguration", Value::Int(minutes * 60 + seconds)));
        more.push(("lockTimeout", Value::Int(minutes * 60 + seconds)));
    }
    if let (Some(major), Some(minor)) = (int("protocolVersion"), int("protocolSubVersion")) {
        more.push(("protocolVersion", Value::Text(format!("{major}.{minor}"))));
    }
    if let (Some(major), Some(minor)) = (int("firmwareVersion"), int("firmwareSubVersion")) {
        more.push(("firmwareVersions", Value::List(vec![Value::Text(format!("{major}.{minor}"))])));
    }
    for (ours, theirs, yes, no) in [
        ("doorClosed", "doorStatus", "closed", "open"),
        ("boltUnlocked", "boltStatus", "unlocked", "locked"),
        ("latchClosed", "latchStatus", "closed", "open"),
    ] {
        if let Some(Value::Bool(is)) = fields.get(ours) {
            more.push((theirs, Value::Text(if *is { yes } else { no }.to_owned())));
        }
    }
    if let Some(Value::Bool(down)) = fields.get("down") {
        more.push(("direction", Value::Text(if *down { "down" } else { "up" }.to_owned())));
    }
    if let Some(mask) = int("nameEncodings") {
        let set = (0..3).filter(|bit| mask >> bit & 1 == 1).map(Value::Int).collect();
        more.push(("supportedUserNameEncodings", Value::List(set)));
    }
    fields.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    fields
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a value is what the vectors say.
fn same(value: &Value, json: &Json) -> bool {
    if json.get("$class").is_some_and(|class| class == "Duration") {
        let seconds = json["_value"].as_i64().unwrap();
        return match json["unit"].as_str().unwrap() {
            "seconds" => *value == Value::Int(seconds),
            "minutes" => *value == Value::Int(seconds * 60),
            _ => *value == Value::Unknown,
        };
    }
    match (value, json) {
        (Value::Unknown, Json::Null) => true,
        (Value::Bool(ours), Json::Bool(theirs)) => ours == theirs,
        (Value::Int(ours), Json::Bool(theirs)) => (*ours != 0) == *theirs,
        (Value::Int(ours), Json::Number(theirs)) => theirs.as_i64() == Some(*ours),
        (Value::Decimal { digits, precision }, Json::Number(theirs)) => {
            let ours = *digits as f64 / 10_f64.powi((*precision).into());
            (ours - theirs.as_f64().unwrap()).abs() < 1e-9
        }
        (Value::Text(ours), Json::String(theirs)) => ours == theirs,
        (Value::Bytes(ours), Json::String(theirs)) => ours == theirs.as_bytes(),
        (Value::Bytes(ours), Json::Object(theirs)) => match theirs.get("ccId") {
            Some(class) => {
                json!(ours[0]) == *class
                    && ours.get(1).map_or(Json::Null, |n| json!(n)) == theirs["ccCommand"]
            }
            None => json!(hex(ours)) == theirs["$hex"],
        },
        (Value::List(ours), Json::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        (Value::Record(ours), Json::Object(theirs)) => theirs
            .iter()
            .all(|(name, json)| ours.iter().any(|(ours, value)| camel(ours) == *name && same(value, json))),
        // Numbered from 1, or by a number that the record has.
        (Value::List(ours), Json::Object(theirs)) => {
            let theirs = theirs["$map"].as_array().unwrap();
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, pair)| same(ours, &pair[1]))
        }
        _ => false,
    }
}

/// What the vectors say of a command, without what they leave to the oracle.
fn assert_says(command: &Command, case: &Json) {
    let ours = fields(command);
    let class = case["class"].as_str().unwrap();
    for (name, json) in case["fields"].as_object().unwrap() {
        let name = match (class, name.as_str()) {
            ("CentralSceneCCSupportedReport", "_supportedKeyAttributes") => "keyAttributes",
            ("ColorSwitchCCSet", "colorTable") => {
                assert_eq!(ours["colors"], colors(json));
                continue;
            }
            ("DoorLockLoggingCCRecordReport", "record") => {
                assert_record(&ours, json);
                continue;
            }
            // Group 7 was asked for, and all groups are.
            ("AssociationGroupInfoCCInfoGet", "groupId") if case["fields"]["listMode"] == true => continue,
            (_, name) if NOT_IN_THE_BYTES.contains(&name) => continue,
            (_, name) => name.trim_start_matches('_'),
        };
        let value = ours.get(name).unwrap_or(&Value::Unknown);
        assert!(same(value, json), "{class} {}: {name} is {value:?} and not {json}", case["hex"]);
    }
}

fn colors(table: &Json) -> Value {
    let named = [("red", 2), ("green", 3), ("blue", 4)];
    let table = named.iter().filter_map(|(name, component)| Some((*component, table.get(*name)?.as_i64()?)));
    let record = |(component, value)| {
        Value::Record(vec![("component", Value::Int(component)), ("value", Value::Int(value))])
    };
    Value::List(table.map(record).collect())
}

fn assert_record(ours: &BTreeMap<String, Value>, record: &Json) {
    let number =
        |name: &str| if let Value::Int(number) = ours[name] { number } else { unreachable!("{name}") };
    let [year, month, day, hour, minute, second] =
        ["year", "month", "day", "hour", "minute", "second"].map(number);
    let at = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z");
    assert_eq!(record["timestamp"], at);
    for name in ["eventType", "userId", "userCode"] {
        assert!(same(&ours[name], &record[name]), "{name}");
    }
}

#[test]
fn commands_say_what_the_vectors_do() {
    let cases = cases("cc_parse.json");
    let total = cases.len();
    let raw = cases.iter().filter(|case| is_raw(case)).count();
    for case in cases {
        let command = Command::parse(&bytes(&case, "hex")).unwrap();
        if is_raw(&case) {
            assert!(matches!(command, Command::Raw { .. }));
        } else {
            assert_says(&command, &case);
        }
    }
    println!("{} of {total} commands read, {raw} passed through raw: {RAW:?}", total - raw);
}

#[test]
fn commands_are_written_as_in_the_vectors() {
    for case in cases("cc_serialise.json") {
        let bytes = bytes(&case, "hex");
        let command = Command::parse(&bytes).unwrap();
        assert_eq!(hex(&command.to_bytes()), hex(&bytes), "{}", case["class"]);
        if !is_raw(&case) {
            assert_says(&command, &case);
        }
    }
}

#[test]
fn what_must_be_refused_is() {
    for case in cases("cc_parse_invalid.json") {
        let refused = Command::parse(&bytes(&case, "hex"));
        assert!(matches!(refused, Err(ParseError::Reserved { value: 254, .. })), "{refused:?}");
    }
}

#[test]
fn a_cut_anywhere_is_refused_or_read_without_what_is_cut_off() {
    for case in cases("cc_parse.json") {
        let bytes = bytes(&case, "hex");
        let whole = Command::parse(&bytes).unwrap();
        for len in 0..bytes.len() {
            if let Ok(cut) = Command::parse(&bytes[..len]) {
                assert!(cut != whole || len >= whole.to_bytes().len(), "{} cut to {len}", case["hex"]);
            }
        }
    }
}

#[test]
fn the_sample_of_a_checksum_is_checked_at_every_bit() {
    let sample = unhex("560120024d26");
    assert!(matches!(Command::parse(&sample), Ok(Command::Crc16(_))));
    for bit in 16..sample.len() * 8 {
        let mut bad = sample.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Command::parse(&bad), Err(ParseError::Checksum), "bit {bit}");
    }
}

#[test]
fn codes_that_people_type_are_read_and_not_printed() {
    // What a keypad was typed, what a lock logged, and what opens it.
    for command in ["6f0100020204", "4c040101010101010101010104", "63030101"] {
        let command = unhex(&[command, "31323334"].concat());
        let read = Command::parse(&command).unwrap();
        assert!(read.to_bytes().windows(4).any(|part| part == b"1234"), "{read:?}");
        let printed = format!("{read:?}");
        assert!(!printed.contains("49, 50") && !printed.contains("1234"), "{printed}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(class in any::<u8>(), rest in proptest::collection::vec(any::<u8>(), 0..48)) {
        if let Ok(command) = Command::parse(&[&[class], rest.as_slice()].concat()) {
            let _ = command.values();
            let written = command.to_bytes();
            prop_assert_eq!(Command::parse(&written).map(|again| again.to_bytes()), Ok(written));
        }
    }
}
