//! Every tenant's policies at work, and what they are about: the registry's copy in memory, changed in the same call
//! that changes the registry.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use ahash::HashMap;
use thingward_crypto::sha256;
use thingward_model::description::ThingDescription;
use thingward_model::{DeviceName, GroupName, Role, TenantName};
use thingward_policy::{
    Act, Denied, Member, Permit, Policies, PolicyFile, Problems, Resource, Source, Subject, User, UserRole,
    World,
};
use thingward_store::StoreError;
use thingward_store::registry::{GroupMember, LIST_MAX, Registry, Token};

use crate::description;
use crate::pipeline::Via;

/// Decides for all tenants. Shared by all listeners and the core.
#[derive(Default)]
pub struct Access {
    tenants: RwLock<HashMap<TenantName, Arc<Policies>>>,
}

impl Access {
    /// Reads the policies, people and groups of these tenants. Members come as [`Self::enrolled`].
    ///
    /// # Errors
    ///
    /// What the registry says. Of a tenant whose policies do not pass today's checks nobody may anything: what they
    /// forbid is not known.
    pub async fn load(registry: &Registry, tenants: &[TenantName]) -> Result<Self, StoreError> {
        let access = Self::default();
        for tenant in tenants {
            access.add_tenant(*tenant);
            access.reload_people(registry, tenant).await?;
            let Some(version) = registry.policy_version(tenant, None).await? else { continue };
            let applied = Source::new(&version.files).and_then(|source| access.apply(tenant, source));
            if let Err(problems) = applied {
                tracing::error!(%tenant, version = version.version, %problems, "the tenant's policies cannot be used; nobody but the operator may anything");
                let closed = Arc::new(Policies::closed(*tenant));
                access.tenants.write().unwrap_or_else(PoisonError::into_inner).insert(*tenant, closed);
                access.reload_people(registry, tenant).await?;
            }
        }
        Ok(access)
    }

    /// Reads people and groups afresh, behind a change of them in the registry.
    ///
    /// # Errors
    ///
    /// What the registry says.
    pub async fn reload_people(&self, registry: &Registry, tenant: &TenantName) -> Result<(), StoreError> {
        let fresh = read_people(registry, tenant).await?;
        self.update(tenant, |world| {
            world.members.values_mut().for_each(|member| member.groups.clear());
            for (name, member) in fresh.members {
                // One that is not enrolled yet is in its groups when it is.
                world.members.entry(name).or_insert_with(|| Member::new(member.role)).groups = member.groups;
            }
            (world.users, world.groups) = (fresh.users, fresh.groups);
        });
        Ok(())
    }

    /// A tenant begins with the baseline and nobody in it.
    pub fn add_tenant(&self, tenant: TenantName) {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        tenants.entry(tenant).or_insert_with(|| Arc::new(baseline(tenant)));
    }

    /// These are members of a tenant.
    pub fn are_members(&self, tenant: &TenantName, members: impl Iterator<Item = (DeviceName, Role)>) {
        self.add_tenant(*tenant);
        self.update(tenant, |world| {
            for (name, role) in members {
                world.members.entry(name).or_insert_with(|| Member::new(role)).role = role;
            }
        });
    }

    /// A member of a tenant got a certificate.
    pub fn enrolled(&self, tenant: &TenantName, name: DeviceName, role: Role) {
        self.add_tenant(*tenant);
        self.update_member(tenant, name, |member| {
            member.get_or_insert_with(|| Member::new(role)).role = role;
        });
    }

    /// A member said what it can do, or somebody did for it. Says whether that counts: what came through a gateway does
    /// not once the device itself has spoken, and otherwise never allows more than what is known.
    pub(crate) fn described(
        &self,
        tenant: &TenantName,
        name: &DeviceName,
        thing: &ThingDescription,
        via: Via,
    ) -> bool {
        let mut counts = false;
        self.update_member(tenant, *name, |member| {
            let member = member.get_or_insert_with(|| Member::new(Role::Device));
            counts = via == Via::Device || !member.has_described_itself;
            if !counts {
                return;
            }
            let (mut operations, mut categories) =
                (description::operations(thing), description::categories(thing));
            if via == Via::Gateway {
                for (action, operation) in &mut operations {
                    operation.roles.retain(|r| matches!(r, UserRole::Administrator | UserRole::Operator));
                    operation.is_sensitive |= member.operations.get(action).is_some_and(|o| o.is_sensitive);
                }
                categories.extend(member.categories.iter().map(|(field, about)| (*field, *about)));
            }
            member.has_described_itself |= via == Via::Device;
            (member.operations, member.categories) = (operations, categories);
        });
        counts
    }

    /// A member is no member any more.
    pub fn released(&self, tenant: &TenantName, name: &DeviceName) {
        self.update_member(tenant, *name, |member| {
            // It is in its groups again when it comes back.
            if let Some(member) = member {
                member.operations.clear();
                member.categories.clear();
                member.has_described_itself = false;
            }
        });
    }

    /// Takes other policies of a tenant.
    ///
    /// # Errors
    ///
    /// [`Problems`]; the old ones stay.
    pub fn apply(&self, tenant: &TenantName, source: Source) -> Result<(), Problems> {
        self.of(tenant).map_or(Ok(()), |policies| policies.apply(source))
    }

    /// The groups that a member is in, directly or through others.
    #[must_use]
    pub(crate) fn groups_of(&self, tenant: &TenantName, name: &DeviceName) -> BTreeSet<GroupName> {
        self.look(tenant, |world| {
            world.members.get(name).map(|member| world.groups_above(&member.groups)).unwrap_or_default()
        })
    }

