//! Checks a whole log with nothing but its key: every entry, who stands behind it, their order, and the checkpoint over
//! them.

use std::collections::BTreeMap;
use std::string::String;

use crate::actors::{ActorFault, Actors, RequestKey, Word};
use crate::checkpoint::Checkpoint;
use crate::entry::{EntryError, SignedEntry};
use crate::frontier::Frontier;
use crate::hash::leaf_hash;
use crate::note::{LogKey, NoteError, SignedNote};

/// What is wrong with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogFault {
    /// An entry is not what its signer wrote.
    #[error("entry {index}: {fault}")]
    Entry {
        /// Its place.
        index: u64,
        /// What is wrong with it.
        fault: EntryError,
    },
    /// The service says of somebody what they did not sign.
    #[error("entry {index}: {fault}")]
    Actor {
        /// Its place.
        index: u64,
        /// What is wrong with it.
        fault: ActorFault,
    },
    /// The checkpoint is not the log's.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] NoteError),
    /// Entries are missing, or there are more than the log committed itself to.
    #[error("the checkpoint is over {said} entries, and {has} are here")]
    Size {
        /// In the checkpoint.
        said: u64,
        /// Entries that came.
        has: u64,
    },
    /// An entry was changed, removed, inserted or moved.
    #[error("the entries are not those that the checkpoint is over")]
    Root,
    /// The log's key signed another tree of this size before: there are two histories.
    #[error("TWO HISTORIES: its key signed other entries for the first {size} before")]
    TwoHistories {
        /// Entries of the former checkpoint.
        size: u64,
    },
    /// The log's key signed a larger tree before: entries at the end are missing.
    #[error("its key signed {size} entries before, and {has} are here")]
    Shrunk {
        /// Entries of the former checkpoint.
        size: u64,
        /// Entries that came.
        has: u64,
    },
}

/// A log that is what its key signed, to the last entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// It is over all of it.
    pub checkpoint: Checkpoint,
    /// How many entries stand on whose word.
    pub words: BTreeMap<Word, u64>,
    /// By gateway, how many of its accounts do not follow what the log has of it: some are missing, or it tells two stories.
    pub gaps: BTreeMap<String, u64>,
}

/// Takes the entries of a log in their order.
pub struct Verifier<'a> {
    key: &'a LogKey,
    tree: Frontier,
    actors: Actors,
    words: BTreeMap<Word, u64>,
    former: Option<Checkpoint>,
}

impl<'a> Verifier<'a> {
    /// For the log that has this key.
    #[must_use]
    pub fn new(key: &'a LogKey, request_key: RequestKey) -> Self {
        let actors = Actors::new(key.name(), request_key);
        Self { key, tree: Frontier::default(), actors, words: BTreeMap::new(), former: None }
    }

    /// The log has to continue what it committed itself to before. Asked for before the first entry.
    ///
    /// # Errors
    ///
    /// [`LogFault::Checkpoint`] when the former checkpoint is not the log's, [`LogFault::TwoHistories`] when it is
    /// over nothing and has the root of something.
    pub fn continuing(self, former: &str) -> Result<Self, LogFault> {
        let former = Some(Checkpoint::verify(&SignedNote::parse(former)?, self.key)?);
        let me = Self { former, ..self };
        me.check_former()?;
        Ok(me)
    }

    /// Whether the entries so far are those of the former checkpoint, when there are just as many.
    fn check_former(&self) -> Result<(), LogFault> {
        let due = self.former.as_ref().filter(|former| former.size == self.tree.size());
        match due {
            Some(former) if former.root != self.tree.root() => {
                Err(LogFault::TwoHistories { size: former.size })
            }
            _ => Ok(()),
        }
    }

    /// Takes the next entry.
    ///
    /// # Errors
    ///
    /// [`LogFault::Entry`] when the log's key did not sign it, [`LogFault::Actor`] when it is not on the word of whom it
    /// speaks of, [`LogFault::TwoHistories`] when the entries up to it are
    /// not those of the former checkpoint.
    pub fn entry(&mut self, bytes: &[u8]) -> Result<(), LogFault> {
        let index = self.tree.size();
        let of_entry = |fault| LogFault::Entry { index, fault };
        let signed = SignedEntry::decode(bytes).map_err(of_entry)?;
        let entry = signed.verify(self.key.verifying()).map_err(of_entry)?;
        let word = self.actors.entry(entry).map_err(|fault| LogFault::Actor { index, fault })?;
        *self.words.entry(word).or_default() += 1;
        self.tree.push(leaf_hash(bytes), |_, _| ());
        self.check_former()
    }

    /// Checks that the checkpoint is over exactly what came.
    ///
    /// # Errors
    ///
    /// [`LogFault`].
    pub fn finish(self, checkpoint: &str) -> Result<Verified, LogFault> {
        let checkpoint = Checkpoint::verify(&SignedNote::parse(checkpoint)?, self.key)?;
        if checkpoint.size != self.tree.size() {
            return Err(LogFault::Size { said: checkpoint.size, has: self.tree.size() });
        }
        if checkpoint.root != self.tree.root() {
            return Err(LogFault::Root);
        }
        match self.former {
            Some(former) if former.size > checkpoint.size => {
                Err(LogFault::Shrunk { size: former.size, has: checkpoint.size })
            }
            _ => Ok(Verified { checkpoint, words: self.words, gaps: self.actors.gaps().clone() }),
        }
    }
}
