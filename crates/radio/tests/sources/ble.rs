//! A controller of Bluetooth that tells what it hears, and recordings of one.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aes::Aes128;
use aes::cipher::KeyInit;
use ccm::Ccm;
use ccm::aead::{AeadInOut, Nonce};
use ccm::consts::{U4, U13};
use proptest::prelude::*;
use serde_json::Value as Json;
use thingward_model::Link;
use thingward_model::description::ThingDescription;
use thingward_radio::ble::BleRadio;
use thingward_radio::wire::{Admission, AdmissionState, Reading, RefusalKind, Secret, Start, Thing, Value};
use thingward_radio::{Order, Output, Radio, Report};

use crate::home::{address, excepting};

const SENSOR: [u8; 6] = [0x54, 0x48, 0xe6, 0x8f, 0x80, 0xa5];
const NAME: &str = "5448e68f80a5";
const KEY: [u8; 16] = *b"a key of a thing";
/// Temperature (25.06 °C) and humidity (50.55 %) in BTHome.
const OBJECTS: [u8; 6] = [0x02, 0xca, 0x09, 0x03, 0xbf, 0x13];
const T0: Duration = Duration::from_secs(1);

/// A structure of an advertisement.
fn structure(kind: u8, tag: u16, data: &[u8]) -> Vec<u8> {
    let length = u8::try_from(data.len() + 3).unwrap();
    [&[length, kind][..], &tag.to_le_bytes(), data].concat()
}

/// An advertisement of a device, as a controller tells it over H4 (Bluetooth Core 5.4, Vol 4 Part E §7.7.65.2).
fn heard(from: [u8; 6], data: &[u8]) -> Vec<u8> {
    let mut air = from;
    air.reverse();
    let length = u8::try_from(data.len()).unwrap();
    let report = [&[0x02, 0x01, 0x00, 0x00][..], &air, &[length], data, &[0xc0]].concat();
    [&[0x04, 0x3e, u8::try_from(report.len()).unwrap()][..], &report].concat()
}

/// A recording of packets over H4.
fn recording(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = b"btsnoop\0\0\0\0\x01\0\0\x03\xea".to_vec();
    for packet in packets {
        let length = u32::try_from(packet.len()).unwrap().to_be_bytes();
        file.extend([&length[..], &length, &[0, 0, 0, 1], &[0; 12], packet].concat());
    }
    file
}

fn in_the_open(objects: &[u8]) -> Vec<u8> {
    heard(SENSOR, &structure(0x16, 0xfcd2, &[&[0x40][..], objects].concat()))
}

/// BTHome version 2, under the key.
fn encrypted(counter: u32) -> Vec<u8> {
    let counter = counter.to_le_bytes();
    let nonce = [&SENSOR[..], &[0xd2, 0xfc, 0x41], &counter].concat();
    let mut sealed = OBJECTS.to_vec();
    let cipher = Ccm::<Aes128, U4, U13>::new_from_slice(&KEY).unwrap();
    let nonce = <&Nonce<Ccm<Aes128, U4, U13>>>::try_from(&nonce[..]).unwrap();
    let tag = cipher.encrypt_inout_detached(nonce, &[], sealed.as_mut_slice().into()).unwrap();
    heard(SENSOR, &structure(0x16, 0xfcd2, &[&[0x41][..], &sealed, &counter, &tag].concat()))
}

fn printed() -> Option<Secret> {
    let key: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Secret::new(format!("54:48:E6:8F:80:A5:{key}").into_bytes()))
}

fn reports(radio: &mut BleRadio) -> Vec<Report> {
    let report = |output| match output {
        Output::Report(report) => Some(report),
        Output::Line(_) | Output::End => None,
    };
    std::iter::from_fn(|| radio.output()).filter_map(report).collect()
}

