//! What the hot path must know of members at once: their keys, what is revoked, whose key is withdrawn.
//!
//! The registry is the truth; this is its copy in memory, changed in the same call that changes the registry.

use std::sync::{Arc, PoisonError, RwLock};

use ahash::{HashMap, HashSet};
use thingward_crypto::{KeyId, VerifyingKey};
use thingward_model::{DeviceName, GroupName, Role, TenantName, Timestamp};
use thingward_store::StoreError;
use thingward_store::registry::{Admission, EnrolledMember, LIST_MAX, Lines, MemberKey, Registry};

use crate::access::Access;

/// Members by tenant and name. Shared by all listeners and the core.
#[derive(Default)]
pub struct Directory {
    inner: RwLock<Inner>,
    /// What they and others may.
    pub access: Arc<Access>,
}

#[derive(Default)]
struct Inner {
    known: HashMap<TenantName, HashMap<DeviceName, Known>>,
    /// Things of radios, and the gateways that have their keys.
    kept: HashMap<(TenantName, DeviceName), DeviceName>,
    /// What gateways may enrol.
    admissions: HashMap<(TenantName, DeviceName), Admission>,
    revoked_serials: HashSet<Vec<u8>>,
}

/// Who has keys, or is a member.
#[derive(Debug, Default)]
struct Known {
    /// As what it is a member; `None` for one that is none.
    role: Option<Role>,
    keys: Vec<KnownKey>,
}

/// A key as it is kept: most are not used between two starts, and to parse one takes little of what verifying takes.
#[derive(Debug)]
struct KnownKey {
    id: KeyId,
    spki: Box<[u8]>,
}

impl Inner {
    fn known(&mut self, tenant: TenantName, name: DeviceName) -> &mut Known {
        self.known.entry(tenant).or_default().entry(name).or_default()
    }
}

