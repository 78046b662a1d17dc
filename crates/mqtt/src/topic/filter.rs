//! Topic filters, shared ones included: §4.7.1, §4.8.2.

use std::fmt;

use bytes::Bytes;

use crate::codec::Text;
use crate::topic::name::check_depth;
use crate::topic::{TopicError, TopicName};

/// What a subscription asks for: levels, of which some may be wildcards, perhaps shared by a group.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter {
    text: Text,
    /// Bytes of `$share/<group>/` before the filter itself; 0 without one.
    prefix: usize,
}

/// A shared subscription taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The name of the group.
    pub group: Bytes,
}

const SHARE: &[u8] = b"$share/";

impl TopicFilter {
    /// The filter with its share prefix, as the client gave it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// The filter as the string that packets carry.
    #[must_use]
    pub const fn as_text(&self) -> &Text {
        &self.text
    }

    /// The group that shares the subscription.
    #[must_use]
    pub fn shared(&self) -> Option<Shared> {
        let end = self.prefix.checked_sub(1)?;
        Some(Shared { group: self.text.as_bytes().slice(SHARE.len()..end) })
    }

    /// What topic names are matched against: the filter without its share prefix.
    #[must_use]
    pub fn pattern(&self) -> Bytes {
        self.text.as_bytes().slice(self.prefix..)
    }

    /// The pattern as text.
    #[must_use]
    pub fn pattern_str(&self) -> &str {
        self.as_str().get(self.prefix..).unwrap_or_default()
    }

    /// Whether messages of `topic` are asked for. A name that begins with `$` is not matched by a wildcard on its
    /// first level [MQTT-4.7.2-1].
    #[must_use]
    pub fn matches(&self, topic: &TopicName) -> bool {
        let (name, pattern) = (topic.as_bytes(), self.pattern());
        if name.first() == Some(&b'$') && matches!(pattern.first(), Some(b'+' | b'#')) {
            return false;
        }
        let mut levels = name.split(|b| *b == b'/');
        for part in pattern.split(|b| *b == b'/') {
            match (part, levels.next()) {
                (b"#", _) => return true,
                (b"+", Some(_)) => {}
                (part, Some(level)) if part == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }

    /// The same filter in memory of its own.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { text: self.text.detached(), prefix: self.prefix }
    }
}

impl TryFrom<Text> for TopicFilter {
    type Error = TopicError;

    fn try_from(text: Text) -> Result<Self, TopicError> {
        let prefix = share_prefix(text.as_bytes())?;
        let pattern = text.as_bytes().get(prefix..).unwrap_or_default();
        if pattern.is_empty() {
            return Err(if prefix == 0 { TopicError::Empty } else { TopicError::Share });
        }
        check_depth(pattern)?;
        check_wildcards(pattern)?;
        Ok(Self { text, prefix })
    }
}

impl TryFrom<&str> for TopicFilter {
    type Error = TopicError;

    fn try_from(text: &str) -> Result<Self, TopicError> {
        Self::try_from(Text::try_from(text).map_err(|_| TopicError::Text)?)
    }
}

impl fmt::Debug for TopicFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// Bytes of `$share/<group>/`. The group has at least one character and no wildcard.
fn share_prefix(bytes: &[u8]) -> Result<usize, TopicError> {
    if bytes == b"$share" {
        return Err(TopicError::Share);
    }
    let Some(rest) = bytes.strip_prefix(SHARE) else { return Ok(0) };
    let group = rest.iter().position(|b| *b == b'/').ok_or(TopicError::Share)?;
    let wildcard = rest.iter().take(group).any(|b| matches!(b, b'+' | b'#'));
    if group == 0 || wildcard { Err(TopicError::Share) } else { Ok(SHARE.len() + group + 1) }
}

fn check_wildcards(pattern: &[u8]) -> Result<(), TopicError> {
    let mut levels = pattern.split(|b| *b == b'/').peekable();
    while let Some(level) = levels.next() {
        let is_last = levels.peek().is_none();
        let wildcard = level.iter().any(|b| matches!(b, b'+' | b'#'));
        if wildcard && level != b"+" && !(level == b"#" && is_last) {
            return Err(TopicError::Wildcard);
        }
    }
    Ok(())
}
