//! What a witness decides: C2SP tlog-witness, `add-checkpoint`. What was seen before and a request go in, what may be
//! co-signed comes out; keeping it and answering are the shell's.

use std::fmt;
use std::str::FromStr;
use std::string::{String, ToString};
use std::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thingward_crypto::sha256;

use crate::checkpoint::Checkpoint;
use crate::hash::{EMPTY_ROOT, Hash};
use crate::note::{LogKey, SignedNote};
use crate::proof::{Subtree, verify_consistency};

/// Most hashes of a consistency proof.
pub const PROOF_HASHES_MAX: usize = 63;
/// Largest request, in bytes: a full proof, and a checkpoint with many signatures.
pub const REQUEST_BYTES_MAX: usize = 32 * 1024;
/// The media type of the answer that says which size the witness has.
pub const SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";

/// Why a witness does not co-sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not an old size, a proof, an empty line and a checkpoint; or the log would shrink.
    #[error("not a request to add a checkpoint")]
    Malformed,
    /// Nobody told the witness of this log.
    #[error("the witness does not know this log")]
    UnknownOrigin,
    /// None of the keys that the witness knows for this log signed the checkpoint.
    #[error("no key known for this log signed the checkpoint")]
    Unsigned,
    /// The request starts from another size than that of the last checkpoint that was co-signed.
    #[error("the last checkpoint that was co-signed has {size} entries")]
    Conflict {
        /// Its entries.
        size: u64,
    },
    /// The log's key signed another tree of the size that was co-signed last: there are two histories.
    #[error("the last checkpoint that was co-signed has {size} entries, and other ones")]
    OtherRoot {
        /// Its entries.
        size: u64,
    },
    /// The checkpoint is not proved to continue the last one.
    #[error("the checkpoint is not proved to continue the last one")]
    Proof,
}

impl Refusal {
    /// The HTTP status that the specification has for it.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unsigned => 403,
            Self::UnknownOrigin => 404,
            Self::Conflict { .. } | Self::OtherRoot { .. } => 409,
            Self::Proof => 422,
        }
    }

    /// Whether the request may be what the log is convicted with: its key signed what does not continue what was co-signed.
    #[must_use]
    pub const fn is_evidence(&self) -> bool {
        match self {
            Self::OtherRoot { .. } | Self::Proof => true,
            Self::Malformed | Self::UnknownOrigin | Self::Unsigned | Self::Conflict { .. } => false,
        }
    }
}

/// A request, on nobody's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    old_size: u64,
    proof: Vec<Hash>,
    note: SignedNote,
    checkpoint: Checkpoint,
}

impl AddCheckpoint {
    /// The body of a request: `note` continues the log of `old_size` entries, as `proof` shows.
    #[must_use]
    pub fn body(old_size: u64, proof: &[Hash], note: &str) -> String {
        let lines: String = proof.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
        std::format!("old {old_size}\n{lines}\n{note}")
    }

    /// The log that it says it is of, on nobody's word.
    #[must_use]
    pub fn origin_unverified(&self) -> &str {
        &self.checkpoint.origin
    }

    /// Decides with the keys that are known for the log, and what of it was co-signed last. The checkpoint that comes
    /// back has to be durable, in place of `last`, before anybody gets a cosignature over it; and between reading
    /// `last` and that, no other decision about the log may be made.
    ///
    /// # Errors
    ///
    /// [`Refusal`].
    pub fn decide(&self, keys: &[LogKey], last: &Seen) -> Result<Accepted, Refusal> {
        let is_signed = |key: &LogKey| Checkpoint::verify(&self.note, key).is_ok();
        if keys.iter().all(|key| key.name() != self.checkpoint.origin) {
            return Err(Refusal::UnknownOrigin);
        }
        if !keys.iter().any(is_signed) {
            return Err(Refusal::Unsigned);
        }
        let Checkpoint { size, root, .. } = self.checkpoint;
        if self.old_size > size {
            return Err(Refusal::Malformed);
        }
        if size == last.size && root != last.root {
            return Err(Refusal::OtherRoot { size });
        }
        if self.old_size != last.size {
            return Err(Refusal::Conflict { size: last.size });
        }
        verify_consistency(Subtree::first(last.size), &last.root, size, &root, &self.proof)
            .map_err(|_| Refusal::Proof)?;
        Ok(Accepted { seen: Seen { size, root }, text: self.note.text_unverified().to_string() })
    }
}

/// The body of a request.
impl FromStr for AddCheckpoint {
    type Err = Refusal;

    fn from_str(body: &str) -> Result<Self, Refusal> {
        let malformed = Refusal::Malformed;
        let (head, note) = body.split_once("\n\n").ok_or(malformed)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(malformed)?;
        let old_size: u64 = old.parse().map_err(|_| malformed)?;
        if old_size.to_string() != old {
            return Err(malformed);
        }
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() == PROOF_HASHES_MAX {
                return Err(malformed);
            }
            proof.push(hash(line).ok_or(malformed)?);
        }
        let note = SignedNote::parse(note).map_err(|_| malformed)?;
        let checkpoint = note.text_unverified().parse().map_err(|_| malformed)?;
        Ok(Self { old_size, proof, note, checkpoint })
    }
}

/// What may be co-signed, once it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    seen: Seen,
    text: String,
}

impl Accepted {
    /// What to keep.
    #[must_use]
    pub const fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The text to co-sign.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What a witness keeps of a log: the last tree that it co-signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    size: u64,
    root: Hash,
}

impl Default for Seen {
    /// Nothing yet.
    fn default() -> Self {
        Self { size: 0, root: EMPTY_ROOT }
    }
}

/// A text is not what [`Seen::to_file`] wrote for this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what was kept of this log is damaged")]
pub struct Damaged;

const FILE_MARK: &str = "thingward witness 1";

impl Seen {
    /// Entries.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What the file of the log has: its tree, and a hash that a torn or changed file does not have.
    #[must_use]
    pub fn to_file(&self, origin: &str) -> String {
        let text = self.text(origin);
        let check = STANDARD.encode(sha256(&[text.as_bytes()]));
        std::format!("{text}{check}\n")
    }

    /// Reads what [`Self::to_file`] made for this log.
    ///
    /// # Errors
    ///
    /// [`Damaged`].
    pub fn from_file(origin: &str, file: &str) -> Result<Self, Damaged> {
        let mut lines = file.lines().skip(2);
        let size = lines.next().and_then(|line| line.parse().ok()).ok_or(Damaged)?;
        let root = lines.next().and_then(hash).ok_or(Damaged)?;
        let seen = Self { size, root };
        // One form only: mark, origin and check are right when the whole is.
        if seen.to_file(origin) == file { Ok(seen) } else { Err(Damaged) }
    }

    fn text(&self, origin: &str) -> String {
        std::format!("{FILE_MARK}\n{origin}\n{self}")
    }
}

/// Size and root, a line each.
impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}", self.size, STANDARD.encode(self.root))
    }
}

fn hash(line: &str) -> Option<Hash> {
    STANDARD.decode(line).ok()?.try_into().ok()
}
