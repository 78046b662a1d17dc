//! What everybody on the way sees, and what not: RFC 8613 §4.1 and §5.3.

use super::header::Header;
use super::{ProtectError, UnprotectError};
use crate::message::{
    Class, Code, Message, MessageOption, OptionNumber, Options, WriteError, Writer, uint_bytes,
};

/// Class U: figure 5 of §4.1, RFC 8768 §5 for Hop-Limit, RFC 9668 §3.1 for EDHOC. What is unknown is encrypted.
pub(super) const fn is_outer(number: OptionNumber) -> bool {
    matches!(
        number,
        OptionNumber::URI_HOST
            | OptionNumber::URI_PORT
            | OptionNumber::OSCORE
            | OptionNumber::PROXY_URI
            | OptionNumber::PROXY_SCHEME
            | OptionNumber::HOP_LIMIT
            | OptionNumber::EDHOC
    )
}

/// Writes the outer message up to the ciphertext, which begins at the returned index.
pub(super) fn write_outer(
    message: &Message<'_>,
    code: Code,
    header: &Header,
    out: &mut [u8],
) -> Result<usize, WriteError> {
    let mut writer = Writer::new(out, message.kind, code, message.id, message.token)?;
    // §4.1.3.5: those on the way have to know of an observation too.
    let outer = message.options.filter(|o| {
        (is_outer(o.number) && o.number != OptionNumber::OSCORE) || o.number == OptionNumber::OBSERVE
    });
    let (value, len) = header.encode();
    let oscore = MessageOption { number: OptionNumber::OSCORE, value: value.get(..len).unwrap_or_default() };
    write_merged(&mut writer, outer, core::iter::once(oscore))?;
    writer.payload_start()
}

/// Writes code, inner options and payload, and returns how many bytes that are.
pub(super) fn write_inner(message: &Message<'_>, out: &mut [u8]) -> Result<usize, ProtectError> {
    if message.options.get(OptionNumber::PROXY_URI).is_some() {
        return Err(ProtectError::ProxyUri);
    }
    let (code, rest) = out.split_first_mut().ok_or(WriteError::NoRoom)?;
    *code = message.code.byte();
    let mut writer = Writer::options_only(rest);
    for option in message.options.filter(|option| !is_outer(option.number)) {
        // §4.1.3.5.2: "For notifications, the Inner Observe Option value MUST be empty".
        let empty = option.number == OptionNumber::OBSERVE && message.code.class() == Class::Response;
        writer.option(option.number, if empty { &[] } else { option.value })?;
    }
    Ok(1 + writer.finish(message.payload)?)
}

/// What was inside.
pub(super) struct Inner<'a> {
    pub(super) code: Code,
    options: Options<'a>,
    payload: &'a [u8],
}

impl<'a> Inner<'a> {
    pub(super) fn decode(plaintext: &'a [u8]) -> Result<Self, UnprotectError> {
        let (code, rest) = plaintext.split_first().ok_or(UnprotectError::Plaintext)?;
        let (options, payload) = Options::split(rest).map_err(|_| UnprotectError::Plaintext)?;
        Ok(Self { code: Code::from_byte(*code), options, payload })
    }

    pub(super) fn get(&self, number: OptionNumber) -> Option<&'a [u8]> {
        self.options.get(number)
    }

    /// Writes the message as it was before it was protected: of the outer message only what is class U counts, and of the
    /// inner one only what is not. `observe` replaces the value of the inner Observe, or takes it away.
    pub(super) fn write(
        &self,
        outer: &Message<'_>,
        observe: Option<u32>,
        out: &mut [u8],
    ) -> Result<usize, WriteError> {
        let mut writer = Writer::new(out, outer.kind, self.code, outer.id, outer.token)?;
        let (bytes, from) = uint_bytes(observe.unwrap_or_default());
        let observe = observe.and(bytes.get(from..));
        let outside = outer.options.filter(|o| is_outer(o.number) && o.number != OptionNumber::OSCORE);
        let inside = self.options.filter(|option| !is_outer(option.number)).filter_map(|option| {
            let value = if option.number == OptionNumber::OBSERVE { observe? } else { option.value };
            Some(MessageOption { number: option.number, value })
        });
        write_merged(&mut writer, outside, inside)?;
        writer.finish(self.payload)
    }
}

/// Writes two ascending sequences as one.
fn write_merged<'a>(
    writer: &mut Writer<'_>,
    left: impl Iterator<Item = MessageOption<'a>>,
    right: impl Iterator<Item = MessageOption<'a>>,
) -> Result<(), WriteError> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    loop {
        let take_left = match (left.peek(), right.peek()) {
            (Some(l), Some(r)) => l.number <= r.number,
            (left, _) => left.is_some(),
        };
        let Some(option) = (if take_left { left.next() } else { right.next() }) else { return Ok(()) };
        writer.option(option.number, option.value)?;
    }
}
