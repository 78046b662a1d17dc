//! Fields into bytes. Each packet is written twice: once into a counter, once for real.

use bytes::{BufMut, BytesMut};

use crate::codec::{Binary, Text};

/// Bytes of the largest packet that the protocol can express: one type byte, four length bytes, 268 435 455 more.
pub const PACKET_BYTES_PROTOCOL_MAX: usize = 268_435_455 + 5;

/// Largest variable byte integer: §1.5.5.
pub(crate) const VARINT_MAX: u32 = 268_435_455;

/// The packet is larger than the peer takes, or than the protocol can express. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("packet of {size} bytes, the peer takes {limit}")]
pub struct PacketTooLarge {
    /// Bytes of the whole packet.
    pub size: usize,
    /// Bytes that may be sent.
    pub limit: usize,
}

/// Where fields go.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for BytesMut {
    fn put(&mut self, bytes: &[u8]) {
        self.put_slice(bytes);
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts what would be written.
struct Count(usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

fn count(write: &dyn Fn(&mut dyn Sink)) -> usize {
    let mut sink = Count(0);
    write(&mut sink);
    sink.0
}

/// Writes one packet: the first byte, the remaining length, the body.
pub(crate) fn frame(
    out: &mut BytesMut,
    first: u8,
    limit: usize,
    body: &dyn Fn(&mut dyn Sink),
) -> Result<(), PacketTooLarge> {
    let remaining = count(body);
    let size = remaining.saturating_add(1 + varint_len(remaining));
    let limit = limit.min(PACKET_BYTES_PROTOCOL_MAX);
    if size > limit {
        return Err(PacketTooLarge { size, limit });
    }
    out.reserve(size);
    out.put_u8(first);
    put_length(out, remaining);
    body(out);
    Ok(())
}

/// Writes a property block with its length before it: §2.2.2.1.
pub(crate) fn properties(out: &mut dyn Sink, block: &dyn Fn(&mut dyn Sink)) {
    put_length(out, count(block));
    block(out);
}

fn put_length(out: &mut dyn Sink, len: usize) {
    // A block beyond the range makes the packet too large, which `frame` finds before anything is sent.
    put_varint(out, u32::try_from(len).unwrap_or(VARINT_MAX));
}

const fn varint_len(value: usize) -> usize {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

pub(crate) fn put_varint(out: &mut dyn Sink, value: u32) {
    let mut rest = value;
    loop {
        let low = rest.to_le_bytes()[0] & 0x7f;
        rest >>= 7;
        if rest == 0 {
            return out.put(&[low]);
        }
        out.put(&[low | 0x80]);
    }
}

pub(crate) fn put_u8(out: &mut dyn Sink, value: u8) {
    out.put(&[value]);
}

pub(crate) fn put_u16(out: &mut dyn Sink, value: u16) {
    out.put(&value.to_be_bytes());
}

pub(crate) fn put_u32(out: &mut dyn Sink, value: u32) {
    out.put(&value.to_be_bytes());
}

pub(crate) fn put_text(out: &mut dyn Sink, text: &Text) {
    put_counted(out, text.as_bytes());
}

pub(crate) fn put_binary(out: &mut dyn Sink, binary: &Binary) {
    put_counted(out, binary.as_bytes());
}

fn put_counted(out: &mut dyn Sink, bytes: &[u8]) {
    // `Text` and `Binary` never exceed two length bytes.
    put_u16(out, u16::try_from(bytes.len()).unwrap_or(u16::MAX));
    out.put(bytes);
}
