//! The policies that the gateway goes by: those that the service signed for it last, kept for the time without it.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use thingward_agent::enrol::EnrolError;
use thingward_agent::home::Home;
use thingward_agent::http::HttpError;
use thingward_agent::membership::Membership;
use thingward_crypto::VerifyingKey;
use thingward_crypto::sealed::{read_private, write_private};
use thingward_model::clock::now;
use thingward_model::{DeviceName, TenantName, Timestamp};
use thingward_policy::{Policies, STANDING_BYTES_MAX, Standing, StandingError};
use tokio::sync::{Notify, watch};

use crate::accounts::{AccountError, Accounts, Deed};
use crate::as_gateway;
use crate::radio::PoliciesStatus;

const PATH: &str = "/.well-known/thingward/policy";
/// How often it is looked whether there are others, without being told.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Between two looks, however often it is told: a hundred devices that join are not a hundred looks.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// For so long the gateway goes by what it heard last: who takes a right away can rely on that.
const GOOD_FOR_MICROS: i64 = 7 * 86_400 * 1_000_000;
/// How far the service's clock may be ahead.
const CLOCK_MICROS: i64 = 300 * 1_000_000;

/// Why policies are not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StandingFault {
    /// There are none, or they are not the service's.
    #[error(transparent)]
    Standing(#[from] StandingError),
    /// They are for somebody else.
    #[error("the policies are for another gateway")]
    Other,
    /// They are older than those that the gateway has.
    #[error("the policies are older than those that the gateway goes by")]
    Older,
    /// They are of a time to come.
    #[error("the policies are of a time to come; one of the two clocks is wrong")]
    Early,
    /// The service is away, or refuses.
    #[error(transparent)]
    Ask(#[from] EnrolError),
    /// As above.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// They cannot be kept.
    #[error("{0}")]
    Disk(#[from] io::Error),
    /// That they are others now cannot be accounted for.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The service issues no grants, and so has no key that they could be signed with.
    #[error("the gateway knows no key that policies are signed with; renew its membership")]
    NoKey,
}

/// The policies of now.
struct Current {
    standing: Standing,
    policies: Arc<Policies>,
}

/// What the gateway goes by. Clones are the same.
#[derive(Clone)]
pub(crate) struct Rules(Arc<Inner>);

struct Inner {
    path: PathBuf,
    tenant: TenantName,
    gateway: DeviceName,
    key: Option<VerifyingKey>,
    accounts: Accounts,
    current: RwLock<Option<Current>>,
    /// Rings when they are others.
    changed: watch::Sender<()>,
    /// Rung when somebody says that they are.
    look: Notify,
}

impl Rules {
    /// Those that are kept, if there are any that can be used.
    pub(crate) fn open(home: &Home, membership: &Membership, accounts: Accounts) -> Self {
        let rules = Self(Arc::new(Inner {
            path: home.policy_path(),
            tenant: membership.tenant,
            gateway: membership.name,
            key: membership.grant_key.clone(),
            accounts,
            current: RwLock::default(),
            changed: watch::channel(()).0,
            look: Notify::new(),
        }));
        match read_private(&rules.0.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(%error, "the policies that the gateway goes by cannot be read"),
            Ok(kept) => {
                if let Err(error) = rules.read(&kept).map(|current| rules.set(current)) {
                    tracing::error!(%error, "the policies that are kept are not gone by");
                }
            }
        }
        rules
    }

    fn read(&self, signed: &[u8]) -> Result<Current, StandingFault> {
        let key = self.0.key.as_ref().ok_or(StandingFault::NoKey)?;
        let standing = Standing::verify(signed, key)?;
        if (standing.tenant, standing.gateway) != (self.0.tenant, self.0.gateway) {
            return Err(StandingFault::Other);
        }
        if standing.issued.micros_since(now()) > CLOCK_MICROS {
            return Err(StandingFault::Early);
        }
        let policies = Arc::new(standing.policies()?);
        Ok(Current { standing, policies })
    }

    fn set(&self, current: Current) {
        let mut held = self.0.current.write().unwrap_or_else(PoisonError::into_inner);
        let same = held.as_mut().filter(|before| before.standing.says_the_same(&current.standing));
        if let Some(before) = same {
            // What was decided by them stays decided.
            before.standing.issued = current.standing.issued;
            return;
        }
        *held = Some(current);
        drop(held);
        self.0.changed.send_replace(());
    }

    fn with<T>(&self, look: impl FnOnce(&Current) -> T) -> Option<T> {
        self.0.current.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(look)
    }

    /// Takes what the service signed: durable, and accounted for, before it is gone by. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// [`StandingFault`]; those of before are gone by.
    pub(crate) fn take(&self, signed: &[u8]) -> Result<(), StandingFault> {
        let current = self.read(signed)?;
        let before = self.with(|before| (before.standing.issued, before.standing.version));
        if before.is_some_and(|(issued, _)| current.standing.issued < issued) {
            return Err(StandingFault::Older);
        }
        let version = current.standing.version;
        if before.is_none_or(|(_, before)| before != version) {
            self.0.accounts.write(Deed {
                action: "gateway.policy",
                target: format!("policy/{version}"),
                details: Vec::new(),
            })?;
            tracing::info!(version, "the gateway goes by other policies");
        }
        write_private(&self.0.path, signed)?;
        self.set(current);
        Ok(())
    }

    /// The policies with their version, as long as they are good.
    ///
    /// # Errors
    ///
    /// Why there are none.
    pub(crate) fn policies(&self) -> Result<(Arc<Policies>, u64), &'static str> {
        let now = now();
        let known = self.with(|current| {
            let is_good = is_good(current.standing.issued, now);
            is_good.then(|| (Arc::clone(&current.policies), current.standing.version))
        });
        match known {
            None => Err("the gateway has heard of no policies yet"),
            Some(None) => Err("the gateway has heard of no policies for a week"),
            Some(Some(known)) => Ok(known),
        }
    }

    /// Which they are, good or not.
    pub(crate) fn status(&self) -> Option<PoliciesStatus> {
        self.with(|current| PoliciesStatus {
            version: current.standing.version,
            issued: current.standing.issued,
        })
    }

    /// Rings when they are others.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// Somebody says that they are others.
    pub(crate) fn look(&self) {
        self.0.look.notify_one();
    }

    /// Looks again and again whether they are others.
    pub(crate) async fn keep_up(self, home: Home) {
        let (mut was_reached, mut were_good) = (true, self.policies().is_ok());
        loop {
            match self.fetch(&home).await {
                Ok(()) => was_reached = true,
                // While the service is away that is no news.
                Err(error) if was_reached => {
                    was_reached = false;
                    tracing::warn!(%error, "the gateway goes on by the policies that it has");
                }
                Err(error) => tracing::debug!(%error, "the gateway goes on by the policies that it has"),
            }
            let are_good = self.policies().is_ok();
            if were_good != are_good {
                // They may also have become too old.
                were_good = are_good;
                self.0.changed.send_replace(());
            }
            tokio::time::sleep(LOOK_PAUSE).await;
            let _ = tokio::time::timeout(LOOK_EVERY, self.0.look.notified()).await;
        }
    }

    async fn fetch(&self, home: &Home) -> Result<(), StandingFault> {
        let identity = as_gateway::identity(home).await?;
        let client = as_gateway::client(&identity)?.body_bytes_max(STANDING_BYTES_MAX);
        let answer = client.get(PATH).await?;
        let rules = self.clone();
        let taken = tokio::task::spawn_blocking(move || rules.take(&answer));
        taken.await.map_err(|_| StandingFault::Ask(EnrolError::Stopping))?
    }
}

/// Whether policies of then are good now. With a clock that was set back before them, nobody knows.
fn is_good(issued: Timestamp, now: Timestamp) -> bool {
    (-CLOCK_MICROS..GOOD_FOR_MICROS).contains(&now.micros_since(issued))
}

#[cfg(test)]
mod tests;