/// A driver that listens to a recording.
fn listening(start: Start) -> BleRadio {
    let mut radio = BleRadio::new();
    radio.order(Order::Start(start), Duration::ZERO);
    radio.receive(&recording(&[]), Duration::ZERO);
    assert!(
        matches!(&reports(&mut radio)[..], [Report::Ready { network }] if network.as_str() == "recording")
    );
    radio
}

/// Records go on where the head of the recording stands already.
fn record(packet: Vec<u8>) -> Vec<u8> {
    recording(&[packet])[16..].to_vec()
}

/// What is reported of a packet.
fn told(radio: &mut BleRadio, packet: Vec<u8>, now: Duration) -> Vec<Report> {
    radio.receive(&record(packet), now);
    reports(radio)
}

fn things(reports: &[Report]) -> Vec<&Thing> {
    let each = reports.iter().filter_map(|report| match report {
        Report::Thing(thing) => Some(thing),
        _ => None,
    });
    each.collect()
}

fn readings(reports: &[Report]) -> Vec<(Link, &Reading)> {
    let each = reports.iter().filter_map(|report| match report {
        Report::Readings(said) => Some(said.readings.iter().map(|reading| (said.link, reading))),
        _ => None,
    });
    each.flatten().collect()
}

fn kept(reports: &[Report]) -> Option<Secret> {
    reports.iter().find_map(|report| match report {
        Report::Keep(secret) => Some(secret.clone()),
        _ => None,
    })
}

fn refusals(reports: &[Report]) -> Vec<RefusalKind> {
    let kind = |report| match report {
        &Report::Refused { kind, .. } => Some(kind),
        _ => None,
    };
    reports.iter().filter_map(kind).collect()
}

fn admit(radio: &mut BleRadio, now: Duration) {
    radio.order(Order::Admit(Admission { seconds: 60, printed: printed() }), now);
    assert_eq!(reports(radio), [Report::Admission(AdmissionState::Open)]);
}

#[test]
fn a_controller_is_told_to_listen_and_tells() {
    let mut radio = BleRadio::new();
    radio.order(Order::Start(excepting(NAME)), Duration::ZERO);
    let mut now = radio.due().unwrap();
    radio.tick(now);
    let mut commands = Vec::new();
    loop {
        match radio.output() {
            Some(Output::Line(command)) => {
                let opcode = [command[1], command[2]];
                commands.push(u16::from_le_bytes(opcode));
                now += Duration::from_millis(1);
                let own: &[u8] = if opcode == [0x09, 0x10] { &[6, 5, 4, 3, 2, 1] } else { &[] };
                let length = u8::try_from(4 + own.len()).unwrap();
                let complete = [&[0x04, 0x0e, length, 1][..], &opcode, &[0], own].concat();
                radio.receive(&complete, now);
            }
            Some(Output::Report(Report::Ready { network })) => {
                assert_eq!(network, address("010203040506"));
                break;
            }
            other => panic!("{other:?} after {commands:04x?}"),
        }
    }
    assert_eq!(commands, [0x0c03, 0x0c01, 0x2001, 0x1009, 0x200b, 0x200c]);
    // In whatever pieces it comes.
    for byte in in_the_open(&OBJECTS) {
        radio.receive(&[byte], now);
    }
    let said = reports(&mut radio);
    let said = readings(&said);
    assert_eq!(said.len(), 2);
    assert_eq!((said[0].0, said[0].1.name.as_str()), (Link::BleNone, "temperature"));
    assert_eq!((said[0].1.unit.as_str(), &said[0].1.value), ("Cel", &Value::Number(25.06)));
}

