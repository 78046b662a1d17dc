//! Deterministic CBOR (RFC 8949 §4.2.1) and nothing else: every head is the shortest, every length definite.
//!
//! Whoever reads through [`Reader`] cannot be given two encodings of one value; the order of a map's keys is for the
//! reader of the map to check.

use minicbor::data::Type;
use minicbor::encode::write::Cursor;
use minicbor::{Decoder, Encoder};

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

#[derive(Debug, Clone)]
pub(crate) struct Reader<'a>(Decoder<'a>);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(Decoder::new(bytes))
    }

    /// The type of the next item. Only for a choice: the item is checked when it is read.
    pub(crate) fn next_type(&self) -> Result<Type, FormatError> {
        Ok(self.0.datatype()?)
    }

    pub(crate) fn position(&self) -> usize {
        self.0.position()
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.0.position() >= self.0.input().len()
    }

    /// # Errors
    ///
    /// [`FormatError::Malformed`] when something is left.
    pub(crate) fn end(&self) -> Result<(), FormatError> {
        if self.is_at_end() { Ok(()) } else { Err(FormatError::Malformed) }
    }

    /// What was read since `start`.
    pub(crate) fn since(&self, start: usize) -> Result<&'a [u8], FormatError> {
        self.0.input().get(start..self.0.position()).ok_or(FormatError::Malformed)
    }

    pub(crate) fn tag(&mut self) -> Result<u64, FormatError> {
        self.head(|d| Ok(d.tag()?.as_u64()), |tag| *tag, 0)
    }

    pub(crate) fn array(&mut self) -> Result<u64, FormatError> {
        self.head(|d| d.array()?.ok_or(FormatError::Malformed), |len| *len, 0)
    }

    pub(crate) fn map(&mut self) -> Result<u64, FormatError> {
        self.head(|d| d.map()?.ok_or(FormatError::Malformed), |len| *len, 0)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FormatError> {
        self.head(|d| Ok(d.u32()?), |n| u64::from(*n), 0)
    }

    pub(crate) fn int(&mut self) -> Result<i64, FormatError> {
        // A negative n travels as -1 - n, which is the complement: RFC 8949 §3.1.
        self.head(|d| Ok(d.i64()?), |n| if *n < 0 { !n.cast_unsigned() } else { n.cast_unsigned() }, 0)
    }

    pub(crate) fn bool(&mut self) -> Result<bool, FormatError> {
        Ok(self.0.bool()?)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], FormatError> {
        let len = self.0.probe().bytes()?.len();
        self.head(|d| Ok(d.bytes()?), |b| b.len() as u64, len)
    }

    pub(crate) fn str(&mut self) -> Result<&'a str, FormatError> {
        let len = self.0.probe().str()?.len();
        self.head(|d| Ok(d.str()?), |s| s.len() as u64, len)
    }

    /// Bytes as they are, whatever they encode.
    pub(crate) fn raw(&mut self, len: usize) -> Result<&'a [u8], FormatError> {
        let start = self.0.position();
        self.0.set_position(start.saturating_add(len));
        self.since(start)
    }

    pub(crate) fn byte_array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        self.bytes()?.try_into().map_err(|_| FormatError::Malformed)
    }

    pub(crate) fn name<T: core::str::FromStr>(&mut self) -> Result<T, FormatError> {
        self.str()?.parse().map_err(|_| FormatError::Malformed)
    }

    /// Null, or what `read` makes of something else.
    pub(crate) fn nullable<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, FormatError>,
    ) -> Result<Option<T>, FormatError> {
        if self.next_type()? != Type::Null {
            return read(self).map(Some);
        }
        self.0.null()?;
        Ok(None)
    }

    /// Reads an item and demands that its head is the shortest for its argument. `content` is what the item has behind
    /// its head, in bytes.
    fn head<T>(
        &mut self,
        read: impl FnOnce(&mut Decoder<'a>) -> Result<T, FormatError>,
        argument: impl FnOnce(&T) -> u64,
        content: usize,
    ) -> Result<T, FormatError> {
        let start = self.0.position();
        let item = read(&mut self.0)?;
        let head = self.0.position().saturating_sub(start).saturating_sub(content);
        if head == head_bytes(argument(&item)) { Ok(item) } else { Err(FormatError::Malformed) }
    }
}

/// Bytes of the head of an item with this argument: RFC 8949 §3.
pub(crate) const fn head_bytes(argument: u64) -> usize {
    match argument {
        0..=23 => 1,
        24..=0xff => 2,
        0x100..=0xffff => 3,
        0x1_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// Whether the encoding of the text `a` comes before that of `b`: RFC 8949 §4.2.1. A longer text has a greater length in
/// front of it.
pub(crate) fn comes_before(a: &str, b: &str) -> bool {
    (a.len(), a) < (b.len(), b)
}
