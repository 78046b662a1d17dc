//! What every part of a running service holds on to.

use std::net::SocketAddr;
use std::sync::Arc;

use thingward_ingress::SharedTls;
use thingward_store::Store;
use tokio::sync::{Mutex, MutexGuard};

use crate::authority::Authority;
use crate::core::CoreHandle;
use crate::directory::Directory;
use crate::settings::ServiceSettings;

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
