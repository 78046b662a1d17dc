//! What was taken back of each audience's grants, as its devices are told: of a device's own in a message, of a class's
//! in the membership, which its devices are told to look at.
//!
//! A device keeps at most [`REVOKED_MAX`] ids of an epoch, and forgets none of them within it. So no more ids than that
//! are ever named in one epoch, expired ones included: the device would have no room for the last, and it would be lost.
//! A revocation beyond raises the epoch instead, which voids every other grant of the audience. To make that rare, the
//! epoch rises earlier where it voids nothing.

mod new;

use std::sync::Arc;
use std::time::Duration;

use thingward_grant::{IssuerKey, REVOCATION_BYTES_MAX, REVOKED_MAX, Revocation};
use thingward_model::clock::now;
use thingward_model::{DeviceName, GroupName, TenantName, Timestamp};
use thingward_store::StoreError;
use thingward_store::registry::{GrantAudience, GrantEntry, GrantId, GrantStanding, GroupMember};
use tokio::sync::OwnedMutexGuard;

pub(crate) use self::new::{Ground, NewGrant, target};
use self::new::{detail, said};
use crate::audit::Deed;
use crate::shared::Shared;

/// How often it is tried again to tell what a device has no room for.
const AGAIN: Duration = Duration::from_secs(60);

/// Most classes that a device is in, which is what devices take.
const CLASSES_MAX: usize = 64;

/// A turn to change grants: two changes of one audience's epoch must not overtake each other.
pub(crate) type GrantsTurn = OwnedMutexGuard<()>;

/// The epoch that an audience is in once one more live grant for it is taken back, and how many others end with it because
/// of that.
fn after_revocation(standing: &GrantStanding) -> (u32, u64) {
    let others = standing.live.saturating_sub(1);
    let named = standing.revoked.len();
    let is_free = others == 0 && named >= REVOKED_MAX / 2;
    if is_free || named >= REVOKED_MAX {
        (standing.epoch.saturating_add(1), others)
    } else {
        (standing.epoch, 0)
    }
}

/// A grant that is to be taken back, and what that does to others.
pub(crate) struct TakingBack {
    entry: GrantEntry,
    epoch: u32,
    others: u64,
    time: Timestamp,
}

impl TakingBack {
    /// What the log gets.
    pub(crate) fn deed(&self, actor: String) -> Deed {
        let (kind, name) = detail(&self.entry.audience);
        let deed = Deed::new(actor, "grant.revoke", target(&self.entry.id))
            .with(kind, name)
            .with("epoch", self.epoch.to_string());
        if self.others == 0 { deed } else { deed.with("others", self.others.to_string()) }
    }
}

impl Shared {
    /// Keeps a grant that was issued, of which the log has the deed. Devices are told when it is the first for their class.
    ///
    /// # Errors
    ///
    /// What the registry says.
    pub(crate) async fn keep_grant(
        &self,
        turn: &GrantsTurn,
        tenant: TenantName,
        entry: &GrantEntry,
    ) -> Result<(), StoreError> {
        let registry = self.store.registry();
        if let GrantAudience::Class(class) = &entry.audience
            && registry.open_class(&tenant, class).await?
        {
            self.tell_revocation(turn, tenant, entry.audience).await;
        }
        registry.add_grant(&tenant, entry).await
    }

    /// What taking this grant back comes to now.
    ///
    /// # Errors
    ///
    /// What the registry says.
    pub(crate) async fn taking_back(
        &self,
        _turn: &GrantsTurn,
        tenant: TenantName,
        entry: GrantEntry,
    ) -> Result<TakingBack, StoreError> {
        let time = now();
        let standing = self.store.registry().grant_standing(&tenant, &entry.audience, time).await?;
        let is_live = entry.expires.is_none_or(|expires| expires > time);
        let (epoch, others) = if is_live { after_revocation(&standing) } else { (standing.epoch, 0) };
        Ok(TakingBack { entry, epoch, others, time })
    }

    /// Takes a grant back, of which the log has the deed.
    ///
    /// # Errors
    ///
    /// What the registry says.
    pub(crate) async fn take_back(
        &self,
        turn: &GrantsTurn,
        tenant: TenantName,
        taking: &TakingBack,
    ) -> Result<(), StoreError> {
        let TakingBack { entry, epoch, time, .. } = taking;
        self.store.registry().revoke_grant(&tenant, &entry.audience, &entry.id, *epoch, *time).await?;
        self.tell_revocation(turn, tenant, entry.audience).await;
        Ok(())
    }

