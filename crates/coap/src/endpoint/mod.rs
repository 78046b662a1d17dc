//! One endpoint, client and server at once, without I/O: RFC 7252 §4 and §5, RFC 7641, RFC 7959.
//!
//! Datagrams and the time go in ([`Endpoint::receive`], [`Endpoint::handle_timeout`]); datagrams and events come out
//! ([`Endpoint::poll_transmit`], [`Endpoint::poll_event`]). Time is counted from a moment of the caller's choice. It sends
//! confirmable messages again, takes none twice, joins responses to requests, carries bodies in blocks, and protects
//! whatever belongs to a security context. All that it keeps is bounded by [`Limits`].
//!
//! ```text
//! datagram ─ deduplicate ─ OSCORE ─ match token ─ join blocks ─ event
//! ```

mod block;
mod client;
mod event;
mod exchange;
mod limits;
mod notify;
mod packet;
mod receive;
mod reliable;
mod secret;
mod seen;
mod server;
mod state;
mod transfer;

pub use event::{
    Event, ExchangeId, Failure, ObservationId, ReceiveError, RequestError, RequestId, RespondError,
};
pub use limits::Limits;
pub use packet::Packet;
pub use state::{ContextHandle, Endpoint};

// Not under Miri, where ciphers take minutes.
#[cfg(test)]
#[cfg(not(miri))]
mod tests;
