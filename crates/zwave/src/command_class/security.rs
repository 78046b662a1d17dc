//! Getting into a secure network: CC, "Security 2 (S2)", "Security 0 (S0)". Encrypting is in [`crate::security2`] and
//! [`crate::security0`].

use super::Value;
use super::field::{Bytes, Field};
use crate::bytes::Reader;
use crate::{Key, ParseError};

/// What is said about how keys are exchanged: the offer of a joining node, and the choice of the including one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyExchange {
    /// An echo of the peer's, encrypted, to find out whether somebody in the middle changed it.
    pub echo: bool,
    /// Client-side authentication.
    pub csa: bool,
    /// Schemes as bits; only scheme 1, bit 1, is in use.
    pub schemes: u8,
    /// Curves as bits; only Curve25519, bit 0, is in use.
    pub curves: u8,
    /// Keys that are asked for or granted, as [`crate::SecurityClass::bit`].
    pub keys: u8,
}

impl KeyExchange {
    /// Scheme 1 and Curve25519.
    pub const SCHEME_1: u8 = 0x02;
    /// The one curve.
    pub const CURVE_25519: u8 = 0x01;
}

impl Field for KeyExchange {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        let [flags, schemes, curves, keys] = reader.array()?;
        Ok(Self { echo: flags & 1 != 0, csa: flags & 2 != 0, schemes, curves, keys })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend([u8::from(self.echo) | u8::from(self.csa) << 1, self.schemes, self.curves, self.keys]);
    }
    fn value(&self) -> Value {
        self.keys.into()
    }
}

/// Why a key exchange ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KexFail {
    /// 1.
    #[error("no key was asked for that can be granted")]
    Keys,
    /// 2.
    #[error("no scheme in common")]
    Scheme,
    /// 3.
    #[error("no curve in common")]
    Curves,
    /// 5.
    #[error(
        "a message could not be decrypted: the device-specific key is another, or somebody is in the middle"
    )]
    Decrypt,
    /// 6.
    #[error("cancelled")]
    Cancel,
    /// 7.
    #[error("what was agreed is not what was echoed: somebody is in the middle")]
    Authentication,
    /// 8.
    #[error("a key was asked for that was not granted")]
    Get,
    /// 9.
    #[error("a key could not be verified")]
    Verify,
    /// 10.
    #[error("a key was handed out that was not granted")]
    Report,
    /// Another number.
    #[error("failure {0}")]
    Other(u8),
}

impl Field for KexFail {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        reader.u8().map(|number| match number {
            1 => Self::Keys,
            2 => Self::Scheme,
            3 => Self::Curves,
            5 => Self::Decrypt,
            6 => Self::Cancel,
            7 => Self::Authentication,
            8 => Self::Get,
            9 => Self::Verify,
            10 => Self::Report,
            other => Self::Other(other),
        })
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Keys => 1,
            Self::Scheme => 2,
            Self::Curves => 3,
            Self::Decrypt => 5,
            Self::Cancel => 6,
            Self::Authentication => 7,
            Self::Get => 8,
            Self::Verify => 9,
            Self::Report => 10,
            Self::Other(number) => *number,
        });
    }
    fn value(&self) -> Value {
        Value::Text(self.to_string())
    }
}

bit_fields! {
    /// Whose half of a nonce it is, and why it is told.
    OutOfSync {
        multicast: bool = 1, 1,
        singlecast: bool = 0, 1,
    }
}

bit_fields! {
    /// How far the exchange is.
    TransferEnd {
        key_verified: bool = 1, 1,
        key_request_complete: bool = 0, 1,
    }
}

/// A key that is handed out. It says nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct HandedKey(pub Key);

impl std::fmt::Debug for HandedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HandedKey")
    }
}

impl Field for HandedKey {
    fn read(reader: &mut Reader) -> Result<Self, ParseError> {
        reader.array().map(|key| Self(Key::new(key)))
    }
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.0.expose());
    }
    fn value(&self) -> Value {
        Value::Unknown
    }
}

command_class! {
    /// Security 2: class 0x9f.
    Security2 = 0x9f {
        NonceGet = 0x01 { sequence_number: u8 },
        NonceReport = 0x02 {
            sequence_number: u8,
            out_of_sync: OutOfSync,
            receiver_entropy: Option<[u8; 16]>,
        },
        MessageEncapsulation = 0x03 { sealed: Bytes },
        KexGet = 0x04 {},
        KexReport = 0x05 { offer: KeyExchange },
        KexSet = 0x06 { choice: KeyExchange },
        KexFailed = 0x07 { reason: KexFail },
        /// `including` is 1 in that of the including node. A joining node leaves out the digits of its PIN.
        PublicKeyReport = 0x08 { including: u8, public_key: [u8; 32] },
        NetworkKeyGet = 0x09 { requested_key: u8 },
        /// Travels encrypted only.
        NetworkKeyReport = 0x0a { granted_key: u8, network_key: HandedKey },
        NetworkKeyVerify = 0x0b {},
        TransferEnd = 0x0c { state: TransferEnd },
        CommandsSupportedGet = 0x0d {},
        CommandsSupportedReport = 0x0e { classes: Bytes },
    }
}

command_class! {
    /// Security 0: class 0x98.
    Security0 = 0x98 {
        CommandsSupportedGet = 0x02 {},
        CommandsSupportedReport = 0x03 { reports_to_follow: u8, classes: Bytes },
        SchemeGet = 0x04 { schemes: u8 },
        SchemeReport = 0x05 { schemes: u8 },
        NetworkKeySet = 0x06 { network_key: HandedKey },
        NetworkKeyVerify = 0x07 {},
        NonceGet = 0x40 {},
        NonceReport = 0x80 { nonce: [u8; 8] },
        MessageEncapsulation = 0x81 { sealed: Bytes },
        MessageEncapsulationNonceGet = 0xc1 { sealed: Bytes },
    }
}

/// Command classes in a list of them: supported ones before the mark.
#[must_use]
pub fn listed_classes(list: &Bytes) -> Vec<u16> {
    crate::serial::node_info::command_classes(&mut Reader::new(&list.0))
        .map_or_else(|_| Vec::new(), |(supported, _)| supported)
}
