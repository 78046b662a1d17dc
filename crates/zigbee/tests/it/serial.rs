//! The lines to coordinators: third-party frames, and a line that loses and damages what goes over it.

mod coordinator;
mod noisy;
mod peer;
mod socket;

use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value as Json;
use thingward_zigbee::address::Eui64;
use thingward_zigbee::ash::{AshFailure, AshFrame, AshHost, AshOutput, LineDecoder, LineEvent, SendError};
use thingward_zigbee::ezsp::{EzspFrame, EzspMessage, FrameKind};
use thingward_zigbee::layout::{Item, Record};
use thingward_zigbee::security::Key;
use thingward_zigbee::zcl::{DataType, Length, Value};
use thingward_zigbee::znp::{ZnpFrame, ZnpLine};

use crate::vectors::{cases, hex, unhex};
use crate::zcl::atoms::{Atoms, expected};

fn n(case: &Json, name: &str) -> u8 {
    u8::try_from(case[name].as_u64().unwrap()).unwrap()
}

fn ash_frame(case: &Json) -> AshFrame {
    match case["type"].as_str().unwrap() {
        "RST" => AshFrame::Reset,
        "RSTACK" => AshFrame::ResetDone { version: n(case, "version"), code: n(case, "reset_code") },
        "ERROR" => AshFrame::Error { version: n(case, "version"), code: n(case, "reset_code") },
        "ACK" => AshFrame::Ack { not_ready: n(case, "ncp_ready") == 1, acknowledges: n(case, "ack_num") },
        "NAK" => AshFrame::Nak { not_ready: n(case, "ncp_ready") == 1, acknowledges: n(case, "ack_num") },
        _ => AshFrame::Data {
            number: n(case, "frm_num"),
            again: case["re_tx"] == true,
            acknowledges: n(case, "ack_num"),
            data: unhex(case["ezsp_frame"].as_str().unwrap()).into(),
        },
    }
}

#[test]
fn third_party_ash_frames_are_read_and_written() {
    let cases = cases("ezsp_ash_frames.json");
    for case in &cases {
        let frame = ash_frame(case);
        let (inner, wire) = (case["frame_with_crc"].as_str().unwrap(), case["wire"].as_str().unwrap());
        assert_eq!(hex(&frame.to_bytes()), inner, "{case}");
        assert_eq!(hex(&frame.to_line()), wire, "{case}");
        assert_eq!(AshFrame::read(&unhex(inner)), Ok(frame.clone()), "{case}");
        assert_eq!(LineDecoder::default().receive(&unhex(wire)), [LineEvent::Frame(frame)], "{case}");
    }
    println!("{} frames of ASH", cases.len());
}

#[test]
fn an_ash_frame_with_any_bit_turned_is_noticed() {
    for case in cases("ezsp_ash_frames.json") {
        let inner = unhex(case["frame_with_crc"].as_str().unwrap());
        for at in 0..inner.len() {
            for bit in 0..8 {
                let mut bent = inner.clone();
                bent[at] ^= 1 << bit;
                assert!(AshFrame::read(&bent).is_err());
            }
        }
    }
}

#[test]
fn what_is_cancelled_or_spoilt_is_no_frame_and_the_next_one_is() {
    let ack = AshFrame::Ack { not_ready: false, acknowledges: 3 };
    let mut line = LineDecoder::default();
    assert_eq!(
        line.receive(&[&[0x61, 0xb4, 0x1a][..], &ack.to_line()].concat()),
        [LineEvent::Frame(ack.clone())]
    );
    let spoilt = line.receive(&[&[0x61, 0x18][..], &ack.to_line(), &ack.to_line()].concat());
    assert_eq!(spoilt, [LineEvent::Damaged(None), LineEvent::Frame(ack.clone())]);
    assert_eq!(line.receive(&[0x7e, 0x7e, 0x7e]), []);
    let flow = line.receive(&[&[0x11, 0x13][..], &ack.to_line()].concat());
    assert_eq!(flow, [LineEvent::Frame(ack)]);
    assert_eq!(line.receive(&[&[0x55; 10_000][..], &[0x7e]].concat()), [LineEvent::Damaged(None)]);
}

fn open_host() -> AshHost {
    let mut host = AshHost::default();
    assert_eq!(host.reset(Duration::ZERO), [AshOutput::Write(unhex("1ac038bc7e").into())]);
    let opened = host.receive(&unhex("c102029b7b7e"), Duration::ZERO);
    assert_eq!(opened, [AshOutput::Open { code: 2 }]);
    host
}

