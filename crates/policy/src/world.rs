//! What a tenant's policies are about: its people, groups and things, as the registry has them.

use std::collections::{BTreeMap, BTreeSet};

use thingward_model::{ActionName, DeviceName, FieldName, GroupName, Role, UserName};

use crate::resource::Categories;
use crate::subject::UserRole;

/// Most groups that lead from a member to the outermost one. Deeper ones are not looked at, and cannot be made.
pub const GROUP_DEPTH_MAX: usize = 8;

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// What they are to the tenant.
    pub roles: BTreeSet<UserRole>,
    /// Which groups they are in, directly.
    pub groups: BTreeSet<GroupName>,
}

/// A device, gateway or application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it is.
    pub role: Role,
    /// Which groups it is in, directly.
    pub groups: BTreeSet<GroupName>,
    /// What it does when told to, by its description.
    pub operations: BTreeMap<ActionName, Operation>,
    /// What its fields are about, by its description.
    pub categories: BTreeMap<FieldName, Categories>,
    /// Whether it said so itself, over a connection of its own.
    pub has_described_itself: bool,
}

impl Member {
    /// One that is in no group and does nothing.
    #[must_use]
    pub const fn new(role: Role) -> Self {
        Self {
            role,
            groups: BTreeSet::new(),
            operations: BTreeMap::new(),
            categories: BTreeMap::new(),
            has_described_itself: false,
        }
    }
}

/// Something that a device does when told to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Which users may tell it to, unless a policy says otherwise.
    pub roles: BTreeSet<UserRole>,
    /// Whether it also takes the user's own passkey.
    pub is_sensitive: bool,
}

/// Everybody and everything that policies of one tenant can name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct World {
    /// People.
    pub users: BTreeMap<UserName, User>,
    /// Devices, gateways and applications.
    pub members: BTreeMap<DeviceName, Member>,
    /// For each group that is in others: which.
    pub groups: BTreeMap<GroupName, BTreeSet<GroupName>>,
}

impl World {
    /// The groups that these are in, directly or through others.
    #[must_use]
    pub fn groups_above(&self, direct: &BTreeSet<GroupName>) -> BTreeSet<GroupName> {
        let mut all = direct.clone();
        let mut edge = direct.clone();
        for _ in 0..GROUP_DEPTH_MAX {
            edge = edge.iter().filter_map(|group| self.groups.get(group)).flatten().copied().collect();
            edge.retain(|group| all.insert(*group));
            if edge.is_empty() {
                break;
            }
        }
        all
    }
}
