//! Identifiers and partial IVs: RFC 8613 §3 and §5.2.

use super::ContextError;

/// Bytes of a length that is bounded by `N`, without allocation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Short<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Short<N> {
    fn of(bytes: &[u8]) -> Option<Self> {
        let mut all = [0; N];
        all.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { bytes: all, len: u8::try_from(bytes.len()).ok()? })
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// RFC 8613 §3.3: an identifier has up to 6 bytes less than the nonce, which has up to 13.
pub(super) const ID_BYTES_MAX: usize = 7;
/// What an OSCORE option of 255 bytes has room for beside its other fields, rounded down.
pub(super) const ID_CONTEXT_BYTES_MAX: usize = 240;

/// A Sender or Recipient ID: which key of a context it is. May be empty.
pub type Id = Short<ID_BYTES_MAX>;
/// An ID Context: which of the contexts with equal IDs it is.
pub type ContextId = Short<ID_CONTEXT_BYTES_MAX>;

impl TryFrom<&[u8]> for Id {
    type Error = ContextError;

    fn try_from(bytes: &[u8]) -> Result<Self, ContextError> {
        Self::of(bytes).ok_or(ContextError::IdTooLong)
    }
}

impl TryFrom<&[u8]> for ContextId {
    type Error = ContextError;

    fn try_from(bytes: &[u8]) -> Result<Self, ContextError> {
        Self::of(bytes).ok_or(ContextError::IdContextTooLong)
    }
}

impl<const N: usize> core::fmt::Debug for Short<N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.as_bytes()).finish()
    }
}

/// Longest partial IV, in bytes: RFC 8613 §5.
pub(super) const PARTIAL_IV_BYTES_MAX: usize = 5;

/// A sender sequence number as it travels: 0 to 2⁴⁰ − 1 in the fewest bytes, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartialIv(u64);

impl PartialIv {
    /// RFC 8613 §7.2.1.
    pub(super) const MAX: u64 = (1 << 40) - 1;

    pub(super) const fn new(number: u64) -> Option<Self> {
        if number > Self::MAX { None } else { Some(Self(number)) }
    }

    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// All five bytes, and the index that the shortest form starts at.
    pub(super) fn bytes(self) -> ([u8; PARTIAL_IV_BYTES_MAX], usize) {
        let [_, _, _, all @ ..] = self.0.to_be_bytes();
        let zeros = all.iter().take_while(|byte| **byte == 0).count();
        (all, zeros.min(PARTIAL_IV_BYTES_MAX - 1))
    }

    /// The number in up to five bytes; `None` for none, more, or a form that is not the shortest.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let shortest = matches!(bytes, [_] | [1..=u8::MAX, ..]) && bytes.len() <= PARTIAL_IV_BYTES_MAX;
        shortest.then(|| Self(bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))))
    }
}
