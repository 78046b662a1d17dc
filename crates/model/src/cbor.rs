//! Deterministic CBOR (RFC 8949 §4.2.1) and nothing else: every head is the shortest, every length definite.
//!
//! Whoever reads through [`Reader`] cannot be given two encodings of one value, and [`Writer`] writes no other; the order of a
//! map's keys is for those who read and write the map. Both are our own since a chip has to hold them: they know the types
//! that the product's messages have, and nothing of indefinite lengths and error texts.

mod writer;

pub use writer::{Full, Writer};

use crate::name::{Kind, NameRef};
use crate::text::from_utf8;

/// Not what its place asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// What an item is: RFC 8949 §3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Major {
    /// A whole number from 0 on.
    Unsigned = 0,
    /// One below 0.
    Negative = 1,
    /// Bytes.
    Bytes = 2,
    /// A text.
    Text = 3,
    /// Items.
    Array = 4,
    /// Items by their keys.
    Map = 5,
    /// An item with a tag.
    Tag = 6,
    /// A truth, null, or a floating-point number.
    Simple = 7,
}

/// Simple values: RFC 8949 §3.3.
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
/// Null.
pub const NULL: u8 = 0xf6;
/// What a floating-point number of 32 bits begins with.
pub const SINGLE: u8 = 0xfa;
/// What one of 64 bits begins with.
pub const DOUBLE: u8 = 0xfb;

/// Reads one item after the other. What it cannot read is [`Malformed`], and then it stands nobody knows where.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    whole: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// At the front of `whole`.
    #[must_use]
    pub const fn new(whole: &'a [u8]) -> Self {
        Self { whole, at: 0 }
    }

    /// The type of the next item. Only for a choice: the item is checked when it is read.
    ///
    /// # Errors
    ///
    /// [`Malformed`] at the end.
    pub fn next_major(&self) -> Result<Major, Malformed> {
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

    /// How many bytes were read.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_at_end(&self) -> bool {
        self.at >= self.whole.len()
    }

    /// # Errors
    ///
    /// [`Malformed`] when something is left.
    pub const fn end(&self) -> Result<(), Malformed> {
        if self.is_at_end() { Ok(()) } else { Err(Malformed) }
    }

    /// What was read since `start`.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn since(&self, start: usize) -> Result<&'a [u8], Malformed> {
        self.whole.get(start..self.at).ok_or(Malformed)
    }

    /// Bytes as they are, whatever they encode.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn raw(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let start = self.at;
        self.at = start.saturating_add(len);
        self.since(start)
    }

    /// A tag; its item follows.
    ///
    /// # Errors
    ///
    /// [`Malformed`], as with all that is read.
    pub fn tag(&mut self) -> Result<u64, Malformed> {
        self.head(Major::Tag)
    }

    /// The length of an array; its items follow.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn array(&mut self) -> Result<usize, Malformed> {
        self.len(Major::Array)
    }

    /// The number of members of a map; their keys and values follow.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn map(&mut self) -> Result<usize, Malformed> {
        self.len(Major::Map)
    }

    /// A whole number from 0 on.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.head(Major::Unsigned)
    }

    /// One of 8 bits.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.u64()?.try_into().map_err(|_| Malformed)
    }

    /// One of 32 bits.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.head(Major::Unsigned)?.try_into().map_err(|_| Malformed)
    }

    /// A whole number.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn int(&mut self) -> Result<i64, Malformed> {
        let major = self.next_major()?;
        let argument = match major {
            Major::Unsigned | Major::Negative => self.head(major)?,
            _ => return Err(Malformed),
        };
        let n = i64::try_from(argument).map_err(|_| Malformed)?;
        // A negative n travels as -1 - n, which is the complement.
        Ok(if major == Major::Negative { !n } else { n })
    }

    /// A truth.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn bool(&mut self) -> Result<bool, Malformed> {
        match self.raw(1)? {
            [FALSE] => Ok(false),
            [TRUE] => Ok(true),
            _ => Err(Malformed),
        }
    }

    /// Bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        self.string(Major::Bytes)
    }

    /// A text.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn str(&mut self) -> Result<&'a str, Malformed> {
        from_utf8(self.string(Major::Text)?).ok_or(Malformed)
    }

    /// So many bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn byte_array<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        self.bytes()?.try_into().map_err(|_| Malformed)
    }

    /// A name.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn name<K: Kind>(&mut self) -> Result<NameRef<'a, K>, Malformed> {
        NameRef::new(self.str()?).map_err(|_| Malformed)
    }

    /// Null, or what `read` makes of something else.
    ///
    /// # Errors
    ///
    /// [`Malformed`], or `read`'s.
    pub fn nullable<T, E: From<Malformed>>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        if self.peek()? != NULL {
            return read(self).map(Some);
        }
        self.raw(1)?;
        Ok(None)
    }

    fn string(&mut self, major: Major) -> Result<&'a [u8], Malformed> {
        let len = self.len(major)?;
        self.raw(len)
    }

    #[inline(never)]
    fn len(&mut self, major: Major) -> Result<usize, Malformed> {
        self.head(major)?.try_into().map_err(|_| Malformed)
    }

    /// The next byte, which says what the next item is.
    ///
    /// # Errors
    ///
    /// [`Malformed`] at the end.
    pub fn peek(&self) -> Result<u8, Malformed> {
        self.whole.get(self.at).copied().ok_or(Malformed)
    }

    /// The argument of the next item's head, which has to be of this type and the shortest: RFC 8949 §3.
    #[inline(never)]
    fn head(&mut self, major: Major) -> Result<u64, Malformed> {
        let first = self.peek()?;
        if first >> 5 != major as u8 {
            return Err(Malformed);
        }
        self.at = self.at.saturating_add(1);
        // How many bytes follow, and the least argument that needs so many.
        let (more, least) = match first & 31 {
            small @ ..24 => return Ok(small.into()),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            _ => return Err(Malformed),
        };
        let argument = self.raw(more)?.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        if argument < least { Err(Malformed) } else { Ok(argument) }
    }
}
