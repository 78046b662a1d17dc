//! What gateways decide by while they are by themselves: the tenant's policies, signed for each of them.

use thingward_model::clock::now;
use thingward_model::{Principal, Role, TenantName};
use thingward_policy::{Standing, StandingError};
use thingward_store::StoreError;

use crate::shared::Shared;

/// Why there are no policies for a gateway.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoStanding {
    /// What the registry says.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// They cannot be signed, or are too large for it.
    #[error(transparent)]
    Signed(#[from] StandingError),
    /// The tenant's policies cannot be used.
    #[error("the tenant has no policies that work")]
    Closed,
}

impl Shared {
    /// The policies for a gateway to go by, as they are now, signed.
    ///
    /// # Errors
    ///
    /// [`NoStanding`].
    pub(crate) async fn standing_policy(&self, gateway: &Principal) -> Result<Vec<u8>, NoStanding> {
        let Principal { tenant, name, .. } = *gateway;
        // So that the version is that of the policies.
        let _turn = self.membership.lock().await;
        let newest = self.store.registry().policy_version(&tenant, None).await?;
        let policies = self.directory.access.of(&tenant).ok_or(NoStanding::Closed)?;
        let is_wanted = |member: &_, what: &thingward_policy::Member| {
            *member == name
                || what.role == Role::Application
                || self.directory.keeper(&tenant, member) == Some(name)
        };
        let standing = Standing {
            tenant,
            gateway: name,
            version: newest.map_or(0, |version| version.version),
            issued: now(),
            files: policies.without_people().ok_or(NoStanding::Closed)?,
            world: policies.world(|world| world.of_members(is_wanted)),
        };
        Ok(standing.sign(self.grant_key.as_ref())?)
    }

    /// The policies of a tenant, or what they are about, are others: its gateways are told to look. Otherwise they do within
    /// the minute.
    pub(crate) async fn tell_gateways(&self, tenant: TenantName) {
        let gateways = self.directory.all_of(&tenant, Role::Gateway);
        if let Err(error) = self.core.tell_membership(tenant, gateways).await {
            tracing::warn!(%tenant, %error, "not all gateways are told to look at their policies");
        }
    }
}
