//! The durable state as bytes.
//!
//! Key: one letter for the kind, then numbers big-endian, so that the entries of a session stand together and in
//! order. Value: the byte of the format, then fields as MQTT writes them. A new format gets a new byte, and the old
//! one stays readable; an entry of an unknown format is counted and left alone.

use bytes::Bytes;
use thingward_model::Timestamp;

use crate::broker::Message;
use crate::broker::session::{Entry, Session, SessionId, SessionName, Subscription};
use crate::broker::wills::PendingWill;
use crate::codec::property::read_properties;
use crate::codec::publish::{put_message_properties, take_message_property};
use crate::codec::reader::Reader;
use crate::codec::writer::{properties, put_binary, put_text, put_u8, put_u16, put_u32, put_varint};
use crate::codec::{
    Binary, DecodeError, MessageProperties, PacketId, QoS, SubscriptionId, SubscriptionOptions, Version,
};
use crate::topic::{TopicFilter, TopicName};

/// The format of every value.
const FORMAT: u8 = 1;

/// What the byte of a message says beside its QoS.
const RETAIN: u8 = 1 << 2;
const AUTHOR: u8 = 1 << 3;

/// No time.
const NEVER: i64 = i64::MIN;

/// What an entry of the durable state is, read back.
#[derive(Debug)]
pub(super) enum Record {
    Session {
        id: SessionId,
        name: SessionName,
        identity: Bytes,
        expiry_seconds: u32,
        offline_since: Option<Timestamp>,
    },
    Subscription {
        id: SessionId,
        filter: TopicFilter,
        subscription: Subscription,
    },
    Message {
        number: u64,
        message: Message,
        expires: Option<Timestamp>,
    },
    Entry {
        id: SessionId,
        sequence: u64,
        entry: EntryRecord,
    },
    Received {
        id: SessionId,
        packet: PacketId,
    },
    Retained {
        message: Message,
        expires: Option<Timestamp>,
    },
    Will {
        id: SessionId,
        identity: Bytes,
        message: Message,
        delay_seconds: u32,
        due: Option<Timestamp>,
    },
}

#[derive(Debug)]
pub(super) struct EntryRecord {
    pub(super) message: u64,
    pub(super) qos: QoS,
    pub(super) retain: bool,
    /// The identifier it was sent with, and whether PUBREC has come.
    pub(super) sent: Option<(PacketId, bool)>,
    pub(super) ids: Vec<SubscriptionId>,
}

pub(super) fn session_key(id: SessionId) -> Vec<u8> {
    key(b's', id, &[])
}

pub(super) fn subscription_key(id: SessionId, filter: &TopicFilter) -> Vec<u8> {
    key(b'f', id, filter.as_str().as_bytes())
}

pub(super) fn message_key(number: u64) -> Vec<u8> {
    key(b'm', number, &[])
}

pub(super) fn entry_key(id: SessionId, sequence: u64) -> Vec<u8> {
    key(b'q', id, &sequence.to_be_bytes())
}

pub(super) fn received_key(id: SessionId, packet: PacketId) -> Vec<u8> {
    key(b'i', id, &packet.get().to_be_bytes())
}

pub(super) fn will_key(id: SessionId) -> Vec<u8> {
    key(b'w', id, &[])
}

pub(super) fn retained_key(topic: &TopicName) -> Vec<u8> {
    let mut key = vec![b'r'];
    key.extend_from_slice(topic.as_bytes());
    key
}

fn key(kind: u8, number: u64, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(9 + rest.len());
    key.push(kind);
    key.extend_from_slice(&number.to_be_bytes());
    key.extend_from_slice(rest);
    key
}

pub(super) fn session<I>(session: &Session<I>, identity: &Bytes) -> Vec<u8> {
    let mut v = vec![FORMAT];
    put_binary(&mut v, &binary(&session.name.scope));
    put_text(&mut v, &session.name.client_id);
    put_binary(&mut v, &binary(identity));
    put_u32(&mut v, session.expiry_seconds);
    put_time(&mut v, session.offline_since);
    v
}

pub(super) fn subscription(subscription: &Subscription) -> Vec<u8> {
    let mut v = vec![FORMAT, subscription.options.to_byte()];
    put_varint(&mut v, subscription.id.map_or(0, SubscriptionId::get));
    put_text(&mut v, subscription.inner.as_text());
    v
}

pub(super) fn message(message: &Message, expires: Option<Timestamp>) -> Vec<u8> {
    let mut v = vec![FORMAT];
    put_message(&mut v, message, expires);
    v
}

pub(super) fn entry(entry: &Entry, sent: Option<(PacketId, bool)>) -> Vec<u8> {
    let mut v = vec![FORMAT];
    v.extend_from_slice(&entry.stored.number.to_be_bytes());
    put_u8(&mut v, flags(entry.qos, entry.retain));
    put_u8(&mut v, sent.map_or(0, |(_, released)| 1 + u8::from(released)));
    put_u16(&mut v, sent.map_or(0, |(id, _)| id.get()));
    for id in &entry.ids {
        put_varint(&mut v, id.get());
    }
    v
}

pub(super) fn received() -> Vec<u8> {
    vec![FORMAT]
}

pub(super) fn will<I>(will: &PendingWill<I>, identity: &Bytes) -> Vec<u8> {
    let mut v = vec![FORMAT];
    put_binary(&mut v, &binary(identity));
    put_u32(&mut v, will.delay_seconds);
    put_time(&mut v, will.due);
    put_message(&mut v, &will.message, None);
    v
}

