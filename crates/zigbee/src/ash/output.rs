//! What the host's side has to do, and why it ends.

use crate::Octets;

/// What there is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AshOutput {
    /// Write this to the line.
    Write(Octets),
    /// The coordinator was reset, for this reason, and takes messages.
    Open {
        /// Why: 2.4, table 5.
        code: u8,
    },
    /// A message.
    Received(Octets),
    /// A frame came damaged, which is asked for again.
    Damaged,
    /// Nothing goes any more until the next reset.
    Failed(AshFailure),
}

/// Why nothing goes any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AshFailure {
    /// Nobody answers the reset.
    #[error("the coordinator does not answer a reset")]
    NoReset,
    /// Nobody acknowledges.
    #[error("the coordinator does not acknowledge")]
    NoAcknowledgement,
    /// The coordinator has stopped, for this reason.
    #[error("the coordinator has stopped, code {0:#04x}")]
    Stopped(u8),
    /// The coordinator was reset and nobody asked for it, for this reason.
    #[error("the coordinator was reset by itself, code {0:#04x}")]
    Restarted(u8),
    /// The coordinator speaks another version.
    #[error("the coordinator speaks version {0} of ASH, not 2")]
    Version(u8),
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The line is not open.
    #[error("the line is not open")]
    NotOpen,
    /// Shorter or longer than a frame can carry.
    #[error("a message has 3 to 128 octets, this one {0}")]
    Length(usize),
    /// Too many wait.
    #[error("too many messages wait")]
    Full,
}
