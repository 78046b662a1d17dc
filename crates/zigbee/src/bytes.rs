//! Reading fields from bytes that anybody may have sent, little-endian as in every layer of Zigbee.

/// Why bytes are not the frame or structure that their place asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Malformed {
    /// The field, as `layer.field`.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It does not fit into what is left.
    #[error("cut short: {needed} bytes asked for, {left} left")]
    Truncated {
        /// Bytes that the field takes.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// Bytes follow the last field.
    #[error("{0} bytes too many")]
    Trailing(usize),
    /// A value that is reserved or that this code does not know.
    #[error("value {0:#x} is reserved or unknown")]
    Unknown(u64),
    /// More than is taken.
    #[error("{0} is over the limit")]
    TooMuch(usize),
    /// A field that has to be there is not.
    #[error("missing")]
    Missing,
    /// A value that does not fit into its field.
    #[error("value does not fit its type")]
    Range,
    /// A key that everybody knows, where it has to be a secret.
    #[error("everybody knows this key")]
    WellKnown,
    /// Structures within structures, deeper than is taken.
    #[error("nested too deep")]
    TooDeep,
    /// A checksum that does not match.
    #[error("checksum is {found:#x}, the bytes give {computed:#x}")]
    Checksum {
        /// What the frame carries.
        found: u32,
        /// What its bytes give.
        computed: u32,
    },
}

impl Malformed {
    pub(crate) const fn new(field: &'static str, problem: Problem) -> Self {
        Self { field, problem }
    }

    pub(crate) fn unknown(field: &'static str, value: impl Into<u64>) -> Self {
        Self::new(field, Problem::Unknown(value.into()))
    }
}

/// A cursor that cannot leave its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that is left, which is then read.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// What comes, without reading it; less where there is less.
    pub(crate) fn peek(&self, len: usize) -> &'a [u8] {
        self.rest.get(..len).unwrap_or(self.rest)
    }

    pub(crate) fn take(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], Malformed> {
        let truncated = Problem::Truncated { needed: len, left: self.rest.len() };
        let (taken, rest) =
            self.rest.split_at_checked(len).ok_or_else(|| Malformed::new(field, truncated))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(field, N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    /// Nothing may follow.
    pub(crate) fn finish(&self, field: &'static str) -> Result<(), Malformed> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(Malformed::new(field, Problem::Trailing(left))),
        }
    }
}

/// The length of a list that a frame counts in one byte.
pub(crate) fn count(field: &'static str, len: usize) -> Result<u8, Malformed> {
    u8::try_from(len).map_err(|_| Malformed::new(field, Problem::TooMuch(len)))
}
