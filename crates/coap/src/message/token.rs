//! What joins a response to its request: RFC 7252 §5.3.1.

use super::DecodeError;

/// A token of 0 to 8 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Token {
    len: u8,
    bytes: [u8; Self::BYTES_MAX],
}

impl Token {
    /// §3: lengths 9 to 15 are reserved.
    pub const BYTES_MAX: usize = 8;

    /// The token of these bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError::TokenTooLong`] when there are more than 8.
    pub fn new(bytes: &[u8]) -> Result<Self, DecodeError> {
        let len = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
        let mut token = Self { len, ..Self::default() };
        let room = token.bytes.get_mut(..bytes.len()).ok_or(DecodeError::TokenTooLong(len))?;
        room.copy_from_slice(bytes);
        Ok(token)
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The length in bytes, as the header has it.
    pub(super) const fn len(&self) -> u8 {
        self.len
    }
}