#[test]
fn a_host_sends_again_what_nobody_acknowledges_and_gives_up_in_the_end() {
    let mut host = open_host();
    let message = [1, 2, 3, 4];
    let data =
        |again| AshFrame::Data { number: 0, again, acknowledges: 0, data: message.to_vec().into() }.to_line();
    assert_eq!(host.send(&message, Duration::ZERO).unwrap(), [AshOutput::Write(data(false))]);
    assert_eq!(host.deadline(), Some(Duration::from_millis(1600)));
    assert_eq!(host.tick(Duration::from_millis(1599)), []);
    assert_eq!(host.tick(Duration::from_millis(1600)), [AshOutput::Write(data(true))]);
    assert_eq!(host.tick(Duration::from_secs(10)), [AshOutput::Write(data(true))]);
    assert_eq!(host.tick(Duration::from_secs(20)), [AshOutput::Write(data(true))]);
    assert_eq!(host.tick(Duration::from_secs(30)), [AshOutput::Failed(AshFailure::NoAcknowledgement)]);
    assert_eq!(host.send(&message, Duration::from_secs(31)), Err(SendError::NotOpen));
}

#[test]
fn a_host_asks_for_a_reset_five_times() {
    let mut host = AshHost::default();
    assert_eq!(host.send(&[1, 2, 3], Duration::ZERO), Err(SendError::NotOpen));
    host.reset(Duration::ZERO);
    for attempt in 1..5 {
        assert_eq!(host.tick(Duration::from_secs(attempt * 10)).len(), 1);
    }
    assert_eq!(host.tick(Duration::from_secs(50)), [AshOutput::Failed(AshFailure::NoReset)]);
    let mut host = AshHost::default();
    host.reset(Duration::ZERO);
    let other = AshFrame::ResetDone { version: 3, code: 2 }.to_line();
    assert_eq!(host.receive(&other, Duration::ZERO), [AshOutput::Failed(AshFailure::Version(3))]);
}

#[test]
fn a_coordinator_that_stops_or_starts_by_itself_ends_the_line() {
    let stopped = AshFrame::Error { version: 2, code: 0x51 }.to_line();
    let outputs = open_host().receive(&stopped, Duration::ZERO);
    assert_eq!(outputs, [AshOutput::Failed(AshFailure::Stopped(0x51))]);
    let started = AshFrame::ResetDone { version: 2, code: 6 }.to_line();
    let outputs = open_host().receive(&started, Duration::ZERO);
    assert_eq!(outputs, [AshOutput::Failed(AshFailure::Restarted(6))]);
}

#[test]
fn messages_have_a_length_and_a_queue_has_an_end() {
    let mut host = open_host();
    assert_eq!(host.send(&[1, 2], Duration::ZERO), Err(SendError::Length(2)));
    assert_eq!(host.send(&[0; 129], Duration::ZERO), Err(SendError::Length(129)));
    let sent = (0..100).take_while(|_| host.send(&[1, 2, 3], Duration::ZERO).is_ok()).count();
    assert_eq!(sent, 64);
    assert_eq!(host.send(&[1, 2, 3], Duration::ZERO), Err(SendError::Full));
}

fn value(data_type: &str, number: i128) -> Item {
    Item::Value(Value::integer(DataType::named(data_type).unwrap(), number).unwrap())
}

#[test]
fn ezsp_commands_and_answers_are_written_and_read() {
    assert_eq!(hex(&EzspFrame::ask_version(0, 13)), "0000000d");
    assert_eq!(EzspFrame::read_version(&unhex("0080000d023007")), Ok(13));
    assert_eq!(EzspFrame::read_version(&unhex("01800100000d023007")), Ok(13));
    assert!(EzspFrame::read_version(&unhex("0000000d")).is_err());
    let permit = Record(vec![("duration", value("uint8", 60))]);
    let permit = EzspMessage::named("permitJoining", permit).unwrap().command(5, 13).unwrap();
    assert_eq!(hex(&permit.to_bytes()), "05000122003c");
    let answer = EzspFrame::read(&unhex("058001220000")).unwrap();
    assert_eq!(answer.header.kind(), FrameKind::Response);
    assert_eq!(EzspMessage::read(&answer, 13).unwrap().record, Record(vec![("status", value("enum8", 0))]));
    let status = EzspFrame::read(&unhex("059001190090")).unwrap();
    assert_eq!(status.header.kind(), FrameKind::Callback);
    let status = EzspMessage::read(&status, 13).unwrap();
    assert_eq!((status.info.name, status.record.number("status")), ("stackStatusHandler", Some(0x90)));
    let incoming = unhex(
        "0790014500 00 0401 0604 01 01 4001 0000 21 ff c8 3412 ff ff 07 18010a000018 01"
            .replace(' ', "")
            .as_str(),
    );
    let incoming = EzspMessage::read(&EzspFrame::read(&incoming).unwrap(), 13).unwrap();
    assert_eq!(incoming.record.number("sender"), Some(0x1234));
    let message = Item::Value(Value::Octets(Some(unhex("18010a00001801")), Length::Short));
    assert_eq!(incoming.record.get("message"), Some(&message));
    for broken in ["", "0580", "05800022", "058002220000", "0580012200", "058001fffe00"] {
        let read = EzspFrame::read(&unhex(broken)).and_then(|frame| EzspMessage::read(&frame, 13));
        assert!(read.is_err(), "{broken}");
    }
}

