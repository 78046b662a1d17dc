//! What can be done, as words and as types.

use std::fmt;
use std::str::FromStr;

use thingward_model::assurance::UnknownWord;

/// What can be done. Policies, tokens, CLI and API name it by the same word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Publish readings of one stream.
    PublishReadings,
    /// Forward messages of things behind a gateway.
    Forward,
    /// Query, follow, receive and export readings.
    ReadReadings,
    /// Download history as it is stored, whole, under the customer's key.
    ReadSegments,
    /// Tell a device to do something.
    SendCommands,
    /// List devices, gateways, applications and findings.
    ReadDevices,
    /// Claim, release and revoke them; issue claim codes; trust makers.
    ManageDevices,
    /// Withdraw and restore keys.
    ManageKeys,
    /// Read and prove the audit log.
    ReadLog,
    /// Invite users, give roles, make groups.
    ManageUsers,
    /// Read the tenant's policies and have them explained.
    ReadPolicy,
    /// Apply other policies.
    ManagePolicy,
    /// Make and revoke tokens of the tenant.
    ManageTokens,
    /// Make tenants, and see that they are there.
    ManageTenants,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 14] = [
        Self::PublishReadings,
        Self::Forward,
        Self::ReadReadings,
        Self::ReadSegments,
        Self::SendCommands,
        Self::ReadDevices,
        Self::ManageDevices,
        Self::ManageKeys,
        Self::ReadLog,
        Self::ManageUsers,
        Self::ReadPolicy,
        Self::ManagePolicy,
        Self::ManageTokens,
        Self::ManageTenants,
    ];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PublishReadings => "readings:publish",
            Self::Forward => "messages:forward",
            Self::ReadReadings => "readings:read",
            Self::ReadSegments => "segments:read",
            Self::SendCommands => "commands:send",
            Self::ReadDevices => "devices:read",
            Self::ManageDevices => "devices:manage",
            Self::ManageKeys => "keys:manage",
            Self::ReadLog => "log:read",
            Self::ManageUsers => "users:manage",
            Self::ReadPolicy => "policy:read",
            Self::ManagePolicy => "policy:manage",
            Self::ManageTokens => "tokens:manage",
            Self::ManageTenants => "tenants:manage",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Action {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let wanted = "readings:publish, messages:forward, readings:read, segments:read, commands:send, devices:read, \
                      devices:manage, keys:manage, log:read, users:manage, policy:read, policy:manage, tokens:manage, \
                      tenants:manage";
        Self::ALL.into_iter().find(|a| a.as_str() == text).ok_or(UnknownWord { wanted })
    }
}

/// An [`Action`] as a type, so that a permit for one does for no other.
pub trait Act {
    /// The action.
    const ACTION: Action;
}

macro_rules! acts {
    ($($(#[$text:meta])* $name:ident),* $(,)?) => { $(
        $(#[$text])*
        #[derive(Debug)]
        pub enum $name {}
        impl Act for $name {
            const ACTION: Action = Action::$name;
        }
    )* };
}

acts! {
    /// See [`Action::PublishReadings`].
    PublishReadings,
    /// See [`Action::Forward`].
    Forward,
    /// See [`Action::ReadReadings`].
    ReadReadings,
    /// See [`Action::ReadSegments`].
    ReadSegments,
    /// See [`Action::SendCommands`].
    SendCommands,
    /// See [`Action::ReadDevices`].
    ReadDevices,
    /// See [`Action::ManageDevices`].
    ManageDevices,
    /// See [`Action::ManageKeys`].
    ManageKeys,
    /// See [`Action::ReadLog`].
    ReadLog,
    /// See [`Action::ManageUsers`].
    ManageUsers,
    /// See [`Action::ReadPolicy`].
    ReadPolicy,
    /// See [`Action::ManagePolicy`].
    ManagePolicy,
    /// See [`Action::ManageTokens`].
    ManageTokens,
    /// See [`Action::ManageTenants`].
    ManageTenants,
}
