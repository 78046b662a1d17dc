//! Writes what [`Reader`](super::Reader) reads.

use super::{DOUBLE, FALSE, Major, NULL, SINGLE, TRUE};

/// There is no room for what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// Writes one item behind the other, each with the shortest head. Behind one that found no room nothing counts.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut [u8],
    at: usize,
}

/// As [`Writer`], after an item.
type Written<'w, 'o> = Result<&'w mut Writer<'o>, Full>;

impl<'o> Writer<'o> {
    /// At the front of `out`.
    #[must_use]
    pub const fn new(out: &'o mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    /// How many bytes were written.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    /// Bytes as they are, whatever they encode.
    ///
    /// # Errors
    ///
    /// [`Full`], as with all that is written.
    #[inline(never)]
    pub fn raw(&mut self, bytes: &[u8]) -> Written<'_, 'o> {
        let end = self.at.saturating_add(bytes.len());
        self.out.get_mut(self.at..end).ok_or(Full)?.copy_from_slice(bytes);
        self.at = end;
        Ok(self)
    }

    /// A tag; its item follows.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn tag(&mut self, tag: u64) -> Written<'_, 'o> {
        self.head(Major::Tag, tag)
    }

    /// The head of an array; so many items follow.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn array(&mut self, len: usize) -> Written<'_, 'o> {
        self.len(Major::Array, len)
    }

    /// The head of a map; so many members follow.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn map(&mut self, len: usize) -> Written<'_, 'o> {
        self.len(Major::Map, len)
    }

    /// The head of so many bytes, which follow.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn bytes_len(&mut self, len: usize) -> Written<'_, 'o> {
        self.len(Major::Bytes, len)
    }

    /// Bytes.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn bytes(&mut self, bytes: &[u8]) -> Written<'_, 'o> {
        self.string(Major::Bytes, bytes)
    }

    /// A text.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn str(&mut self, text: &str) -> Written<'_, 'o> {
        self.string(Major::Text, text.as_bytes())
    }

    /// The head of a text of so many bytes, which follow.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn str_len(&mut self, len: usize) -> Written<'_, 'o> {
        self.len(Major::Text, len)
    }

    /// A whole number.
    ///
    /// # Errors
    ///
    /// [`Full`].
    #[inline(never)]
    pub fn int(&mut self, n: i64) -> Written<'_, 'o> {
        // A negative n travels as -1 - n, which is the complement.
        let (major, n) = if n < 0 { (Major::Negative, !n) } else { (Major::Unsigned, n) };
        self.head(major, n.cast_unsigned())
    }

    /// One from 0 on.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn u64(&mut self, n: u64) -> Written<'_, 'o> {
        self.head(Major::Unsigned, n)
    }

    /// One of 32 bits.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn u32(&mut self, n: u32) -> Written<'_, 'o> {
        self.u64(n.into())
    }

    /// One of 8 bits.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn u8(&mut self, n: u8) -> Written<'_, 'o> {
        self.u64(n.into())
    }

    /// A floating-point number of 32 bits.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn f32(&mut self, n: f32) -> Written<'_, 'o> {
        self.raw(&[SINGLE])?.raw(&n.to_be_bytes())
    }

    /// One of 64 bits.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn f64(&mut self, n: f64) -> Written<'_, 'o> {
        self.raw(&[DOUBLE])?.raw(&n.to_be_bytes())
    }

    /// A truth.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn bool(&mut self, is_true: bool) -> Written<'_, 'o> {
        self.raw(&[if is_true { TRUE } else { FALSE }])
    }

    /// Null.
    ///
    /// # Errors
    ///
    /// [`Full`].
    pub fn null(&mut self) -> Written<'_, 'o> {
        self.raw(&[NULL])
    }

    #[inline(never)]
    fn string(&mut self, major: Major, bytes: &[u8]) -> Written<'_, 'o> {
        self.len(major, bytes.len())?.raw(bytes)
    }

    fn len(&mut self, major: Major, len: usize) -> Written<'_, 'o> {
        self.head(major, u64::try_from(len).map_err(|_| Full)?)
    }

    /// RFC 8949 §3.
    #[inline(never)]
    fn head(&mut self, major: Major, argument: u64) -> Written<'_, 'o> {
        let bytes = argument.to_be_bytes();
        // How many bytes are zeros in front, and what stands for so many behind them.
        let (zeros, info) = match argument {
            0..24 => (8, bytes[7]),
            24..0x100 => (7, 24),
            0x100..0x1_0000 => (6, 25),
            0x1_0000..0x1_0000_0000 => (4, 26),
            _ => (0, 27),
        };
        self.raw(&[(major as u8) << 5 | info])?.raw(bytes.get(zeros..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::cbor::Reader;

    fn written(write: impl Fn(&mut Writer<'_>) -> Result<(), Full>) -> Vec<u8> {
        let mut out = [0; 64];
        let mut w = Writer::new(&mut out);
        write(&mut w).unwrap();
        let len = w.position();
        // Not a byte less will do.
        assert_eq!(write(&mut Writer::new(&mut [0; 64][..len - 1])), Err(Full));
        out[..len].to_vec()
    }

    /// Examples of RFC 8949, appendix A.
    #[test]
    fn items_are_those_of_the_standard() {
        let int = |n: i64| written(|w| w.int(n).map(drop));
        assert_eq!([int(0), int(23), int(24), int(100)].concat(), [0x00, 0x17, 0x18, 0x18, 0x18, 0x64]);
        assert_eq!(int(1000), [0x19, 0x03, 0xe8]);
        assert_eq!(int(1_000_000), [0x1a, 0x00, 0x0f, 0x42, 0x40]);
        assert_eq!(int(1_000_000_000_000), [0x1b, 0x00, 0x00, 0x00, 0xe8, 0xd4, 0xa5, 0x10, 0x00]);
        assert_eq!([int(-1), int(-10)].concat(), [0x20, 0x29]);
        assert_eq!([int(-100), int(-1000)].concat(), [0x38, 0x63, 0x39, 0x03, 0xe7]);
        assert_eq!(written(|w| w.bytes(&[1, 2, 3, 4]).map(drop)), [0x44, 1, 2, 3, 4]);
        assert_eq!(written(|w| w.str("ü").map(drop)), [0x62, 0xc3, 0xbc]);
        assert_eq!(
            written(|w| w.array(0)?.map(0)?.null()?.bool(true)?.bool(false).map(drop)),
            [0x80, 0xa0, 0xf6, 0xf5, 0xf4]
        );
        assert_eq!(written(|w| w.tag(1)?.u32(1_363_896_240).map(drop)), [0xc1, 0x1a, 0x51, 0x4b, 0x67, 0xb0]);
        assert_eq!(written(|w| w.f32(100_000.0).map(drop)), [0xfa, 0x47, 0xc3, 0x50, 0x00]);
        assert_eq!(written(|w| w.f64(1.1).map(drop)), [0xfb, 0x3f, 0xf1, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(n: i64, u: u64, bytes in proptest::collection::vec(any::<u8>(), 0..30)) {
            let text = written(|w| w.int(n)?.u64(u)?.bytes(&bytes).map(drop));
            let mut r = Reader::new(&text);
            prop_assert_eq!((r.int(), r.u64(), r.bytes()), (Ok(n), Ok(u), Ok(bytes.as_slice())));
            prop_assert!(r.is_at_end());
        }
    }
}
