//! Topic names: §4.7.

use std::fmt;

use bytes::Bytes;

use crate::codec::{DecodeError, Text};

/// Most levels of a topic name or filter. Bounds the depth of the index and the work of one match.
pub const LEVELS_MAX: usize = 128;

/// A topic that messages are published to: at least one byte, no `+` and `#`, at most [`LEVELS_MAX`] levels.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Text);

/// Why a string is no topic name or filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Not a string of the protocol.
    #[error("not a string of the protocol")]
    Text,
    /// Without a character [MQTT-4.7.3-1].
    #[error("empty topic")]
    Empty,
    /// A wildcard in a name, or one that does not fill its level of a filter [MQTT-4.7.1-1], [MQTT-4.7.1-2].
    #[error("misplaced wildcard")]
    Wildcard,
    /// A shared subscription without a name or a filter [MQTT-4.8.2-1], [MQTT-4.8.2-2].
    #[error("ill-formed shared subscription")]
    Share,
    /// More than [`LEVELS_MAX`] levels.
    #[error("more than {LEVELS_MAX} levels")]
    TooDeep,
}

impl TopicName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The name as the string that packets carry.
    #[must_use]
    pub const fn as_text(&self) -> &Text {
        &self.0
    }

    /// The bytes of the name.
    #[must_use]
    pub const fn as_bytes(&self) -> &Bytes {
        self.0.as_bytes()
    }

    /// The same name in memory of its own.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(self.0.detached())
    }
}

impl TryFrom<Text> for TopicName {
    type Error = TopicError;

    fn try_from(text: Text) -> Result<Self, TopicError> {
        if text.is_empty() {
            return Err(TopicError::Empty);
        }
        let bytes = text.as_bytes();
        if bytes.iter().any(|b| matches!(b, b'+' | b'#')) {
            return Err(TopicError::Wildcard);
        }
        check_depth(bytes)?;
        Ok(Self(text))
    }
}

impl TryFrom<&str> for TopicName {
    type Error = TopicError;

    fn try_from(text: &str) -> Result<Self, TopicError> {
        Self::try_from(Text::try_from(text).map_err(|_| TopicError::Text)?)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

pub(super) fn check_depth(bytes: &[u8]) -> Result<(), TopicError> {
    let separators = bytes.iter().filter(|b| **b == b'/').count();
    if separators >= LEVELS_MAX { Err(TopicError::TooDeep) } else { Ok(()) }
}

impl From<TopicError> for DecodeError {
    fn from(error: TopicError) -> Self {
        match error {
            TopicError::TooDeep => Self::TopicTooDeep,
            TopicError::Text => Self::Text,
            TopicError::Empty | TopicError::Wildcard => Self::TopicName,
            TopicError::Share => Self::TopicFilter,
        }
    }
}
