//! The thread that makes what groups of events changed durable, and only then releases their answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use ahash::HashMap;
use thingward_ingress::{Output, TooSlow};
use thingward_model::TenantName;
use thingward_mqtt::broker::{ConnId, Effect};
use thingward_store::hot::Batch;
use thingward_store::{Record, Store, StoreError};
use tokio::sync::oneshot;

use super::handle::Followers;
use crate::audit::Sizes;
use crate::metrics::Metrics;

/// What one group of events changed and what follows from it.
pub(super) struct Group {
    pub(super) number: u64,
    pub(super) batch: Batch,
    pub(super) effects: Vec<Effect>,
    pub(super) accepted: Vec<(TenantName, Arc<Record>)>,
    pub(super) logged: Logged,
}

/// What a group put into audit logs.
#[derive(Default)]
pub(super) struct Logged {
    pub(super) sizes: Vec<(TenantName, u64)>,
    pub(super) waiting: Vec<(oneshot::Sender<Result<u64, StoreError>>, u64)>,
}

pub(super) type Outputs = Arc<Mutex<HashMap<ConnId, Output>>>;

/// Makes groups durable one after the other, then releases what follows from them.
pub(super) struct Committer {
    pub(super) store: Arc<Store>,
    pub(super) outputs: Outputs,
    pub(super) followers: Followers,
    /// The number of the last group that is durable.
    pub(super) durable: Arc<AtomicU64>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log_sizes: Sizes,
}

impl Committer {
    /// Until the core ends, or the disk takes no more.
    pub(super) fn run(self, groups: &Receiver<Group>) {
        while let Ok(first) = groups.recv() {
            let together = std::iter::once(first).chain(groups.try_iter()).collect();
            if let Err(error) = self.finish(together) {
                // What is in memory is ahead of the disk now. Nothing of it was acknowledged; the next start
                // goes on from the disk, and the peers send again.
                tracing::error!(%error, "changes cannot be made durable; stopping");
                self.outputs.lock().unwrap_or_else(PoisonError::into_inner).clear();
                return;
            }
        }
    }

    /// Makes groups durable in one step, and then releases what follows from them.
    ///
    /// # Errors
    ///
    /// What the store says; nothing is released then.
    pub(super) fn finish(&self, mut groups: Vec<Group>) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        for group in &mut groups {
            batch.extend(std::mem::take(&mut group.batch));
        }
        if !batch.is_empty() {
            self.store.commit(batch)?;
            self.metrics.commits.inc();
        }
        if let Some(last) = groups.last() {
            self.durable.store(last.number, Ordering::Release);
        }
        groups.into_iter().for_each(|group| self.release(group));
        Ok(())
    }

    fn release(&self, group: Group) {
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        for effect in group.effects {
            match effect {
                Effect::Send { conn, bytes } => {
                    let sent = outputs.get(&conn).map(|output| output.send(&bytes));
                    if sent == Some(Err(TooSlow)) {
                        self.metrics.clients_too_slow.inc();
                        outputs.remove(&conn);
                    }
                }
                // The connection ends when its queue, which has the last words, is empty.
                Effect::Close { conn } => {
                    outputs.remove(&conn);
                }
            }
        }
        drop(outputs);
        self.log_sizes.lock().unwrap_or_else(PoisonError::into_inner).extend(group.logged.sizes);
        for (done, index) in group.logged.waiting {
            let _ = done.send(Ok(index));
        }
        let followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        for (tenant, record) in group.accepted {
            if let Some(follower) = followers.get(&tenant) {
                let _ = follower.send(record);
            }
        }
    }
}
