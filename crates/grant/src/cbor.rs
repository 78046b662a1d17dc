//! Deterministic CBOR (RFC 8949 §4.2.1) and nothing else: every head is the shortest, every length definite.
//!
//! Whoever reads through [`Reader`] cannot be given two encodings of one value; the order of a map's keys is for the
//! reader of the map to check. The reader is our own since a chip has to hold it: it knows the types that grants have,
//! and nothing of floating point, indefinite lengths and error texts.

use minicbor::Encoder;
use minicbor::encode::write::Cursor;
use thingward_model::NameRef;
use thingward_model::name::Kind;

use crate::FormatError;

pub(crate) type SliceEncoder<'a> = Encoder<Cursor<&'a mut [u8]>>;

pub(crate) fn encoder(out: &mut [u8]) -> SliceEncoder<'_> {
    Encoder::new(Cursor::new(out))
}

/// Appends bytes that are CBOR already.
pub(crate) fn append(e: &mut SliceEncoder<'_>, encoded: &[u8]) -> Result<(), FormatError> {
    use minicbor::encode::Write as _;
    e.writer_mut().write_all(encoded).map_err(|_| FormatError::BufferTooSmall)
}

/// The front of `out` that `write` fills.
pub(crate) fn written(
    out: &mut [u8],
    write: impl FnOnce(&mut SliceEncoder<'_>) -> Result<(), FormatError>,
) -> Result<&[u8], FormatError> {
    let mut e = encoder(out);
    write(&mut e)?;
    let len = e.writer().position();
    out.get(..len).ok_or(FormatError::BufferTooSmall)
}

/// What an item is: the major types that grants have, RFC 8949 §3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Major {
    Unsigned = 0,
    Negative = 1,
    Bytes = 2,
    Text = 3,
    Array = 4,
    Map = 5,
    Tag = 6,
    Simple = 7,
}

/// Simple values: RFC 8949 §3.3.
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    whole: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(whole: &'a [u8]) -> Self {
        Self { whole, at: 0 }
    }

    /// The type of the next item. Only for a choice: the item is checked when it is read.
    pub(crate) fn next_major(&self) -> Result<Major, FormatError> {
        Ok(match self.peek()? >> 5 {
            0 => Major::Unsigned,
            1 => Major::Negative,
            2 => Major::Bytes,
            3 => Major::Text,
            4 => Major::Array,
            5 => Major::Map,
            6 => Major::Tag,
            _ => Major::Simple,
        })
    }

    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    pub(crate) const fn is_at_end(&self) -> bool {
        self.at >= self.whole.len()
    }

    /// # Errors
    ///
    /// [`FormatError::Malformed`] when something is left.
    pub(crate) const fn end(&self) -> Result<(), FormatError> {
        if self.is_at_end() { Ok(()) } else { Err(FormatError::Malformed) }
    }

    /// What was read since `start`.
    pub(crate) fn since(&self, start: usize) -> Result<&'a [u8], FormatError> {
        self.whole.get(start..self.at).ok_or(FormatError::Malformed)
    }

    /// Bytes as they are, whatever they encode.
    pub(crate) fn raw(&mut self, len: usize) -> Result<&'a [u8], FormatError> {
        let start = self.at;
        self.at = start.saturating_add(len);
        self.since(start)
    }

    pub(crate) fn tag(&mut self) -> Result<u64, FormatError> {
        self.head(Major::Tag)
    }

    pub(crate) fn array(&mut self) -> Result<u64, FormatError> {
        self.head(Major::Array)
    }

    pub(crate) fn map(&mut self) -> Result<u64, FormatError> {
        self.head(Major::Map)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FormatError> {
        self.head(Major::Unsigned)?.try_into().map_err(|_| FormatError::Malformed)
    }

    pub(crate) fn int(&mut self) -> Result<i64, FormatError> {
        let major = self.next_major()?;
        let argument = match major {
            Major::Unsigned | Major::Negative => self.head(major)?,
            _ => return Err(FormatError::Malformed),
        };
        let n = i64::try_from(argument).map_err(|_| FormatError::Malformed)?;
        // A negative n travels as -1 - n, which is the complement.
        Ok(if major == Major::Negative { !n } else { n })
    }

    pub(crate) fn bool(&mut self) -> Result<bool, FormatError> {
        match self.raw(1)? {
            [FALSE] => Ok(false),
            [TRUE] => Ok(true),
            _ => Err(FormatError::Malformed),
        }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], FormatError> {
        self.string(Major::Bytes)
    }

    pub(crate) fn str(&mut self) -> Result<&'a str, FormatError> {
        core::str::from_utf8(self.string(Major::Text)?).map_err(|_| FormatError::Malformed)
    }

    pub(crate) fn byte_array<const N: usize>(&mut self) -> Result<&'a [u8; N], FormatError> {
        self.bytes()?.try_into().map_err(|_| FormatError::Malformed)
    }

    pub(crate) fn name<K: Kind>(&mut self) -> Result<NameRef<'a, K>, FormatError> {
        NameRef::new(self.str()?).map_err(|_| FormatError::Malformed)
    }

    /// Null, or what `read` makes of something else.
    pub(crate) fn nullable<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, FormatError>,
    ) -> Result<Option<T>, FormatError> {
        if self.peek()? != NULL {
            return read(self).map(Some);
        }
        self.raw(1)?;
        Ok(None)
    }

    fn string(&mut self, major: Major) -> Result<&'a [u8], FormatError> {
        let len = self.head(major)?;
        self.raw(usize::try_from(len).map_err(|_| FormatError::Malformed)?)
    }

    fn peek(&self) -> Result<u8, FormatError> {
        self.whole.get(self.at).copied().ok_or(FormatError::Malformed)
    }

    /// The argument of the next item's head, which has to be of this type and the shortest: RFC 8949 §3.
    #[inline(never)]
    fn head(&mut self, major: Major) -> Result<u64, FormatError> {
        let first = self.peek()?;
        if first >> 5 != major as u8 {
            return Err(FormatError::Malformed);
        }
        self.at = self.at.saturating_add(1);
        // How many bytes follow, and the least argument that needs so many.
        let (more, least) = match first & 31 {
            small @ ..24 => return Ok(small.into()),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            _ => return Err(FormatError::Malformed),
        };
        let argument = self.raw(more)?.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        if argument < least { Err(FormatError::Malformed) } else { Ok(argument) }
    }
}

/// Whether the encoding of the text `a` comes before that of `b`: RFC 8949 §4.2.1. A longer text has a greater length in
/// front of it.
pub(crate) fn comes_before(a: &str, b: &str) -> bool {
    (a.len(), a) < (b.len(), b)
}
