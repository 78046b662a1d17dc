//! What a log commits itself to: C2SP tlog-checkpoint.

use std::fmt;
use std::str::FromStr;
use std::string::{String, ToString};
use std::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thingward_crypto::Signer;

use crate::hash::Hash;
use crate::note::{LogKey, NoteError, SignedNote};

/// The size and root of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Names the log: a URL without its scheme.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// Over all of them.
    pub root: Hash,
    /// Further lines; we write none.
    pub extensions: Vec<String>,
}

/// The text of the note.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl FromStr for Checkpoint {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.strip_suffix('\n').ok_or(NoteError::Malformed)?.split('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty()).ok_or(NoteError::Malformed);
        let (origin, size, root) = (line()?, line()?, line()?);
        let number = size.parse().ok().filter(|n: &u64| n.to_string() == size);
        let root = STANDARD.decode(root).ok().and_then(|root| root.try_into().ok());
        let extensions: Vec<String> = lines.map(str::to_string).collect();
        match (number, root) {
            (Some(size), Some(root)) if extensions.iter().all(|line| !line.is_empty()) => {
                Ok(Self { origin: origin.to_string(), size, root, extensions })
            }
            _ => Err(NoteError::Malformed),
        }
    }
}

impl Checkpoint {
    /// The signed note. The key's name is the origin.
    ///
    /// # Errors
    ///
    /// [`NoteError`] when the origin cannot be in a note, or the signer fails.
    pub fn sign(&self, signer: &impl Signer) -> Result<String, NoteError> {
        SignedNote::sign(&self.to_string(), &self.origin, signer)
    }

    /// Reads a note that `key` signed, of the log that has its name.
    ///
    /// # Errors
    ///
    /// [`NoteError`].
    pub fn verify(note: &SignedNote, key: &LogKey) -> Result<Self, NoteError> {
        let checkpoint: Self = note.verify(key)?.parse()?;
        if checkpoint.origin == key.name() { Ok(checkpoint) } else { Err(NoteError::Key) }
    }
}
