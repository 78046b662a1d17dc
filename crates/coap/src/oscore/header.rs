//! The value of the OSCORE option: RFC 8613 §6.1.
//!
//! ```text
//!  0 1 2 3 4 5 6 7 <------------- n bytes -------------->
//! +-+-+-+-+-+-+-+-+--------------------------------------
//! |0 0 0|h|k|  n  |       Partial IV (if any) ...
//! +-+-+-+-+-+-+-+-+--------------------------------------
//!  <- 1 byte -> <----- s bytes ------>
//! +------------+----------------------+------------------+
//! | s (if any) | kid context (if any) | kid (if any) ... |
//! +------------+----------------------+------------------+
//! ```

use super::id::{ID_BYTES_MAX, ID_CONTEXT_BYTES_MAX, PARTIAL_IV_BYTES_MAX};
use super::{ContextId, Id, PartialIv};

/// Which context, key and nonce a message was protected with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    pub partial_iv: Option<PartialIv>,
    pub kid_context: Option<ContextId>,
    pub kid: Option<Id>,
}

/// Why an OSCORE option is not one: RFC 8613 §8.2, answered with 4.02.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("a flag of the OSCORE option is reserved")]
    ReservedFlag,
    #[error("the OSCORE option ends in the middle")]
    Truncated,
    #[error("the partial IV is longer than it needs or may be")]
    PartialIv,
    #[error("an identifier is longer than any context has")]
    TooLong,
    #[error("something follows the last field, or an option of one zero byte")]
    Leftover,
}

const KID_CONTEXT_FLAG: u8 = 0x10;
const KID_FLAG: u8 = 0x08;
const PARTIAL_IV_LEN: u8 = 0x07;

/// Longest value that is written here.
pub(super) const HEADER_BYTES_MAX: usize = 2 + PARTIAL_IV_BYTES_MAX + ID_CONTEXT_BYTES_MAX + ID_BYTES_MAX;
/// How much longer than the plain message a protected one is at most: the option with its head, the inner code, a second
/// Observe, marker and tag.
pub const OVERHEAD_BYTES_MAX: usize = HEADER_BYTES_MAX + 5 + 1 + 6 + 1 + 16;
const _: () = assert!(HEADER_BYTES_MAX <= 255);

impl Header {
    /// Reads the value of an OSCORE option.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] says what is wrong with it.
    pub fn decode(value: &[u8]) -> Result<Self, HeaderError> {
        let Some((&flags, mut rest)) = value.split_first() else { return Ok(Self::default()) };
        if flags & !(KID_CONTEXT_FLAG | KID_FLAG | PARTIAL_IV_LEN) != 0 {
            return Err(HeaderError::ReservedFlag);
        }
        // §6.1: "If the OSCORE flag bits are all zero (0x00), the option value SHALL be empty".
        if flags == 0 {
            return Err(HeaderError::Leftover);
        }
        let mut header = Self::default();
        let partial_iv = take(&mut rest, flags & PARTIAL_IV_LEN)?;
        if !partial_iv.is_empty() {
            header.partial_iv = Some(PartialIv::from_bytes(partial_iv).ok_or(HeaderError::PartialIv)?);
        }
        if flags & KID_CONTEXT_FLAG != 0 {
            let len = take(&mut rest, 1)?.first().copied().unwrap_or_default();
            let kid_context = take(&mut rest, len)?.try_into().map_err(|_| HeaderError::TooLong)?;
            header.kid_context = Some(kid_context);
        }
        if flags & KID_FLAG != 0 {
            header.kid = Some(rest.try_into().map_err(|_| HeaderError::TooLong)?);
        } else if !rest.is_empty() {
            return Err(HeaderError::Leftover);
        }
        Ok(header)
    }

    /// The value: so many bytes of the array.
    pub(super) fn encode(&self) -> ([u8; HEADER_BYTES_MAX], usize) {
        let mut out = [0; HEADER_BYTES_MAX];
        let mut len = 1;
        let mut push = |bytes: &[u8]| {
            if let Some(room) = out.get_mut(len..len + bytes.len()) {
                room.copy_from_slice(bytes);
            }
            len += bytes.len();
        };
        let mut flags = 0;
        if let Some(partial_iv) = self.partial_iv {
            let (bytes, from) = partial_iv.bytes();
            let shortest = bytes.get(from..).unwrap_or_default();
            push(shortest);
            flags |= u8::try_from(shortest.len()).unwrap_or_default();
        }
        if let Some(kid_context) = &self.kid_context {
            push(&[u8::try_from(kid_context.as_bytes().len()).unwrap_or_default()]);
            push(kid_context.as_bytes());
            flags |= KID_CONTEXT_FLAG;
        }
        if let Some(kid) = &self.kid {
            push(kid.as_bytes());
            flags |= KID_FLAG;
        }
        if let Some(first) = out.first_mut() {
            *first = flags;
        }
        (out, if flags == 0 { 0 } else { len })
    }
}

fn take<'a>(rest: &mut &'a [u8], len: u8) -> Result<&'a [u8], HeaderError> {
    let (taken, left) = rest.split_at_checked(usize::from(len)).ok_or(HeaderError::Truncated)?;
    *rest = left;
    Ok(taken)
}
