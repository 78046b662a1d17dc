//! Who asks.

use std::fmt;

use thingward_model::assurance::UnknownWord;
use thingward_model::{Name, Principal, UserName};

use crate::action::Action;

/// What a user is to the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UserRole {
    /// Everything in the tenant, its users and policies too.
    Administrator,
    /// Runs the devices: readings, commands, enrolment.
    Operator,
    /// Looks at devices and at readings that are not about people.
    Viewer,
    /// Reads the audit log and the policies.
    Auditor,
}

impl UserRole {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Administrator, Self::Operator, Self::Viewer, Self::Auditor];

    /// The word that policies, CLI and API use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
        }
    }
}

impl fmt::Display for UserRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for UserRole {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let wanted = "administrator, operator, viewer, auditor";
        Self::ALL.into_iter().find(|r| r.as_str() == text).ok_or(UnknownWord { wanted })
    }
}

/// Kind of the names of tokens.
pub enum TokenKind {}

impl thingward_model::name::Kind for TokenKind {
    const WORD: &'static str = "token";
}

/// What the registry calls a token; says nothing of its secret.
pub type TokenName = Name<TokenKind>;

/// A set of actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scopes(u16);

impl Scopes {
    /// Whether it has this one.
    #[must_use]
    pub const fn contains(self, action: Action) -> bool {
        self.0 & 1 << action as u16 != 0
    }

    /// Those it has.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.iter().copied().filter(move |action| self.contains(*action))
    }
}

impl FromIterator<Action> for Scopes {
    fn from_iter<T: IntoIterator<Item = Action>>(actions: T) -> Self {
        Self(actions.into_iter().fold(0, |bits, action| bits | 1 << action as u16))
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// Whoever can open the administration socket: file permissions are the credential. A tenant's own policies do
    /// not bind it, so that one that locks everybody out can be taken back.
    Operator,
    /// A person, signed in.
    User(UserName),
    /// A program with a token: its maker, as far as the token's scopes go.
    Token {
        /// Which.
        name: TokenName,
        /// Who made it; nobody of the tenant did when the operator of the installation did.
        user: Option<UserName>,
        /// What it was made for.
        scopes: Scopes,
    },
    /// A device, gateway or application, by its certificate.
    Member(Principal),
}
