//! Messages as bytes.

use minicbor::{Decode, Encode};
use thiserror::Error;
use zeroize::Zeroizing;

use super::wiped::Wiped;
use super::{
    ARGUMENTS_MAX, DATA_BYTES_MAX, DESCRIPTION_BYTES_MAX, EXCEPTIONS_MAX, KEPT_BYTES_MAX, Order,
    READINGS_MAX, Report, Value,
};

/// Largest message, in bytes: what a driver has kept, and a little.
pub const FRAME_BYTES_MAX: usize = KEPT_BYTES_MAX + 32 * 1024;
const LENGTH_BYTES: usize = 4;

/// Why what came is no message. Whoever sent it is not to be listened to any more.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrameError {
    /// It says that it is longer than any.
    #[error("a message of {0} bytes, which is longer than any")]
    TooLong(u32),
    /// It is not the CBOR of a message.
    #[error("no message: {0}")]
    Malformed(String),
    /// Something in it is beyond its limit.
    #[error("a message with too many or too long parts")]
    Limit,
}

/// The bytes of a message, with its length in front. They may hold keys: they are wiped, and no part of them is left elsewhere.
#[must_use]
pub fn encode<M: Encode<()>>(message: &M) -> Zeroizing<Vec<u8>> {
    let mut bytes = Wiped::default();
    bytes.push(&[0; LENGTH_BYTES]);
    // Memory takes everything.
    let _ = minicbor::encode(message, &mut bytes);
    let mut bytes = bytes.into_inner();
    let length = u32::try_from(bytes.len().saturating_sub(LENGTH_BYTES)).unwrap_or(u32::MAX);
    if let Some(front) = bytes.first_chunk_mut::<LENGTH_BYTES>() {
        *front = length.to_be_bytes();
    }
    bytes
}

/// Puts messages together from what comes. Of whoever takes all that are whole before more is pushed, it keeps less than one
/// message.
#[derive(Default)]
pub struct FrameDecoder {
    bytes: Wiped,
}

impl FrameDecoder {
    /// More came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.push(bytes);
    }

    /// The next message that is whole.
    ///
    /// # Errors
    ///
    /// [`FrameError`]; nothing behind it can be read then.
    pub fn take<M: for<'b> Decode<'b, ()> + Bounded>(&mut self) -> Result<Option<M>, FrameError> {
        let Some(front) = self.bytes.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let said = u32::from_be_bytes(*front);
        let length = usize::try_from(said).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong(said));
        }
        let end = LENGTH_BYTES + length;
        let Some(body) = self.bytes.get(LENGTH_BYTES..end) else { return Ok(None) };
        let mut decoder = minicbor::Decoder::new(body);
        let message: M = decoder.decode().map_err(|error| FrameError::Malformed(error.to_string()))?;
        if decoder.position() != length {
            return Err(FrameError::Malformed("something behind it".to_owned()));
        }
        if !message.is_within_bounds() {
            return Err(FrameError::Limit);
        }
        self.bytes.drop_front(end);
        Ok(Some(message))
    }
}

/// What has limits that its types do not say.
pub trait Bounded {
    /// Whether it keeps to them.
    fn is_within_bounds(&self) -> bool;
}

impl Bounded for Order {
    fn is_within_bounds(&self) -> bool {
        match self {
            Self::Start(start) => start.exceptions.len() <= EXCEPTIONS_MAX,
            Self::Call(call) => {
                call.arguments.len() <= ARGUMENTS_MAX
                    && call.arguments.iter().all(|argument| argument.value.is_within_bounds())
            }
            Self::Admit(_) | Self::Close | Self::Remove(_) | Self::Kept | Self::Ask(_) | Self::Roll => true,
        }
    }
}

impl Bounded for Report {
    fn is_within_bounds(&self) -> bool {
        match self {
            Self::Thing(thing) => thing.description.len() <= DESCRIPTION_BYTES_MAX,
            Self::Keep(kept) => kept.expose().len() <= KEPT_BYTES_MAX,
            Self::Readings(said) => {
                !said.readings.is_empty()
                    && said.readings.len() <= READINGS_MAX
                    && said.readings.iter().all(|reading| reading.value.is_within_bounds())
            }
            _ => true,
        }
    }
}

impl Bounded for Value {
    fn is_within_bounds(&self) -> bool {
        match self {
            Self::Number(number) => number.is_finite(),
            Self::Data(bytes) => bytes.len() <= DATA_BYTES_MAX,
            Self::Bool(_) | Self::Text(_) => true,
        }
    }
}
