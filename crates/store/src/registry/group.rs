//! Groups of users, devices and other groups.

use std::fmt;
use std::str::FromStr;

use thingward_model::assurance::UnknownWord;
use thingward_model::{DeviceName, GroupName, TenantName, UserName};

use super::{Registry, failed, get, one_changed, parse};
use crate::error::StoreError;

/// Most memberships of all groups of a tenant together.
pub const GROUP_MEMBERS_MAX: usize = 100_000;

/// Somebody or something in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupMember {
    /// A person.
    User(UserName),
    /// A device, gateway or application.
    Device(DeviceName),
    /// All of another group.
    Group(GroupName),
}

impl GroupMember {
    /// What it is, in the word that CLI and API use.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::User(_) => "user",
            Self::Device(_) => "device",
            Self::Group(_) => "group",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::User(name) => name.as_str(),
            Self::Device(name) => name.as_str(),
            Self::Group(name) => name.as_str(),
        }
    }
}

/// `user/anna`, `device/meter-1`, `group/north`.
impl fmt::Display for GroupMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind(), self.name())
    }
}

impl FromStr for GroupMember {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let wrong = UnknownWord { wanted: "user/NAME, device/NAME, group/NAME" };
        let member = text.split_once('/').and_then(|(kind, name)| match kind {
            "user" => name.parse().ok().map(Self::User),
            "device" => name.parse().ok().map(Self::Device),
            "group" => name.parse().ok().map(Self::Group),
            _ => None,
        });
        member.ok_or(wrong)
    }
}

impl Registry {
    /// Puts somebody or something into a group, which is there while it has members. Twice is as once.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such user or device, [`StoreError::Limit`] when the tenant has too
    /// many memberships.
    pub async fn add_to_group(
        &self,
        tenant: &TenantName,
        group: &GroupName,
        member: &GroupMember,
    ) -> Result<(), StoreError> {
        let mut tx = self.change().await?;
        let result = sqlx::query(
            "INSERT INTO group_members (tenant, group_name, kind, member) \
             SELECT $1, $2, $3, $4 WHERE ($3 = 'group' \
             OR ($3 = 'user' AND EXISTS (SELECT 1 FROM users WHERE tenant = $1 AND name = $4)) \
             OR ($3 = 'device' AND EXISTS (SELECT 1 FROM principals WHERE tenant = $1 AND name = $4))) \
             AND (SELECT COUNT(*) FROM group_members WHERE tenant = $1) < $5 \
             ON CONFLICT DO NOTHING",
        )
        .bind(tenant.as_str())
        .bind(group.as_str())
        .bind(member.kind())
        .bind(member.name())
        .bind(i64::try_from(GROUP_MEMBERS_MAX).unwrap_or(i64::MAX))
        .execute(&mut *tx)
        .await
        .map_err(failed("add to a group"))?;
        tx.commit().await.map_err(failed("add to a group"))?;
        if result.rows_affected() > 0 || self.groups(tenant).await?.contains(&(*group, *member)) {
            return Ok(());
        }
        if self.groups(tenant).await?.len() >= GROUP_MEMBERS_MAX {
            return Err(StoreError::Limit { what: "memberships of groups", max: GROUP_MEMBERS_MAX as u64 });
        }
        Err(StoreError::NotFound { what: member.kind() })
    }

    /// Takes somebody or something out of a group.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it is not in it.
    pub async fn remove_from_group(
        &self,
        tenant: &TenantName,
        group: &GroupName,
        member: &GroupMember,
    ) -> Result<(), StoreError> {
        let result = sqlx::query(
            "DELETE FROM group_members WHERE tenant = $1 AND group_name = $2 AND kind = $3 AND member = $4",
        )
        .bind(tenant.as_str())
        .bind(group.as_str())
        .bind(member.kind())
        .bind(member.name())
        .execute(self.pool()?)
        .await
        .map_err(failed("remove from a group"))?;
        one_changed(&result, "member of the group")
    }

    /// Everybody and everything that is in a group of the tenant, by group.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn groups(&self, tenant: &TenantName) -> Result<Vec<(GroupName, GroupMember)>, StoreError> {
        let rows = sqlx::query(
            "SELECT group_name, kind || '/' || member AS member FROM group_members \
             WHERE tenant = $1 ORDER BY group_name, kind, member",
        )
        .bind(tenant.as_str())
        .fetch_all(self.pool()?)
        .await
        .map_err(failed("list groups"))?;
        rows.iter()
            .map(|row| Ok((parse(row, "group_name")?, super::parse_text(get(row, "member")?, "member")?)))
            .collect()
    }
}
