//! Permissions as people type them: `reserve minutes=1..120 zone=a,b`.

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::{OwnedBound, OwnedPermission, OwnedValue};

impl fmt::Display for OwnedPermission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.action)?;
        self.bounds.iter().try_for_each(|(name, bound)| write!(f, " {name}={bound}"))
    }
}

impl fmt::Display for OwnedBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |end: &Option<i64>| end.map(|n| n.to_string()).unwrap_or_default();
        match self {
            Self::OneOf(values) => {
                let words: Vec<String> = values.iter().map(ToString::to_string).collect();
                f.write_str(&words.join(","))
            }
            Self::Range { at_least, at_most } => write!(f, "{}..{}", number(at_least), number(at_most)),
        }
    }
}

impl fmt::Display for OwnedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(b) => write!(f, "{b}"),
            Self::Integer(n) => write!(f, "{n}"),
            // As it would not be read as something else.
            Self::Text(text) if is_plain(text) => f.write_str(text),
            Self::Text(text) => write!(f, "{}", serde_json::Value::from(text.as_str())),
        }
    }
}

impl FromStr for OwnedPermission {
    type Err = String;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Self, String> {
        let words = words(text)?;
        let (action, rest) = words.split_first().ok_or("it names no action")?;
        let action = action.parse().map_err(|e| format!("`{action}` is no action: {e}"))?;
        let mut bounds = BTreeMap::new();
        for word in rest {
            let (name, bound) = word.split_once('=').ok_or_else(|| wrong(word))?;
            if bounds.insert(name.to_string(), read_bound(bound).ok_or_else(|| wrong(word))?).is_some() {
                return Err(format!("`{name}` comes twice"));
            }
        }
        Ok(Self { action, bounds })
    }
}

fn wrong(word: &str) -> String {
    format!("`{word}` is no bound; write e.g. minutes=1..120, minutes=..120, zone=a,b or slowly=true")
}

/// Splits at spaces that are not between quotes.
fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), Quote::None);
    for c in text.chars() {
        quote = quote.after(c);
        if c.is_whitespace() && quote == Quote::None {
            words.push(core::mem::take(&mut word));
        } else {
            word.push(c);
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    if quote == Quote::None { Ok(words) } else { Err("a quote has no end".to_string()) }
}

/// Where a character stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Inside,
    Escaped,
}

impl Quote {
    const fn after(self, c: char) -> Self {
        match (self, c) {
            (Self::None, '"') | (Self::Escaped, _) => Self::Inside,
            (Self::None, _) | (Self::Inside, '"') => Self::None,
            (Self::Inside, '\\') => Self::Escaped,
            (Self::Inside, _) => Self::Inside,
        }
    }
}

fn read_bound(text: &str) -> Option<OwnedBound> {
    if !text.contains('"')
        && let Some((least, most)) = text.split_once("..")
    {
        let end = |text: &str| if text.is_empty() { Ok(None) } else { text.parse().map(Some) };
        let (at_least, at_most) = (end(least).ok()?, end(most).ok()?);
        let is_range = match (at_least, at_most) {
            (None, None) => false,
            (Some(least), Some(most)) => least <= most,
            _ => true,
        };
        return is_range.then_some(OwnedBound::Range { at_least, at_most });
    }
    let mut values = Vec::new();
    let (mut rest, mut quote, mut start) = (text, Quote::None, 0);
    for (at, c) in text.char_indices() {
        quote = quote.after(c);
        if c == ',' && quote == Quote::None {
            values.push(read_value(text.get(start..at)?)?);
            start = at.saturating_add(1);
            rest = text.get(start..)?;
        }
    }
    values.push(read_value(rest)?);
    Some(OwnedBound::OneOf(values))
}

fn read_value(word: &str) -> Option<OwnedValue> {
    if word.starts_with('"') {
        return serde_json::from_str(word).ok().map(OwnedValue::Text);
    }
    Some(match word {
        "true" => OwnedValue::Bool(true),
        "false" => OwnedValue::Bool(false),
        word => match word.parse() {
            Ok(n) => OwnedValue::Integer(n),
            Err(_) if is_plain(word) => OwnedValue::Text(word.to_string()),
            Err(_) => return None,
        },
    })
}

/// Whether a text is read as itself.
fn is_plain(text: &str) -> bool {
    let is_other = matches!(text, "true" | "false") || text.parse::<i64>().is_ok();
    let is_safe = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | ',' | '=' | '\\');
    !text.is_empty() && !is_other && !text.contains("..") && text.chars().all(is_safe)
}
