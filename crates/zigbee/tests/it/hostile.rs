//! Input that nobody honest sends: cut, bent and made up.

use proptest::prelude::*;
use thingward_zigbee::aps::{ApsCommand, ApsHeader};
use thingward_zigbee::green_power::{Commissioning, GreenPowerFrame};
use thingward_zigbee::ieee802154::{Fcs, Frame};
use thingward_zigbee::nwk::{NwkCommand, NwkHeader};
use thingward_zigbee::security::SecurityHeader;
use thingward_zigbee::{Malformed, Problem};

use crate::vectors::{cases, unhex};

/// Everything that reads bytes of the air; what is read is written as it came.
fn read_all(bytes: &[u8]) {
    if let Ok(frame) = Frame::read(bytes) {
        assert_eq!(frame.to_bytes(), bytes);
        let _ = (frame.command(), frame.beacon().map(|beacon| beacon.and_then(|beacon| beacon.zigbee())));
    }
    if let Ok((header, rest)) = NwkHeader::read(bytes) {
        let mut out = Vec::new();
        header.write(&mut out).unwrap();
        out.extend(rest);
        assert_eq!(out, bytes);
    }
    if let Ok((header, rest)) = ApsHeader::read(bytes) {
        let mut out = Vec::new();
        header.write(&mut out);
        out.extend(rest);
        assert_eq!(out, bytes);
    }
    if let Ok((header, rest)) = SecurityHeader::read(bytes) {
        let mut out = Vec::new();
        header.write(&mut out);
        out.extend(rest);
        assert_eq!(out, bytes);
    }
    if let Ok(frame) = GreenPowerFrame::read(bytes) {
        assert_eq!(frame.to_bytes(), bytes);
        let _ = frame.commissioning();
    }
    if let Ok(commissioning) = Commissioning::read(bytes) {
        assert_eq!(commissioning.to_bytes().unwrap().len(), bytes.len());
    }
    let _ = (NwkCommand::read(bytes), ApsCommand::read(bytes));
}

#[test]
fn third_party_frames_cut_at_each_octet_and_with_each_octet_turned_do_no_harm() {
    for case in cases("frames.json") {
        let bytes = unhex(case["hex"].as_str().unwrap());
        let bytes = Fcs::split(&bytes).map_or(&bytes[..], |(frame, _)| frame);
        for cut in 0..bytes.len() {
            read_all(&bytes[..cut]);
            read_all(&bytes[cut..]);
            let mut bent = bytes.to_vec();
            bent[cut] ^= 0xff;
            read_all(&bent);
        }
    }
}

#[test]
fn what_is_wrong_is_said_by_field() {
    let truncated = |field, needed, left| Malformed { field, problem: Problem::Truncated { needed, left } };
    assert_eq!(Frame::read(&[0x41]).unwrap_err(), truncated("mac.frame_control", 2, 1));
    assert_eq!(Frame::read(&[0x41, 0x88, 1, 2]).unwrap_err(), truncated("mac.pan", 2, 1));
    let error = NwkHeader::read(&[0x08, 0x00, 1]).unwrap_err();
    assert_eq!(error, truncated("nwk.destination", 2, 1));
    assert_eq!(error.to_string(), "nwk.destination: cut short: 2 bytes asked for, 1 left");
    let long = Frame::read(&[0; 128]).unwrap_err();
    assert_eq!(long, Malformed { field: "mac.frame", problem: Problem::TooMuch(128) });
    let relays = NwkHeader::read(&[0x08, 0x04, 0, 0, 0, 0, 30, 1, 33, 0]).unwrap_err();
    assert_eq!(relays, Malformed { field: "nwk.relay_count", problem: Problem::TooMuch(33) });
    let version = NwkHeader::read(&[0x04, 0x00]).unwrap_err();
    assert_eq!(version, Malformed { field: "nwk.protocol_version", problem: Problem::Unknown(1) });
}

proptest! {
    #[test]
    fn bytes_that_nobody_sent_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..160)) {
        read_all(&bytes);
    }
}
