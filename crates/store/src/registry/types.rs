//! Small values that several tables share.

use std::fmt;

use base16ct::lower::encode_string as hex;

use crate::error::StoreError;

/// A certificate's serial number: 1 to 20 bytes, big endian (RFC 5280, §4.1.2.2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// The serial number with these bytes.
    ///
    /// # Errors
    ///
    /// [`StoreError::Invalid`] when there are none or more than 20.
    pub fn new(bytes: &[u8]) -> Result<Self, StoreError> {
        if (1..=20).contains(&bytes.len()) {
            Ok(Self(bytes.to_vec()))
        } else {
            Err(StoreError::Invalid { what: "a serial number has 1 to 20 bytes" })
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex(&self.0))
    }
}

/// The identity that a maker gave a thing, from its IDevID certificate (IEEE 802.1AR).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hardware {
    /// The maker, by the name under which its owner's tenant trusts it. For people.
    pub maker: String,
    /// The maker, by SHA-256 of the public key that signed the thing's certificate: the same for all tenants.
    pub maker_key: [u8; 32],
    /// The serial number that the maker gave the thing.
    pub serial: String,
}
