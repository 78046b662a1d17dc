//! The little CBOR that messages have, in its only form: RFC 9528 §3.1 wants deterministic encoding.

use alloc::vec::Vec;

use super::EdhocError;

/// A connection or key identifier: a byte string, which travels as an integer where it is one: RFC 9528 §3.3.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier(Vec<u8>);

/// Longest identifier: OSCORE has no longer ones for AES-CCM-16-64-128.
const IDENTIFIER_BYTES_MAX: usize = 7;

impl Identifier {
    /// The identifier of these bytes.
    ///
    /// # Errors
    ///
    /// [`EdhocError::Malformed`] when there are more than 7.
    pub fn new(bytes: &[u8]) -> Result<Self, EdhocError> {
        if bytes.len() > IDENTIFIER_BYTES_MAX {
            return Err(EdhocError::Malformed);
        }
        Ok(Self(bytes.to_vec()))
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As it stands in front of message 3 in a CoAP request: RFC 9528 appendix A.2.
    #[must_use]
    pub fn to_cbor(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self.0[..] {
            [byte] if is_short_int(byte) => out.push(byte),
            _ => write_bytes(&self.0, out),
        }
    }

    pub(super) fn read(rest: &mut &[u8]) -> Result<Self, EdhocError> {
        if let Some((&byte, left)) = rest.split_first()
            && is_short_int(byte)
        {
            *rest = left;
            return Self::new(&[byte]);
        }
        let bytes = read_bytes(rest)?;
        if matches!(bytes, [byte] if is_short_int(*byte)) {
            return Err(EdhocError::Malformed);
        }
        Self::new(bytes)
    }
}

/// An integer from -24 to 23, which is one byte.
const fn is_short_int(byte: u8) -> bool {
    matches!(byte, 0x00..=0x17 | 0x20..=0x37)
}

pub(super) fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_head(0x40, bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// The head of an item with a length or value of up to two bytes, which is more than any message has.
pub(super) fn write_head(major: u8, value: usize, out: &mut Vec<u8>) {
    match (u8::try_from(value), u16::try_from(value).unwrap_or(u16::MAX)) {
        (Ok(small @ 0..24), _) => out.push(major | small),
        (Ok(byte), _) => out.extend_from_slice(&[major | 24, byte]),
        (Err(_), word) => {
            out.push(major | 25);
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
}

pub(super) fn read_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], EdhocError> {
    let (len, left) = match *rest {
        [head @ 0x40..=0x57, left @ ..] => (usize::from(head - 0x40), left),
        [0x58, len @ 24..=u8::MAX, left @ ..] => (usize::from(*len), left),
        [0x59, high @ 1..=u8::MAX, low, left @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), left),
        _ => return Err(EdhocError::Malformed),
    };
    let (bytes, left) = left.split_at_checked(len).ok_or(EdhocError::Malformed)?;
    *rest = left;
    Ok(bytes)
}

/// An unsigned integer of up to one byte.
pub(super) fn read_small(rest: &mut &[u8]) -> Result<u8, EdhocError> {
    let (value, left) = match *rest {
        [value @ 0..=23, left @ ..] => (*value, left),
        [24, value @ 24..=u8::MAX, left @ ..] => (*value, left),
        _ => return Err(EdhocError::Malformed),
    };
    *rest = left;
    Ok(value)
}

/// Passes external authorization data by that need not be known, and refuses what has to be: RFC 9528 §3.8.
pub(super) fn check_data(mut rest: &[u8]) -> Result<(), EdhocError> {
    while let Some(&head) = rest.first() {
        // A label below zero is critical, and 0 is padding.
        if head >> 5 == 1 {
            return Err(EdhocError::CriticalData);
        }
        read_small(&mut rest)?;
        if rest.first().is_some_and(|head| head >> 5 == 2) {
            read_bytes(&mut rest)?;
        }
    }
    Ok(())
}
