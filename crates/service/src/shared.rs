//! What every part of a running service holds on to.

use std::net::SocketAddr;
use std::sync::Arc;

use thingward_ingress::SharedTls;
use thingward_model::TenantName;
use thingward_model::clock::now;
use thingward_store::{Store, StoreError};
use tokio::sync::{Mutex, MutexGuard};

use crate::audit::{Auditor, Deed};
use crate::authority::Authority;
use crate::core::CoreHandle;
use crate::directory::Directory;
use crate::settings::ServiceSettings;
use crate::witness::Witnessing;

/// What every part of a running service holds on to.
pub struct Shared {
    /// How it runs.
    pub settings: ServiceSettings,
    /// What it keeps.
    pub store: Arc<Store>,
    /// Who issues certificates.
    pub authority: Authority,
    /// Held while it changes who is a member, the CRL or TLS, so that no two changes overtake each other: a renewal
    /// that runs beside a revocation would outlive it.
    pub membership: Mutex<()>,
    /// Who signs the audit log.
    pub auditor: Arc<Auditor>,
    /// Who co-signs it, and what of it is published.
    pub witnessing: Witnessing,
    /// Members, for quick answers.
    pub directory: Arc<Directory>,
    /// The one that decides about messages.
    pub core: CoreHandle,
    /// TLS of the MQTT listener.
    pub mqtt_tls: SharedTls,
    /// TLS of the HTTPS listener.
    pub https_tls: SharedTls,
    /// Where MQTT listens.
    pub mqtt: SocketAddr,
}

/// A hold on [`Shared::membership`].
pub type MembershipTurn<'a> = MutexGuard<'a, ()>;

impl Shared {
    /// Puts a deed into its tenant's audit log. What it says may be done once this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: it is not in the log, and must not be done.
    pub async fn record(&self, tenant: TenantName, deed: Deed) -> Result<u64, StoreError> {
        let too_large = StoreError::Invalid { what: "a part of what goes into the log is too large" };
        let entry = self.auditor.entry(deed, now()).map_err(|_| too_large)?;
        self.core.log(tenant, entry).await
    }
}
