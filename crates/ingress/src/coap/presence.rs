//! Who is there, for whoever looks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thingward_model::clock::now;
use thingward_model::{Principal, Timestamp};

/// A member with a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Present {
    /// Who.
    pub who: Principal,
    /// Where its last message came from.
    pub address: SocketAddr,
    /// When that was.
    pub heard: Timestamp,
}

/// See the module. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Presence(Arc<Mutex<BTreeMap<Principal, Present>>>);

impl Presence {
    /// Everybody who is there, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Present> {
        self.members().values().copied().collect()
    }

    pub(super) fn heard(&self, who: Principal, address: SocketAddr) {
        self.members().insert(who, Present { who, address, heard: now() });
    }

    pub(super) fn left(&self, who: &Principal) {
        self.members().remove(who);
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<Principal, Present>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