#[test]
fn a_line_without_a_controller_and_one_that_refuses_are_trouble() {
    let mut silent = BleRadio::new();
    silent.order(Order::Start(Start::default()), Duration::ZERO);
    silent.tick(silent.due().unwrap());
    silent.tick(silent.due().unwrap());
    assert!(
        matches!(reports(&mut silent).last(), Some(Report::Trouble(why)) if why.as_str() == "no controller of Bluetooth answers")
    );
    for (line, why) in [
        (&[0x04, 0x0e, 4, 1, 0x03, 0x0c, 0x1f][..], "the controller refuses command 0x0c03 with status 0x1f"),
        (b"AT+GMR\r\n", "no controller of Bluetooth: packet type 0x41 is not known"),
    ] {
        let mut radio = BleRadio::new();
        radio.order(Order::Start(Start::default()), Duration::ZERO);
        radio.tick(radio.due().unwrap());
        radio.receive(line, T0);
        assert!(
            matches!(reports(&mut radio).last(), Some(Report::Trouble(said)) if said.as_str() == why),
            "{why}"
        );
        assert_eq!(radio.due(), None);
    }
    let mut radio = BleRadio::new();
    let kept = Some(Secret::new(vec![0x81, 0x01]));
    radio.order(Order::Start(Start { kept, ..Start::default() }), Duration::ZERO);
    assert!(matches!(reports(&mut radio).last(), Some(Report::Trouble(_))));
}

#[test]
fn a_thing_is_let_in_by_its_key_and_told_when_its_counter_is_durable() {
    let mut radio = listening(Start::default());
    // Without its key it is not.
    assert_eq!(refusals(&told(&mut radio, encrypted(7), T0)), [RefusalKind::Join]);
    admit(&mut radio, T0);
    let said = told(&mut radio, encrypted(8), T0);
    let joined = [
        Report::Admission(AdmissionState::Joining(address(NAME))),
        Report::Admission(AdmissionState::Closed),
    ];
    assert_eq!(said[..2], joined);
    assert!(kept(&said).is_some() && things(&said).is_empty() && readings(&said).is_empty());
    radio.order(Order::Kept, T0);
    let said = reports(&mut radio);
    let thing = things(&said)[0];
    assert_eq!((thing.link, thing.address.as_str()), (Link::BleKey, NAME));
    let description = ThingDescription::parse(&thing.description).unwrap();
    assert_eq!(description.properties.keys().collect::<Vec<_>>(), ["humidity", "temperature"]);
    assert!(readings(&said).iter().all(|(link, _)| *link == Link::BleKey));

    // The next second it is kept again, and meanwhile nothing is told.
    assert_eq!(told(&mut radio, encrypted(9), T0), []);
    let due = radio.due().unwrap();
    assert_eq!(due, T0 + Duration::from_secs(1));
    radio.tick(due);
    let said = reports(&mut radio);
    let secret = kept(&said).unwrap();
    radio.order(Order::Kept, due);
    assert_eq!(readings(&reports(&mut radio)).len(), 2);

    // What was sent before, changed, or in the open is not believed; each is said once in a while.
    assert_eq!(told(&mut radio, encrypted(9), due), []);
    assert_eq!(refusals(&told(&mut radio, encrypted(3), due)), [RefusalKind::Replay]);
    let later = due + Duration::from_secs(61);
    let mut forged = encrypted(10);
    let end = forged.len() - 2;
    forged[end] ^= 1;
    assert_eq!(refusals(&told(&mut radio, forged, later)), [RefusalKind::Forgery]);
    assert_eq!(told(&mut radio, in_the_open(&OBJECTS), later), []);

    // After a restart just as before.
    let mut radio = listening(Start { kept: Some(secret), ..Start::default() });
    assert_eq!(told(&mut radio, encrypted(9), T0), []);
    assert_eq!(refusals(&told(&mut radio, encrypted(8), T0)), [RefusalKind::Replay]);
    assert!(kept(&told(&mut radio, encrypted(10), T0)).is_some());
    // To let it in again under the same key begins no counter again.
    radio.order(Order::Kept, T0);
    reports(&mut radio);
    admit(&mut radio, T0);
    assert_eq!(refusals(&told(&mut radio, encrypted(5), T0)), [RefusalKind::Replay]);
    radio.order(Order::Remove(address(NAME)), T0);
    assert!(reports(&mut radio).contains(&Report::Left(address(NAME))));
}

