//! People: names, roles, and the ids by which the audit log knows them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use thingward_model::assurance::UnknownWord;
use thingward_model::{TenantName, Timestamp, UserName};
use thingward_policy::UserRole;

use super::{Registry, SqlRow, after, failed, get, one_changed, page, parse, time};
use crate::error::StoreError;

/// Names a person where their name must not be: 16 hexadecimal digits that mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(String);

impl UserId {
    /// From eight random bytes.
    #[must_use]
    pub fn new(random: [u8; 8]) -> Self {
        Self(base16ct::lower::encode_string(&random))
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for UserId {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let good = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        good.then(|| Self(text.to_owned())).ok_or(UnknownWord { wanted: "16 hexadecimal digits" })
    }
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Names them in the audit log.
    pub id: UserId,
    /// What people call them.
    pub name: UserName,
    /// What they are to the tenant.
    pub roles: BTreeSet<UserRole>,
    /// When they were added.
    pub created: Timestamp,
}

impl Registry {
    /// Adds a person.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when the tenant has one of this name, [`StoreError::NotFound`] when there is no such
    /// tenant.
    pub async fn add_user(&self, tenant: &TenantName, user: &User) -> Result<(), StoreError> {
        let mut tx = self.change().await?;
        insert(&mut tx, tenant, user).await?;
        tx.commit().await.map_err(failed("add a user"))
    }

    /// Gives a person other roles.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`].
    pub async fn set_roles(
        &self,
        tenant: &TenantName,
        name: &UserName,
        roles: &BTreeSet<UserRole>,
    ) -> Result<(), StoreError> {
        let result = sqlx::query("UPDATE users SET roles = $3 WHERE tenant = $1 AND name = $2")
            .bind(tenant.as_str())
            .bind(name.as_str())
            .bind(words(roles))
            .execute(self.pool()?)
            .await
            .map_err(failed("give roles"))?;
        one_changed(&result, "user")
    }

    /// Removes a person: their name is gone, from groups too, and passkeys, sessions, links and the tokens that they made
    /// have ended.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`].
    pub async fn remove_user(
        &self,
        tenant: &TenantName,
        name: &UserName,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let user = self.user(tenant, name).await?;
        let mut transaction = self.change().await?;
        sqlx::query("UPDATE tokens SET revoked = $3 WHERE tenant = $1 AND user_id = $2 AND revoked IS NULL")
            .bind(tenant.as_str())
            .bind(user.id.0.as_str())
            .bind(now.as_micros())
            .execute(&mut *transaction)
            .await
            .map_err(failed("end a user's tokens"))?;
        sqlx::query("DELETE FROM group_members WHERE tenant = $1 AND kind = 'user' AND member = $2")
            .bind(tenant.as_str())
            .bind(name.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(failed("take a user out of groups"))?;
        let result = sqlx::query("DELETE FROM users WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_str())
            .bind(user.id.0.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(failed("remove a user"))?;
        one_changed(&result, "user")?;
        transaction.commit().await.map_err(failed("remove a user"))
    }

    /// A person by id.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`].
    pub async fn user_by_id(&self, tenant: &TenantName, id: &UserId) -> Result<User, StoreError> {
        let row = sqlx::query("SELECT id, name, roles, created FROM users WHERE tenant = $1 AND id = $2")
            .bind(tenant.as_str())
            .bind(id.0.as_str())
            .fetch_optional(self.pool()?)
            .await
            .map_err(failed("read a user"))?;
        read_user(&row.ok_or(StoreError::NotFound { what: "user" })?)
    }

    /// A person by name.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`].
    pub async fn user(&self, tenant: &TenantName, name: &UserName) -> Result<User, StoreError> {
        let row = sqlx::query("SELECT id, name, roles, created FROM users WHERE tenant = $1 AND name = $2")
            .bind(tenant.as_str())
            .bind(name.as_str())
            .fetch_optional(self.pool()?)
            .await
            .map_err(failed("read a user"))?;
        read_user(&row.ok_or(StoreError::NotFound { what: "user" })?)
    }

    /// People of the tenant by name, from the first after `last` on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn users(
        &self,
        tenant: &TenantName,
        last: Option<&UserName>,
        limit: u32,
    ) -> Result<Vec<User>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, name, roles, created FROM users WHERE tenant = $1 AND name > $2 ORDER BY name LIMIT $3",
        )
        .bind(tenant.as_str())
        .bind(after(last))
        .bind(page(limit))
        .fetch_all(self.pool()?)
        .await
        .map_err(failed("list users"))?;
        rows.iter().map(read_user).collect()
    }
}

pub(super) async fn insert(
    tx: &mut sqlx::AnyConnection,
    tenant: &TenantName,
    user: &User,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO users (tenant, id, name, roles, created) VALUES ($1, $2, $3, $4, $5)")
        .bind(tenant.as_str())
        .bind(user.id.0.as_str())
        .bind(user.name.as_str())
        .bind(words(&user.roles))
        .bind(user.created.as_micros())
        .execute(&mut *tx)
        .await
        .map(drop)
        .map_err(failed("add a user"))
}

fn words(roles: &BTreeSet<UserRole>) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" ")
}

fn read_user(row: &SqlRow) -> Result<User, StoreError> {
    Ok(User {
        id: parse(row, "id")?,
        name: parse(row, "name")?,
        roles: read_roles(row)?,
        created: time(row, "created")?,
    })
}

pub(super) fn read_roles(row: &SqlRow) -> Result<BTreeSet<UserRole>, StoreError> {
    get::<&str>(row, "roles")?.split_whitespace().map(|word| super::parse_text(word, "roles")).collect()
}
