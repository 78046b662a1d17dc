//! The line to a controller against the shared vectors, and one end against the other.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use thingward_zwave::serial::message::{TransmitStatus, Update};
use thingward_zwave::serial::{
    AddMode, Decoder, Frame, FrameKind, Link, LinkEvent, Message, NodeIdType, Request, TransmitOptions, Unit,
};
use thingward_zwave::{Dsk, NodeId};

use crate::vectors::{bytes, cases, unhex};

const WIDTH: NodeIdType = NodeIdType::Short;

fn units(bytes: &[u8]) -> Vec<Unit> {
    let mut units = Vec::new();
    Decoder::default().push(bytes, |unit| units.push(unit));
    units
}

fn frame(bytes: &[u8]) -> Frame {
    match units(bytes).as_slice() {
        [Unit::Frame(frame)] => frame.clone(),
        other => unreachable!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> Value {
    json!({ "$hex": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() })
}

/// Fields of a request in the words of the vectors.
fn request_fields(request: &Request) -> Value {
    match request {
        Request::SendDataBridge { source, data, options, callback, .. } => json!({
            "callbackId": callback, "sourceNodeId": source.number(), "transmitOptions": options.0,
            "serializedCC": hex(data),
        }),
        _ => json!({}),
    }
}

/// Fields of a message in the words of the vectors.
fn message_fields(message: &Message) -> Value {
    match message {
        Message::InitData(data) => json!({
            "zwaveApiVersion": { "kind": "legacy", "version": data.version },
            "isPrimary": data.capabilities & 4 == 0, "supportsTimers": data.capabilities & 2 != 0,
            "isSIS": data.capabilities & 8 != 0, "nodeType": data.capabilities & 1,
            "nodeIds": data.nodes.iter().map(|node| node.number()).collect::<Vec<_>>(),
        }),
        Message::Capabilities(capabilities) => json!({
            "firmwareVersion": format!("{}.{}", capabilities.version[0], capabilities.version[1]),
            "manufacturerId": capabilities.product[0], "productType": capabilities.product[1],
            "productId": capabilities.product[2], "supportedFunctionTypes": capabilities.functions,
        }),
        Message::Setup(setting, value) => json!({
            "command": setting,
            "supportedCommands": value[1..].iter().enumerate().flat_map(|(at, byte)| {
                (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| at * 8 + bit + 1)
            }).collect::<Vec<_>>(),
        }),
        Message::ControllerId(home, node) => json!({ "homeId": home.0, "ownNodeId": node.number() }),
        Message::SucNodeId(node) => json!({ "sucNodeId": node.map_or(0, NodeId::number) }),
        Message::Accepted(_, accepted) => json!({ "wasSent": accepted }),
        Message::Transmitted(_, callback, status) => json!({
            "callbackId": callback, "transmitStatus": u8::from(*status != TransmitStatus::Acknowledged),
        }),
        Message::Received(received) => {
            let mut fields = json!({
                "routedBusy": received.status & 1 != 0, "isExploreFrame": received.status & 0x10 != 0,
                "isForeignFrame": received.status & 0x40 != 0, "fromForeignHomeId": received.status & 0x80 != 0,
                "frameType": if received.is_multicast() { "multicast" } else { "singlecast" },
                "serializedCC": hex(&received.command),
            });
            if let Some(target) = received.target {
                fields["targetNodeId"] = target.number().into();
            }
            fields
        }
        Message::Update(Update::NodeInfo(info)) => json!({ "updateType": 0x84, "nodeInformation": {
            "nodeId": info.node.number(), "basicDeviceClass": info.device_class[0],
            "genericDeviceClass": info.device_class[1], "specificDeviceClass": info.device_class[2],
            "supportedCCs": info.supported, "controlledCCs": info.controlled,
        }}),
        _ => json!({}),
    }
}

/// Fields that say how the oracle works, not what travels.
const NOT_ON_THE_LINE: [&str; 5] =
    ["ignoreNodeUpdate", "_transmissionTimestamp", "_maxSendAttempts", "command", "zwaveChipType"];

#[test]
fn frames_are_those_of_the_vectors_in_both_directions() {
    for case in cases("serial_api_frames.json") {
        let bytes = bytes(&case, "hex");
        let frame = frame(&bytes);
        assert_eq!(frame.to_bytes(), bytes);
        let class = case["class"].as_str().unwrap();
        let by_host = ["Get", "SendDataBridgeRequest", "SoftReset", "Message"]
            .iter()
            .any(|name| class.starts_with(name))
            && frame.kind() == FrameKind::Request
            && !class.ends_with("TransmitReport");
        let fields = if by_host {
            let request = Request::parse(&frame, WIDTH).unwrap();
            assert_eq!(request.to_frame(WIDTH), Ok(frame));
            request_fields(&request)
        } else {
            let message = Message::parse(&frame, WIDTH).unwrap();
            // The oracle leaves out the byte that says so.
            if class != "SendDataBridgeResponse" {
                assert_eq!(message.to_frame(WIDTH), Ok(frame), "{message:?}");
            }
            message_fields(&message)
        };
        if case["dir"] == "serialise" {
            continue;
        }
        for (field, value) in case["fields"].as_object().unwrap() {
            if !NOT_ON_THE_LINE.contains(&field.as_str()) || (class.contains("Setup") && field == "command") {
                assert_eq!(&fields[field], value, "{class} {field}");
            }
        }
    }
}

#[test]
fn a_flipped_bit_is_noticed_and_the_frame_after_it_is_read() {
    let good = Request::RequestNodeInfo(NodeId::new(7).unwrap()).to_frame(WIDTH).unwrap().to_bytes();
    for bit in 16..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        bad.extend(&good);
        let units = units(&bad);
        assert!(matches!(units[0], Unit::Broken(_)), "bit {bit}");
        assert!(matches!(units.last(), Some(Unit::Frame(_))), "bit {bit}");
    }
}

#[test]
fn a_thing_that_starts_smart_is_named_by_two_home_ids() {
    let dsk: Dsk = "51525-35455-41424-34445-31323-33435-21222-32425".parse().unwrap();
    let frame = Request::AddNode(AddMode::SmartStart(dsk), 3).to_frame(WIDTH).unwrap();
    let [nwi, auth] = [dsk.smart_start_home_id(), dsk.authentication_home_id()].map(u32::to_be_bytes);
    assert_eq!(frame.payload(), [&[0xc8, 3], nwi.as_slice(), auth.as_slice()].concat());
    assert!(nwi[0] >= 0xc0 && nwi[3] % 2 == 0 && auth[0] < 0x40 && auth[3] % 2 == 1);
}

fn request() -> Frame {
    let (node, options) = (NodeId::new(2).unwrap(), TransmitOptions::RELIABLE);
    Request::SendData { node, data: vec![0x20, 0x02], options, callback: 1 }.to_frame(WIDTH).unwrap()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_frame_waits_for_the_acknowledgement_of_the_one_before() {
    let mut link = Link::default();
    link.send(request(), ms(0)).unwrap();
    link.send(request(), ms(0)).unwrap();
    assert_eq!((link.output(), link.output()), (Some(request().to_bytes()), None));
    assert_eq!(link.receive(&[0x06], ms(1)), [LinkEvent::Delivered(request())]);
    assert_eq!(link.output(), Some(request().to_bytes()));
}

#[test]
fn a_frame_is_sent_four_times_and_then_given_up() {
    let mut link = Link::default();
    link.send(request(), ms(0)).unwrap();
    let mut sent = 0;
    let lost = loop {
        sent += u32::from(link.output().is_some());
        let now = link.due().unwrap();
        if let [event] = link.tick(now).as_slice() {
            break event.clone();
        }
    };
    assert_eq!((sent, lost, link.due()), (4, LinkEvent::Lost(request()), None));
}

#[test]
fn a_frame_that_was_dropped_is_sent_again_after_a_moment() {
    let mut link = Link::default();
    link.send(request(), ms(0)).unwrap();
    link.output();
    assert_eq!(link.receive(&[0x18], ms(5)), []);
    assert_eq!((link.output(), link.due()), (None, Some(ms(105))));
    assert_eq!(link.tick(ms(105)), []);
    assert_eq!(link.output(), Some(request().to_bytes()));
}

#[test]
fn a_frame_that_came_is_acknowledged_and_a_broken_one_is_not() {
    let mut link = Link::default();
    let bytes = unhex("0104015601ad");
    assert_eq!(link.receive(&bytes, ms(0)), [LinkEvent::Received(frame(&bytes))]);
    assert_eq!(link.output(), Some(vec![0x06]));
    assert_eq!(link.receive(&unhex("0104015601ae"), ms(0)), [LinkEvent::Broken]);
    assert_eq!(link.output(), Some(vec![0x15]));
}

#[test]
fn a_frame_has_its_own_time_when_it_begins_right_after_another() {
    let mut link = Link::default();
    let bytes = unhex("0104015601ad");
    link.receive(&bytes[..3], ms(0));
    assert_eq!(link.receive(&[&bytes[3..], &bytes[..3]].concat(), ms(1000)).len(), 1);
    assert_eq!(link.due(), Some(ms(2500)));
    link.tick(ms(1500));
    assert_eq!(link.receive(&bytes[3..], ms(1501)), [LinkEvent::Received(frame(&bytes))]);
}

#[test]
fn half_a_frame_is_dropped_in_time() {
    let mut link = Link::default();
    let bytes = unhex("0104015601ad");
    assert_eq!(link.receive(&bytes[..3], ms(0)), []);
    assert_eq!(link.due(), Some(ms(1500)));
    link.tick(ms(1500));
    assert_eq!(link.receive(&bytes, ms(1501)).len(), 1);
}

proptest! {
    #[test]
    fn any_bytes_are_cut_into_bounded_units(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        for unit in units(&bytes) {
            if let Unit::Frame(frame) = unit {
                let _ = Message::parse(&frame, WIDTH);
                let _ = Request::parse(&frame, WIDTH);
            }
        }
    }

    #[test]
    fn any_payload_of_any_function_is_read_or_refused(
        function in any::<u8>(), answer in any::<bool>(), payload in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let kind = if answer { FrameKind::Response } else { FrameKind::Request };
        let frame = Frame::new(kind, function, payload).unwrap();
        for width in [NodeIdType::Short, NodeIdType::Long] {
            let _ = (Message::parse(&frame, width), Request::parse(&frame, width));
        }
    }
}