#[test]
fn what_a_thing_was_seen_to_have_outlives_a_restart() {
    let mut radio = listening(excepting(NAME));
    let said = told(&mut radio, in_the_open(&OBJECTS), T0);
    let has = |things: &[&Thing]| {
        let [thing] = things else { panic!("{things:?}") };
        let description = ThingDescription::parse(&thing.description).unwrap();
        description.properties.keys().map(ToString::to_string).collect::<Vec<_>>()
    };
    let both = has(&things(&said));
    assert_eq!(both.len(), 2);
    let kept = kept(&said).unwrap();
    let mut radio = listening(Start { kept: Some(kept), ..excepting(NAME) });
    // Only one of both is said.
    let said = told(&mut radio, in_the_open(&OBJECTS[..3]), T0);
    assert_eq!(has(&things(&said)), both);
    // And another, in the words of other radios: 1.234 l of water.
    let said = told(&mut radio, in_the_open(&[0x4f, 0xd2, 0x04, 0, 0]), T0 * 2);
    assert_eq!(has(&things(&said)).len(), 3);
    let (_, water) = readings(&said)[0];
    assert_eq!((water.name.as_str(), water.unit.as_str()), ("water-volume", "m3"));
    assert!(matches!(water.value, Value::Number(volume) if (volume - 0.001_234).abs() < 1e-9));
}

#[test]
fn a_key_under_which_nothing_comes_is_forgotten() {
    let mut radio = listening(Start::default());
    admit(&mut radio, T0);
    let end = radio.due().unwrap();
    assert_eq!(end, T0 + Duration::from_secs(60));
    radio.tick(end);
    let said = reports(&mut radio);
    assert_eq!(refusals(&said), [RefusalKind::Join]);
    assert_eq!(said.last(), Some(&Report::Admission(AdmissionState::Closed)));
    assert_eq!(refusals(&told(&mut radio, encrypted(1), end)), [RefusalKind::Join]);
    for printed in [None, Some(Secret::new(b"54:48:E6:8F:80:A5".to_vec()))] {
        radio.order(Order::Admit(Admission { seconds: 60, printed }), end);
        assert_eq!(refusals(&reports(&mut radio)), [RefusalKind::Join]);
    }
}

#[test]
fn what_is_sent_in_the_open_needs_an_exception_that_names_its_sender() {
    let mut radio = listening(Start::default());
    assert_eq!(refusals(&told(&mut radio, in_the_open(&OBJECTS), T0)), [RefusalKind::Join]);
    // Once in a while.
    assert_eq!(told(&mut radio, in_the_open(&OBJECTS), T0), []);

    let mut radio = listening(excepting("54:48:E6:8F:80:A5"));
    let said = told(&mut radio, in_the_open(&OBJECTS), T0);
    assert_eq!(things(&said)[0].link, Link::BleNone);
    assert_eq!(readings(&said).len(), 2);
    assert_eq!(told(&mut radio, in_the_open(&OBJECTS), T0 + Duration::from_secs(59)), []);
    let later = T0 + Duration::from_secs(60);
    assert_eq!(readings(&told(&mut radio, in_the_open(&OBJECTS), later)).len(), 2);
    // A button that it has is news, and so is what has no meaning here.
    let said = told(&mut radio, in_the_open(&[0x3a, 0x04, 0xef, 0x01]), later);
    let description = ThingDescription::parse(&things(&said)[0].description).unwrap();
    assert!(description.events.contains_key("button"));
    let said = readings(&said);
    assert_eq!(said[0].1.value, Value::Data(vec![0xef, 0x01]));
    assert!(matches!(&said[1].1.value, Value::Text(word) if word.as_str() == "long-press"));
}

/// The cases of a file of the shared vectors; none, said aloud, where they are absent.
fn cases(file: &str) -> Vec<Json> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let Some(path) = above.map(|dir| dir.join("shared/vectors/ble").join(file)).find(|path| path.exists())
    else {
        println!("SKIPPED: the shared vectors are absent ({file})");
        return Vec::new();
    };
    let json: Json = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    json["cases"].as_array().cloned().unwrap()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// The advertisement of a case, as a controller would tell it; `None` where it is longer than one.
