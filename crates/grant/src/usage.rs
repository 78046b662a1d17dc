//! The course of one use of a device, as both ends keep it, and who may take each step while nobody else is in reach.
//!
//! ```text
//! offered ─reserve─► reserved ─pay─► paid ─start─► active ─end─► ended
//!    └──────────────pay───────────────┘               └extend┘
//! ```
//!
//! `docs/wire/grants.md` has the whole table.

use core::fmt;
use core::str::FromStr;

use thingward_model::assurance::UnknownWord;

/// Where a use is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// The device shows what it would be and cost. Nobody has it.
    Offered,
    /// Somebody has it for a moment, to pay.
    Reserved,
    /// It is paid for, or there is another reason, and has not begun.
    Paid,
    /// It goes on.
    Active,
    /// It is over.
    Ended,
    /// Somebody says that it was not as it should be. The device serves the next.
    Disputed,
}

/// What happens to a use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// A holder takes it for as long as a payment takes.
    Reserve,
    /// A holder shows a grant with a payment or another reason.
    Pay,
    /// A holder begins.
    Start,
    /// A holder shows a grant that goes on for longer.
    Extend,
    /// A holder gives it up.
    End,
    /// Its time is over.
    Lapse,
    /// The grant was taken back.
    Revoke,
    /// Holder or owner says that something was wrong.
    Dispute,
    /// The service has settled the dispute.
    Settle,
}

/// On what a device takes a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ground {
    /// A grant that it has just permitted, whether or not the service is in reach.
    Grant,
    /// Its own knowledge of time, without anybody.
    Own,
    /// Something that the service has signed, whoever carries it.
    Signed,
    /// The service itself; without it the step waits.
    Service,
}

/// A step that a use cannot take where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfTurn {
    /// Where the use is.
    pub state: State,
    /// What was to happen.
    pub step: Step,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Offered, Self::Reserved, Self::Paid, Self::Active, Self::Ended, Self::Disputed];

    /// Where the use is after `step`.
    ///
    /// # Errors
    ///
    /// [`OutOfTurn`] when it cannot happen here.
    pub const fn after(self, step: Step) -> Result<Self, OutOfTurn> {
        match (self, step) {
            (Self::Offered, Step::Reserve) => Ok(Self::Reserved),
            (Self::Offered | Self::Reserved, Step::Pay) => Ok(Self::Paid),
            (Self::Paid, Step::Start) => Ok(Self::Active),
            (Self::Active, Step::Extend) => Ok(Self::Active),
            (Self::Reserved | Self::Paid | Self::Active, Step::End | Step::Lapse | Step::Revoke) => {
                Ok(Self::Ended)
            }
            (Self::Reserved | Self::Paid | Self::Active | Self::Ended, Step::Dispute) => Ok(Self::Disputed),
            (Self::Disputed, Step::Settle) => Ok(Self::Ended),
            (state, step) => Err(OutOfTurn { state, step }),
        }
    }

    /// The word that the log, the API and the CLI use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Reserved => "reserved",
            Self::Paid => "paid",
            Self::Active => "active",
            Self::Ended => "ended",
            Self::Disputed => "disputed",
        }
    }
}

impl FromStr for State {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let wanted = "offered, reserved, paid, active, ended, disputed";
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or(UnknownWord { wanted })
    }
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Reserve,
        Self::Pay,
        Self::Start,
        Self::Extend,
        Self::End,
        Self::Lapse,
        Self::Revoke,
        Self::Dispute,
        Self::Settle,
    ];

    /// On what the device takes it.
    #[must_use]
    pub const fn ground(self) -> Ground {
        match self {
            Self::Reserve | Self::Pay | Self::Start | Self::Extend | Self::End => Ground::Grant,
            Self::Lapse => Ground::Own,
            Self::Revoke => Ground::Signed,
            Self::Dispute => Ground::Grant,
            Self::Settle => Ground::Service,
        }
    }

    /// The word that the log, the API and the CLI use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Pay => "pay",
            Self::Start => "start",
            Self::Extend => "extend",
            Self::End => "end",
            Self::Lapse => "lapse",
            Self::Revoke => "revoke",
            Self::Dispute => "dispute",
            Self::Settle => "settle",
        }
    }
}

impl Ground {
    /// The word that the documents use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Own => "own",
            Self::Signed => "signed",
            Self::Service => "service",
        }
    }
}

impl fmt::Display for OutOfTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a use that is {} does not {}", self.state.as_str(), self.step.as_str())
    }
}

impl core::error::Error for OutOfTurn {}