fn put_message(v: &mut Vec<u8>, message: &Message, expires: Option<Timestamp>) {
    let has_author = !message.author.is_empty();
    put_u8(v, flags(message.qos, message.retain) | if has_author { AUTHOR } else { 0 });
    put_time(v, expires);
    if has_author {
        put_binary(v, &binary(&message.author));
    }
    put_text(v, message.topic.as_text());
    properties(v, &|out| put_message_properties(out, &message.properties, message.properties.message_expiry));
    v.extend_from_slice(&message.payload);
}

const fn flags(qos: QoS, retain: bool) -> u8 {
    qos.level() | if retain { RETAIN } else { 0 }
}

fn put_time(v: &mut Vec<u8>, time: Option<Timestamp>) {
    v.extend_from_slice(&time.map_or(NEVER, Timestamp::as_micros).to_be_bytes());
}

/// The gate promises at most 65 535 bytes; a longer value is unreadable later, never mistaken for another.
fn binary(bytes: &Bytes) -> Binary {
    Binary::try_from(bytes.clone()).unwrap_or_default()
}

impl Record {
    /// Reads an entry back.
    pub(super) fn read(key: &[u8], value: Bytes) -> Result<Self, DecodeError> {
        let mut k = Reader::new(Bytes::copy_from_slice(key));
        let mut v = Reader::new(value);
        if v.u8()? != FORMAT {
            return Err(DecodeError::Leftover);
        }
        let kind = k.u8()?;
        if kind == b'r' {
            let (message, expires) = read_message(v)?;
            return Ok(Self::Retained { message, expires });
        }
        let id = k.u64()?;
        match kind {
            b's' => read_session(id, v),
            b'f' => read_subscription(id, k.rest(), v),
            b'm' => {
                let (message, expires) = read_message(v)?;
                Ok(Self::Message { number: id, message, expires })
            }
            b'q' => Ok(Self::Entry { id, sequence: k.u64()?, entry: read_entry(v)? }),
            b'i' => Ok(Self::Received { id, packet: k.packet_id()? }),
            b'w' => read_will(id, v),
            _ => Err(DecodeError::Unexpected(kind)),
        }
    }
}

fn read_session(id: SessionId, mut v: Reader) -> Result<Record, DecodeError> {
    let scope = v.binary()?.as_bytes().clone();
    let client_id = v.text()?;
    let identity = v.binary()?.as_bytes().clone();
    let expiry_seconds = v.u32()?;
    let offline_since = read_time(&mut v)?;
    v.finish()?;
    Ok(Record::Session {
        id,
        name: SessionName { scope, client_id },
        identity,
        expiry_seconds,
        offline_since,
    })
}

fn read_subscription(id: SessionId, filter: Bytes, mut v: Reader) -> Result<Record, DecodeError> {
    let filter = crate::codec::Text::try_from(filter).map_err(|_| DecodeError::Text)?;
    let filter = TopicFilter::try_from(filter)?;
    let options = SubscriptionOptions::from_byte(Version::V5, v.u8()?)?;
    let subscription_id = SubscriptionId::new(v.varint()?);
    let inner = v.topic_filter()?;
    v.finish()?;
    Ok(Record::Subscription {
        id,
        filter,
        subscription: Subscription { inner, options, id: subscription_id },
    })
}

fn read_entry(mut v: Reader) -> Result<EntryRecord, DecodeError> {
    let message = v.u64()?;
    let (qos, retain) = read_flags(v.u8()?)?;
    let stage = v.u8()?;
    let packet = v.u16()?;
    let sent = match (stage, PacketId::new(packet)) {
        (0, _) => None,
        (1, Some(id)) => Some((id, false)),
        (2, Some(id)) => Some((id, true)),
        _ => return Err(DecodeError::PacketIdZero),
    };
    let mut ids = Vec::new();
    while !v.is_empty() {
        ids.push(SubscriptionId::new(v.varint()?).ok_or(DecodeError::PropertyValue(0x0B))?);
    }
    Ok(EntryRecord { message, qos, retain, sent, ids })
}

fn read_will(id: SessionId, mut v: Reader) -> Result<Record, DecodeError> {
    let identity = v.binary()?.as_bytes().clone();
    let delay_seconds = v.u32()?;
    let due = read_time(&mut v)?;
    let (message, _) = read_message(v)?;
    Ok(Record::Will { id, identity, message, delay_seconds, due })
}

fn read_message(mut v: Reader) -> Result<(Message, Option<Timestamp>), DecodeError> {
    let flags = v.u8()?;
    let (qos, retain) = read_flags(flags)?;
    let expires = read_time(&mut v)?;
    let author = if flags & AUTHOR == 0 { Bytes::new() } else { v.binary()?.as_bytes().clone() };
    let topic = v.topic_name()?;
    let mut properties = MessageProperties::default();
    read_properties(&mut v, Version::V5, |p| take_message_property(&mut properties, p))?;
    Ok((Message { topic, payload: v.rest(), qos, retain, properties, author }, expires))
}

fn read_flags(byte: u8) -> Result<(QoS, bool), DecodeError> {
    Ok((QoS::from_level(byte & 3).ok_or(DecodeError::Delivery)?, byte & RETAIN != 0))
}

fn read_time(v: &mut Reader) -> Result<Option<Timestamp>, DecodeError> {
    let micros = v.u64()?.cast_signed();
    Ok((micros != NEVER).then(|| Timestamp::from_micros(micros)))
}
