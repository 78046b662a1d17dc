//! What the device remembers of commands, so that none is executed twice: one sealed file for each.
//!
//! A file is replaced whole, so that after a crash a command is in the step before or the step after. The *mark* is the
//! latest issue of any timely command: by the service's own clock it is at least that late. Nothing that expired before
//! the mark counts again, and so what is forgotten behind it cannot come back, whatever the device's clock is set to.

use std::collections::BTreeMap;
use std::io;

use thingward_crypto::Digest;
use thingward_crypto::sealed::SealingKey;
use thingward_model::Timestamp;
use thingward_seal::command::CommandId;

use crate::disk::Disk;

/// How long a command is remembered after it expired, by the service's clock, in microseconds: an hour.
pub const KEEP_MICROS: i64 = 3600 * 1_000_000;
/// Most commands that are remembered. Beyond them, what expired is forgotten sooner.
pub const ENTRIES_MAX: usize = 1024;

/// What is wrong with a journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The disk failed. Whether the step is kept is not known before the next start.
    #[error("command journal: {0}")]
    Disk(#[from] io::Error),
    /// A file does not open: it was changed, or the sealing key is another.
    #[error("command journal: {file} is damaged; a command could be executed twice without it")]
    Damaged {
        /// The file's name.
        file: String,
    },
    /// The sealing key does not work.
    #[error("sealing key does not work")]
    Crypto,
    /// So many commands are remembered that may not be forgotten yet.
    #[error("the command journal is full")]
    Full,
}

/// A remembered command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which command had the id.
    pub command: Digest,
    /// When it expires.
    pub expires: Timestamp,
    /// When it was issued, when it came timely; else the epoch. The mark comes from it.
    pub timely: Timestamp,
    /// The presentation of a grant that asked for it; empty for what the service sent.
    pub presentation: Vec<u8>,
    /// How far it is.
    pub step: Step,
}

impl Entry {
    /// Whether a grant asked for it.
    #[must_use]
    pub fn is_use(&self) -> bool {
        !self.presentation.is_empty()
    }
}

/// How far a command is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It may have been executed, in part or whole.
    Started,
    /// It has its reply, which the other end may not have.
    Answered(Vec<u8>),
    /// The other end has the reply.
    Delivered(Vec<u8>),
}

/// See the module.
pub struct Journal<D> {
    disk: D,
    key: SealingKey,
    entries: BTreeMap<CommandId, Entry>,
    mark: Timestamp,
    /// The mark that stands in its file.
    saved_mark: Timestamp,
}

/// Of entries without and with a presentation.
const COMMAND: u8 = 1;
const USE: u8 = 2;
const EXTENSION: &str = ".command";
const MARK: &str = "mark";
const STARTED: u8 = 0;
const ANSWERED: u8 = 1;
const DELIVERED: u8 = 2;

impl<D: Disk> Journal<D> {
    /// Opens the journal on `disk`.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub fn open(disk: D, key: SealingKey) -> Result<Self, JournalError> {
        let mut journal = Self {
            disk,
            key,
            entries: BTreeMap::new(),
            mark: Timestamp::EPOCH,
            saved_mark: Timestamp::EPOCH,
        };
        if let Some(plain) = journal.load(MARK)? {
            let mark: [u8; 8] = plain.try_into().map_err(|_| damaged(MARK))?;
            journal.saved_mark = Timestamp::from_micros(i64::from_be_bytes(mark));
            journal.mark = journal.saved_mark;
        }
        for file in journal.disk.list()? {
            let Some(id) = id_of(&file) else { continue };
            let plain = journal.load(&file)?.ok_or_else(|| damaged(&file))?;
            let entry = read_entry(&plain).ok_or_else(|| damaged(&file))?;
            journal.mark = journal.mark.max(entry.timely);
            journal.entries.insert(id, entry);
        }
        Ok(journal)
    }

    fn load(&self, file: &str) -> Result<Option<Vec<u8>>, JournalError> {
        let Some(sealed) = self.disk.read(file)? else { return Ok(None) };
        let plain = self.key.open(&label(file), &sealed).map_err(|_| damaged(file))?;
        Ok(Some(plain.to_vec()))
    }

    fn store(&mut self, file: &str, plain: &[u8]) -> Result<(), JournalError> {
        let sealed = self.key.seal(&label(file), plain).map_err(|_| JournalError::Crypto)?;
        Ok(self.disk.replace(file, &sealed)?)
    }

    /// The command of this id.
    #[must_use]
    pub fn get(&self, id: &CommandId) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// All commands.
    pub fn entries(&self) -> impl Iterator<Item = (&CommandId, &Entry)> {
        self.entries.iter()
    }

    /// The time is at least this.
    #[must_use]
    pub const fn mark(&self) -> Timestamp {
        self.mark
    }

    /// Writes a new command down. It is durable on return.
    ///
    /// # Errors
    ///
    /// [`JournalError`]; the command MUST NOT be begun, nor its reply sent.
    pub fn add(&mut self, id: CommandId, entry: Entry) -> Result<(), JournalError> {
        self.make_room(entry.timely)?;
        self.write(id, entry)
    }

    /// Moves a command on. The step is durable on return. A command that is not remembered is left so.
    ///
    /// # Errors
    ///
    /// [`JournalError`]; the command is in the step before, as far as is known.
    pub fn advance(&mut self, id: &CommandId, step: Step) -> Result<(), JournalError> {
        let Some(entry) = self.entries.get(id) else { return Ok(()) };
        let entry = Entry { step, ..entry.clone() };
        self.write(*id, entry)
    }

    fn write(&mut self, id: CommandId, entry: Entry) -> Result<(), JournalError> {
        self.store(&file_of(&id), &write_entry(&entry))?;
        self.mark = self.mark.max(entry.timely);
        self.entries.insert(id, entry);
        Ok(())
    }

    /// Forgets what may be forgotten once the time is at least `timely`.
    fn make_room(&mut self, timely: Timestamp) -> Result<(), JournalError> {
        let mark = self.mark.max(timely);
        let may_go = |e: &Entry| matches!(e.step, Step::Delivered(_));
        let mut gone: Vec<CommandId> = Vec::new();
        // Nobody can come with a spent nonce again, so a use that was delivered is over.
        let is_over = |e: &Entry| e.is_use() || e.expires.plus_micros(KEEP_MICROS) <= mark;
        gone.extend(self.entries.iter().filter(|(_, e)| may_go(e) && is_over(e)).map(|(id, _)| *id));
        let excess = (self.entries.len() + 1).saturating_sub(ENTRIES_MAX + gone.len());
        if excess > 0 {
            let is_expired = |e: &Entry| e.expires <= mark && !is_over(e);
            let mut expired: Vec<_> =
                self.entries.iter().filter(|(_, e)| may_go(e) && is_expired(e)).collect();
            expired.sort_by_key(|(_, e)| e.expires);
            if expired.len() < excess {
                return Err(JournalError::Full);
            }
            gone.extend(expired.into_iter().take(excess).map(|(id, _)| *id));
        }
        if gone.is_empty() {
            return Ok(());
        }
        // First the mark: without it a forgotten command could be new again.
        if self.saved_mark < mark {
            self.store(MARK, &mark.as_micros().to_be_bytes())?;
            self.saved_mark = mark;
            self.mark = mark;
        }
        for id in gone {
            self.disk.remove(&file_of(&id))?;
            self.entries.remove(&id);
        }
        Ok(())
    }
}

