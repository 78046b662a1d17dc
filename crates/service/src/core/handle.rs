//! The way to the core, for listeners and everybody else.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use thingward_ingress::{Member, Output, Received};
use thingward_model::{DeviceName, TenantName};
use thingward_mqtt::broker::ConnId;
use thingward_store::{Record, StoreError};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{Event, Presence};
use crate::audit::Sizes;
use crate::finding::Finding;
use crate::metrics::Metrics;

/// Records that a follower of live readings may lag behind.
const FOLLOW_MAX: usize = 4096;

/// Who follows the live readings of which tenant.
pub(super) type Followers = Arc<Mutex<HashMap<TenantName, broadcast::Sender<Arc<Record>>>>>;

/// The way to the core. Clones lead to the same one.
#[derive(Clone)]
pub struct CoreHandle {
    pub(super) events: mpsc::Sender<Event>,
    pub(super) followers: Followers,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log_sizes: Sizes,
}

impl thingward_ingress::Core for CoreHandle {
    async fn accept(&self, conn: ConnId, who: Member, output: Output) {
        self.send(Event::Accept { conn, who, output }).await;
    }

    async fn received(&self, conn: ConnId, received: Received) {
        self.send(Event::Received { conn, received }).await;
    }

    async fn heard(&self, conn: ConnId) {
        self.send(Event::Heard { conn }).await;
    }

    async fn closed(&self, conn: ConnId) {
        self.send(Event::Closed { conn }).await;
    }

    fn refused(&self) {
        self.metrics.connections_refused.inc();
    }
}

impl CoreHandle {
    /// Ends the live sessions of a member at once, with `drop_session` the stored ones too.
    pub async fn cut_member(&self, tenant: TenantName, name: DeviceName, drop_session: bool) {
        let (done, wait) = oneshot::channel();
        self.send(Event::CutMember { tenant, name, drop_session, done }).await;
        let _ = wait.await;
    }

    /// Ends connections because what they came in by stops.
    pub(crate) async fn end(&self, connections: Vec<ConnId>) {
        self.send(Event::End { connections }).await;
    }

    /// Forgets what was opened with the tenant's keys and ends its live sessions.
    pub async fn cut_tenant(&self, tenant: TenantName) {
        let (done, wait) = oneshot::channel();
        self.send(Event::CutTenant { tenant, done }).await;
        let _ = wait.await;
    }

    /// Appends an entry to a tenant's audit log. Returns its index once it is durable.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: it is not in the log, or the service is stopping.
    pub async fn log(&self, tenant: TenantName, entry: Vec<u8>) -> Result<u64, StoreError> {
        let (done, wait) = oneshot::channel();
        self.send(Event::Log { tenant, entry, done }).await;
        wait.await.unwrap_or_else(|_| Err(stopping("write the audit log")))
    }

    /// How many entries of a tenant's audit log are durable.
    #[must_use]
    pub fn log_size(&self, tenant: &TenantName) -> u64 {
        self.log_sizes.lock().unwrap_or_else(PoisonError::into_inner).get(tenant).copied().unwrap_or(0)
    }

    /// How many entries of each audit log are durable.
    #[must_use]
    pub fn log_sizes(&self) -> Vec<(TenantName, u64)> {
        let sizes = self.log_sizes.lock().unwrap_or_else(PoisonError::into_inner);
        sizes.iter().map(|(tenant, size)| (*tenant, *size)).collect()
    }

    /// The findings of a tenant.
    pub async fn findings(&self, tenant: TenantName) -> Vec<Finding> {
        let (answer, wait) = oneshot::channel();
        self.send(Event::Findings { tenant, answer }).await;
        wait.await.unwrap_or_default()
    }

    /// Which members of a tenant are there. Nobody while the core stops.
    pub(crate) async fn presence(&self, tenant: TenantName) -> Presence {
        let (answer, wait) = oneshot::channel();
        self.send(Event::Presence { tenant, answer }).await;
        wait.await.unwrap_or_default()
    }

    /// Accepted readings of a tenant as they become durable.
    #[must_use]
    pub fn follow(&self, tenant: TenantName) -> broadcast::Receiver<Arc<Record>> {
        follow(&self.followers, tenant)
    }

    /// Whether it takes events.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.events.is_closed()
    }

    /// What is counted.
    #[must_use]
    pub const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The OpenMetrics text.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        self.metrics.text()
    }

    /// Ends the core behind everything that was sent before.
    pub async fn stop(&self) {
        self.send(Event::Stop).await;
    }

    pub(super) async fn send(&self, event: Event) {
        // A core that has ended answers nobody; the service notices and stops.
        let _ = self.events.send(event).await;
    }
}

pub(super) fn follow(followers: &Followers, tenant: TenantName) -> broadcast::Receiver<Arc<Record>> {
    let mut followers = followers.lock().unwrap_or_else(PoisonError::into_inner);
    followers.retain(|_, sender| sender.receiver_count() > 0);
    followers.entry(tenant).or_insert_with(|| broadcast::channel(FOLLOW_MAX).0).subscribe()
}

/// The core answers nobody any more.
pub(super) fn stopping(what: &str) -> StoreError {
    StoreError::Io { what: what.to_owned(), source: io::Error::other("the service is stopping") }
}
