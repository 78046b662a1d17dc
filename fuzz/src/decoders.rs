//! Every decoder that bytes from outside reach, as functions that only have to return: for the fuzzer, and for
//! the corpus that each test run replays.

pub mod coap;
pub mod member;
#[cfg(feature = "programs")]
pub mod node;
pub mod zwave;

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use thingward_attest::{Claims, ROOM_BYTES};
use thingward_audit::note::{LogKey, SignedNote};
use thingward_audit::witness::{AddCheckpoint, Seen};
use thingward_ble::btsnoop::Recording;
use thingward_ble::hci::{Packet, split};
use thingward_ble::{Address, BindKey};
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey};
use thingward_grant::{
    Device, Grant, Presentation, Scope, SharedKey, SignedBeacon, SignedRevocation, Standing, Time,
    TrustedIssuer, TrustedKey,
};
use thingward_model::description::ThingDescription;
use thingward_model::{NameRef, Timestamp, senml};
use thingward_mqtt::broker::{Broker, Limits, OpenGate};
use thingward_mqtt::codec::{Receiver, Text, Version, decode};
use thingward_mqtt::topic::{TopicFilter, TopicName};
use thingward_pki::{CertificateAuthority, Crl, InitialIdentity, LeafIdentity, Lifetimes, ca, est};
use thingward_radio::wire::{FrameDecoder, FrameError, Order, Report, encode};
use thingward_seal::approval::{Approver, key_from_cose, verify_assertion};
use thingward_seal::command::{Approval, Audience, CANONICAL_BYTES_MAX, SignedCommand, SignedReply, json};
use thingward_seal::envelope::SignedEnvelope;
use thingward_seal::{ChainState, Earlier, Item, Items, Statement};
#[cfg(feature = "programs")]
use thingward_service::payload;
use thingward_tpm::TpmEvidence;
use thingward_zigbee::ash::AshHost;
use thingward_zigbee::capture::Capture;
use thingward_zigbee::ezsp::{EzspFrame, EzspMessage};
use thingward_zigbee::listen::{KeyRing, Listener};
use thingward_zigbee::security::Key;
use thingward_zigbee::znp::ZnpLine;

/// A decoder by its name, which is that of its corpus folder and fuzz target.
pub type Decoder = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: &[Decoder] = &[
    ("mqtt_packet", mqtt_packet),
    ("mqtt_broker", mqtt_broker),
    ("mqtt_topic", mqtt_topic),
    ("chain_items", chain_items),
    ("gateway_envelope", gateway_envelope),
    ("senml_cbor", senml_cbor),
    #[cfg(feature = "programs")]
    ("plain_payload", plain_payload),
    ("est_request", est_request),
    ("certificate", certificate),
    ("add_checkpoint", add_checkpoint),
    ("command", command),
    ("reply", reply),
    ("passkey", passkey),
    ("grant", grant),
    ("thing_description", thing_description),
    ("evidence", evidence),
    ("zigbee_capture", zigbee_capture),
    ("zigbee_serial", zigbee_serial),
    ("advertisement", advertisement),
    ("zwave_serial", zwave::serial),
    ("zwave_security", zwave::security),
    ("zwave_command", zwave::command),
    ("driver_channel", driver_channel),
    ("coap_message", coap::message),
    ("coap_endpoint", coap::endpoint),
    ("coap_edhoc", coap::edhoc),
    ("chip_link", member::chip_link),
    #[cfg(feature = "programs")]
    ("device_input", member::input),
    ("log_order", member::order),
    #[cfg(feature = "programs")]
    ("node_journal", node::journal),
    #[cfg(feature = "programs")]
    ("node_link", node::link),
    #[cfg(feature = "programs")]
    ("hot_batch", node::batch),
];

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const PACKET_BYTES_MAX: usize = 64 * 1024;

