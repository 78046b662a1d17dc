//! What was taken back at each device, as the device is told.
//!
//! A device keeps at most [`REVOKED_MAX`] ids of an epoch, and forgets none of them within it. So no more ids than that
//! are ever named in one epoch, expired ones included: the device would have no room for the last, and it would be lost.
//! A revocation beyond raises the epoch instead, which voids every other grant of the device. To make that rare, the
//! epoch rises earlier where it voids nothing.

use std::sync::Arc;
use std::time::Duration;

use thingward_grant::{Audience, IssuerKey, REVOCATION_BYTES_MAX, REVOKED_MAX, Revocation};
use thingward_model::clock::now;
use thingward_model::{DeviceName, TenantName};
use thingward_store::StoreError;
use thingward_store::registry::{GrantId, GrantStanding};
use tokio::sync::OwnedMutexGuard;

use crate::shared::Shared;

/// How often it is tried again to tell what a device has no room for.
const AGAIN: Duration = Duration::from_secs(60);

/// A turn to change grants: two changes of one device's epoch must not overtake each other.
pub(crate) type GrantsTurn = OwnedMutexGuard<()>;

/// The epoch that a device is in once one more live grant of it is taken back, and how many others end with it because
/// of that.
pub(crate) fn after_revocation(standing: &GrantStanding) -> (u32, u64) {
    let others = standing.live.saturating_sub(1);
    let named = standing.revoked.len();
    let is_free = others == 0 && named >= REVOKED_MAX / 2;
    if is_free || named >= REVOKED_MAX {
        (standing.epoch.saturating_add(1), others)
    } else {
        (standing.epoch, 0)
    }
}

impl Shared {
    pub(crate) async fn grants_turn(&self) -> GrantsTurn {
        Arc::clone(&self.grants).lock_owned().await
    }

    /// What is taken back at a device, signed.
    ///
    /// # Errors
    ///
    /// What the registry says.
    pub(crate) async fn revocation(
        &self,
        tenant: TenantName,
        device: DeviceName,
    ) -> Result<Vec<u8>, StoreError> {
        let standing = self.store.registry().grant_standing(&tenant, &device, now()).await?;
        let ids: &[GrantId] = &standing.revoked;
        let revocation = Revocation {
            issuer: tenant.borrowed(),
            audience: Some(Audience::Device(device.borrowed())),
            epoch: standing.epoch,
            ids,
        };
        let mut out = vec![0; REVOCATION_BYTES_MAX];
        let unsigned = |_| StoreError::Invalid { what: "the revocation cannot be signed" };
        let len = revocation.sign(IssuerKey::Public(&self.grant_key), &mut out).map_err(unsigned)?;
        out.truncate(len);
        Ok(out)
    }

    /// Lets what is taken back wait for the device. When that cannot be it is tried again, and is said in the log of
    /// the process: what was taken back stays so.
    pub(crate) async fn tell_revocation(&self, _turn: &GrantsTurn, tenant: TenantName, device: DeviceName) {
        let told = async {
            let payload = self.revocation(tenant, device).await?;
            self.core.tell_revocation(tenant, device, payload).await?;
            self.store.registry().grants_told(&tenant, &device).await
        };
        if let Err(error) = told.await {
            tracing::warn!(%tenant, %device, %error, "a device is not told yet what grants were taken back");
        }
    }

    /// Ends the grants of a device that leaves the tenant.
    ///
    /// # Errors
    ///
    /// What the registry says.
    pub(crate) async fn end_grants(&self, tenant: TenantName, device: DeviceName) -> Result<(), StoreError> {
        let turn = self.grants_turn().await;
        if self.store.registry().end_grants(&tenant, &device, now()).await? {
            self.tell_revocation(&turn, tenant, device).await;
        }
        Ok(())
    }
}

/// Tells what was taken back and not told: the process ended in between, or the device had no room.
pub(crate) async fn untold(shared: Arc<Shared>) {
    loop {
        match shared.store.registry().grants_untold().await {
            Ok(all) => {
                for (tenant, device) in all {
                    let turn = shared.grants_turn().await;
                    shared.tell_revocation(&turn, tenant, device).await;
                }
            }
            Err(error) => tracing::error!(%error, "what was taken back cannot be listed"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(named: usize, live: u64, want: (u32, u64)) {
        let standing = GrantStanding { epoch: 7, revoked: vec![[0; 8]; named], live };
        assert_eq!(after_revocation(&standing), want, "{named} named, {live} live");
    }

    #[test]
    fn an_epoch_rises_when_it_is_full_or_when_that_voids_nothing_else() {
        check(0, 1, (7, 0));
        check(REVOKED_MAX / 2 - 1, 1, (7, 0));
        check(REVOKED_MAX / 2, 1, (8, 0));
        check(REVOKED_MAX / 2, 2, (7, 0));
        check(REVOKED_MAX - 1, 2, (7, 0));
        check(REVOKED_MAX, 2, (8, 1));
        check(REVOKED_MAX, 1, (8, 0));
    }
}
