//! How much is known about where a reading comes from, and who can read it.

use core::fmt;
use core::str::FromStr;

/// What stands behind a reading, from least to most. Stored with each reading and shown with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Assurance {
    /// Nothing: imported from elsewhere.
    None = 0,
    /// A mutually authenticated connection of the device itself.
    Transport = 1,
    /// A gateway vouches for the thing behind it.
    GatewaySealed = 2,
    /// In a chain whose checkpoint the device's own key signed.
    DeviceSigned = 3,
    /// Device-signed, and sealed so that only the customer reads it.
    EndToEnd = 4,
}

impl Assurance {
    /// All values, from least to most.
    pub const ALL: [Self; 5] =
        [Self::None, Self::Transport, Self::GatewaySealed, Self::DeviceSigned, Self::EndToEnd];

    /// The word that CLI, API and files use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Transport => "transport",
            Self::GatewaySealed => "gateway-sealed",
            Self::DeviceSigned => "device-signed",
            Self::EndToEnd => "end-to-end",
        }
    }
}

impl fmt::Display for Assurance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text is none of the words that were possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownWord {
    /// The words that would have been right.
    pub wanted: &'static str,
}

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "is not one of {}", self.wanted)
    }
}

impl core::error::Error for UnknownWord {}

impl FromStr for Assurance {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|a| a.as_str() == text)
            .ok_or(UnknownWord { wanted: "none, transport, gateway-sealed, device-signed, end-to-end" })
    }
}

/// For whom a device seals the readings of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Confidentiality {
    /// The service opens them for rules and queries, and seals them for storage under the tenant's key.
    Service = 0,
    /// Only the customer opens them; gateway and service carry and keep ciphertext.
    Customer = 1,
}

impl Confidentiality {
    /// The word that CLI, API and files use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Customer => "customer",
        }
    }
}

impl fmt::Display for Confidentiality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Confidentiality {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "service" => Ok(Self::Service),
            "customer" => Ok(Self::Customer),
            _ => Err(UnknownWord { wanted: "service, customer" }),
        }
    }
}