/// Control packets of every version, as both ends read them; what was read is written and read again.
pub fn mqtt_packet(data: &[u8]) {
    for version in [Version::V3_1, Version::V3_1_1, Version::V5] {
        for receiver in [Receiver::Server, Receiver::Client] {
            let mut buffer = BytesMut::from(data);
            while let Ok(Some(packet)) = decode(receiver, version, &mut buffer, PACKET_BYTES_MAX) {
                let mut written = BytesMut::new();
                if packet.write(version, PACKET_BYTES_MAX, &mut written).is_ok() {
                    let again = decode(receiver, version, &mut written, PACKET_BYTES_MAX);
                    assert_eq!(again.expect("what was written is read").as_ref(), Some(&packet));
                }
            }
        }
    }
}

/// A whole connection: bytes as a client may send them.
pub fn mqtt_broker(data: &[u8]) {
    let mut broker = Broker::new(OpenGate, Limits::default());
    broker.accept(NOW, 1, ());
    let mut buffer = BytesMut::new();
    for chunk in data.chunks(7) {
        buffer.extend_from_slice(chunk);
        broker.receive_bytes(NOW, 1, &mut buffer);
    }
    broker.accept(NOW, 2, ());
    let mut whole = BytesMut::from(data);
    broker.receive_bytes(NOW, 2, &mut whole);
    broker.closed(NOW, 2);
    let _ = broker.drain();
}

/// Topic names and filters.
pub fn mqtt_topic(data: &[u8]) {
    let Ok(text) = Text::try_from(Bytes::copy_from_slice(data)) else { return };
    let name = TopicName::try_from(text.clone());
    let filter = TopicFilter::try_from(text);
    if let (Ok(name), Ok(filter)) = (name, filter) {
        let _ = filter.matches(&name);
    }
}

/// Messages of chained streams, and what the verifier makes of them with every signature and seal taken for good.
pub fn chain_items(data: &[u8]) {
    let mut state: Option<ChainState> = None;
    for item in Items::new(data).flatten() {
        match (item, &mut state) {
            (Item::Record(record), Some(state)) => {
                let _ = state.record(&record, true, |_| Earlier::Unknown);
            }
            (Item::Record(record), None) => {
                let _ = (record.tag(), record.seq);
            }
            (Item::Statement(signed), state) => match (signed.claimed_unverified(), state) {
                (statement, Some(state)) => drop(state.statement(statement)),
                (Statement { chain, .. }, state) => *state = Some(ChainState::opened(*chain, signed.bytes)),
            },
        }
    }
}

/// What services ask a witness, and what it would keep of it.
pub fn add_checkpoint(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = SignedNote::parse(text);
    let Ok(request) = text.parse::<AddCheckpoint>() else { return };
    let signer = SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[1; 32]).expect("a seed is a key");
    let Ok(key) = LogKey::new(request.origin_unverified(), signer.public_key()) else { return };
    if let Ok(accepted) = request.decide(std::slice::from_ref(&key), &Seen::default()) {
        let file = accepted.seen().to_file(key.name());
        assert_eq!(Seen::from_file(key.name(), &file).as_ref(), Ok(accepted.seen()));
    }
}

/// What gateways forward.
pub fn gateway_envelope(data: &[u8]) {
    if let Ok(envelope) = SignedEnvelope::decode(data) {
        let _ = envelope.key_id();
    }
}

/// SenML packs in CBOR.
pub fn senml_cbor(data: &[u8]) {
    let mut readings = Vec::new();
    if senml::decode(data, NOW, |r| readings.push(r)).is_ok() {
        let mut out = vec![0; 128 * 1024];
        let len = senml::encode(&readings, &mut out).expect("what was read can be written");
        let mut again = Vec::new();
        senml::decode(&out[..len], NOW, |r| again.push(r)).expect("what was written is read");
        assert_eq!(again, readings);
    }
}

/// Payloads of standard clients: JSON, SenML in JSON and CBOR.
#[cfg(feature = "programs")]
pub fn plain_payload(data: &[u8]) {
    if let Ok(readings) = payload::parse(data, NOW) {
        assert!(!readings.is_empty());
    }
}

