//! The fixed header and the choice of packet: §2.1.

use bytes::{Buf, BytesMut};

use crate::codec::reader::Reader;
use crate::codec::writer::{PacketTooLarge, frame};
use crate::codec::{
    Ack, AckKind, Auth, ConnAck, Connect, DecodeError, Disconnect, FilterAck, FilterAckKind, Publish,
    Subscribe, Unsubscribe, Version,
};

/// Which end reads. Each takes only what the other may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receiver {
    /// Reads what clients send.
    Server,
    /// Reads what servers send.
    Client,
}

/// A control packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// Client to server: open a session.
    Connect(Box<Connect>),
    /// Server to client: the answer to CONNECT.
    ConnAck(Box<ConnAck>),
    /// A message.
    Publish(Publish),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack(AckKind, Ack),
    /// Client to server: ask for messages.
    Subscribe(Subscribe),
    /// Client to server: end subscriptions.
    Unsubscribe(Unsubscribe),
    /// Server to client: SUBACK or UNSUBACK.
    FilterAck(FilterAckKind, FilterAck),
    /// Client to server: I am here.
    PingReq,
    /// Server to client: so am I.
    PingResp,
    /// The last packet of a connection.
    Disconnect(Disconnect),
    /// A step of an extended authentication, MQTT 5.0 only.
    Auth(Auth),
}

/// Takes the first packet from `buf` once all of it is there; `Ok(None)` asks for more bytes.
///
/// A packet of more than `limit` bytes is refused as soon as its length is known. `version` is that of the
/// connection; CONNECT brings its own. Payloads share the memory of `buf`.
///
/// # Errors
///
/// See [`DecodeError`]. The connection cannot go on after one; `buf` is in no defined state.
pub fn decode(
    receiver: Receiver,
    version: Version,
    buf: &mut BytesMut,
    limit: usize,
) -> Result<Option<Packet>, DecodeError> {
    let Some(header) = Header::read(buf)? else { return Ok(None) };
    let size = header.len.saturating_add(header.remaining);
    if size > limit {
        return Err(DecodeError::PacketTooLarge { size, limit });
    }
    if buf.len() < size {
        return Ok(None);
    }
    let mut packet = buf.split_to(size);
    packet.advance(header.len);
    Packet::read(receiver, version, header.first, Reader::new(packet.freeze())).map(Some)
}

/// The type (1 to 15, 0 is reserved) of the packet that `buf` begins with; `None` while it is empty.
#[must_use]
pub fn packet_type(buf: &[u8]) -> Option<u8> {
    buf.first().map(|first| first >> 4)
}

struct Header {
    first: u8,
    /// Bytes of the header itself.
    len: usize,
    /// Bytes that follow it.
    remaining: usize,
}

impl Header {
    fn read(buf: &[u8]) -> Result<Option<Self>, DecodeError> {
        let Some((&first, rest)) = buf.split_first() else { return Ok(None) };
        let mut remaining = 0;
        for (index, byte) in rest.iter().take(4).enumerate() {
            remaining |= usize::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(Some(Self { first, len: index + 2, remaining }));
            }
        }
        if rest.len() >= 4 { Err(DecodeError::Length) } else { Ok(None) }
    }
}

impl Packet {
    fn read(receiver: Receiver, version: Version, first: u8, r: Reader) -> Result<Self, DecodeError> {
        let (kind, flags) = (first >> 4, first & 0x0f);
        let server = receiver == Receiver::Server;
        let v5 = version == Version::V5;
        let packet = match kind {
            1 if server => Self::Connect(Box::new(Connect::read(flags, r)?)),
            2 if !server => {
                plain(flags, 0).and_then(|()| ConnAck::read(version, r)).map(Box::new).map(Self::ConnAck)?
            }
            3 => Self::Publish(Publish::read(server, version, flags, r)?),
            4..=7 => {
                let (kind, wanted) = match kind {
                    4 => (AckKind::PubAck, 0),
                    5 => (AckKind::PubRec, 0),
                    6 => (AckKind::PubRel, 2),
                    _ => (AckKind::PubComp, 0),
                };
                // MQTT 3.1 used these bits for redelivery: §3.6 there.
                if version != Version::V3_1 {
                    plain(flags, wanted)?;
                }
                Self::Ack(kind, Ack::read(kind, version, r)?)
            }
            8 if server => {
                plain_subscription(version, flags)?;
                Self::Subscribe(Subscribe::read(version, r)?)
            }
            10 if server => {
                plain_subscription(version, flags)?;
                Self::Unsubscribe(Unsubscribe::read(version, r)?)
            }
            9 | 11 | 13 => {
                plain(flags, 0)?;
                let answer =
                    |kind, r| FilterAck::read(kind, version, r).map(|ack| Self::FilterAck(kind, ack));
                match kind {
                    _ if server => return Err(DecodeError::Unexpected(kind)),
                    9 => answer(FilterAckKind::SubAck, r)?,
                    11 => answer(FilterAckKind::UnsubAck, r)?,
                    _ => r.finish().map(|()| Self::PingResp)?,
                }
            }
            12 if server => {
                plain(flags, 0)?;
                r.finish()?;
                Self::PingReq
            }
            14 if server || v5 => {
                plain(flags, 0)?;
                Self::Disconnect(Disconnect::read(version, r)?)
            }
            15 if v5 => {
                plain(flags, 0)?;
                Self::Auth(Auth::read(r)?)
            }
            _ => return Err(DecodeError::Unexpected(kind)),
        };
        Ok(packet)
    }

    /// Writes the packet after what `out` already has.
    ///
    /// # Errors
    ///
    /// The packet is larger than `limit` bytes; nothing was written.
    pub fn write(&self, version: Version, limit: usize, out: &mut BytesMut) -> Result<(), PacketTooLarge> {
        match self {
            Self::Connect(p) => p.write(limit, out),
            Self::ConnAck(p) => p.write(version, limit, out),
            Self::Publish(p) => p.write(version, limit, out),
            Self::Ack(kind, p) => p.write(*kind, version, limit, out),
            Self::Subscribe(p) => p.write(version, limit, out),
            Self::Unsubscribe(p) => p.write(version, limit, out),
            Self::FilterAck(kind, p) => p.write(*kind, version, limit, out),
            Self::PingReq => frame(out, 0xC0, limit, &|_| ()),
            Self::PingResp => frame(out, 0xD0, limit, &|_| ()),
            Self::Disconnect(p) => p.write(version, limit, out),
            Self::Auth(p) => p.write(limit, out),
        }
    }
}

fn plain(flags: u8, wanted: u8) -> Result<(), DecodeError> {
    if flags == wanted { Ok(()) } else { Err(DecodeError::Flags) }
}

/// MQTT 3.1 also has a duplicate flag on these: §3.8 and §3.10 there.
fn plain_subscription(version: Version, flags: u8) -> Result<(), DecodeError> {
    match version {
        Version::V3_1 => plain(flags & !0x08, 2),
        Version::V3_1_1 | Version::V5 => plain(flags, 2),
    }
}
