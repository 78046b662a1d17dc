//! Commands to a device, and its replies: signed end to end, so that nobody on the way can make, change or answer one.
//!
//! ```text
//! 18([ << {1: algorithm} >>, {4: key id}, << [<< command >>, log index / null, approval / null] >>, signature ])
//! 18([ << {1: algorithm} >>, {4: key id}, << [1, command id, SHA-256(command), time, outcome, ...] >>, signature ])
//! ```
//!
//! The inner byte string is the *canonical command*. Its SHA-256 names the command everywhere: it is the challenge of
//! the user's approval, and stands in the reply. `docs/wire/commands.md` has the bytes and the rules.

mod data;
#[cfg(feature = "std")]
pub mod json;
mod reply;
mod signed;

pub use data::{DATA_BYTES_MAX, Data, MEMBERS_MAX, Members, Scalar, Shape};
pub use reply::{Outcome, REPLY_BYTES_MAX, REPLY_TEXT_BYTES_MAX, Refusal, Reply, SignedReply};
pub use signed::{
    ACTOR_BYTES_MAX, APPROVAL_BYTES_MAX, Approval, Audience, CANONICAL_BYTES_MAX, CLOCK_SKEW_MAX_MICROS,
    COMMAND_BYTES_MAX, Command, CommandId, LIFETIME_MAX_MICROS, SignedCommand, VerifiedCommand, digest,
    is_command, sign, verify,
};
