//! Third-party messages of the device object.

use serde_json::Value as Json;
use thingward_zigbee::layout::{Item, Record};
use thingward_zigbee::library;

use crate::vectors::{cases, hex, unhex};
use crate::zcl::atoms::{Atoms, expected};

/// The fields of a case, which fill its octets and are written to them again.
fn record(case: &Json) -> Record {
    let cluster = u16::try_from(case["clusterId"].as_u64().unwrap()).unwrap();
    let layout = &library::zdo(cluster).unwrap_or_else(|| panic!("{case}")).layout;
    let mut bytes = unhex(case["hex"].as_str().unwrap());
    // The sequence number, which one of the two hosts leaves to the coordinator.
    if case["hasZdoMessageOverhead"] == true {
        bytes.remove(0);
    }
    let (record, rest) = layout.read(&bytes).unwrap_or_else(|e| panic!("{e}: {case}"));
    // What follows the status of a failure is nothing.
    let failed = record.number("status").is_some_and(|status| status != 0);
    assert!(rest.is_empty() || failed, "{case}");
    let mut out = Vec::new();
    layout.write(&record, &mut out).unwrap();
    out.extend(rest);
    assert_eq!(hex(&out), hex(&bytes), "{case}");
    record
}

/// Channels as the bits that they are sent as.
fn channels(list: &Json) -> u64 {
    list.as_array().unwrap().iter().map(|channel| 1u64 << channel.as_u64().unwrap()).sum()
}

#[test]
fn third_party_requests_are_read_and_written() {
    let cases = cases("zdo_requests.json");
    for case in &cases {
        let record = record(case);
        let args = case["args"].as_array().unwrap();
        match case["clusterId"].as_u64().unwrap() {
            0x38 => assert_eq!(record.number("channels"), Some(channels(&args[0]).into())),
            0x15 => assert_eq!(record.number("serverMask"), Some(1)),
            // Messages of tags and values: their octets are all there is to them here.
            0x2b | 0x3c..=0x47 => {}
            0x02 if args.len() > 1 => assert!(record.get("tlvs").is_some()),
            0x39 => assert_eq!(numbers(record.get("channels").unwrap()), numbers_of(&args[0])),
            0x21 | 0x22 => bind(case, &record, args),
            _ => {
                let mut atoms = Atoms::default();
                atoms.record(&record);
                for wanted in expected(&case["args"]).iter().map(|wanted| eui64(wanted)) {
                    let there = atoms.0.contains(&wanted) || atoms.0.contains(&turned(&wanted));
                    assert!(there, "{wanted} {case} {:?}", atoms.0);
                }
            }
        }
    }
    println!("{} requests", cases.len());
}

fn numbers(item: &Item) -> Vec<i128> {
    match item {
        Item::List(items) => items.iter().map(|item| item.number().unwrap()).collect(),
        item => vec![item.number().unwrap()],
    }
}

fn numbers_of(json: &Json) -> Vec<i128> {
    json.as_array().unwrap().iter().map(|n| n.as_i64().unwrap().into()).collect()
}

/// An address with all its digits: the third party takes short ones for the upper half.
fn eui64(text: &str) -> String {
    match text.strip_prefix("0x") {
        Some(digits) if digits.len() <= 8 => format!("0x{digits:0>8}00000000"),
        Some(digits) => format!("0x{digits}"),
        None => text.to_owned(),
    }
}

/// A few cases were written by hand, with the first octet first.
fn turned(atom: &str) -> String {
    match (atom.strip_prefix("0x"), atom.parse::<u16>()) {
        (Some(digits), _) => {
            let octets: Vec<u8> = unhex(digits).into_iter().rev().collect();
            format!("0x{}", hex(&octets))
        }
        (None, Ok(number)) => number.swap_bytes().to_string(),
        (None, Err(_)) => atom.to_owned(),
    }
}