    /// A group and those that it is in.
    #[must_use]
    pub(crate) fn groups_above(&self, tenant: &TenantName, group: GroupName) -> BTreeSet<GroupName> {
        self.look(tenant, |world| world.groups_above(&[group].into()))
    }

    /// The members that are in a group, directly or through others.
    #[must_use]
    pub(crate) fn members_of(&self, tenant: &TenantName, group: &GroupName) -> Vec<DeviceName> {
        self.look(tenant, |world| {
            let is_below = |inner: &&GroupName| world.groups_above(&[**inner].into()).contains(group);
            let mut below: BTreeSet<GroupName> = world.groups.keys().filter(is_below).copied().collect();
            below.insert(*group);
            let members = world.members.iter().filter(|(_, member)| !member.groups.is_disjoint(&below));
            members.map(|(name, _)| *name).collect()
        })
    }

    fn look<T: Default>(&self, tenant: &TenantName, look: impl FnOnce(&World) -> T) -> T {
        self.of(tenant).map(|policies| policies.world(look)).unwrap_or_default()
    }

    /// The policies of a tenant.
    #[must_use]
    pub fn of(&self, tenant: &TenantName) -> Option<Arc<Policies>> {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned()
    }

    /// The permit to do `A` in a tenant, when its policies allow it.
    ///
    /// # Errors
    ///
    /// [`Denied`].
    pub fn decide<A: Act>(
        &self,
        tenant: &TenantName,
        who: &Subject,
        on: &Resource,
    ) -> Result<Permit<A>, Denied> {
        match self.of(tenant) {
            Some(policies) => policies.decide(who, on),
            None => Err(Denied { reason: "the tenant has no policies that work" }),
        }
    }

    fn update_member(&self, tenant: &TenantName, name: DeviceName, change: impl FnOnce(&mut Option<Member>)) {
        if let Some(policies) = self.of(tenant) {
            policies.update_member(name, change);
        }
    }

    fn update(&self, tenant: &TenantName, change: impl FnOnce(&mut World)) {
        if let Some(policies) = self.of(tenant) {
            policies.update(change);
        }
    }
}

/// What the audit log says of policies: SHA-256 over names and texts.
pub(crate) fn hash_of(files: &[PolicyFile]) -> String {
    let parts = files.iter().flat_map(|f| [f.name.as_bytes(), b"\0", f.text.as_bytes(), b"\0"]);
    base16ct::lower::encode_string(&sha256(&parts.collect::<Vec<_>>()))
}

fn baseline(tenant: TenantName) -> Policies {
    // The baseline can be put beside nothing.
    Policies::new(tenant, Source::default(), World::default()).unwrap_or_else(|_| Policies::closed(tenant))
}

/// People and groups, and the members that are in groups.
async fn read_people(registry: &Registry, tenant: &TenantName) -> Result<World, StoreError> {
    let mut world = World::default();
    let mut after = None;
    loop {
        let page = registry.users(tenant, after.as_ref(), LIST_MAX).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.name);
        world.users.extend(page.into_iter().map(|u| (u.name, User { roles: u.roles, groups: [].into() })));
    }
    for (group, member) in registry.groups(tenant).await? {
        match member {
            GroupMember::User(name) => {
                world.users.entry(name).or_default().groups.insert(group);
            }
            GroupMember::Device(name) => {
                let member = world.members.entry(name).or_insert_with(|| Member::new(Role::Device));
                member.groups.insert(group);
            }
            GroupMember::Group(inner) => {
                world.groups.entry(inner).or_default().insert(group);
            }
        }
    }
    Ok(world)
}

/// Whom policies see behind a token.
pub(crate) fn token_subject(token: &Token) -> Subject {
    Subject::Token {
        name: token.id.name(),
        user: token.user.as_ref().map(|(_, name)| *name),
        scopes: token.scopes.iter().copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thing(action: &str) -> ThingDescription {
        let text = format!(
            r#"{{"@context": ["https://www.w3.org/2022/wot/td/v1.1", {{"tw": "urn:thingward:td:"}}],
            "title": "Pump", "securityDefinitions": {{"n": {{"scheme": "nosec"}}}}, "security": "n",
            "actions": {{"set-rate": {{{action} "forms": [{{"href": "x"}}]}}}}}}"#
        );
        ThingDescription::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_a_gateway_says_of_a_device_never_allows_more_and_never_stands_against_its_own_word() {
        let (acme, pump) = ("acme".parse().unwrap(), "pump-1".parse().unwrap());
        let access = Access::default();
        access.add_tenant(acme);
        let known = || {
            let operation =
                |world: &World| world.members[&pump].operations[&"set-rate".parse().unwrap()].clone();
            access.of(&acme).unwrap().world(operation)
        };
        let open = thing(r#""tw:roles": ["viewer", "operator"],"#);
        let strict = thing(r#""tw:sensitive": true,"#);
        assert!(access.described(&acme, &pump, &open, Via::Gateway));
        assert_eq!(known().roles, [UserRole::Operator].into(), "no viewer by the word of a gateway");
        assert!(access.described(&acme, &pump, &strict, Via::Gateway));
        assert!(access.described(&acme, &pump, &open, Via::Gateway));
        assert!(known().is_sensitive, "once sensitive, always, by the word of a gateway");
        assert!(access.described(&acme, &pump, &open, Via::Device));
        assert_eq!((known().roles.len(), known().is_sensitive), (2, false));
        assert!(!access.described(&acme, &pump, &strict, Via::Gateway));
        assert!(!known().is_sensitive);
    }
}
