//! Calls to things of one radio, and what became of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thingward_radio::Order;
use thingward_radio::wire::{Address, Argument, Call, Name};
use tokio::sync::mpsc;

/// Most calls of a radio at a time: each holds a thread.
const CALLS_MAX: usize = 16;
/// How long a thing may take. Its chip may take longer, so that this is told.
const ACTS_WITHIN: Duration = Duration::from_secs(20);

const BUSY: &str = "the radio has too much to do, or is away";

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Undone {
    /// It was not.
    #[error("{0}")]
    Not(String),
    /// Nobody knows whether it was.
    #[error("{0}")]
    Unknown(&'static str),
}

type Done = Result<(), Undone>;

/// See the module. Clones are the same.
#[derive(Clone)]
pub(crate) struct Desk {
    orders: mpsc::Sender<Order>,
    next: Arc<AtomicU32>,
    open: Arc<Mutex<HashMap<u32, SyncSender<Done>>>>,
}

impl Desk {
    pub(super) fn new(orders: mpsc::Sender<Order>) -> Self {
        Self { orders, next: Arc::default(), open: Arc::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u32, SyncSender<Done>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a thing do something, and waits for the end of it. Blocks its thread.
    ///
    /// # Errors
    ///
    /// Why it was not done, for people.
    pub(crate) fn call(&self, thing: &Address, action: &str, arguments: Vec<Argument>) -> Done {
        let not = |why: &str| Undone::Not(why.to_owned());
        let action = Name::new(action).ok_or_else(|| not("an action without a name"))?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let done = self.wait_for(id).ok_or_else(|| not(BUSY))?;
        let call = Call { id, thing: thing.clone(), action, arguments };
        let sent = self.orders.try_send(Order::Call(call));
        let done = match sent {
            Err(_) => Err(not(BUSY)),
            Ok(()) => done
                .recv_timeout(ACTS_WITHIN)
                .unwrap_or(Err(Undone::Unknown("nobody says whether it was done"))),
        };
        self.open().remove(&id);
        done
    }

    /// `None` when too many wait.
    fn wait_for(&self, id: u32) -> Option<Receiver<Done>> {
        let (tell, done) = sync_channel(1);
        let mut open = self.open();
        if open.len() >= CALLS_MAX {
            return None;
        }
        open.insert(id, tell);
        Some(done)
    }

    /// A call is done, or why not.
    pub(super) fn done(&self, id: u32, failure: Option<String>) {
        let done = failure.map_or(Ok(()), |why| Err(Undone::Not(why)));
        if let Some(tell) = self.open().remove(&id) {
            // Who waited may have gone.
            let _ = tell.try_send(done);
        }
    }

    /// The driver is gone, and nobody knows what became of its calls.
    pub(super) fn gone(&self) {
        for (_, tell) in self.open().drain() {
            let _ = tell.try_send(Err(Undone::Unknown("the radio went away meanwhile")));
        }
    }
}