fn bind(case: &Json, record: &Record, args: &[Json]) {
    let mut atoms = Atoms::default();
    atoms.record(record);
    let group = args[3] == 1;
    let wanted = match group {
        true => vec![&args[0], &args[1], &args[2], &args[3], &args[5]],
        false => vec![&args[0], &args[1], &args[2], &args[3], &args[4], &args[6]],
    };
    let wanted: Vec<String> = wanted.iter().flat_map(|arg| expected(arg)).map(|a| eui64(&a)).collect();
    let turned: Vec<String> = wanted.iter().map(|atom| turned(atom)).collect();
    let at = |i: usize| atoms.0[i] == wanted[i] || atoms.0[i] == turned[i];
    assert!(atoms.0.len() == wanted.len() && (0..wanted.len()).all(at), "{case} {:?} {wanted:?}", atoms.0);
}

/// What the third party takes apart and this layout leaves together.
fn packed(case: &Json) -> Vec<String> {
    let body = &case["result"][1];
    let n = |name: &str| body[name].as_u64().unwrap();
    let bits = |json: &Json, order: &[(&str, u32)]| -> u64 {
        order.iter().map(|(name, shift)| json[*name].as_u64().unwrap() << shift).sum()
    };
    let capability = [
        ("alternatePANCoordinator", 0),
        ("deviceType", 1),
        ("powerSource", 2),
        ("rxOnWhenIdle", 3),
        ("securityCapability", 6),
        ("allocateAddress", 7),
    ];
    let server = [
        ("primaryTrustCenter", 0),
        ("backupTrustCenter", 1),
        ("networkManager", 6),
        ("stackComplianceRevision", 9),
    ];
    let row: Vec<u64> = match case["clusterId"].as_u64().unwrap() {
        0x8002 => vec![
            n("nwkAddress"),
            // With the flag of fragmentation, which the third party does not know.
            n("logicalType") | 0x20 | n("apsFlags") << 8 | n("frequencyBand") << 11,
            bits(&body["capabilities"], &capability),
            n("manufacturerCode"),
            n("maxBufSize"),
            n("maxIncTxSize"),
            bits(&body["serverMask"], &server),
            n("maxOutTxSize"),
            n("deprecated1"),
        ],
        0x8003 => vec![
            n("nwkAddress"),
            n("currentPowerMode")
                | n("availPowerSources") << 4
                | n("currentPowerSource") << 8
                | n("currentPowerSourceLevel") << 12,
        ],
        _ => return Vec::new(),
    };
    row.iter().map(ToString::to_string).collect()
}

#[test]
fn third_party_responses_are_read_to_the_values_that_they_have() {
    let cases = cases("zdo_responses.json");
    for case in &cases {
        let record = record(case);
        assert_eq!(record.number("status"), case["result"][0].as_i64().map(Into::into), "{case}");
        let mut atoms = Atoms::default();
        atoms.record(&record);
        let wanted = match case["clusterId"].as_u64().unwrap() {
            0x8002 | 0x8003 if !case["result"][1].is_null() => packed(case),
            // Lists of neighbours and routes are packed too, and checked by what stands unpacked in them.
            0x8031 | 0x8032 => unpacked(&case["result"][1]),
            0x803c..=0x8047 => Vec::new(),
            _ => expected(&case["result"][1]),
        };
        for wanted in wanted {
            assert!(atoms.0.contains(&wanted), "{wanted} {case} {:?}", atoms.0);
        }
    }
    println!("{} responses", cases.len());
}

fn unpacked(body: &Json) -> Vec<String> {
    let names = ["eui64", "nwkAddress", "depth", "lqi", "destinationAddress", "nextHopAddress"];
    let of = |entry: &Json| {
        names.iter().filter_map(|name| entry.get(*name)).flat_map(expected).collect::<Vec<_>>()
    };
    body["entryList"].as_array().into_iter().flatten().flat_map(of).collect()
}
