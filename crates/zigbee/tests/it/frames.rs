//! Third-party frames: every field that Wireshark gives them, the decrypted payload, and the octets again.

mod fields;

use std::collections::BTreeMap;

use fields::Fields;
use serde_json::Value;
use thingward_zigbee::ieee802154::{Fcs, Frame};
use thingward_zigbee::nwk::NwkHeader;
use thingward_zigbee::security::{Key, SecurityHeader, SecurityLevel, open, seal};

use crate::vectors::{cases, hex, unhex};

/// What Wireshark adds from other frames, from its settings, or says of a frame as a whole.
const NOT_IN_THE_FRAME: [&str; 9] = [
    "wpan.frame_length",
    "wpan.src64.origin",
    "zbee.sec.key",
    "zbee.sec.key.origin",
    "data.data",
    "data.len",
    "wpan.addr16",
    "wpan.addr64",
    "zbee_nwk.addr",
];
/// Layers that tests of their own look at, or that are not Zigbee.
const OTHER_LAYERS: [&str; 4] = ["zbee_zcl", "zbee_zdp", "6lowpan", "zbee_nwk.addr64"];

fn wanted(case: &Value) -> BTreeMap<String, Vec<String>> {
    let inferred = case["fields"].get("wpan.src64.origin").is_some();
    // A sniffer of TI writes signal strength and quality in the checksum's place.
    let checked = case["fields"].get("wpan.fcs").is_some();
    let left_out = |name: &str| {
        NOT_IN_THE_FRAME.contains(&name)
            || OTHER_LAYERS.iter().any(|layer| name.starts_with(layer))
            || (inferred && name == "wpan.src64")
            || (!checked && name == "wpan.fcs_ok")
    };
    let fields = case["fields"].as_object().unwrap().iter().filter(|(name, _)| !left_out(name));
    let list = |value: &Value| match value {
        Value::Array(values) => values.iter().map(|v| normal(v.as_str().unwrap())).collect(),
        value => vec![normal(value.as_str().unwrap())],
    };
    fields.map(|(name, value)| (name.clone(), list(value))).collect()
}

/// Numbers as decimals, all else as it is.
fn normal(value: &str) -> String {
    if value.contains(':') {
        return value.to_owned();
    }
    let number = match value.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => value.parse(),
    };
    number.map_or_else(|_| value.to_owned(), |number| number.to_string())
}

#[test]
fn frames_have_the_fields_that_wireshark_gives_them() {
    let mut compared = 0;
    for case in cases("frames.json") {
        let found = Fields::of(&case).0;
        for (name, values) in wanted(&case) {
            let found = found.get(&name);
            assert_eq!(found, Some(&values), "{} {name} {}", case["id"], case["hex"]);
            compared += 1;
        }
    }
    println!("{compared} fields");
}

/// A frame of a case, without its checksum; `None` where there is no frame.
fn frame(case: &Value) -> Option<Vec<u8>> {
    let bytes = unhex(case["hex"].as_str().unwrap());
    Fcs::split(&bytes).map(|(frame, _)| frame.to_vec())
}

#[test]
fn protected_frames_open_to_the_plaintext_and_seal_to_the_same_octets() {
    let mut opened = 0;
    for case in cases("frames.json") {
        let Some(plaintext) = case["nwk_plaintext"].as_str() else { continue };
        let key = Key::from_hex(case["nwk_key"].as_str().unwrap()).unwrap();
        let mac = Frame::read(&frame(&case).unwrap()).unwrap();
        let (header, rest) = NwkHeader::read(&mac.payload).unwrap();
        let header_bytes = &mac.payload[..mac.payload.len() - rest.len()];
        let (security, protected) = SecurityHeader::read(rest).unwrap();
        let (level, source) = (SecurityLevel::EncryptedMic32, security.source.unwrap());
        let found = open(&key, level, header_bytes, &security, source, protected).unwrap();
        assert_eq!(hex(&found), plaintext, "{}", case["id"]);
        let again = seal(&key, level, header_bytes, &security, source, &found).unwrap();
        assert_eq!(hex(&again), hex(protected));
        let mut out = Vec::new();
        header.write(&mut out).unwrap();
        security.write(&mut out);
        out.extend(again);
        assert_eq!(hex(&out), hex(&mac.payload));
        opened += 1;
    }
    println!("{opened} frames opened");
}

#[test]
fn frames_that_are_read_are_written_to_the_same_octets() {
    for case in cases("frames.json") {
        let Some(bytes) = frame(&case) else { continue };
        if let Ok(read) = Frame::read(&bytes) {
            assert_eq!(hex(&read.to_bytes()), hex(&bytes), "{}", case["id"]);
        }
    }
}
