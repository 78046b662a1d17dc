//! Install codes: what stands on a device, and the link key it gives (Base Device Behavior 10.1).

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Key, hash};

/// A device's install code with its checksum. A secret, as the key that comes of it.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct InstallCode(Vec<u8>);

/// Why digits are not an install code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InstallCodeError {
    /// Something that is no hexadecimal digit, or one digit without another.
    #[error("an install code has pairs of hexadecimal digits, blanks and hyphens only")]
    Digit,
    /// Not one of the lengths that there are.
    #[error("an install code has 6, 8, 12 or 16 octets and a checksum of 2, this one has {0} in all")]
    Length(usize),
    /// A digit was misread.
    #[error("the install code's checksum does not match: a digit is wrong")]
    Checksum,
}

impl InstallCode {
    /// Reads an install code as it is printed, with its checksum.
    ///
    /// # Errors
    ///
    /// When it was misread.
    pub fn parse(text: &str) -> Result<Self, InstallCodeError> {
        let mut digits = text.chars().filter(|c| !matches!(c, ' ' | '-')).map(|c| c.to_digit(16));
        let mut code = Self(Vec::with_capacity(18));
        while let Some(high) = digits.next() {
            let low = digits.next().flatten();
            let (high, low) = high.zip(low).ok_or(InstallCodeError::Digit)?;
            code.0.push(u8::try_from(high * 16 + low).map_err(|_| InstallCodeError::Digit)?);
        }
        code.checked()
    }

    /// An install code from its octets, checksum included.
    ///
    /// # Errors
    ///
    /// When its length or checksum is wrong.
    pub fn from_octets(octets: &[u8]) -> Result<Self, InstallCodeError> {
        Self(octets.to_vec()).checked()
    }

    /// The install code of these octets, as many as new devices have.
    #[must_use]
    pub fn of(code: &[u8; 16]) -> Self {
        Self([&code[..], &crc(code).to_le_bytes()].concat())
    }

    /// As it is printed: hexadecimal digits, with its checksum.
    #[must_use]
    pub fn printed(&self) -> Zeroizing<String> {
        let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default().to_ascii_uppercase();
        Zeroizing::new(self.0.iter().flat_map(|octet| [digit(octet >> 4), digit(octet & 0x0f)]).collect())
    }

    fn checked(self) -> Result<Self, InstallCodeError> {
        if !matches!(self.0.len(), 8 | 10 | 14 | 18) {
            return Err(InstallCodeError::Length(self.0.len()));
        }
        match self.0.split_last_chunk() {
            Some((code, checksum)) if crc(code).to_le_bytes() == *checksum => Ok(self),
            _ => Err(InstallCodeError::Checksum),
        }
    }

    /// The link key that it gives.
    #[must_use]
    pub fn link_key(&self) -> Key {
        Key::new(hash(&self.0))
    }
}

/// CRC-16/X-25, lowest bit first.
fn crc(code: &[u8]) -> u16 {
    let step = |crc: u16, byte: &u8| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x8408 } else { 0 })
    };
    !code.iter().fold(0xffff, step)
}