    pub(crate) async fn grants_turn(&self) -> GrantsTurn {
        Arc::clone(&self.grants).lock_owned().await
    }

    /// What is taken back of an audience's grants, signed.
    ///
    /// # Errors
    ///
    /// What the registry says.
    pub(crate) async fn revocation(
        &self,
        tenant: TenantName,
        audience: GrantAudience,
    ) -> Result<Vec<u8>, StoreError> {
        let standing = self.store.registry().grant_standing(&tenant, &audience, now()).await?;
        let ids: &[GrantId] = &standing.revoked;
        let revocation =
            Revocation { issuer: tenant.borrowed(), audience: said(&audience), epoch: standing.epoch, ids };
        let mut out = vec![0; REVOCATION_BYTES_MAX];
        let unsigned = |_| StoreError::Invalid { what: "the revocation cannot be signed" };
        let len = revocation.sign(IssuerKey::Public(self.grant_key.as_ref()), &mut out).map_err(unsigned)?;
        out.truncate(len);
        Ok(out)
    }

    /// Lets what is taken back wait for the devices of the audience. When that cannot be it is tried again, and is said in
    /// the log of the process: what was taken back stays so.
    pub(crate) async fn tell_revocation(
        &self,
        _turn: &GrantsTurn,
        tenant: TenantName,
        audience: GrantAudience,
    ) {
        let told = async {
            match &audience {
                GrantAudience::Device(device) => {
                    let payload = self.revocation(tenant, audience).await?;
                    self.core.tell_revocation(tenant, *device, payload).await?;
                }
                GrantAudience::Class(class) => {
                    let devices = self.directory.devices_in(&tenant, class);
                    self.core.tell_membership(tenant, devices).await?;
                }
            }
            self.store.registry().grants_told(&tenant, &audience).await
        };
        if let Err(error) = told.await {
            tracing::warn!(%tenant, %audience, %error, "not all devices are told yet what grants were taken back");
        }
    }

    /// The classes of a device that grants were issued for, each with what is taken back of it, signed.
    ///
    /// # Errors
    ///
    /// What the registry says.
    pub(crate) async fn classes_of(
        &self,
        tenant: TenantName,
        device: &DeviceName,
    ) -> Result<Vec<(GroupName, Vec<u8>)>, StoreError> {
        let granted = self.store.registry().classes(&tenant).await?;
        let own = self.directory.access.groups_of(&tenant, device);
        let mut classes = Vec::new();
        for class in own.intersection(&granted).take(CLASSES_MAX) {
            classes.push((*class, self.revocation(tenant, GrantAudience::Class(*class)).await?));
        }
        Ok(classes)
    }

    /// Somebody or something came into a group, or left it: devices whose classes are others now are told to look at
    /// their membership. Otherwise they do within the hour.
    ///
    /// # Errors
    ///
    /// What the registry says, or a device has no room for the message.
    pub(crate) async fn group_changed(
        &self,
        tenant: TenantName,
        group: GroupName,
        member: &GroupMember,
    ) -> Result<(), StoreError> {
        let granted = self.store.registry().classes(&tenant).await?;
        if granted.is_disjoint(&self.directory.access.groups_above(&tenant, group)) {
            return Ok(());
        }
        let devices = match member {
            GroupMember::User(_) => Vec::new(),
            GroupMember::Device(device) => vec![*device],
            GroupMember::Group(inner) => self.directory.devices_in(&tenant, inner),
        };
        self.core.tell_membership(tenant, devices).await
    }

    /// Ends the grants of a device that leaves the tenant.
    ///
    /// # Errors
    ///
    /// What the registry says.
    pub(crate) async fn end_grants(&self, tenant: TenantName, device: DeviceName) -> Result<(), StoreError> {
        let turn = self.grants_turn().await;
        if self.store.registry().end_grants(&tenant, &device, now()).await? {
            self.tell_revocation(&turn, tenant, GrantAudience::Device(device)).await;
        }
        Ok(())
    }
}

/// Tells what was taken back and not told: the process ended in between, or the device had no room.
pub(crate) async fn untold(shared: Arc<Shared>) {
    loop {
        match shared.store.registry().grants_untold().await {
            Ok(all) => {
                for (tenant, audience) in all {
                    let turn = shared.grants_turn().await;
                    shared.tell_revocation(&turn, tenant, audience).await;
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
