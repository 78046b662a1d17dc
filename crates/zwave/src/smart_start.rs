//! The QR codes of things: CC, "Z-Wave QR Code Format" and SmartStart.

use sha1::{Digest, Sha1};

use crate::Dsk;

/// Longest code that is read, in digits.
const DIGITS_MAX: usize = 2000;
/// Digits of everything before the first block of details.
const FIXED_DIGITS: usize = 52;

/// What a code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QrVersion {
    /// The thing is included by hand, and the code spares typing.
    S2,
    /// The thing may be included as soon as it is powered.
    SmartStart,
}

/// What a thing is, and of what version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    /// Its maker.
    pub manufacturer: u16,
    /// The maker's type.
    pub product_type: u16,
    /// The maker's product.
    pub product: u16,
    /// Version of its software, major then minor.
    pub version: (u8, u8),
}

/// A code, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QrCode {
    /// What it is for.
    pub version: QrVersion,
    /// The key fields of Security 2 that the thing asks for, as bits.
    pub requested_keys: u8,
    /// The thing's device-specific key.
    pub dsk: Dsk,
    /// Generic and specific device class.
    pub device_class: Option<(u8, u8)>,
    /// The maker's product.
    pub product: Option<Product>,
}

/// Why a code is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QrError {
    /// Not a row of digits that begins with 90, or its length is not that of a code.
    #[error("not the digits of a Z-Wave code")]
    NotACode,
    /// A version that is not known.
    #[error("version {0} is not known")]
    Version(u8),
    /// Its checksum is another: a digit was misread.
    #[error("the checksum is another: a digit was misread")]
    Checksum,
    /// A detail that must be understood is not.
    #[error("detail {0} must be understood and is not")]
    Critical(u8),
    /// A detail ends too early, or has a value that it cannot have.
    #[error("detail {0} is not what it must be")]
    Detail(u8),
}

impl QrCode {
    /// Reads the digits of a code.
    ///
    /// # Errors
    ///
    /// [`QrError`] where they are not those of one.
    pub fn parse(code: &str) -> Result<Self, QrError> {
        if !(FIXED_DIGITS..=DIGITS_MAX).contains(&code.len()) || !code.bytes().all(|b| b.is_ascii_digit()) {
            return Err(QrError::NotACode);
        }
        let digits = |range| code.get(range).ok_or(QrError::NotACode);
        if digits(0..2)? != "90" {
            return Err(QrError::NotACode);
        }
        let version = match number::<u8>(digits(2..4)?)? {
            0 => QrVersion::S2,
            1 => QrVersion::SmartStart,
            other => return Err(QrError::Version(other)),
        };
        if number::<u16>(digits(4..9)?)? != checksum(code.get(9..).ok_or(QrError::NotACode)?) {
            return Err(QrError::Checksum);
        }
        let dsk = digits(12..52)?.parse().map_err(|_| QrError::NotACode)?;
        let mut read =
            Self { version, requested_keys: number(digits(9..12)?)?, dsk, device_class: None, product: None };
        read.details(code.get(FIXED_DIGITS..).unwrap_or_default())?;
        Ok(read)
    }

    /// Blocks of two digits for kind and criticality, two for a length, and a value.
    fn details(&mut self, mut rest: &str) -> Result<(), QrError> {
        while let Some((head, tail)) = rest.split_at_checked(4) {
            let (kind, length) = head.split_at(2);
            let kind: u8 = number(kind)?;
            let (kind, critical) = (kind >> 1, kind & 1 == 1);
            let length = number::<u8>(length).map(usize::from)?;
            let (value, after) = tail.split_at_checked(length).ok_or(QrError::Detail(kind))?;
            self.detail(kind, critical, value)?;
            rest = after;
        }
        if rest.is_empty() { Ok(()) } else { Err(QrError::NotACode) }
    }

    fn detail(&mut self, kind: u8, critical: bool, value: &str) -> Result<(), QrError> {
        let fields: Option<Vec<u16>> = value
            .as_bytes()
            .chunks(5)
            .map(|digits| std::str::from_utf8(digits).ok().filter(|d| d.len() == 5)?.parse().ok())
            .collect();
        match (kind, fields.as_deref()) {
            (0, Some([class, _icon])) => self.device_class = Some(class.to_be_bytes().into()),
            (1, Some([manufacturer, product_type, product, version])) => {
                let (manufacturer, product_type, product) = (*manufacturer, *product_type, *product);
                let version = version.to_be_bytes().into();
                self.product = Some(Product { manufacturer, product_type, product, version });
            }
            (0 | 1, _) => return Err(QrError::Detail(kind)),
            _ if critical => return Err(QrError::Critical(kind)),
            _ => {}
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(digits: &str) -> Result<T, QrError> {
    digits.parse().map_err(|_| QrError::NotACode)
}

/// The first two bytes of SHA-1 over the digits.
fn checksum(digits: &str) -> u16 {
    let [high, low, ..]: [u8; 20] = Sha1::digest(digits).into();
    u16::from_be_bytes([high, low])
}
