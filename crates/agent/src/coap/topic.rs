//! What goes to topics with MQTT, as requests, and the other way round.

use thingward_coap::endpoint::Packet;
use thingward_coap::message::Code;
use thingward_coap::wire::{What, format, path, with_format};
use thingward_mqtt::codec::ReasonCode;
use thingward_mqtt::topic::TopicName;

use crate::commands::hex;
use crate::uplink::{Outgoing, Received};

/// As a message that the service publishes to a device.
pub(super) fn received(what: What) -> Option<Received> {
    let (topic, payload) = match what {
        What::Command { id, command } => (format!("devices/me/commands/{}", hex(&id)), command),
        What::Revocation(bytes) => ("devices/me/grants/revocation".to_owned(), bytes),
        What::Evidence => ("devices/me/attestation".to_owned(), Vec::new()),
        What::Membership(bytes) => ("devices/me/membership".to_owned(), bytes),
    };
    let topic = TopicName::try_from(topic.as_str()).ok()?;
    Some(Received { topic, payload: payload.into(), expires_in: None })
}

/// The request that says what a publication says.
pub(super) fn request_of<K>(message: &Outgoing<K>) -> Packet {
    let topic = message.topic.as_str();
    let mut levels = topic.strip_prefix("devices/me/").unwrap_or(topic).split('/');
    let (area, name) = (levels.next().unwrap_or_default(), levels.next().unwrap_or_default());
    let request = match area {
        "telemetry" => with_format(Packet::to(Code::POST, &[path::TELEMETRY, name]), format::OCTETS),
        "replies" => Packet::to(Code::POST, &[path::REPLIES, name]),
        "uses" => Packet::to(Code::POST, &[path::USES, name]),
        _ => with_format(Packet::to(Code::PUT, path::DESCRIPTION), format::DESCRIPTION),
    };
    request.with_payload(&message.payload)
}

/// What an answer means for a message.
pub(super) fn reason_of(code: Code) -> ReasonCode {
    match code {
        code if code.is_success() => ReasonCode::Success,
        Code::BAD_REQUEST | Code::UNSUPPORTED_CONTENT_FORMAT => ReasonCode::PayloadFormatInvalid,
        Code::NOT_FOUND | Code::METHOD_NOT_ALLOWED => ReasonCode::TopicNameInvalid,
        Code::REQUEST_ENTITY_TOO_LARGE => ReasonCode::PacketTooLarge,
        _ => ReasonCode::QuotaExceeded,
    }
}
