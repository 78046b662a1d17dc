//! Strings and binary data with two-byte lengths: §1.5.4, §1.5.6.

use std::fmt;

use bytes::Bytes;

/// A UTF-8 string of at most 65 535 bytes without NUL, control characters or noncharacters: §1.5.4.
///
/// NUL must be refused [MQTT-1.5.4-2]; the others may be, and are. A byte order mark is kept [MQTT-1.5.4-3].
/// Shares the bytes that it was read from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text(Bytes);

/// The bytes are no [`Text`], or too many for a [`Binary`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a string or binary field of MQTT")]
pub struct TextError;

impl Text {
    /// The string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The bytes of the string.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same string in memory of its own, so that it holds no larger buffer alive.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}

impl TryFrom<Bytes> for Text {
    type Error = TextError;

    fn try_from(bytes: Bytes) -> Result<Self, TextError> {
        if bytes.len() > usize::from(u16::MAX) {
            return Err(TextError);
        }
        let plain = bytes.iter().all(|b| (0x20..0x7f).contains(b));
        let allowed = plain || std::str::from_utf8(&bytes).map_err(|_| TextError)?.chars().all(is_allowed);
        if allowed { Ok(Self(bytes)) } else { Err(TextError) }
    }
}

impl TryFrom<&str> for Text {
    type Error = TextError;

    fn try_from(text: &str) -> Result<Self, TextError> {
        Self::try_from(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

fn is_allowed(c: char) -> bool {
    let code = u32::from(c);
    !c.is_control() && !(0xFDD0..=0xFDEF).contains(&code) && code & 0xFFFE != 0xFFFE
}

/// At most 65 535 bytes: §1.5.6.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Binary(Bytes);

impl Binary {
    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The same bytes in memory of their own.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}

impl TryFrom<Bytes> for Binary {
    type Error = TextError;

    fn try_from(bytes: Bytes) -> Result<Self, TextError> {
        if bytes.len() > usize::from(u16::MAX) { Err(TextError) } else { Ok(Self(bytes)) }
    }
}

/// Only the length: passwords and authentication data are binary fields.
impl fmt::Debug for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Binary({} bytes)", self.0.len())
    }
}
