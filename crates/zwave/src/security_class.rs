//! What protects a node, and what protected a message.

/// The classes of Security 2, which have a network key each; later ones are worth more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum S2Class {
    /// Nobody compared the device-specific key: whoever was in the middle of the inclusion may have the key.
    Unauthenticated,
    /// The device-specific key was compared.
    Authenticated,
    /// The same, for doors and garages.
    AccessControl,
}

impl S2Class {
    /// All classes, the best first.
    pub const ALL: [Self; 3] = [Self::AccessControl, Self::Authenticated, Self::Unauthenticated];
}

/// A key that a node may hold: CC, Security 2, table of requested keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecurityClass {
    /// The one key of Security 0, handed out under a key that everybody knows.
    S0,
    /// One of Security 2.
    S2(S2Class),
}

impl SecurityClass {
    /// All classes, the best first.
    pub const ALL: [Self; 4] = [
        Self::S2(S2Class::AccessControl),
        Self::S2(S2Class::Authenticated),
        Self::S2(S2Class::Unauthenticated),
        Self::S0,
    ];

    /// Its bit in the key fields of Security 2.
    #[must_use]
    pub const fn bit(self) -> u8 {
        match self {
            Self::S2(S2Class::Unauthenticated) => 0x01,
            Self::S2(S2Class::Authenticated) => 0x02,
            Self::S2(S2Class::AccessControl) => 0x04,
            Self::S0 => 0x80,
        }
    }

    /// The class of a field with one bit set.
    #[must_use]
    pub fn from_bit(bit: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.bit() == bit)
    }
}

/// How the link protected a message, as it was seen on the link: later ones are worth more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkSecurity {
    /// In the clear: anybody in range may have sent it.
    None,
    /// Security 0.
    S0,
    /// Security 2, under a key that was handed out without comparing the device-specific key.
    S2Unauthenticated,
    /// Security 2, after comparing the device-specific key.
    S2Authenticated,
    /// The same, with the key of doors and garages.
    S2AccessControl,
}

impl From<S2Class> for LinkSecurity {
    fn from(class: S2Class) -> Self {
        match class {
            S2Class::Unauthenticated => Self::S2Unauthenticated,
            S2Class::Authenticated => Self::S2Authenticated,
            S2Class::AccessControl => Self::S2AccessControl,
        }
    }
}

impl From<SecurityClass> for LinkSecurity {
    fn from(class: SecurityClass) -> Self {
        match class {
            SecurityClass::S0 => Self::S0,
            SecurityClass::S2(class) => class.into(),
        }
    }
}
