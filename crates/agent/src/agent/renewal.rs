//! Keeps the certificate from expiring, and the membership as the service has it: whom commands are taken from, and
//! whose approval counts, changes between renewals.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use thingward_model::Timestamp;
use thingward_model::clock::now;
use thingward_pki::LeafIdentity;
use tokio::sync::watch;

use super::actions::Actions;
use super::source::Asked;
use super::streams::Streams;
use super::{Tls, lock};
use crate::backoff::Backoff;
use crate::coap::member;
use crate::coap::uplink::CoapClient;
use crate::enrol::{EnrolError, renewal_at};
use crate::home::{Home, Identity};
use crate::membership::Membership;
use crate::{attest, enrol};

/// The clock may be set and the machine may sleep, so that no wait is longer than this. Also how often the membership
/// is looked at.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// How the certificate is.
#[derive(Debug, Clone)]
pub(super) struct RenewalStatus {
    pub(super) expires: Timestamp,
    pub(super) error: Option<String>,
    due: Timestamp,
}

impl RenewalStatus {
    pub(super) fn of(leaf: &LeafIdentity) -> Self {
        Self { expires: leaf.not_after, error: None, due: renewal_at(leaf) }
    }
}

/// The way to whom certificates and the membership are of.
pub(super) enum Authority {
    /// The service itself.
    Https,
    /// A gateway, which asks the service.
    Coap(CoapClient),
}

impl Authority {
    async fn attest(&mut self, home: &Home) -> Result<(), EnrolError> {
        match self {
            Self::Https => attest::attest(home).await,
            Self::Coap(client) => member::attest(home, client).await,
        }
    }

    async fn refresh(&mut self, home: &Home) -> Result<Option<Membership>, EnrolError> {
        match self {
            Self::Https => enrol::refresh(home).await,
            Self::Coap(client) => member::refresh(home, client).await,
        }
    }

    async fn renew(&mut self, home: &Home) -> Result<Identity, EnrolError> {
        match self {
            Self::Https => enrol::renew(home).await,
            Self::Coap(client) => member::renew(home, client).await,
        }
    }
}

/// Renews when it is due, and tries again up to the last moment and beyond: the service may be lenient.
pub(super) async fn keep_renewed(
    home: Home,
    mut authority: Authority,
    tls: watch::Sender<Tls>,
    streams: Arc<Mutex<Streams>>,
    actions: Option<Actions>,
    status: watch::Sender<RenewalStatus>,
    asked: Arc<Asked>,
) {
    let mut backoff = Backoff::default();
    // The machine may have been started otherwise since the last time.
    let mut is_attested = false;
    // The service said that the membership is another, and was not to be had yet.
    let mut is_stale = false;
    loop {
        if !is_attested {
            let attested = authority.attest(&home).await;
            is_attested = attested.is_ok();
            if let Err(error) = attested {
                tracing::debug!(%error, "the service has no new evidence of this device");
            }
        }
        let RenewalStatus { due, expires, .. } = status.borrow().clone();
        if now() < due {
            let refreshed = authority.refresh(&home).await;
            let is_had = refreshed.is_ok();
            is_stale &= !is_had;
            match refreshed {
                Ok(None) => {}
                Ok(Some(membership)) => set_membership(membership, &streams, actions.as_ref()).await,
                // It may be out of reach behind a gateway; the next renewal brings it.
                Err(error) => tracing::debug!(%error, "the membership stays as it was"),
            }
            if !is_stale {
                backoff = Backoff::default();
            }
            if let Some(actions) = &actions {
                actions.membership_was_asked_for(is_had).await;
            }
            tokio::select! {
                () = tokio::time::sleep(if is_stale { backoff.next() } else { until(due) }) => {}
                () = passkey_asked(actions.as_ref()) => {}
                () = asked.evidence.notified() => is_attested = false,
                () = asked.membership.notified() => is_stale = true,
            }
            continue;
        }
        match attempt(&home, &mut authority, &tls, &streams, actions.as_ref()).await {
            Ok(identity) => {
                tracing::info!(expires = %identity.leaf.not_after, "certificate renewed");
                status.send_replace(RenewalStatus::of(&identity.leaf));
            }
            Err(error) => {
                tracing::warn!(%error, %expires, "certificate not renewed");
                status.send_modify(|s| s.error = Some(error.to_string()));
                // Ten times in what is left.
                tokio::time::sleep(until(expires) / 10).await;
            }
        }
        // Also a service that gives certificates that are due at once is not asked without a pause.
        tokio::time::sleep(backoff.next()).await;
    }
}

async fn attempt(
    home: &Home,
    authority: &mut Authority,
    tls: &watch::Sender<Tls>,
    streams: &Arc<Mutex<Streams>>,
    actions: Option<&Actions>,
) -> Result<Identity, EnrolError> {
    let identity = authority.renew(home).await?;
    tls.send_replace(identity.uplink_tls()?);
    set_membership(identity.membership.clone(), streams, actions).await;
    Ok(identity)
}

async fn set_membership(membership: Membership, streams: &Arc<Mutex<Streams>>, actions: Option<&Actions>) {
    let (streams, actions) = (Arc::clone(streams), actions.cloned());
    let set = tokio::task::spawn_blocking(move || {
        if let Some(actions) = actions {
            actions.with(|commands| commands.set_membership(membership.clone()));
        }
        lock(&streams).set_membership(membership);
    });
    if let Err(error) = set.await {
        tracing::error!(%error, "the membership stays as it was");
    }
}

/// Returns when a command waits for a newer membership.
async fn passkey_asked(actions: Option<&Actions>) {
    match actions {
        Some(actions) => actions.asks().await,
        None => std::future::pending().await,
    }
}

fn until(time: Timestamp) -> Duration {
    let micros = u64::try_from(time.micros_since(now())).unwrap_or_default();
    Duration::from_micros(micros).min(WAIT_MAX)
}