fn damaged(file: &str) -> JournalError {
    JournalError::Damaged { file: file.to_owned() }
}

fn label(file: &str) -> Vec<u8> {
    format!("commands {file}").into_bytes()
}

fn file_of(id: &CommandId) -> String {
    format!("{}{EXTENSION}", base16ct::lower::encode_string(id))
}

fn id_of(file: &str) -> Option<CommandId> {
    parse_id(file.strip_suffix(EXTENSION)?)
}

/// Reads an id as topics and file names have it: 32 lower-case hexadecimal digits.
pub(super) fn parse_id(hex: &str) -> Option<CommandId> {
    let mut id = [0; 16];
    let read = base16ct::lower::decode(hex, &mut id).ok()?;
    (read.len() == id.len()).then_some(id)
}

fn write_entry(entry: &Entry) -> Vec<u8> {
    let (step, reply): (u8, &[u8]) = match &entry.step {
        Step::Started => (STARTED, &[]),
        Step::Answered(reply) => (ANSWERED, reply),
        Step::Delivered(reply) => (DELIVERED, reply),
    };
    let mut plain = vec![if entry.is_use() { USE } else { COMMAND }, step];
    plain.extend_from_slice(&entry.command);
    plain.extend_from_slice(&entry.expires.as_micros().to_be_bytes());
    plain.extend_from_slice(&entry.timely.as_micros().to_be_bytes());
    if entry.is_use() {
        let len = u16::try_from(entry.presentation.len()).unwrap_or(u16::MAX);
        plain.extend_from_slice(&len.to_be_bytes());
        plain.extend_from_slice(&entry.presentation);
    }
    plain.extend_from_slice(reply);
    plain
}

fn read_entry(plain: &[u8]) -> Option<Entry> {
    let ([version, step], rest) = plain.split_first_chunk::<2>()?;
    let (command, rest) = rest.split_first_chunk::<32>()?;
    let (expires, rest) = rest.split_first_chunk::<8>()?;
    let (timely, rest) = rest.split_first_chunk::<8>()?;
    let (presentation, reply) = match *version {
        COMMAND => (&[][..], rest),
        USE => {
            let (len, rest) = rest.split_first_chunk::<2>()?;
            rest.split_at_checked(usize::from(u16::from_be_bytes(*len))).filter(|(p, _)| !p.is_empty())?
        }
        _ => return None,
    };
    let step = match *step {
        STARTED if reply.is_empty() => Step::Started,
        ANSWERED => Step::Answered(reply.to_vec()),
        DELIVERED => Step::Delivered(reply.to_vec()),
        _ => return None,
    };
    let time = |bytes: &[u8; 8]| Timestamp::from_micros(i64::from_be_bytes(*bytes));
    let presentation = presentation.to_vec();
    Some(Entry { command: *command, expires: time(expires), timely: time(timely), presentation, step })
}
