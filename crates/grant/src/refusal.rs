//! Why a device refuses.

use core::fmt;

use crate::FormatError;

/// Why a device does not do what a grant's holder asks. From [`Self::WrongAudience`] on it is about a grant that its
/// issuer made and its holder showed; before that nobody vouches for anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No presentation, not in its one encoding, or beyond a limit.
    Malformed,
    /// An algorithm, claim or version that the device does not know.
    UnknownVersion,
    /// By a key that the device does not know.
    UnknownIssuer,
    /// Shown to another device.
    OtherDevice,
    /// For another nonce than the device's own: shown before, or too late.
    WrongNonce,
    /// A block is not by the issuer, or not by the holder that the block before it names.
    Forged,
    /// Whoever shows it does not have the holder's key.
    NotHolder,
    /// For another tenant, device or class.
    WrongAudience,
    /// Of an epoch that is over.
    OldEpoch,
    /// Taken back.
    Revoked,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It has times, and the device does not know the time well enough to tell.
    TimeUnknown,
    /// Used as often as it may be.
    UsedUp,
    /// The device's description does not open this to grants.
    NotOpened,
    /// Its issuer may not grant this.
    BeyondIssuer,
    /// The grant, or one of its narrowings, does not allow this.
    NotGranted,
    /// It is a step that the use cannot take where it is: it began before, or is over.
    OutOfTurn,
    /// More ids are taken back than the device can keep, and their issuer has to raise the epoch; or so many grants are
    /// in use that the device cannot count another.
    NoRoom,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::Malformed,
        Self::UnknownVersion,
        Self::UnknownIssuer,
        Self::OtherDevice,
        Self::WrongNonce,
        Self::Forged,
        Self::NotHolder,
        Self::WrongAudience,
        Self::OldEpoch,
        Self::Revoked,
        Self::Expired,
        Self::NotYetValid,
        Self::TimeUnknown,
        Self::UsedUp,
        Self::NotOpened,
        Self::BeyondIssuer,
        Self::NotGranted,
        Self::OutOfTurn,
        Self::NoRoom,
    ];

    /// Its place in the list of `docs/wire/grants.md`, from 0: how chips say it.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The refusal of a code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.code() == code)
    }

    /// The word that the log, the API and the CLI use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownVersion => "unknown-version",
            Self::UnknownIssuer => "unknown-issuer",
            Self::OtherDevice => "other-device",
            Self::WrongNonce => "wrong-nonce",
            Self::Forged => "forged",
            Self::NotHolder => "not-holder",
            Self::WrongAudience => "wrong-audience",
            Self::OldEpoch => "old-epoch",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::NotYetValid => "not-yet-valid",
            Self::TimeUnknown => "time-unknown",
            Self::UsedUp => "used-up",
            Self::NotOpened => "not-opened",
            Self::BeyondIssuer => "beyond-issuer",
            Self::NotGranted => "not-granted",
            Self::OutOfTurn => "out-of-turn",
            Self::NoRoom => "no-room",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for Refusal {}

impl From<FormatError> for Refusal {
    fn from(e: FormatError) -> Self {
        match e {
            FormatError::UnknownVersion => Self::UnknownVersion,
            FormatError::Crypto => Self::Forged,
            FormatError::Malformed | FormatError::TooLarge | FormatError::BufferTooSmall => Self::Malformed,
        }
    }
}
