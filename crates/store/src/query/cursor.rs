//! Where a page ends, as a text that a caller hands back.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thingward_model::Timestamp;

use crate::row::RowKey;

/// The last row of a page. Shown as text without meaning to others; it names no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub(crate) RowKey);

/// A text is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a cursor of an earlier page")]
pub struct CursorError;

/// Base64 of the parts of the key, each ended by a zero byte.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (time, device, stream, field, chain, seq, item) = &self.0;
        let chain = u64::from_be_bytes(*chain);
        let field = field.as_ref().map_or("", |f| f.as_str());
        let text = format!("{}\0{device}\0{stream}\0{field}\0{chain}\0{seq}\0{item}", time.as_micros());
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError)?;
        parse(std::str::from_utf8(&bytes).map_err(|_| CursorError)?).ok_or(CursorError)
    }
}

fn parse(text: &str) -> Option<Cursor> {
    let mut parts = text.split('\0');
    let time = Timestamp::from_micros(parts.next()?.parse().ok()?);
    let (device, stream) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let field = match parts.next()? {
        "" => None,
        name => Some(name.parse().ok()?),
    };
    let chain = parts.next()?.parse::<u64>().ok()?.to_be_bytes();
    let (seq, item) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(Cursor((time, device, stream, field, chain, seq, item)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_from_its_text_and_nothing_else_is_one() {
        for field in [None, Some("x".parse().unwrap())] {
            let (device, stream) = ("d".parse().unwrap(), "s".parse().unwrap());
            let cursor = Cursor((Timestamp::from_micros(-5), device, stream, field, [9; 8], 7, 3));
            assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
            assert_eq!(format!("{cursor}A").parse::<Cursor>(), Err(CursorError));
        }
        for text in ["", "x", "AAAA", "🦀"] {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text}");
        }
    }
}
