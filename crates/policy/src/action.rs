//! What can be done, as words and as types.

use std::fmt;
use std::str::FromStr;

use thingward_model::assurance::UnknownWord;

/// Makes each action once: as a value, as its word, and as a type.
macro_rules! actions {
    ($($(#[doc = $text:literal])+ $name:ident = $word:literal,)+) => {
        /// What can be done. Policies, tokens, CLI and API name it by the same word.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($(#[doc = $text])+ $name,)+
        }

        impl Action {
            /// All actions.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }
        }

        /// What to write, for whoever wrote something else.
        const WORDS: &str = concat!("one of", $(" ", $word),+);

        $(
            $(#[doc = $text])+
            #[derive(Debug)]
            pub enum $name {}
            impl Act for $name {
                const ACTION: Action = Action::$name;
            }
        )+
    };
}

impl Action {
    /// Whether it changes nothing.
    #[must_use]
    pub const fn only_reads(self) -> bool {
        matches!(
            self,
            Self::ReadReadings | Self::ReadSegments | Self::ReadDevices | Self::ReadLog | Self::ReadPolicy
        )
    }
}

/// An [`Action`] as a type, so that a permit for one does for no other.
pub trait Act {
    /// The action.
    const ACTION: Action;
}

actions! {
    /// Publish readings of one stream.
    PublishReadings = "readings:publish",
    /// Forward messages of things behind a gateway.
    Forward = "messages:forward",
    /// Query, follow, receive and export readings.
    ReadReadings = "readings:read",
    /// Download history as it is stored, whole, under the customer's key.
    ReadSegments = "segments:read",
    /// Tell a device to do something.
    SendCommands = "commands:send",
    /// Give somebody a grant to have a device do something.
    IssueGrants = "grants:issue",
    /// Take grants back.
    RevokeGrants = "grants:revoke",
    /// List devices, gateways, applications and findings.
    ReadDevices = "devices:read",
    /// Claim, release and revoke them; issue claim codes; trust makers.
    ManageDevices = "devices:manage",
    /// Withdraw and restore keys.
    ManageKeys = "keys:manage",
    /// Read and prove the audit log.
    ReadLog = "log:read",
    /// Invite users, give roles, make groups.
    ManageUsers = "users:manage",
    /// Read the tenant's policies and have them explained.
    ReadPolicy = "policy:read",
    /// Apply other policies.
    ManagePolicy = "policy:manage",
    /// Make and revoke tokens of the tenant.
    ManageTokens = "tokens:manage",
    /// Make tenants, and see that they are there.
    ManageTenants = "tenants:manage",
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Action {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.iter().copied().find(|a| a.as_str() == text);
        found.ok_or(UnknownWord { wanted: WORDS })
    }
}
