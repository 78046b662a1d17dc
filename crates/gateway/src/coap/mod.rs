//! Things that speak CoAP: children like those with MQTT, behind the listener that the service has too. What is a gateway's
//! own in it is the [`office`], which asks the service in a thing's place, and the [`shelf`], where it keeps which raw key is
//! whose.

mod office;
mod shelf;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use thingward_agent::home::{HomeError, Identity};
use thingward_coap::edhoc::{Credential, EdhocError};
use thingward_ingress::coap::{CoapListener, CoapSettings, Presence};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use self::office::GatewayOffice;
use self::shelf::Shelf;
use crate::serial::Surroundings;

/// Most things with CoAP that one gateway knows.
const MEMBERS_MAX: usize = 1024;

/// Serial numbers of certificates that are revoked, and a bell for when there are others. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Revoked {
    serials: Arc<RwLock<BTreeSet<Vec<u8>>>>,
    changed: Arc<Notify>,
}

impl Revoked {
    /// From here on it is these.
    pub(crate) fn replace(&self, serials: BTreeSet<Vec<u8>>) {
        *self.serials.write().unwrap_or_else(PoisonError::into_inner) = serials;
        self.changed.notify_one();
    }

    fn contains(&self, serial: &[u8]) -> bool {
        self.serials.read().unwrap_or_else(PoisonError::into_inner).contains(serial)
    }
}

/// CoAP does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoapError {
    /// The port is not to be had.
    #[error("open CoAP port {address}: {source}")]
    Port {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// What is known of members cannot be read.
    #[error("things with CoAP: {0}")]
    Record(#[from] io::Error),
    /// There is no raw key.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// It is none for EDHOC.
    #[error("the raw key: {0}")]
    RawKey(#[from] EdhocError),
}

/// Speaks with things until the tasks are dropped; where it listens.
///
/// # Errors
///
/// [`CoapError`].
pub(crate) async fn start(
    address: SocketAddr,
    tasks: &mut JoinSet<()>,
    identity: &Identity,
    around: Surroundings,
    revoked: Revoked,
    presence: Presence,
) -> Result<SocketAddr, CoapError> {
    let failed = |source| CoapError::Port { address, source };
    let raw = around.home.raw_key()?;
    let credential = Credential::claims_set("gateway", &raw)?;
    let (shelf, known) = Shelf::open(around.home.coap_dir(), &around.trust_domain)?;
    let changed = Arc::clone(&revoked.changed);
    let (core, trust_domain) = (around.core.clone(), around.trust_domain.clone());
    let tenant = identity.membership.tenant;
    let office = GatewayOffice::new(around, tenant, credential.bytes.clone(), shelf, revoked);
    let root = identity.root.clone();
    let settings = CoapSettings {
        raw,
        credential,
        signs: identity.key.public_key().algorithm(),
        root,
        trust_domain,
        members_max: MEMBERS_MAX,
        known,
        changed,
        presence: Some(presence),
    };
    let listener = CoapListener::bind(address, settings, core, office).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    tasks.spawn(listener.run());
    Ok(bound)
}
