//! What a message of a chained stream holds: a CBOR sequence (RFC 8742) of records and statements.

use thingward_model::cbor::Reader;
use thingward_model::limits::ITEMS_PER_MESSAGE_MAX;

use crate::FormatError;
use crate::cose::{ENCRYPT0_TAG, SIGN1_TAG};
use crate::record::Record;
use crate::statement::SignedStatement;

/// One item of a message.
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack for one step; there is no heap to box it on"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// Sealed readings.
    Record(Record<'a>),
    /// A signed statement.
    Statement(SignedStatement<'a>),
}

/// Whether a payload claims to be items of a chain rather than plain readings: it starts with one of our tags.
#[must_use]
pub fn is_chained(payload: &[u8]) -> bool {
    // Tags 16 and 18 take one byte each; no JSON text, SenML pack or number starts with them.
    matches!(payload.first(), Some(0xd0 | 0xd2))
}

/// Reads the items of a message one after the other; ends after the first error.
pub struct Items<'a> {
    reader: Reader<'a>,
    left: usize,
    done: bool,
}

impl<'a> Items<'a> {
    /// The items of `payload`.
    #[must_use]
    pub fn new(payload: &'a [u8]) -> Self {
        Self { reader: Reader::new(payload), left: ITEMS_PER_MESSAGE_MAX, done: false }
    }

    fn read(&mut self) -> Result<Item<'a>, FormatError> {
        if self.left == 0 {
            return Err(FormatError::TooLarge);
        }
        self.left -= 1;
        // From a copy: the item is read with its tag.
        let mut next = self.reader;
        match next.tag()? {
            ENCRYPT0_TAG => Record::read(&mut self.reader).map(Item::Record),
            SIGN1_TAG => SignedStatement::read(&mut self.reader).map(Item::Statement),
            _ => Err(FormatError::Malformed),
        }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done || self.reader.is_at_end() {
            return None;
        }
        let item = self.read();
        self.done = item.is_err();
        Some(item)
    }
}
