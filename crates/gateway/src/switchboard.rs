//! The ways to those whom the gateway speaks for: chips on serial lines, and things of radios.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, PoisonError, RwLock};

use thingward_model::DeviceName;
use tokio::sync::{Notify, mpsc};

use crate::core::ChildCommand;
use crate::serial::Visit;

/// How one of them is reached.
#[derive(Clone)]
pub(crate) struct Extension {
    /// Commands of the service.
    pub(crate) commands: mpsc::Sender<ChildCommand>,
    /// It is shown grants, and told what was taken back.
    pub(crate) visitors: mpsc::Sender<Visit>,
    /// It is asked for evidence.
    pub(crate) evidence: Arc<Notify>,
}

/// See the module. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Switchboard(Arc<RwLock<HashMap<DeviceName, Extension>>>);

impl Switchboard {
    /// From here on this one is reached so; whether the name was free.
    pub(crate) fn connect(&self, name: DeviceName, extension: Extension) -> bool {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match all.entry(name) {
            Entry::Occupied(_) => false,
            Entry::Vacant(free) => {
                free.insert(extension);
                true
            }
        }
    }

    /// From here on nobody is reached under this name.
    pub(crate) fn disconnect(&self, name: &DeviceName) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// How this one is reached; `None` when the gateway does not speak for it.
    pub(crate) fn find(&self, name: &DeviceName) -> Option<Extension> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}
