//! How a frame is protected, as a person reads it.

use std::fmt;

use crate::listen::heard::{Heard, Layer, Protection, ProtectionState, Secrecy};
use crate::security::{Freshness, KeyIdentifier};

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, behind) = match self.state {
            ProtectionState::Opened { secrecy: Secrecy::WellKnown, .. } => ("well-known ", ""),
            ProtectionState::Opened { secrecy: Secrecy::GivenAway, .. } => ("", " given away"),
            _ => ("", ""),
        };
        let key = match self.key {
            Some(KeyIdentifier::Network(_)) => "network key",
            Some(_) => "link key",
            None => "Green Power",
        };
        write!(f, "{before}{key}{behind} #{}", self.frame_counter)?;
        match self.state {
            ProtectionState::NotOpened => f.write_str(", not opened"),
            ProtectionState::UnknownSource => f.write_str(", source unknown"),
            ProtectionState::Opened { freshness, .. } => fresh(f, freshness),
            ProtectionState::Unchecked(Freshness::Untracked) => f.write_str(", not checked"),
            ProtectionState::Unchecked(freshness) => {
                f.write_str(", not checked")?;
                fresh(f, freshness)
            }
        }
    }
}

fn fresh(f: &mut fmt::Formatter<'_>, freshness: Freshness) -> fmt::Result {
    match freshness {
        Freshness::Fresh => Ok(()),
        Freshness::Untracked => f.write_str(", counter not compared"),
        Freshness::Replayed { expected } => write!(f, ", counter below {expected}"),
        Freshness::Exhausted => f.write_str(", counter exhausted"),
    }
}

impl Heard {
    /// How it is protected: each layer from the outside in, `open` where there is none, whether it was there before, and
    /// whether it gives a key to everybody.
    #[must_use]
    pub fn security(&self) -> String {
        let mut parts: Vec<String> = self.protections.iter().map(ToString::to_string).collect();
        if parts.is_empty() {
            parts.push("open".to_owned());
        }
        if self.gives_key_away() {
            parts.push("KEY IN THE CLEAR".to_owned());
        }
        match (self.repeats, self.is_fresh()) {
            (Some(_), _) => parts.push("repeated".to_owned()),
            (None, false) => parts.push("REPLAY".to_owned()),
            (None, true) => {}
        }
        parts.join(", ")
    }

    /// The layer furthest in that a key opened.
    #[must_use]
    pub fn opened(&self) -> Option<Layer> {
        let opened = |p: &&Protection| matches!(p.state, ProtectionState::Opened { .. });
        self.protections.iter().rev().find(opened).map(|protection| protection.layer)
    }
}
