//! What the two endpoints agree on in message 1: who proves itself how, and with which algorithms.

use core::fmt;

use thingward_crypto::SignatureAlgorithm;

use super::cbor::write_head;

/// How an endpoint proves who it is: RFC 9528 §3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// With a key that signs.
    Signature,
    /// With a static Diffie-Hellman key.
    StaticDh,
}

/// METHOD: what the initiator proves itself with, then the responder. Figure 4 of §3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    SignSign = 0,
    SignStatic = 1,
    StaticSign = 2,
    StaticStatic = 3,
}

impl Method {
    pub(super) const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::SignSign),
            1 => Some(Self::SignStatic),
            2 => Some(Self::StaticSign),
            3 => Some(Self::StaticStatic),
            _ => None,
        }
    }

    /// What the initiator proves itself with.
    #[must_use]
    pub const fn initiator(self) -> Proof {
        match self {
            Self::SignSign | Self::SignStatic => Proof::Signature,
            Self::StaticSign | Self::StaticStatic => Proof::StaticDh,
        }
    }

    /// What the responder proves itself with.
    #[must_use]
    pub const fn responder(self) -> Proof {
        match self {
            Self::SignSign | Self::StaticSign => Proof::Signature,
            Self::SignStatic | Self::StaticStatic => Proof::StaticDh,
        }
    }
}

/// A curve for Diffie-Hellman.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    X25519,
    P256,
}

/// A cipher suite by its number: RFC 9528 §3.6. All have SHA-256, and AES-CCM-16-64-128 for what comes after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// AES-CCM-16-64-128, X25519, EdDSA.
    Zero = 0,
    /// AES-CCM-16-128-128, X25519, EdDSA.
    One = 1,
    /// AES-CCM-16-64-128, P-256, ES256.
    Two = 2,
    /// AES-CCM-16-128-128, P-256, ES256.
    Three = 3,
}

impl Suite {
    const ALL: [Self; 4] = [Self::Zero, Self::One, Self::Two, Self::Three];

    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| *suite as u8 == number)
    }

    #[must_use]
    pub const fn curve(self) -> Curve {
        match self {
            Self::Zero | Self::One => Curve::X25519,
            Self::Two | Self::Three => Curve::P256,
        }
    }

    #[must_use]
    pub const fn signature(self) -> SignatureAlgorithm {
        match self {
            Self::Zero | Self::One => SignatureAlgorithm::Ed25519,
            Self::Two | Self::Three => SignatureAlgorithm::EcdsaP256,
        }
    }

    /// Length of the AEAD's tag, and of the MAC of a static key, in bytes: §4.1.2.
    pub(super) const fn tag_bytes(self) -> usize {
        match self {
            Self::Zero | Self::Two => 8,
            Self::One | Self::Three => 16,
        }
    }
}

/// Suites that an endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suites(&'static [Suite]);

impl Suites {
    pub const NONE: Self = Self(&[]);
    /// That of RFC 9529 §3 alone.
    #[cfg(test)]
    #[cfg(not(miri))]
    pub(super) const TWO: Self = Self(&[Suite::Two]);
    /// Those on P-256.
    pub const P256: Self = Self(&[Suite::Two, Suite::Three]);
    /// Those on Curve25519.
    pub const CURVE25519: Self = Self(&[Suite::Zero, Suite::One]);

    /// Those with this kind of signature.
    #[must_use]
    pub const fn of(algorithm: SignatureAlgorithm) -> Self {
        match algorithm {
            SignatureAlgorithm::Ed25519 => Self::CURVE25519,
            SignatureAlgorithm::EcdsaP256 => Self::P256,
        }
    }

    #[must_use]
    pub fn contains(self, suite: Suite) -> bool {
        self.0.contains(&suite)
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// As SUITES_R: one alone is an integer, more are an array. §6.3.
    pub(super) fn write(self, out: &mut alloc::vec::Vec<u8>) {
        if self.0.len() != 1 {
            write_head(0x80, self.0.len(), out);
        }
        self.0.iter().for_each(|suite| out.push(*suite as u8));
    }
}

impl fmt::Display for Suites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, suite) in self.0.iter().enumerate() {
            write!(f, "{}{}", if at == 0 { "" } else { ", " }, *suite as u8)?;
        }
        Ok(())
    }
}