/// Bodies of EST requests and answers.
pub fn est_request(data: &[u8]) {
    let _ = est::decode_request(data);
    let _ = est::decode_certificates(data);
}

/// The certificate of the authority whose CRLs are read.
static ISSUING: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let key =
        |seed| SoftwareKey::from_seed(SignatureAlgorithm::EcdsaP256, &[seed; 32]).expect("a seed is a key");
    let authority =
        CertificateAuthority::create("thingward.test", Lifetimes::default(), &key(1), Box::new(key(2)), NOW);
    authority.and_then(|authority| authority.issuing_der()).expect("keys make an authority")
});

/// Certificates and CRLs as peers show them.
pub fn certificate(data: &[u8]) {
    let _ = LeafIdentity::from_verified(data, "thingward.test");
    let _ = InitialIdentity::from_verified(data);
    let _ = Crl::read(data, &ISSUING);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = ca::certificates_from_pem(text);
    }
}

/// Commands as a device gets them. What was read is the same bytes when it is written.
pub fn command(data: &[u8]) {
    let Ok(signed) = SignedCommand::decode(data) else { return };
    let claimed = signed.claimed_unverified();
    let mut again = [0; CANONICAL_BYTES_MAX];
    let len = claimed.command.encode(&mut again).expect("what was read can be written");
    assert_eq!(&again[..len], claimed.canonical);
    let input = claimed.command.input;
    assert_eq!(json::encode(&json::decode(input)).as_deref(), Ok(input.as_bytes()));
    let audience = Audience { tenant: &claimed.command.tenant, device: &claimed.command.device };
    let _ = claimed.command.check(&audience, NOW, NOW);
}

/// Replies as the service gets them.
pub fn reply(data: &[u8]) {
    if let Ok(signed) = SignedReply::decode(data) {
        let _ = (signed.key_id(), signed.claimed_unverified().outcome.as_str());
    }
}

/// A passkey's COSE_Key, and behind it what its authenticator and a browser said.
pub fn passkey(data: &[u8]) {
    let Ok((key, len)) = key_from_cose(data) else { return };
    let rest = data.get(len..).unwrap_or_default();
    let (authenticator_data, rest) = rest.split_at(rest.len().min(37));
    let (signature, client_data_json) = rest.split_at(rest.len().min(72));
    let approval = Approval { credential_id: &[1], authenticator_data, client_data_json, signature };
    let approver = Approver {
        actor: "user:1".to_owned(),
        credential_id: vec![1],
        key,
        rp_id: "console.example".to_owned(),
        origins: vec!["https://console.example".to_owned()],
    };
    let _ = verify_assertion(&approval, &[0; 32], &approver);
}

/// Grants and scopes as anybody hands them on, presentations as a device is shown them, and what issuers say beside them.
pub fn grant(data: &[u8]) {
    let _ = SignedBeacon::decode(data);
    let _ = SignedRevocation::decode(data);
    if let Ok(grant) = Grant::decode(data) {
        assert_eq!(grant.as_bytes(), data);
        assert!(grant.terms_unverified().all(|terms| terms.is_ok()), "what was read is read again");
    }
    let Ok(opened) = Scope::from_bytes(b"\x81\x82\x67reserve\xa1\x67minutes\xa1\x01\x18\x78") else { return };
    let (Ok(tenant), Ok(name)) = (NameRef::new("acme"), NameRef::new("meter-1")) else { return };
    let (key, standing) = (SharedKey::new(&[1; 32]), &Standing::default());
    let key = TrustedKey::Symmetric(&key);
    let issuers = [TrustedIssuer { key, right: opened, standing, classes: &[] }];
    let device = Device { tenant, name, opened, issuers: &issuers, time: Time::clock(NOW, 0) };
    if let Ok(shown) = Presentation::decode(data) {
        let _ = device.decide(&shown, &[7; 16], 0);
    }
}

