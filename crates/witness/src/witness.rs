//! One decision at a time for each log, durable before it is signed.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use thingward_audit::cosignature::{WitnessKey, cosign};
use thingward_audit::note::{LogKey, NoteError};
use thingward_audit::witness::{AddCheckpoint, Damaged, Refusal, Seen};
use thingward_crypto::sealed::write_private;
use thingward_crypto::sha256;

use crate::home::Home;

/// Why nothing was co-signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotCosigned {
    /// The request is not right.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What was seen of the log cannot be read, or what is seen now cannot be kept.
    #[error("what was seen of the log cannot be kept: {0}")]
    Disk(#[from] io::Error),
    /// The key does not sign.
    #[error(transparent)]
    Key(#[from] NoteError),
}

impl From<Damaged> for NotCosigned {
    fn from(damaged: Damaged) -> Self {
        Self::Disk(io::Error::new(io::ErrorKind::InvalidData, damaged))
    }
}

/// A log that the witness knows.
struct Log {
    keys: Vec<LogKey>,
    file: PathBuf,
    /// Held from reading what was seen to signing what is seen now.
    turn: Mutex<()>,
}

/// Co-signs the logs that it knows. What it has seen is on the disk only, so that nothing in memory can be ahead of it.
pub struct Witness {
    home: Home,
    key: WitnessKey,
    logs: HashMap<String, Log>,
}

impl Witness {
    /// For the logs that have these keys; several keys of one name are those of one log.
    ///
    /// # Errors
    ///
    /// [`NoteError`] never: the home has a key with a name.
    pub fn new(home: Home, keys: Vec<LogKey>) -> Result<Self, NoteError> {
        let key = home.key()?;
        let mut logs: HashMap<String, Log> = HashMap::new();
        for key in keys {
            // An origin may have any characters, a file name may not.
            let id = base16ct::lower::encode_string(&sha256(&[key.name().as_bytes()]));
            let new = || Log { keys: Vec::new(), file: home.seen().join(id), turn: Mutex::default() };
            logs.entry(key.name().to_owned()).or_insert_with(new).keys.push(key);
        }
        Ok(Self { home, key, logs })
    }

    /// Who it is.
    #[must_use]
    pub const fn key(&self) -> &WitnessKey {
        &self.key
    }

    /// How many logs it knows.
    #[must_use]
    pub fn logs(&self) -> usize {
        self.logs.len()
    }

    /// Its folder.
    #[must_use]
    pub const fn home(&self) -> &Home {
        &self.home
    }

    /// Answers a request: the cosignature's line. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// [`NotCosigned`]; the log is where it was, or no cosignature over what it is now was given away.
    pub fn add_checkpoint(&self, body: &str, seconds: u64) -> Result<String, NotCosigned> {
        let request: AddCheckpoint = body.parse()?;
        let origin = request.origin_unverified();
        let log = self.logs.get(origin).ok_or(Refusal::UnknownOrigin)?;
        let _turn = log.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let last = match fs::read_to_string(&log.file) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Seen::default(),
            read => Seen::from_file(origin, &read?)?,
        };
        let accepted =
            request.decide(&log.keys, &last).inspect_err(|refusal| tell(origin, *refusal, body))?;
        // Also when it is as it was: the last write may have failed after its file was in place.
        write_private(&log.file, accepted.seen().to_file(origin).as_bytes())?;
        tracing::debug!(origin, size = accepted.seen().size(), "co-signed");
        Ok(cosign(accepted.text(), seconds, self.key.name(), self.home.signer())?)
    }
}

/// What the log may be convicted with is kept with the request.
fn tell(origin: &str, refusal: Refusal, request: &str) {
    if refusal.is_evidence() {
        tracing::warn!(origin, request, %refusal, "a signed checkpoint does not continue what was co-signed");
    } else {
        tracing::debug!(origin, %refusal, "not co-signed");
    }
}