#[test]
fn third_party_znp_frames_are_read_and_written() {
    let cases = cases("znp_unpi_frames.json");
    for case in &cases {
        match case["kind"].as_str().unwrap() {
            kind @ ("unpi_from_buffer" | "unpi_to_buffer") => {
                let frame = ZnpFrame {
                    kind: n(case, "type"),
                    subsystem: n(case, "subsystem"),
                    command: n(case, "commandID"),
                    data: unhex(case["data"].as_str().unwrap()).into(),
                };
                let octets = unhex(case["hex"].as_str().unwrap());
                assert_eq!(ZnpFrame::read(&octets), Ok(frame.clone()), "{kind} {case}");
                assert_eq!(frame.to_bytes().unwrap().to_vec(), octets, "{case}");
                let mut line = ZnpLine::default();
                assert_eq!(line.receive(&[&[0x00, 0x12][..], &octets].concat()), [Ok(frame)]);
            }
            _ => znp_fields(case),
        }
    }
    println!("{} frames of ZNP", cases.len());
}

fn znp_fields(case: &Json) {
    let data = unhex(case["dataHex"].as_str().unwrap()).into();
    let kind = n(case, "type");
    let frame = ZnpFrame { kind, subsystem: n(case, "subsystem"), command: n(case, "commandID"), data };
    let (name, record) = frame.fields().unwrap_or_else(|e| panic!("{e}: {case}"));
    assert_eq!(name, case["command"].as_str().unwrap());
    assert_eq!(ZnpFrame::named(kind, name, &record), Ok(frame), "{case}");
    let mut atoms = Atoms::default();
    atoms.record(&record);
    let mut payload = case["payload"].clone();
    // The count of what follows, and capabilities one by one.
    payload.as_object_mut().unwrap().remove("len");
    if let Some(capabilities) = payload.pointer_mut("/zdo/1/capabilities") {
        *capabilities = Json::Null;
    }
    for wanted in expected(&payload) {
        assert!(atoms.0.contains(&wanted), "{wanted} {case} {:?}", atoms.0);
    }
}

#[test]
fn a_znp_frame_with_any_bit_turned_is_noticed_or_waits_for_more() {
    let octets = unhex("fe0361080001553e");
    for at in 0..octets.len() {
        for bit in 0..8 {
            let mut bent = octets.clone();
            bent[at] ^= 1 << bit;
            assert!(ZnpFrame::read(&bent).is_err());
            assert!(ZnpLine::default().receive(&bent).iter().all(Result::is_err));
        }
    }
    let mut line = ZnpLine::default();
    assert!(line.receive(&[0xfe, 0xff])[0].is_err());
    assert_eq!(line.receive(&octets).len(), 1);
    // A length that was damaged does not swallow the frames behind it.
    let mut long = octets.clone();
    long[1] = 40;
    let heard = ZnpLine::default().receive(&[&long[..], &octets.repeat(6)].concat());
    assert_eq!(heard.iter().filter(|read| read.is_ok()).count(), 6);
    assert_eq!(ZnpLine::default().receive(&[0xfe; 1000]).iter().filter(|read| read.is_ok()).count(), 0);
}

#[test]
fn what_may_hold_keys_cannot_be_printed() {
    let key = Key::new([0xab; 16]);
    let message = EzspMessage::named(
        "addTransientLinkKey",
        Record(vec![("partner", Item::Value(Value::Eui64(Eui64(1)))), ("key", Item::Value(Value::Key(key)))]),
    );
    let message = message.unwrap();
    let frame = message.command(0, 13).unwrap();
    let mut host = open_host();
    let sent = host.send(&frame.to_bytes(), Duration::ZERO).unwrap();
    let printed = format!("{message:?} {frame:?} {sent:?} {host:?}");
    assert!(!printed.contains("abab") && !printed.contains("171, 171"), "{printed}");
}

proptest! {
    #[test]
    fn octets_that_nobody_sent_do_no_harm(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut host = open_host();
        let _ = (host.receive(&octets, Duration::ZERO), host.send(&[1, 2, 3], Duration::ZERO));
        let _ = host.receive(&octets, Duration::from_secs(1));
        let _ = ZnpLine::default().receive(&octets);
        let _ = EzspFrame::read(&octets).and_then(|frame| EzspMessage::read(&frame, 13));
        let _ = ZnpFrame::read(&octets).and_then(|frame| frame.fields());
    }
}
