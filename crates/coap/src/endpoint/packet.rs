//! What one end says to the other, apart from how it is delivered.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::message::{Code, Message, OptionNumber, Token, Type, WriteError, Writer, uint_bytes};

/// Longest ETag: RFC 7252 §5.10.
const ETAG_BYTES: usize = 8;

/// A request or response: code, options in ascending order, body. Options are wiped, since a query may hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    pub code: Code,
    options: Vec<(OptionNumber, Zeroizing<Vec<u8>>)>,
    pub payload: Vec<u8>,
}

/// Without what is asked in a query, and without what the body says.
impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.options.iter().filter(|(number, _)| *number != OptionNumber::URI_QUERY);
        f.debug_struct("Packet")
            .field("code", &self.code)
            .field("options", &shown.map(|(number, value)| (number, value.as_slice())).collect::<Vec<_>>())
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

impl Packet {
    #[must_use]
    pub const fn new(code: Code) -> Self {
        Self { code, options: Vec::new(), payload: Vec::new() }
    }

    /// A request for a path: one Uri-Path option for each segment.
    #[must_use]
    pub fn to(code: Code, segments: &[&str]) -> Self {
        let packet = Self::new(code);
        segments
            .iter()
            .fold(packet, |packet, segment| packet.with(OptionNumber::URI_PATH, segment.as_bytes()))
    }

    /// With this option behind those of the same number.
    #[must_use]
    pub fn with(mut self, number: OptionNumber, value: &[u8]) -> Self {
        let at = self.options.partition_point(|(other, _)| *other <= number);
        self.options.insert(at, (number, value.to_vec().into()));
        self
    }

    /// With this option of the format uint.
    #[must_use]
    pub fn with_uint(self, number: OptionNumber, value: u32) -> Self {
        let (bytes, from) = uint_bytes(value);
        self.with(number, bytes.get(from..).unwrap_or_default())
    }

    #[must_use]
    pub fn with_payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    /// With an ETag of its body where it has none, so that nobody joins blocks of two states: RFC 7959 §2.4.
    pub(super) fn with_state(self) -> Self {
        if self.get(OptionNumber::ETAG).is_some() {
            return self;
        }
        let digest = Sha256::digest(&self.payload);
        self.with(OptionNumber::ETAG, digest.get(..ETAG_BYTES).unwrap_or_default())
    }

    /// A copy with another body.
    pub(super) fn with_body(&self, payload: &[u8]) -> Self {
        Self { code: self.code, options: self.options.clone(), payload: payload.to_vec() }
    }

    /// Without all options of this number.
    #[must_use]
    pub(super) fn without(mut self, number: OptionNumber) -> Self {
        self.options.retain(|(other, _)| *other != number);
        self
    }

    /// The first option of this number.
    #[must_use]
    pub fn get(&self, number: OptionNumber) -> Option<&[u8]> {
        self.values(number).next()
    }

    /// All options of this number.
    pub fn values(&self, number: OptionNumber) -> impl Iterator<Item = &[u8]> {
        self.options.iter().filter(move |(other, _)| *other == number).map(|(_, value)| value.as_slice())
    }

    pub(super) fn of(message: &Message<'_>) -> Self {
        let options = message.options.map(|option| (option.number, option.value.to_vec().into())).collect();
        Self { code: message.code, options, payload: message.payload.to_vec() }
    }

    /// What a body is known by between its blocks: RFC 7959 §2.4 and RFC 7252 §5.6, less what says which block or
    /// notification it is. The body of a FETCH belongs to it (RFC 8132 §2.1) where it comes whole.
    pub(super) fn cache_key(&self) -> Self {
        let ours = [OptionNumber::BLOCK1, OptionNumber::BLOCK2, OptionNumber::OBSERVE, OptionNumber::ECHO];
        let counts = |number: OptionNumber| !number.is_no_cache_key() && !ours.contains(&number);
        let options = self.options.iter().filter(|(number, _)| counts(*number)).cloned().collect();
        let is_whole = self.code == Code::FETCH && self.get(OptionNumber::BLOCK1).is_none();
        let payload = if is_whole { self.payload.clone() } else { Vec::new() };
        Self { code: self.code, options, payload }
    }

    /// The datagram.
    pub(super) fn encode(&self, kind: Type, id: u16, token: Token) -> Result<Vec<u8>, WriteError> {
        // Five bytes are the longest head of an option, and header, token and marker take 13.
        let options: usize = self.options.iter().map(|(_, value)| value.len() + 5).sum();
        let mut datagram = vec![0; 13 + options + self.payload.len()];
        let mut writer = Writer::new(&mut datagram, kind, self.code, id, token)?;
        for (number, value) in &self.options {
            writer.option(*number, value)?;
        }
        let len = writer.finish(&self.payload)?;
        datagram.truncate(len);
        Ok(datagram)
    }
}
