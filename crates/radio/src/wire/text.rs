//! Texts with a bound.

use std::fmt;

use minicbor::decode::Error;
use minicbor::{Decode, Decoder, Encode, Encoder, encode};

/// A text of at most `MAX` bytes, without control characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Nothing.
    pub const EMPTY: Self = Self(String::new());

    /// `None` when it is too long or has control characters.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (text.len() <= MAX && !text.contains(char::is_control)).then(|| Self(text.to_owned()))
    }

    /// As much of it as fits, with control characters shown as such.
    #[must_use]
    pub fn fitting(text: &str) -> Self {
        let text: String =
            text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect();
        let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= MAX).last();
        Self(text.get(..end.unwrap_or_default()).unwrap_or_default().to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<C, const MAX: usize> Encode<C> for Text<MAX> {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C, const MAX: usize> Decode<'b, C> for Text<MAX> {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, Error> {
        let at = d.position();
        Self::new(d.str()?)
            .ok_or_else(|| Error::message("a text that is too long or has control characters").at(at))
    }
}