fn packet(case: &Json) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    for (uuid, bytes) in case["service_data"].as_object().unwrap() {
        let tag = u16::from_str_radix(&uuid[4..8], 16).unwrap();
        data.extend(structure(0x16, tag, &unhex(bytes.as_str().unwrap())));
    }
    for (company, bytes) in case["manufacturer_data"].as_object().unwrap() {
        data.extend(structure(0xff, company.parse().unwrap(), &unhex(bytes.as_str().unwrap())));
    }
    let from = unhex(&case["address"].as_str().unwrap().replace(':', "")).try_into().unwrap();
    (data.len() < 240).then(|| heard(from, &data))
}

#[test]
fn what_others_recorded_is_told_with_its_numbers() {
    for file in ["bthome_ble.json", "ruuvitag_ble.json", "xiaomi_ble.json"] {
        let mut numbers = 0;
        for case in cases(file) {
            let Some(packet) = packet(&case) else { continue };
            let who = case["address"].as_str().unwrap();
            let mut radio = listening(excepting(who));
            if let Some(key) = case["bindkey"].as_str() {
                // Written with the four bytes that are the same for all.
                let is_legacy = case["encryption"] == "mibeacon_legacy";
                let key = if is_legacy { format!("{}{}", &key[..12], &key[20..]) } else { key.to_owned() };
                let printed = Some(Secret::new(format!("{who}:{key}").into_bytes()));
                radio.order(Order::Admit(Admission { seconds: 60, printed }), T0);
                reports(&mut radio);
            }
            let mut said = told(&mut radio, packet, T0);
            radio.order(Order::Kept, T0);
            said.extend(reports(&mut radio));
            let said = readings(&said);
            let is_encrypted = said.iter().all(|(link, _)| *link == Link::BleKey);
            assert!(is_encrypted || case["encryption"] != "bthome_bindkey", "{case}");
            for name in ["temperature", "humidity"] {
                let Some(theirs) = case["values"][name].as_f64() else { continue };
                let ours =
                    said.iter().find(|(_, reading)| reading.name.as_str() == name).map(|(_, r)| &r.value);
                let Some(Value::Number(ours)) = ours else { panic!("no {name}: {case} {said:?}") };
                assert!((ours - theirs).abs() <= 0.006, "{ours} {case}");
                numbers += 1;
            }
        }
        println!("{file}: {numbers} temperatures and humidities");
    }
}

proptest! {
    #[test]
    fn whatever_comes_nothing_panics(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..10),
        is_recording in any::<bool>(),
    ) {
        let mut radio = if is_recording { listening(excepting(NAME)) } else { BleRadio::new() };
        if !is_recording {
            radio.order(Order::Start(Start::default()), Duration::ZERO);
        }
        for bytes in chunks {
            radio.receive(&bytes, T0);
            while radio.output().is_some() {}
        }
    }

    #[test]
    fn packets_that_are_changed_anywhere_do_no_harm(at in 0_usize..500, byte in any::<u8>(), counter: u32) {
        let mut radio = listening(excepting(NAME));
        radio.order(Order::Admit(Admission { seconds: 9, printed: printed() }), T0);
        let mut bytes = record(encrypted(counter));
        bytes.extend(record(in_the_open(&OBJECTS)));
        let at = at % bytes.len();
        bytes[at] = byte;
        radio.receive(&bytes, T0);
        radio.order(Order::Kept, T0);
        while radio.output().is_some() {}
    }

    #[test]
    fn what_was_kept_is_read_whatever_it_is(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let mut radio = BleRadio::new();
        radio.order(Order::Start(Start { kept: Some(Secret::new(bytes)), ..Start::default() }), T0);
        while radio.output().is_some() {}
    }
}
