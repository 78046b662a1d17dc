//! The one that decides about messages.

use std::sync::Arc;

use thingward_model::{DeviceName, StreamName, TenantName, Timestamp};
use tokio::sync::broadcast;

/// Something about a device that its owner should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whose.
    pub device: DeviceName,
    /// In which stream.
    pub stream: Option<StreamName>,
    /// What kind.
    pub kind: String,
    /// What exactly.
    pub detail: String,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// How often.
    pub count: u64,
}

/// Speaks to the core.
#[derive(Clone)]
pub struct CoreHandle {
    live: broadcast::Sender<Arc<thingward_store::Record>>,
}

impl Default for CoreHandle {
    fn default() -> Self {
        Self { live: broadcast::channel(16).0 }
    }
}

impl CoreHandle {
    /// Ends the live sessions of a member.
    pub async fn cut_member(&self, _tenant: TenantName, _name: DeviceName, _drop_session: bool) {}
    /// Ends the live sessions of a tenant.
    pub async fn cut_tenant(&self, _tenant: TenantName) {}
    /// What was found.
    #[must_use]
    pub fn findings(&self, _tenant: &TenantName) -> Vec<Finding> {
        Vec::new()
    }
    /// Accepted readings as they come.
    #[must_use]
    pub fn follow(&self, _tenant: TenantName) -> broadcast::Receiver<Arc<thingward_store::Record>> {
        self.live.subscribe()
    }
    /// Forgets what was derived from a tenant's keys.
    pub fn forget_tenant_keys(&self, _tenant: TenantName) {}
    /// Whether readings are taken.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        true
    }
    /// OpenMetrics text.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        "# EOF\n".to_owned()
    }
}
