//! What every part of a running service holds on to.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use thingward_crypto::{SoftwareKey, VerifyingKey};
use thingward_ingress::Guesses;
use thingward_model::clock::now;
use thingward_model::description::ThingDescription;
use thingward_model::{DeviceName, TenantName};
use thingward_policy::{Act, Action, Decision, Denied, Permit, Reader, Resource, Subject};
use thingward_store::hot::Space;
use thingward_store::{Store, StoreError};
use tokio::sync::{Mutex, MutexGuard, Notify, watch};

use crate::audit::{Auditor, Deed};
use crate::authority::Authority;
use crate::core::CoreHandle;
use crate::description;
use crate::directory::Directory;
use crate::gateway_status::{self, KeptStatus};
use crate::purchases::Payments;
use crate::refusals::{Refusals, Refused};
use crate::sealer::Sealer;
use crate::service::ListenersTls;
use crate::settings::ServiceSettings;
use crate::sign_in::Challenges;
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
    /// Opens what the core sealed.
    pub(crate) opener: std::sync::Mutex<Sealer>,
    /// What commands verify with.
    pub command_key: VerifyingKey,
    /// What grants are signed with.
    pub(crate) grant_key: Arc<SoftwareKey>,
    /// Held while grants of a device change.
    pub(crate) grants: Arc<Mutex<()>>,
    /// Who takes cards for us; nobody where nothing is sold.
    pub(crate) payments: Option<Payments>,
    /// Who co-signs it, and what of it is published.
    pub witnessing: Witnessing,
    /// Wrong claim codes, wherever they are shown.
    pub(crate) guesses: std::sync::Mutex<Guesses>,
    /// What peers have to answer.
    pub(crate) challenges: Challenges,
    /// Rings when somebody may be no member any more.
    pub(crate) left: Arc<Notify>,
    /// What was refused lately.
    pub(crate) refusals: std::sync::Mutex<Refusals>,
    /// Members, for quick answers.
    pub directory: Arc<Directory>,
    /// The one that decides about messages.
    pub core: CoreHandle,
    /// TLS of the listeners.
    pub(crate) tls: ListenersTls,
    /// Rings when who may connect is another than before: for the other nodes.
    pub(crate) members_changed: watch::Sender<()>,
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

    /// The permit to do `A` in a tenant. A no is in the tenant's log before it is told.
    ///
    /// # Errors
    ///
    /// [`AccessError`].
    pub async fn permit<A: Act>(
        &self,
        tenant: TenantName,
        who: &Subject,
        actor: &str,
        on: &Resource,
    ) -> Result<Permit<A>, AccessError> {
        match self.directory.access.decide(&tenant, who, on) {
            Ok(permit) => Ok(permit),
            Err(denied) => Err(self.refused(tenant, actor, A::ACTION, *on, denied).await?),
        }
    }

    /// The eyes of somebody who wants to look at readings.
    ///
    /// # Errors
    ///
    /// [`AccessError`] when they see none, whatever readings there are.
    pub async fn reader(
        &self,
        tenant: TenantName,
        who: &Subject,
        actor: &str,
    ) -> Result<Reader, AccessError> {
        let reader = self.directory.access.of(&tenant).map(|policies| Reader::new(policies, *who));
        let denied = match reader {
            Some(reader) if !reader.is_blind() => return Ok(reader),
            Some(_) => Denied { reason: Decision::OutOfScope.reason() },
            None => Denied { reason: "the tenant has no policies that work" },
        };
        Err(self.refused(tenant, actor, Action::ReadReadings, Resource::Tenant, denied).await?)
    }

    /// Refuses a command for another reason than the policies'. It is in the tenant's log before it is told.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it is not in the log.
    pub(crate) async fn refuse(
        &self,
        tenant: TenantName,
        actor: &str,
        on: Resource,
        reason: &'static str,
    ) -> Result<AccessError, StoreError> {
        self.refused(tenant, actor, Action::SendCommands, on, Denied { reason }).await
    }

    /// What a device says that it can do. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it has said nothing yet.
    pub(crate) fn description(
        &self,
        tenant: &TenantName,
        device: &DeviceName,
    ) -> Result<ThingDescription, StoreError> {
        let unknown = StoreError::NotFound { what: "description" };
        let key = description::key(tenant, device);
        let Some(sealed) = self.store.get(Space::Descriptions, &key)? else { return Err(unknown) };
        let opened = self.opener.lock().unwrap_or_else(PoisonError::into_inner).open(&key, &sealed);
        let plain = opened.map_err(|_| StoreError::Corrupt { what: "a sealed entry".to_owned() })?;
        let document = description::decode(&plain).map(|(_, document)| document).unwrap_or_default();
        ThingDescription::parse(document).map_err(|_| unknown)
    }

    /// How a gateway is, as it said last; `None` when it has said nothing that is read. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(crate) fn gateway_status(
        &self,
        tenant: &TenantName,
        gateway: &DeviceName,
    ) -> Result<Option<KeptStatus>, StoreError> {
        let key = gateway_status::key(tenant, gateway);
        let Some(sealed) = self.store.get(Space::Meta, &key)? else { return Ok(None) };
        let opened = self.opener.lock().unwrap_or_else(PoisonError::into_inner).open(&key, &sealed);
        let plain = opened.map_err(|_| StoreError::Corrupt { what: "a sealed entry".to_owned() })?;
        Ok(serde_json::from_slice(&plain).ok())
    }

    /// Has the log told of refusals that were only counted, again and again.
    pub(crate) async fn tell_refusals(self: Arc<Self>) {
        const EVERY: Duration = Duration::from_secs(10);
        loop {
            tokio::time::sleep(EVERY).await;
            let over = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).over(now());
            for (tenant, deed) in over {
                if let Err(error) = self.record(tenant, deed).await {
                    tracing::error!(%tenant, %error, "refusals are not in the log");
                }
            }
        }
    }

    async fn refused(
        &self,
        tenant: TenantName,
        actor: &str,
        action: Action,
        on: Resource,
        denied: Denied,
    ) -> Result<AccessError, StoreError> {
        let refused = Refused { tenant, actor: actor.to_owned(), action, on, reason: denied.reason };
        self.core.metrics().requests_denied.inc();
        let deed = self.refusals.lock().unwrap_or_else(PoisonError::into_inner).note(refused, now());
        if let Some(deed) = deed {
            self.record(tenant, deed).await?;
        }
        Ok(AccessError::Denied(denied))
    }
}

/// Why there is no permit.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The answer is no.
    #[error(transparent)]
    Denied(Denied),
    /// The refusal is not in the log.
    #[error(transparent)]
    Store(#[from] StoreError),
}