impl Directory {
    /// Reads every enrolled member, and every revocation of a certificate that is not over.
    ///
    /// # Errors
    ///
    /// What the registry says.
    pub async fn load(registry: &Registry, now: Timestamp) -> Result<Self, StoreError> {
        let tenants = registry.all_tenants().await?;
        let access = Arc::new(Access::load(registry, &tenants).await?);
        let directory = Self { access, ..Self::default() };
        for tenant in &tenants {
            directory.load_tenant(registry, tenant).await?;
        }
        registry.admissions(now).await?.into_iter().for_each(|admission| directory.admit(admission));
        let mut after = None;
        loop {
            let page = registry.revocations(now, after.as_ref(), LIST_MAX).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.serial.clone());
            for revocation in page {
                directory.revoke_serial(revocation.serial.as_bytes());
            }
        }
        Ok(directory)
    }

    async fn load_tenant(&self, registry: &Registry, tenant: &TenantName) -> Result<(), StoreError> {
        let members = each_page(
            |last| async move { registry.members(tenant, last.as_ref()).await },
            |page| self.take_members(tenant, page),
        );
        let keys = each_page(
            |last| async move { registry.member_keys(tenant, last.as_ref()).await },
            |page| self.take_keys(tenant, page),
        );
        tokio::try_join!(members, keys)?;
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let known = inner.known.entry(*tenant).or_default();
        // Who has no key that counts is no member, whatever they were enrolled as: they may be revoked.
        known.retain(|_, known| known.role.is_some() && !known.keys.is_empty());
        self.access.are_members(tenant, known.iter().filter_map(|(name, known)| Some((*name, known.role?))));
        Ok(())
    }

    fn take_members(&self, tenant: &TenantName, page: &Lines<EnrolledMember>) -> Result<(), StoreError> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        page.read().try_for_each(|member| {
            let EnrolledMember { name, role, keeper } = member?;
            if let Some(keeper) = keeper {
                inner.kept.insert((*tenant, name), keeper);
            }
            inner.known(*tenant, name).role = Some(role);
            Ok(())
        })
    }

    fn take_keys(&self, tenant: &TenantName, page: &Lines<MemberKey>) -> Result<(), StoreError> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        page.read().try_for_each(|key| {
            let MemberKey { holder, id, spki } = key?;
            let keys = &mut inner.known(*tenant, holder).keys;
            // A key has a line for each of its certificates.
            if keys.iter().all(|known| known.id != id) {
                keys.push(KnownKey { id, spki: spki.into() });
            }
            Ok(())
        })
    }

    /// A member got a certificate for this key.
    pub fn enrolled(&self, tenant: TenantName, name: DeviceName, role: Role, key: &VerifyingKey) {
        self.access.enrolled(&tenant, name, role);
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let member = inner.known(tenant, name);
        member.role = Some(role);
        let key = KnownKey { id: key.id(), spki: key.to_spki().into() };
        member.keys.retain(|known| known.id != key.id);
        member.keys.push(key);
    }

    /// A gateway has the key of this thing. Said before the thing is a member.
    pub fn kept(&self, tenant: TenantName, name: DeviceName, gateway: DeviceName) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.kept.insert((tenant, name), gateway);
    }

    /// The gateway that has the key of a member, for a thing of a radio.
    #[must_use]
    pub fn keeper(&self, tenant: &TenantName, name: &DeviceName) -> Option<DeviceName> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.kept.get(&(*tenant, *name)).copied()
    }

    /// Things of radios with the gateways that have their keys, of all tenants.
    #[must_use]
    pub(crate) fn all_kept(&self) -> Vec<(TenantName, DeviceName, DeviceName)> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.kept.iter().map(|((tenant, name), gateway)| (*tenant, *name, *gateway)).collect()
    }

    /// A gateway may enrol things of its radios for a while.
    pub fn admit(&self, admission: Admission) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.admissions.insert((admission.tenant, admission.gateway), admission);
    }

    /// A gateway may enrol nothing any more.
    pub fn close(&self, tenant: &TenantName, gateway: &DeviceName) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.admissions.remove(&(*tenant, *gateway));
    }

    /// What a gateway may enrol at `now`.
    #[must_use]
    pub fn admission(&self, tenant: &TenantName, gateway: &DeviceName, now: Timestamp) -> Option<Admission> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.admissions.get(&(*tenant, *gateway)).filter(|admission| now < admission.until).copied()
    }

    /// A member is no member any more.
    pub fn released(&self, tenant: &TenantName, name: &DeviceName) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = inner.known.get_mut(tenant) {
            known.remove(name);
        }
        inner.kept.remove(&(*tenant, *name));
        inner.admissions.remove(&(*tenant, *name));
        drop(inner);
        self.access.released(tenant, name);
    }

    /// A certificate is revoked.
    pub fn revoke_serial(&self, serial: &[u8]) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.revoked_serials.insert(serial.to_vec());
    }

    /// Whether the certificate is revoked.
    #[must_use]
    pub fn is_revoked(&self, serial: &[u8]) -> bool {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).revoked_serials.contains(serial)
    }

    /// The role of an enrolled member; `None` when there is none of this name.
    #[must_use]
    pub fn role(&self, tenant: &TenantName, name: &DeviceName) -> Option<Role> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.known.get(tenant)?.get(name)?.role
    }

    /// The enrolled devices of a group.
    #[must_use]
    pub fn devices_in(&self, tenant: &TenantName, group: &GroupName) -> Vec<DeviceName> {
        let members = self.access.members_of(tenant, group).into_iter();
        members.filter(|name| self.role(tenant, name) == Some(Role::Device)).collect()
    }

    /// The enrolled members of a tenant with this role.
    #[must_use]
    pub(crate) fn all_of(&self, tenant: &TenantName, role: Role) -> Vec<DeviceName> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let known = inner.known.get(tenant).into_iter().flatten();
        known.filter(|(_, known)| known.role == Some(role)).map(|(name, _)| *name).collect()
    }

    /// Whether the certificate still makes its holder a member that speaks for itself. A thing that a gateway keeps does not.
    #[must_use]
    pub fn is_member(&self, who: &thingward_ingress::Member) -> bool {
        let p = &who.principal;
        self.role(&p.tenant, &p.name) == Some(p.role)
            && !self.is_revoked(&who.serial)
            && self.keeper(&p.tenant, &p.name).is_none()
    }

    /// A key of an enrolled member.
    #[must_use]
    pub fn key(&self, tenant: &TenantName, name: &DeviceName, id: &KeyId) -> Option<VerifyingKey> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let holder = inner.known.get(tenant)?.get(name).filter(|known| known.role.is_some())?;
        let key = holder.keys.iter().find(|key| key.id == *id)?;
        VerifyingKey::from_spki(&key.spki).ok()
    }
}

/// Reads page after page, and takes each.
async fn each_page<T, Page: Future<Output = Result<Lines<T>, StoreError>>>(
    read: impl Fn(Option<DeviceName>) -> Page,
    take: impl Fn(&Lines<T>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut page = read(None).await?;
    while let Some(last) = page.more_behind {
        // The database gathers the next while these are taken.
        let (next, taken) = tokio::join!(read(Some(last)), async { take(&page) });
        taken?;
        page = next?;
    }
    take(&page)
}
