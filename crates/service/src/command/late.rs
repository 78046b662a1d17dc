//! Commands that ended without their device's word, which may be on its way: it is still taken for a while, also after a restart.

use std::collections::BTreeMap;

use thingward_model::Timestamp;
use thingward_store::hot::Space;
use thingward_store::{Store, StoreError};

use super::record::{CommandRecord, LATE_PREFIX, ended_key_of};
use super::{Key, WAITING_MAX, of_device};
use crate::sealer::Sealer;

/// How long after a command's time its device's word is still taken, in microseconds: an hour.
const LATE_MICROS: i64 = 3_600_000_000;
/// Of so many commands of one device; then the one that ends first goes.
const LATE_MAX: usize = WAITING_MAX;

/// See the module.
#[derive(Default)]
pub(crate) struct Late {
    held: BTreeMap<Key, CommandRecord>,
    /// Entries that are to be removed.
    over: Vec<Vec<u8>>,
}

impl Late {
    /// Those of the last run.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub(crate) fn load(store: &Store, sealer: &mut Sealer) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt { what: "a command that has ended".to_owned() };
        let mut late = Self::default();
        for (entry, _) in store.scan(Space::Commands, LATE_PREFIX, usize::MAX)? {
            let key = ended_key_of(&entry);
            let Some(sealed) = store.get(Space::Commands, &key)? else {
                // Forgotten since.
                late.over.push(entry);
                continue;
            };
            let plain = sealer.open(&key, &sealed).map_err(|_| corrupt())?;
            late.put(CommandRecord::decode(&key, &plain).ok_or_else(corrupt)?);
        }
        Ok(late)
    }

    pub(super) fn get(&self, key: &Key) -> Option<&CommandRecord> {
        self.held.get(key)
    }

    pub(super) fn put(&mut self, record: CommandRecord) {
        let (tenant, device) = (record.tenant, record.device);
        let former = self.held.insert(record.name(), record);
        self.over.extend(former.map(|former| former.late_key()));
        let own = || self.held.range(of_device(&tenant, &device));
        if own().count() > LATE_MAX {
            let first = own().min_by_key(|(_, record)| record.expires).map(|(key, _)| *key);
            first.iter().for_each(|key| self.remove(key));
        }
    }

    /// Its device has given its word, or nobody waits for that any more.
    pub(super) fn remove(&mut self, key: &Key) {
        let record = self.held.remove(key);
        self.over.extend(record.map(|record| record.late_key()));
    }

    /// Nobody waits any more for what is over for so long.
    pub(super) fn end(&mut self, now: Timestamp) {
        let is_over = |record: &CommandRecord| now >= record.expires.plus_micros(LATE_MICROS);
        self.over.extend(self.held.values().filter(|r| is_over(r)).map(CommandRecord::late_key));
        self.held.retain(|_, record| !is_over(record));
    }

    /// Keys of entries that are to be removed.
    pub(super) fn drain(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.over)
    }
}
