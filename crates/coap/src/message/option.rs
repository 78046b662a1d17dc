//! Options on the wire: RFC 7252 §3.1.
//!
//! ```text
//!   0   1   2   3   4   5   6   7
//! +---------------+---------------+
//! |  delta: 0-12  |  length: 0-12 |   13: one byte follows, plus 13
//! +---------------+---------------+   14: two bytes follow, plus 269
//! |  delta, 0 to 2 bytes          |   15: reserved
//! |  length, 0 to 2 bytes         |
//! |  value ...                    |
//! ```

use super::{DecodeError, OptionNumber, PAYLOAD_MARKER};

/// One option of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageOption<'a> {
    pub number: OptionNumber,
    pub value: &'a [u8],
}

/// The options of a message in ascending order of their numbers. They were checked when it was decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options<'a> {
    rest: &'a [u8],
    number: u16,
}

impl<'a> Options<'a> {
    /// Splits checked options from what follows the payload marker, which is empty where there is none.
    pub(crate) fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), DecodeError> {
        let mut cursor = Self { rest: bytes, number: 0 };
        loop {
            match cursor.rest.split_first() {
                None => return Ok((Self { rest: bytes, number: 0 }, &[])),
                // §3: "a payload marker followed by a zero-length payload MUST be processed as a message format error".
                Some((&PAYLOAD_MARKER, [])) => return Err(DecodeError::NoPayload),
                Some((&PAYLOAD_MARKER, payload)) => {
                    let before = bytes.len() - cursor.rest.len();
                    let options = bytes.get(..before).unwrap_or_default();
                    return Ok((Self { rest: options, number: 0 }, payload));
                }
                Some((&head, rest)) => cursor.read(head, rest).map(|_| ())?,
            }
        }
    }

    /// The first option of this number.
    #[must_use]
    pub fn get(mut self, number: OptionNumber) -> Option<&'a [u8]> {
        self.find(|option| option.number == number).map(|option| option.value)
    }

    fn read(&mut self, head: u8, rest: &'a [u8]) -> Result<MessageOption<'a>, DecodeError> {
        let (delta, rest) = extended(head >> 4, rest)?;
        let (len, rest) = extended(head & 0x0f, rest)?;
        let number =
            u16::try_from(u32::from(self.number) + delta).map_err(|_| DecodeError::NumberTooLarge)?;
        let len = usize::try_from(len).map_err(|_| DecodeError::Truncated)?;
        let (value, rest) = rest.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        *self = Self { rest, number };
        Ok(MessageOption { number: OptionNumber(number), value })
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = MessageOption<'a>;

    fn next(&mut self) -> Option<MessageOption<'a>> {
        let (&head, rest) = self.rest.split_first()?;
        self.read(head, rest).ok()
    }
}

/// A delta or length of four bits and what they announce.
fn extended(nibble: u8, rest: &[u8]) -> Result<(u32, &[u8]), DecodeError> {
    match (nibble, rest) {
        (0..=12, _) => Ok((u32::from(nibble), rest)),
        (13, [byte, rest @ ..]) => Ok((13 + u32::from(*byte), rest)),
        (14, [high, low, rest @ ..]) => Ok((269 + u32::from(u16::from_be_bytes([*high, *low])), rest)),
        (13 | 14, _) => Err(DecodeError::Truncated),
        _ => Err(DecodeError::ReservedNibble),
    }
}

/// The number in a value of the format uint: RFC 7252 §3.2. Leading zeros are taken; more than 4 bytes are not.
#[must_use]
pub fn uint(value: &[u8]) -> Option<u32> {
    if value.len() > 4 {
        return None;
    }
    Some(value.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
}

/// The shortest form of a number in the format uint: these bytes from the returned index on.
#[must_use]
pub const fn uint_bytes(value: u32) -> ([u8; 4], usize) {
    // At most 32 leading zero bits, which is 4 bytes.
    (value.to_be_bytes(), value.leading_zeros() as usize / 8)
}
