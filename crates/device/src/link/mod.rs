//! The serial link between a gateway and a chip.
//!
//! The gateway asks and the chip answers, one frame each, so that a chip needs room for one frame and is never spoken to
//! while it computes. Frames are those of HDLC as PPP uses it on asynchronous lines: RFC 1662 §4 and appendix C.

mod frame;
mod message;

pub use frame::{Decoder, FRAME_OVERHEAD_BYTES, encode};
pub(crate) use message::put;
pub use message::{
    Failure, HELLO_CONTEXT, Hello, JOIN_BYTES_MAX, Join, Kind, OUTGOING_HEAD_BYTES, Outgoing, Pending,
    REQUEST_BYTES, hello_message,
};

/// What one frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// An answer has that of its question, so that a late one is not taken for another's.
    pub sequence: u8,
    /// See [`Kind`].
    pub kind: u8,
    /// By its kind.
    pub body: &'a [u8],
}
