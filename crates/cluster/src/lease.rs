//! Who leads: an entry that its holder renews, and that ends by itself when it does not.
//!
//! Two may believe for a moment that they lead. That does no harm: the journal takes entries of the newest term only.

use std::time::{Duration, Instant};

use async_nats::jetstream::kv::{Operation, Store};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::nats::{Nats, NatsError};

const KEY: &str = "leader";
/// How long nobody may have heard of the leader before another one takes its place.
pub const LEASE: Duration = Duration::from_secs(4);
/// How often the leader renews it.
pub const RENEWAL: Duration = Duration::from_secs(1);
/// A leader that could not renew it for so long stops, before another one may begin.
pub const GIVES_UP: Duration = Duration::from_secs(3);
/// Longest wait for an answer about it: there is time for more than one try.
const TRY: Duration = Duration::from_millis(500);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(200);

/// What says who leads.
#[derive(Clone)]
pub struct Office {
    store: Store,
    node: String,
}

/// This node leads, as long as it renews this.
pub struct Lease {
    office: Office,
    revision: u64,
    term: u64,
    renewed: Instant,
    /// When the first of those renewals was asked for of which nobody knows whether they were made.
    unanswered: Option<Instant>,
}

/// A lease that a task of its own renews, whatever its holder is busy with: no renewal is broken off. Dropped, it is given
/// back.
pub struct Held {
    term: u64,
    renewing: JoinHandle<()>,
    end: oneshot::Sender<()>,
}

/// Who leads, and in which term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leading {
    /// The node's name.
    pub node: String,
    /// Rises with each leader.
    pub term: u64,
}

impl Office {
    /// Finds it, or makes it.
    ///
    /// # Errors
    ///
    /// [`NatsError`].
    pub async fn open(nats: &Nats, node: &str) -> Result<Self, NatsError> {
        let bucket = format!("{}-leader", nats.prefix);
        let store = nats.bucket(&bucket, Some(LEASE)).await?;
        Ok(Self { store, node: node.to_owned() })
    }

    /// Takes the lease when nobody has it, for a term behind `newest`: the newest that this node knows of. The bucket alone
    /// does not say, since it may be new or restored.
    ///
    /// # Errors
    ///
    /// [`NatsError`] when it cannot be asked.
    pub async fn try_lead(&self, newest: u64) -> Result<Option<Lease>, NatsError> {
        if self.leading().await?.is_some() {
            return Ok(None);
        }
        let renewed = Instant::now();
        // Of two that try, one has the right revision.
        let taken = self.store.create(KEY, value(&self.node, 0)).await;
        let Ok(revision) = taken else { return Ok(None) };
        let term = revision.max(newest + 1);
        let mut lease = Lease { office: self.clone(), revision, term, renewed, unanswered: None };
        Ok(lease.renew().await.then_some(lease))
    }

    /// Returns when whoever leads has given the lease back. Of one that ends by itself nobody hears here.
    pub async fn given_back(&self) {
        let watched = self.store.watch_with_history(KEY).await;
        if let Ok(mut entries) = watched {
            while let Some(Ok(entry)) = entries.next().await {
                if entry.operation != Operation::Put {
                    return;
                }
            }
        }
        std::future::pending().await
    }

    /// Who leads; `None` when nobody does.
    ///
    /// # Errors
    ///
    /// [`NatsError`] when it cannot be asked.
    pub async fn leading(&self) -> Result<Option<Leading>, NatsError> {
        let entry = self.store.entry(KEY).await.map_err(NatsError::of("ask who leads"))?;
        Ok(entry.filter(|e| e.operation == Operation::Put).and_then(|e| parse(&e.value)))
    }
}

impl Lease {
    /// The term: larger than that of every leader before.
    #[must_use]
    pub const fn term(&self) -> u64 {
        self.term
    }

    /// Renews it. `false` when it is somebody else's or cannot be reached.
    pub async fn renew(&mut self) -> bool {
        if self.update().await {
            return true;
        }
        // One that was asked for before may have been made and its answer lost: then this one named the wrong revision.
        let Ok(Ok(Some(entry))) = timeout(TRY, self.office.store.entry(KEY)).await else { return false };
        let mine = Leading { node: self.office.node.clone(), term: self.term };
        if entry.revision <= self.revision || parse(&entry.value).as_ref() != Some(&mine) {
            return false;
        }
        self.revision = entry.revision;
        self.renewed = self.unanswered.take().unwrap_or(self.renewed).max(self.renewed);
        self.update().await
    }

    async fn update(&mut self) -> bool {
        let asked = Instant::now();
        // Also for whoever breaks this off.
        self.unanswered.get_or_insert(asked);
        let update = self.office.store.update(KEY, value(&self.office.node, self.term), self.revision);
        match timeout(TRY, update).await {
            Ok(Ok(revision)) => {
                (self.revision, self.renewed, self.unanswered) = (revision, asked, None);
                return true;
            }
            Ok(Err(error)) => tracing::warn!(%error, "the lease was not renewed"),
            Err(_) => tracing::warn!("nobody has answered whether the lease was renewed"),
        }
        false
    }

    /// Renews it until it is given back, or cannot be renewed for so long that another node may begin.
    #[must_use]
    pub fn hold(self) -> Held {
        let (end, ended) = oneshot::channel();
        Held { term: self.term, renewing: tokio::spawn(self.renew_until(ended)), end }
    }

    async fn renew_until(mut self, mut ended: oneshot::Receiver<()>) {
        let mut pause = RENEWAL;
        loop {
            let left = GIVES_UP.saturating_sub(self.renewed.elapsed());
            if left.is_zero() {
                return;
            }
            if timeout(pause.min(left), &mut ended).await.is_ok() {
                let back = self.office.store.delete_expect_revision(KEY, Some(self.revision));
                if !matches!(timeout(GIVES_UP, back).await, Ok(Ok(()))) {
                    tracing::warn!("the lease could not be given back; it ends by itself");
                }
                return;
            }
            let left = GIVES_UP.saturating_sub(self.renewed.elapsed());
            pause = if timeout(left, self.renew()).await == Ok(true) { RENEWAL } else { AGAIN };
        }
    }
}

impl Held {
    /// The term: larger than that of every leader before.
    #[must_use]
    pub const fn term(&self) -> u64 {
        self.term
    }

    /// Returns when it is lost.
    pub async fn lost(&mut self) {
        if !self.renewing.is_finished() {
            let _ = (&mut self.renewing).await;
        }
    }

    /// Gives it back, for another node to begin at once.
    pub async fn give_back(self) {
        let Self { renewing, end, .. } = self;
        drop(end);
        let _ = renewing.await;
    }
}

/// `term node`: the term is 0 while it is taken, when its revision is not known yet.
fn value(node: &str, term: u64) -> Bytes {
    format!("{term} {node}").into()
}

fn parse(value: &[u8]) -> Option<Leading> {
    let (term, node) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    Some(Leading { node: node.to_owned(), term: term.parse().ok()? })
}
