//! One-time links: the way to one's first passkey.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use thingward_crypto::{Digest, sha256};
use thingward_model::assurance::UnknownWord;
use thingward_model::{TenantName, Timestamp};
use thingward_policy::UserRole;

use super::passkey::{self, NewPasskey};
use super::user::{self, User, UserId};
use super::{Registry, failed, one_changed, parse, parse_optional, time};
use crate::error::StoreError;

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// Whoever opens it becomes the tenant's first administrator.
    SetUp,
    /// A person gets a passkey.
    Invite,
    /// A person gets a passkey, and all that they had end, with their sessions.
    Recover,
}

impl LinkKind {
    const ALL: [Self; 3] = [Self::SetUp, Self::Invite, Self::Recover];

    /// The word that API and CLI use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SetUp => "set-up",
            Self::Invite => "invite",
            Self::Recover => "recover",
        }
    }
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for LinkKind {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        found.ok_or(UnknownWord { wanted: "set-up, invite, recover" })
    }
}

/// A link that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Whose tenant.
    pub tenant: TenantName,
    /// What for.
    pub kind: LinkKind,
    /// Whose; none for [`LinkKind::SetUp`].
    pub user: Option<UserId>,
    /// When it ends.
    pub expires: Timestamp,
}

impl Registry {
    /// Keeps a link, as a hash of its code only. Older ones for the same person, or for the same set-up, end.
    ///
    /// The caller MUST make the code from at least 128 random bits: the hash is not slow.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such tenant or person; [`StoreError::Conflict`] for a set-up where an
    /// administrator has a passkey.
    pub async fn add_link(&self, code: &str, link: &Link) -> Result<(), StoreError> {
        let user = link.user.as_ref().map(ToString::to_string);
        let mut tx = self.change().await?;
        if link.kind == LinkKind::SetUp && is_set_up(&mut *tx, &link.tenant).await? {
            return Err(StoreError::Conflict { what: "the tenant has an administrator, who invites others" });
        }
        sqlx::query("DELETE FROM links WHERE tenant = $1 AND COALESCE(user_id, '') = COALESCE($2, '')")
            .bind(link.tenant.as_str())
            .bind(user.as_deref())
            .execute(&mut *tx)
            .await
            .map_err(failed("end older links"))?;
        sqlx::query(
            "INSERT INTO links (code_hash, tenant, kind, user_id, expires) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(hash(code).as_slice())
        .bind(link.tenant.as_str())
        .bind(link.kind.as_str())
        .bind(user.as_deref())
        .bind(link.expires.as_micros())
        .execute(&mut *tx)
        .await
        .map_err(failed("add a link"))?;
        tx.commit().await.map_err(failed("add a link"))
    }

    /// What a code is for. It goes on working.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it is unknown, used or expired; which one is not told.
    pub async fn link(&self, code: &str, now: Timestamp) -> Result<Link, StoreError> {
        let row = sqlx::query(
            "SELECT tenant, kind, user_id, expires FROM links WHERE code_hash = $1 AND expires > $2",
        )
        .bind(hash(code).as_slice())
        .bind(now.as_micros())
        .fetch_optional(self.pool()?)
        .await
        .map_err(failed("read a link"))?
        .ok_or(StoreError::NotFound { what: "link" })?;
        Ok(Link {
            tenant: parse(&row, "tenant")?,
            kind: parse(&row, "kind")?,
            user: parse_optional(&row, "user_id")?,
            expires: time(&row, "expires")?,
        })
    }

    /// Uses a code up: `user` has the passkey then, as a new person where the link sets up. One step; of two calls with
    /// one code at most one succeeds.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when the code does not work any more, else as [`Registry::add_user`] and
    /// [`Registry::add_passkey`].
    pub async fn redeem_link(
        &self,
        code: &str,
        link: &Link,
        user: &User,
        new: &NewPasskey,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.change().await?;
        let result = sqlx::query("DELETE FROM links WHERE code_hash = $1 AND tenant = $2 AND expires > $3")
            .bind(hash(code).as_slice())
            .bind(link.tenant.as_str())
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await
            .map_err(failed("use a link"))?;
        one_changed(&result, "link")?;
        match link.kind {
            LinkKind::SetUp => user::insert(&mut tx, &link.tenant, user).await?,
            LinkKind::Invite => {}
            LinkKind::Recover => {
                for table in ["DELETE FROM passkeys", "DELETE FROM sessions"] {
                    let text = format!("{table} WHERE tenant = $1 AND user_id = $2");
                    sqlx::query(sqlx::AssertSqlSafe(text))
                        .bind(link.tenant.as_str())
                        .bind(user.id.to_string())
                        .execute(&mut *tx)
                        .await
                        .map_err(failed("end what a user signed in with"))?;
                }
            }
        }
        passkey::insert(&mut tx, &link.tenant, &user.id, new, now).await?;
        tx.commit().await.map_err(failed("use a link"))
    }

    /// Whether an administrator of the tenant can sign in with a passkey.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn is_set_up(&self, tenant: &TenantName) -> Result<bool, StoreError> {
        is_set_up(self.pool()?, tenant).await
    }
}

async fn is_set_up(
    connection: impl sqlx::Executor<'_, Database = sqlx::Any>,
    tenant: &TenantName,
) -> Result<bool, StoreError> {
    let rows = sqlx::query(
        "SELECT u.roles FROM users u WHERE u.tenant = $1 \
         AND EXISTS (SELECT 1 FROM passkeys p WHERE p.tenant = u.tenant AND p.user_id = u.id)",
    )
    .bind(tenant.as_str())
    .fetch_all(connection)
    .await
    .map_err(failed("look for an administrator"))?;
    let roles = rows.iter().map(user::read_roles).collect::<Result<Vec<BTreeSet<_>>, _>>()?;
    Ok(roles.iter().any(|roles| roles.contains(&UserRole::Administrator)))
}

fn hash(code: &str) -> Digest {
    sha256(&[code.as_bytes()])
}
