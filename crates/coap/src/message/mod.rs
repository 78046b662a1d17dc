//! Messages from and to bytes: RFC 7252 §3 and §5.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Ver| T |  TKL  |     Code      |          Message ID           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   Token (TKL bytes, 0 to 8) ...
//! |   Options, each number the sum of the deltas so far ...
//! |   0xFF and the payload, which then is not empty ...
//! ```
//!
//! Nothing is copied: a [`Message`] borrows the datagram, and a [`Writer`] fills the caller's buffer.

mod code;
mod decode;
mod number;
mod option;
mod token;
mod write;

pub use code::{Class, Code};
pub use decode::{DecodeError, Message, Type};
pub use number::OptionNumber;
pub use option::{MessageOption, Options, uint, uint_bytes};
pub use token::Token;
pub use write::{WriteError, Writer};

/// §3: "Implementations of this specification MUST set this field to 1".
const VERSION: u8 = 1;
/// Length of the header without token, in bytes.
const HEADER_BYTES: usize = 4;
/// §3: stands between options and payload.
const PAYLOAD_MARKER: u8 = 0xff;

#[cfg(test)]
mod tests;
