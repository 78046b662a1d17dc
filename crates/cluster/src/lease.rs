//! Who leads: an entry that its holder renews, and that ends by itself when it does not.
//!
//! Two may believe for a moment that they lead. That does no harm: the journal takes entries of the newest term only.

use std::time::{Duration, Instant};

use async_nats::jetstream::kv::{Operation, Store};
use bytes::Bytes;

use crate::nats::{Nats, NatsError};

const KEY: &str = "leader";
/// How long nobody may have heard of the leader before another one takes its place.
pub const LEASE: Duration = Duration::from_secs(4);
/// How often the leader renews it.
pub const RENEWAL: Duration = Duration::from_secs(1);
/// A leader that could not renew it for so long stops, before another one may begin.
pub const GIVES_UP: Duration = Duration::from_secs(3);

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
        let mut lease = Lease { office: self.clone(), revision, term, renewed };
        Ok(lease.renew().await.then_some(lease))
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

    /// Renews it once. `false` when it is somebody else's or cannot be reached.
    pub async fn renew(&mut self) -> bool {
        let asked = Instant::now();
        let renewed = self.office.store.update(KEY, value(&self.office.node, self.term), self.revision).await;
        match renewed {
            Ok(revision) => {
                (self.revision, self.renewed) = (revision, asked);
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the lease was not renewed");
                // The update may have been made and its answer lost.
                let there = self.office.store.entry(KEY).await.ok().flatten();
                let mine = Leading { node: self.office.node.clone(), term: self.term };
                if let Some(entry) = there.filter(|e| parse(&e.value).as_ref() == Some(&mine)) {
                    self.revision = entry.revision;
                }
                false
            }
        }
    }

    /// Renews it until it cannot, for so long that another node may begin.
    pub async fn hold(&mut self) {
        loop {
            tokio::time::sleep(RENEWAL).await;
            let left = GIVES_UP.saturating_sub(self.renewed.elapsed());
            let _ = tokio::time::timeout(left, self.renew()).await;
            if self.renewed.elapsed() >= GIVES_UP {
                return;
            }
        }
    }

    /// Gives it back, for another node to begin at once.
    pub async fn give_back(self) {
        let _ = self.office.store.delete_expect_revision(KEY, Some(self.revision)).await;
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
