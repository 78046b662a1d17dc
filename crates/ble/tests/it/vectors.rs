//! Advertisements that others recorded, with what a parser of theirs made of them.

use std::fs;
use std::path::Path;

use serde_json::Value as Json;
use thingward_ble::{BindKey, Detail, Error, Receiver, Report, Value};

use crate::support::{advertisement, structure, unhex};

/// Readings that we have and the parser does not, or not of each device.
const MORE: [&str; 4] = ["transmit_power", "measurement_sequence", "calibrating", "timestamp"];
fn cases(file: &str) -> Vec<Json> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let Some(path) = above.map(|dir| dir.join("shared/vectors/ble").join(file)).find(|path| path.exists())
    else {
        println!("skipped: the shared vectors are absent ({file})");
        return Vec::new();
    };
    let json: Json = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    json["cases"].as_array().cloned().unwrap()
}

fn bind_key(case: &Json) -> Option<BindKey> {
    let key = unhex(case["bindkey"].as_str()?);
    Some(if case["encryption"] == "mibeacon_legacy" {
        // Written with the four bytes that are the same for all.
        assert_eq!(key[6..10], [0x8d, 0x3d, 0x3c, 0x97]);
        BindKey::legacy(&[&key[..6], &key[10..]].concat().try_into().unwrap())
    } else {
        BindKey::new(&key.try_into().unwrap())
    })
}

fn receive(case: &Json) -> Vec<Result<Report, Error>> {
    let mut data = Vec::new();
    for (uuid, bytes) in case["service_data"].as_object().unwrap() {
        let tag = u16::from_str_radix(&uuid[4..8], 16).unwrap();
        data.extend(structure(0x16, tag, &unhex(bytes.as_str().unwrap())));
    }
    for (company, bytes) in case["manufacturer_data"].as_object().unwrap() {
        data.extend(structure(0xff, company.parse().unwrap(), &unhex(bytes.as_str().unwrap())));
    }
    let address = case["address"].as_str().unwrap().parse().unwrap();
    let mut receiver = Receiver::default();
    if let Some(key) = bind_key(case) {
        receiver.devices.trust(address, key, None).unwrap();
    }
    receiver.receive(&advertisement(address, &data))
}

/// The unit as the vectors write it.
fn unit(ours: &str) -> &str {
    match ours {
        "Cel" => "°C",
        "%RH" | "%EL" => "%",
        "hPa" => "hPa",
        "ug/m3" => "µg/m³",
        "m/s2" => "m/s²",
        "deg/s" => "°/s",
        "uS/cm" => "µS/cm",
        "l" => "L",
        "Ohm" => "ohm",
        other => other,
    }
}

/// Whether a reading is what the case has, whose numbers are rounded to hundredths. There is one time among them.
fn same(ours: &Value, theirs: &Json) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Json::Number(theirs)) => {
            (ours - theirs.as_f64().unwrap()).abs() <= 0.005 + 1e-9
        }
        (Value::Flag(ours), Json::Bool(theirs)) => ours == theirs,
        (Value::Flag(ours), Json::Number(theirs)) => Some(u64::from(*ours)) == theirs.as_u64(),
        (Value::Text(ours), Json::String(theirs)) => ours == theirs,
        (Value::Time(1_684_093_277), Json::String(theirs)) => theirs == "2023-05-14T19:41:17+00:00",
        _ => false,
    }
}

/// What is wrong with what we made of a case.
fn complaints(case: &Json, reports: &[Report]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut left: Vec<_> = reports.iter().flat_map(|report| &report.readings).collect();
    for (group, flags) in [("values", false), ("binary", true)] {
        for (name, want) in case[group].as_object().unwrap().iter().filter(|(_, want)| !want.is_null()) {
            let is_it = |r: &&thingward_ble::Reading| {
                r.name.to_string() == *name
                    && matches!(r.value, Value::Flag(_)) == flags
                    && same(&r.value, want)
            };
            let Some(at) = left.iter().position(is_it) else {
                complaints.push(format!("{name} is not {want}"));
                continue;
            };
            let reading = left.remove(at);
            let theirs = case["units"][name.as_str()].as_str();
            if theirs.is_some_and(|theirs| theirs.replace("mbar", "hPa") != unit(reading.unit)) {
                complaints.push(format!("{name} is in {}, not {theirs:?}", reading.unit));
            }
        }
    }
    left.retain(|reading| !MORE.contains(&reading.name.word()));
    complaints.extend(left.iter().map(|reading| format!("{reading:?} is more than there is")));
    let ours: Vec<_> = reports.iter().flat_map(|report| &report.events).collect();
    let theirs = case["events"].as_object().unwrap();
    for (name, want) in theirs {
        let detail = |detail: Option<Detail>| match detail {
            Some(Detail::Steps(n)) => serde_json::json!({"steps": n}),
            Some(Detail::Presses(n)) => serde_json::json!({"number_of_presses": n}),
            Some(Detail::Seconds(n)) => serde_json::json!({"duration": n}),
            None => Json::Null,
        };
        let found = ours.iter().any(|event| {
            event.name.to_string() == *name
                && want["type"] == event.action
                && detail(event.detail) == want["props"]
        });
        if !found {
            complaints.push(format!("{name}: {want} did not happen"));
        }
    }
    if ours.len() != theirs.len() {
        complaints.push(format!("{ours:?} is not {} events", theirs.len()));
    }
    complaints
}

fn play(file: &str) {
    let (mut played, mut unmet) = (0, Vec::new());
    for case in cases(file) {
        let id = case["id"].as_str().unwrap();
        let said = receive(&case);
        let mut wrong = Vec::new();
        if case["bindkey_ok"] == false {
            if said != [Err(Error::WrongKey)] {
                wrong.push(format!("{said:?}, not a wrong key"));
            }
        } else {
            // Some have a structure of another device in front, whose address is not the sender's.
            let errors = said.iter().filter_map(|said| said.as_ref().err()).map(ToString::to_string);
            wrong.extend(errors.filter(|_| said.iter().all(Result::is_err)));
            wrong.extend(complaints(&case, &said.into_iter().flatten().collect::<Vec<_>>()));
        }
        played += 1;
        if !wrong.is_empty() {
            println!("{id}: {wrong:#?}");
            unmet.push(id.to_owned());
        }
    }
    println!("{file}: {played} cases, {} unmet", unmet.len());
    assert_eq!(unmet, Vec::<String>::new());
}

#[test]
fn bthome_is_read_as_others_read_it() {
    play("bthome_ble.json");
}

#[test]
fn ruuvi_is_read_as_others_read_it() {
    play("ruuvitag_ble.json");
}

#[test]
fn xiaomi_is_read_as_others_read_it() {
    play("xiaomi_ble.json");
}
