//! Deterministic CBOR (RFC 8949 §4.2.1), as [`Reader`] takes it and nothing else.

use minicbor::Encoder;
use minicbor::encode::write::Cursor;
pub(crate) use thingward_model::cbor::{Major, Reader};

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

/// Whether the encoding of the text `a` comes before that of `b`: RFC 8949 §4.2.1. A longer text has a greater length in
/// front of it.
pub(crate) fn comes_before(a: &str, b: &str) -> bool {
    (a.len(), a) < (b.len(), b)
}