/// Thing Descriptions as devices send them. What was read is read again from its document.
pub fn thing_description(data: &[u8]) {
    let Ok(read) = ThingDescription::parse(data) else { return };
    let again = ThingDescription::parse(read.as_json().to_string().as_bytes());
    // Written anew a document may be longer than it came.
    assert!(again.is_err() || again.as_ref() == Ok(&read));
    for action in read.actions.values() {
        let _ = action.read_input(&["1"]);
        let _ = action.validate(read.as_json());
    }
}

/// What devices prove of themselves, and what a TPM says in it, with every signature taken for good where one can.
pub fn evidence(data: &[u8]) {
    let signer = SoftwareKey::from_seed(SignatureAlgorithm::Ed25519, &[1; 32]).expect("a seed is a key");
    let key = signer.public_key();
    let verified = Claims::verify(data, key, |_| true, &mut [0; ROOM_BYTES]).is_ok();
    assert!(!verified || Claims::from_verified(data, key).is_ok(), "what was verified is read again");
    let _ = TpmEvidence::read(data);
    let _ = TpmEvidence::verify(data, key, b"asked");
}

/// Captures of Zigbee, and every frame in them to somebody who has the network's key.
pub fn zigbee_capture(data: &[u8]) {
    let mut keys = KeyRing::default();
    keys.add_network(Key::new([7; 16]));
    let mut listener = Listener::new(keys);
    let Ok(capture) = Capture::open(data) else { return };
    for captured in capture.flatten() {
        let heard = listener.hear(captured.at, captured.frame);
        assert!(!heard.message.to_string().is_empty() && !heard.security().is_empty());
    }
}

/// The lines to coordinators of Zigbee, as a host reads them. The reset that a host waits for comes first.
pub fn zigbee_serial(data: &[u8]) {
    let now = std::time::Duration::ZERO;
    let mut host = AshHost::default();
    let _ = host.reset(now);
    let _ = host.receive(&[0xc1, 0x02, 0x02, 0x9b, 0x7b, 0x7e], now);
    let _ = host.send(b"message", now);
    let _ = host.receive(data, now);
    let _ = EzspFrame::read(data).and_then(|frame| EzspMessage::read(&frame, 13));
    for frame in ZnpLine::default().receive(data).into_iter().flatten() {
        assert!(frame.to_bytes().is_ok());
        let _ = frame.fields();
    }
}

/// What a Bluetooth controller tells, as a stream of packets or a recording, and what sensors say in it.
pub fn advertisement(data: &[u8]) {
    let mut receiver = thingward_ble::Receiver::default();
    let trusted = receiver.devices.trust(Address([1, 2, 3, 4, 5, 6]), BindKey::new(&[1; 16]), None);
    trusted.expect("there is room for one");
    if let Ok(recording) = Recording::new(data) {
        for (_, told) in recording.advertisements().flatten() {
            let _ = receiver.receive(&told);
        }
    }
    let mut stream = data;
    while let Ok(Some((packet, len))) = split(stream) {
        if let Packet::Event(event) = packet {
            for told in event.advertisements().flatten() {
                let _ = receiver.receive(&told);
            }
        }
        stream = &stream[len..];
    }
}

/// What a gateway and the driver of a radio say, as both ends read it; what was read is written and read again.
pub fn driver_channel(data: &[u8]) {
    let order =
        |decoder: &mut FrameDecoder| Ok(decoder.take::<Order>()?.map(|order| encode(&order).to_vec()));
    let report =
        |decoder: &mut FrameDecoder| Ok(decoder.take::<Report>()?.map(|report| encode(&report).to_vec()));
    read_and_write(data, order);
    read_and_write(data, report);
}

fn read_and_write(data: &[u8], next: fn(&mut FrameDecoder) -> Result<Option<Vec<u8>>, FrameError>) {
    let mut decoder = FrameDecoder::default();
    for chunk in data.chunks(7) {
        decoder.push(chunk);
        loop {
            let written = match next(&mut decoder) {
                Ok(Some(written)) => written,
                Ok(None) => break,
                Err(_) => return,
            };
            let mut again = FrameDecoder::default();
            again.push(&written);
            assert_eq!(next(&mut again), Ok(Some(written)), "what was written is read");
        }
    }
}
