//! A message into the caller's buffer.

use super::{Code, HEADER_BYTES, OptionNumber, PAYLOAD_MARKER, Token, Type, VERSION, uint_bytes};

/// Writes one message: header, then options in ascending order, then the payload.
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    len: usize,
    number: u16,
}

/// Why something was not written. The message that was begun is of no use then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    #[error("the buffer is full")]
    NoRoom,
    #[error("option {0} comes after a larger one")]
    OutOfOrder(u16),
    #[error("a value has more than 65804 bytes")]
    ValueTooLong,
}

impl<'b> Writer<'b> {
    /// Begins a message.
    ///
    /// # Errors
    ///
    /// [`WriteError::NoRoom`] when `buffer` does not hold header and token.
    pub fn new(
        buffer: &'b mut [u8],
        kind: Type,
        code: Code,
        id: u16,
        token: Token,
    ) -> Result<Self, WriteError> {
        let [high, low] = id.to_be_bytes();
        let header: [u8; HEADER_BYTES] =
            [VERSION << 6 | kind.bits() << 4 | token.len(), code.byte(), high, low];
        let mut writer = Self::options_only(buffer);
        writer.bytes(&header)?;
        writer.bytes(token.as_bytes())?;
        Ok(writer)
    }

    /// Begins at the options, as the plaintext of RFC 8613 §5.3 has them behind its code.
    pub(crate) const fn options_only(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0, number: 0 }
    }

    /// Adds an option.
    ///
    /// # Errors
    ///
    /// [`WriteError`]: no room, out of order, or a value that no length can say.
    pub fn option(&mut self, number: OptionNumber, value: &[u8]) -> Result<(), WriteError> {
        let delta = number.0.checked_sub(self.number).ok_or(WriteError::OutOfOrder(number.0))?;
        let (delta, delta_bytes, delta_len) = extended(usize::from(delta)).ok_or(WriteError::ValueTooLong)?;
        let (len, len_bytes, len_len) = extended(value.len()).ok_or(WriteError::ValueTooLong)?;
        self.bytes(&[delta << 4 | len])?;
        self.bytes(delta_bytes.get(..delta_len).unwrap_or_default())?;
        self.bytes(len_bytes.get(..len_len).unwrap_or_default())?;
        self.bytes(value)?;
        self.number = number.0;
        Ok(())
    }

    /// Adds an option of the format uint: RFC 7252 §3.2.
    ///
    /// # Errors
    ///
    /// As [`Self::option`].
    pub fn uint(&mut self, number: OptionNumber, value: u32) -> Result<(), WriteError> {
        let (bytes, from) = uint_bytes(value);
        self.option(number, bytes.get(from..).unwrap_or_default())
    }

    /// Ends the message with its payload, which may be empty, and returns its length in bytes.
    ///
    /// # Errors
    ///
    /// [`WriteError::NoRoom`].
    pub fn finish(mut self, payload: &[u8]) -> Result<usize, WriteError> {
        if !payload.is_empty() {
            self.bytes(&[PAYLOAD_MARKER])?;
            self.bytes(payload)?;
        }
        Ok(self.len)
    }

    /// Ends the options with a payload marker, and returns where the payload begins in the buffer.
    pub(crate) fn payload_start(mut self) -> Result<usize, WriteError> {
        self.bytes(&[PAYLOAD_MARKER])?;
        Ok(self.len)
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let end = self.len + bytes.len();
        self.buffer.get_mut(self.len..end).ok_or(WriteError::NoRoom)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }
}

/// Four bits for a delta or length, and up to two bytes that follow: RFC 7252 §3.1.
fn extended(value: usize) -> Option<(u8, [u8; 2], usize)> {
    if let Some(more) = value.checked_sub(269) {
        return Some((14, u16::try_from(more).ok()?.to_be_bytes(), 2));
    }
    let small = u8::try_from(value.checked_sub(13).unwrap_or(value)).ok()?;
    Some(if value < 13 { (small, [0; 2], 0) } else { (13, [small, 0], 1) })
}
