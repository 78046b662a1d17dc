//! Deterministic CBOR (RFC 8949 §4.2.1), as [`Reader`] takes it and nothing else.

pub(crate) use thingward_model::cbor::{Major, Reader, Writer};

use crate::FormatError;

/// The front of `out` that `write` fills.
pub(crate) fn written(
    out: &mut [u8],
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), FormatError>,
) -> Result<&[u8], FormatError> {
    let mut e = Writer::new(out);
    write(&mut e)?;
    let len = e.position();
    out.get(..len).ok_or(FormatError::BufferTooSmall)
}

/// Whether the encoding of the text `a` comes before that of `b`: RFC 8949 §4.2.1. A longer text has a greater length in
/// front of it.
pub(crate) fn comes_before(a: &str, b: &str) -> bool {
    (a.len(), a) < (b.len(), b)
}
