//! What the gateway did by itself: accounts under its own key, durable before anything comes of them, and sent to the service's
//! log when it is there.
//!
//! The newest account is in a file of its own, so that the next one continues it whatever was sent meanwhile. After a kill
//! it is sent again: the service knows what it has.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use thingward_agent::disk::Directory;
use thingward_agent::home::Home;
use thingward_agent::membership::Membership;
use thingward_agent::segments;
use thingward_agent::stream::SharedSigner;
use thingward_audit::account::{self, Place};
use thingward_audit::entry::{Entry, EntryError, origin};
use thingward_crypto::sealed::{SealingKey, read_private, write_private};
use thingward_model::clock::now;
use thingward_model::{DeviceName, Link};
use tokio::sync::Notify;

use crate::queue::{Queue, QueueError, QueueLimits, Queued};

/// Room for accounts that wait for the service: some ten thousand. With none left the gateway does nothing by itself.
const LIMITS: QueueLimits = QueueLimits { bytes_max: 32 << 20, age_max: std::time::Duration::MAX };
const LABEL: &[u8] = b"thingward newest account";
/// Bytes of a place in front of the account.
const PLACE_BYTES: usize = 40;

/// Why an account is not written, and nothing may come of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// It cannot be signed, or is too large.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// Too many wait for the service, or the disk failed.
    #[error("accounts of the gateway: {0}")]
    Queue(#[from] QueueError),
    /// The file of the newest one failed.
    #[error("the newest account of the gateway: {0}")]
    Disk(#[from] io::Error),
}

/// What was done: a kind of deed, to whom, and how.
pub(crate) struct Deed {
    pub(crate) action: &'static str,
    pub(crate) target: String,
    pub(crate) details: Vec<(&'static str, String)>,
}

/// The accounts of this gateway. Clones are the same.
#[derive(Clone)]
pub(crate) struct Accounts(Arc<Mutex<Inner>>);

struct Inner {
    queue: Queue<Directory>,
    newest: PathBuf,
    key: SealingKey,
    signer: SharedSigner,
    gateway: DeviceName,
    origin: String,
    /// Where the next one stands.
    place: Place,
    /// The newest one, while it is not in the queue.
    unsent: Option<Vec<u8>>,
    arrived: Arc<Notify>,
}

impl Accounts {
    /// Those of the gateway with this home.
    ///
    /// # Errors
    ///
    /// [`AccountError`] when what was written before cannot be read: the accounts would tell two stories.
    pub(crate) fn open(
        home: &Home,
        membership: &Membership,
        signer: SharedSigner,
        arrived: Arc<Notify>,
    ) -> Result<Self, AccountError> {
        let folder = home.accounts_dir();
        let key = home.sealing_key().clone();
        let queue = Queue::open(Directory::open(&folder)?, key.clone(), LIMITS)?;
        let newest = folder.join("newest");
        let kept = match read_private(&newest) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            sealed => Some(key.open(LABEL, &sealed?).map_err(io::Error::other)?),
        };
        let read = kept.as_deref().map(|kept| {
            let (place, account) = kept.split_at_checked(PLACE_BYTES)?;
            Some((Place::from_bytes(place)?.next(account), account.to_vec()))
        });
        let (place, unsent) = match read {
            None => (Place::FIRST, None),
            Some(Some((place, account))) => (place, Some(account)),
            Some(None) => return Err(io::Error::new(io::ErrorKind::InvalidData, "it is damaged").into()),
        };
        let mut inner = Inner {
            queue,
            newest,
            key,
            signer,
            gateway: membership.name,
            origin: origin(&membership.trust_domain, membership.tenant.as_str()),
            place,
            unsent,
            arrived,
        };
        inner.send()?;
        Ok(Self(Arc::new(Mutex::new(inner))))
    }

    /// Writes what is done, and gives the number of it. It is durable when this returns. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// [`AccountError`]; it must not be done then.
    pub(crate) fn write(&self, deed: Deed) -> Result<u64, AccountError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(deed)
    }

    /// The next one for the service.
    pub(crate) fn next(&self) -> Option<(segments::Place, Vec<u8>)> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = inner.send() {
            tracing::error!(%error, "an account is kept, and not on its way to the service");
        }
        // Each call tries again.
        inner.queue.look_again();
        match inner.queue.next_message(&std::collections::BTreeSet::new()) {
            Ok(next) => next.map(|(place, queued)| (place, queued.message)),
            Err(error) => {
                tracing::error!(%error, "an account cannot be read back");
                None
            }
        }
    }

    /// One has arrived, or was refused for good.
    pub(crate) fn done(&self, place: segments::Place) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gateway = inner.gateway;
        inner.queue.done(&gateway, place);
    }

    /// Writes down which have arrived, and what waits.
    ///
    /// # Errors
    ///
    /// [`QueueError`]: they are sent again.
    pub(crate) fn commit(&self) -> Result<(), QueueError> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = inner.send();
        inner.queue.commit_all()?;
        sent
    }
}

impl Inner {
    fn write(&mut self, deed: Deed) -> Result<u64, AccountError> {
        self.send()?;
        let number = self.place.number;
        let time = now();
        let details = deed.details.into_iter().chain([
            ("number", number.to_string()),
            // That of the entry is the service's.
            ("time", time.to_string()),
        ]);
        let entry = Entry {
            time: time.as_micros(),
            action: deed.action.to_owned(),
            actor: format!("gateway/{}", self.gateway),
            target: deed.target,
            details: details.map(|(name, value)| (name.to_owned(), value)).collect(),
            evidence: None,
        };
        let account = account::sign(&self.origin, &self.place, &entry, self.signer.as_ref())?;
        let kept = [self.place.to_bytes().as_slice(), &account].concat();
        write_private(&self.newest, &self.key.seal(LABEL, &kept).map_err(io::Error::other)?)?;
        self.place = self.place.next(&account);
        self.unsent = Some(account);
        // It is an account from here on, and what it says has to be done: it is sent in any case, if need be after a start.
        if let Err(error) = self.send() {
            tracing::error!(%error, "an account is kept, and not on its way to the service");
        }
        Ok(number)
    }

    /// Puts the newest one into the queue, when it is not there.
    fn send(&mut self) -> Result<(), QueueError> {
        let Some(account) = &self.unsent else { return Ok(()) };
        let queued = Queued {
            child: self.gateway,
            topic: String::new(),
            received: now(),
            link: Link::MutualTls,
            message: account.clone(),
        };
        self.queue.push(&queued)?;
        self.queue.commit()?;
        self.unsent = None;
        self.arrived.notify_one();
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
