//! What was written in this group of events or a former one, and may not be on the disk yet.

use std::collections::HashMap;
use std::sync::Arc;

use thingward_store::hot::{Batch, Space};
use thingward_store::{Store, StoreError};

/// Changes that may be ahead of the disk before it is looked which of them it has.
const AHEAD_MAX: usize = 1024;

/// Reads what was written, whether it is durable yet or not.
pub(crate) struct Ahead {
    store: Arc<Store>,
    space: Space,
    ahead: HashMap<Vec<u8>, Vec<u8>>,
    changed: Batch,
}

impl Ahead {
    pub(crate) fn new(store: Arc<Store>, space: Space) -> Self {
        Self { store, space, ahead: HashMap::new(), changed: Batch::new() }
    }

    /// What is, or will be, under a key.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.ahead.get(key) {
            Some(value) => Ok(Some(value.clone())),
            None => self.store.get(self.space, key),
        }
    }

    /// Puts a value under a key.
    ///
    /// # Errors
    ///
    /// What the store says; nothing is put.
    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), StoreError> {
        if self.ahead.len() >= AHEAD_MAX {
            let mut still = HashMap::new();
            for (key, value) in self.ahead.drain() {
                if self.store.get(self.space, &key)?.as_ref() != Some(&value) {
                    still.insert(key, value);
                }
            }
            self.ahead = still;
        }
        self.put_unread(key.clone(), value.clone());
        self.ahead.insert(key, value);
        Ok(())
    }

    /// Puts a value that nobody reads here.
    pub(crate) fn put_unread(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.changed.put(self.space, key, value);
    }

    /// What is to be kept.
    pub(crate) fn drain(&mut self) -> Batch {
        std::mem::take(&mut self.changed)
    }
}
