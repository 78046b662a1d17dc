//! What an endpoint tells, and what it refuses.

use super::{ContextHandle, Packet};
use crate::message::{DecodeError, WriteError};
use crate::oscore::ProtectError;

/// An own request or observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub(super) u64);
/// A request of somebody else, until it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub(super) u64);
/// Somebody else's observation of something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObservationId(pub(super) u64);

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<P> {
    /// The whole response to an own request, which is over, unless it is an observation that was accepted.
    Response { exchange: ExchangeId, response: Packet, observing: bool },
    /// A newer state of what is observed.
    Notification { exchange: ExchangeId, response: Packet },
    /// An own request or observation is over without a response.
    Failed { exchange: ExchangeId, failure: Failure },
    /// Somebody asks, with the whole body. `context` says with which keys; without them it may be anybody.
    Request { id: RequestId, peer: P, context: Option<ContextHandle>, request: Packet, observe: bool },
    /// Somebody does not observe any more, or is not there.
    ObserverLeft { observation: ObservationId },
}

/// Why there is no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("the peer did not answer in time")]
    Timeout,
    #[error("the peer knows nothing of the message")]
    Reset,
    /// RFC 7252 §5.4.1.
    #[error("the response has a critical option that is not known")]
    CriticalOption,
    /// RFC 7959 §2.4: blocks of another state, out of order, or of a reserved size.
    #[error("the blocks of the response do not fit together")]
    Blocks,
    #[error("the response is larger than is taken")]
    TooLarge,
    /// RFC 8613 §8.2: somebody who saw the request says, in the open, that the peer has not the keys for it. A hint to agree on
    /// new ones, no more.
    #[error("the peer seems to have no keys for the request")]
    NoContext,
    #[error("the next block could not be asked for")]
    NotSent,
}

/// Why a datagram was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// It is dropped without an answer.
    #[error("the datagram is larger than is taken")]
    TooLarge,
    #[error(transparent)]
    NotAMessage(#[from] DecodeError),
}

/// Why a request was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("as many requests as are kept wait for their responses")]
    TooMany,
    #[error("the body is larger than is taken")]
    TooLarge,
    /// Its code is reserved.
    #[error("this is not a message")]
    NotAMessage,
    #[error("there is no such security context")]
    UnknownContext,
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Protect(#[from] ProtectError),
}

/// Why a response or notification was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RespondError {
    /// It was answered, took too long, or left.
    #[error("nobody waits for this")]
    Unknown,
    /// It was not asked for, or as many observe as may. It can still be answered.
    #[error("this is not observed")]
    NotObserved,
    #[error(transparent)]
    Send(#[from] RequestError),
}
