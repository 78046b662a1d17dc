//! Captures of Zigbee from the command line.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

mod common;

use std::process::Command;

use common::{Place, shown};
use serde_json::Value as Json;
use thingward_crypto::sealed::write_private;
use thingward_zigbee::address::Eui64;
use thingward_zigbee::ieee802154::fcs;
use thingward_zigbee::security::{Key, KeyIdentifier, SecurityHeader, SecurityLevel, seal};

const KEY: &str = "00112233445566778899aabbccddeeff";

/// A sensor's frame to its coordinator: the temperature, under the network key.
fn report(frame_counter: u32, celsius_hundredths: i16) -> Vec<u8> {
    let network = [0x08, 0x02, 0x00, 0x00, 0x34, 0x12, 0x1e, 0x01];
    let [low, high] = celsius_hundredths.to_le_bytes();
    let payload = [0x00, 1, 0x02, 0x04, 0x04, 0x01, 1, 9, 0x18, 1, 0x0a, 0, 0, 0x29, low, high];
    let source = Eui64(0x1122_3344_5566_7788);
    let security =
        SecurityHeader { sent_level: 0, key: KeyIdentifier::Network(0), frame_counter, source: Some(source) };
    let key = Key::from_hex(KEY).unwrap();
    let sealed = seal(&key, SecurityLevel::EncryptedMic32, &network, &security, source, &payload).unwrap();
    let mut frame = vec![0x61, 0x88, 0x07, 0x62, 0x1a, 0x00, 0x00, 0x34, 0x12];
    frame.extend(network);
    security.write(&mut frame);
    frame.extend(sealed);
    frame.extend(fcs(&frame).to_le_bytes());
    frame
}

fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file: Vec<u8> =
        [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65535, 195].iter().flat_map(|n| n.to_le_bytes()).collect();
    for (frame, seconds) in frames.iter().zip(1_800_000_000u32..) {
        let length = u32::try_from(frame.len()).unwrap();
        file.extend([seconds, 0, length, length].iter().flat_map(|n| n.to_le_bytes()));
        file.extend(frame);
    }
    file
}

/// The lines that the command writes, each a JSON value.
fn decoded(place: &Place, arguments: &[&str]) -> Vec<Json> {
    let output = place.command(&[&["zigbee", "decode"], arguments].concat()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_capture_is_shown_with_values_and_replays_and_without_the_key_it_is_hidden() {
    let place = Place::new();
    let (capture, keys) = (place.path("capture.pcap"), place.path("keys"));
    let mut damaged = report(2, 0);
    damaged[40] ^= 1;
    std::fs::write(&capture, pcap(&[report(0, 2134), report(1, -550), report(0, 2134), damaged])).unwrap();
    write_private(&keys, format!("{KEY}\n83FED3407A939723A5C639B26916D505C3B5\n").as_bytes()).unwrap();
    let capture = shown(&capture);

    let frames = decoded(&place, &[capture, "--key-file", shown(&keys)]);
    assert_eq!(frames.len(), 4);
    assert_eq!(frames[0]["time"], "2027-01-15T08:00:00Z");
    assert_eq!(frames[0]["source"], "0x1234");
    assert_eq!(frames[0]["security"][0]["state"], "opened");
    assert_eq!(frames[0]["security"][0]["key_given_away"], false);
    assert_eq!(frames[0]["key_in_the_clear"], false);
    assert_eq!(frames[0]["what"], "Report Attributes Temperature Measurement measuredValue = 21.34 °C");
    assert_eq!(frames[1]["what"], "Report Attributes Temperature Measurement measuredValue = -5.50 °C");
    let replayed: Vec<&Json> = frames.iter().map(|frame| &frame["replayed"]).collect();
    assert_eq!(replayed, [&Json::Bool(false), &Json::Bool(false), &Json::Bool(true), &Json::Null]);
    assert_eq!(frames[3]["kind"], "damaged");
    assert_eq!(decoded(&place, &[capture, "--key", KEY]), frames);
    assert!(decoded(&place, &[capture])[..3].iter().all(|frame| frame["kind"] == "hidden"));

    let mut command = Command::new(env!("CARGO_BIN_EXE_thingward"));
    let output = command.args(["zigbee", "decode", capture, "--key", KEY]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("0x1234 → 0x0000"), "{text}");
    assert!(text.contains("REPLAY"), "{text}");
    assert!(text.ends_with("4 frames: 3 opened, 0 hidden, 1 replayed, 0 malformed, 1 damaged\n"), "{text}");
}

#[test]
fn keys_and_files_that_are_none_are_refused_with_their_own_codes() {
    let place = Place::new();
    let (capture, keys) = (place.path("capture.pcap"), place.path("keys"));
    // A receiver that writes something else in place of checksums.
    let mut unchecked = report(0, 0);
    unchecked.truncate(unchecked.len() - 2);
    unchecked.extend([0xd8, 0xeb]);
    std::fs::write(&capture, pcap(&[unchecked])).unwrap();
    assert_eq!(decoded(&place, &[shown(&capture), "--key", KEY])[0]["kind"], "zcl");
    place.fails(&["zigbee", "decode", shown(&capture), "--key", "0011"], 2);
    place.fails(&["zigbee", "decode", shown(&place.path("nowhere"))], 3);
    std::fs::write(&keys, KEY).unwrap();
    place.fails(&["zigbee", "decode", shown(&capture), "--key-file", shown(&keys)], 4);
    place.fails(&["zigbee", "decode", shown(&keys)], 1);
    std::fs::write(&capture, &pcap(&[report(0, 0)])[..60]).unwrap();
    place.fails(&["zigbee", "decode", shown(&capture)], 1);
}
