//! Passkeys: the public keys that people sign in and approve with.

use std::collections::HashMap;

use thingward_crypto::VerifyingKey;
use thingward_model::{TenantName, Timestamp, UserName};

use super::session::SessionId;
use super::user::UserId;
use super::{Registry, SqlRow, failed, get, key, one_changed, page, parse, time, time_optional};
use crate::error::StoreError;

/// Most passkeys of a person.
pub const PASSKEYS_MAX: u32 = 16;
/// Longest credential id, in bytes: WebAuthn Level 3 §5.8.3.
const CREDENTIAL_ID_BYTES_MAX: usize = 1023;
/// Longest name of a passkey, in bytes.
const PASSKEY_NAME_BYTES_MAX: usize = 64;

/// A passkey of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    /// Names it everywhere.
    pub credential_id: Vec<u8>,
    /// Whose it is.
    pub user: (UserId, UserName),
    /// What its owner calls it.
    pub name: String,
    /// Its public key.
    pub key: VerifyingKey,
    /// When it was made.
    pub created: Timestamp,
    /// When somebody last signed in with it.
    pub used: Option<Timestamp>,
}

/// A passkey to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPasskey {
    /// Names it everywhere.
    pub credential_id: Vec<u8>,
    /// What its owner calls it.
    pub name: String,
    /// Its public key.
    pub key: VerifyingKey,
}

impl NewPasskey {
    /// Whether it can be kept.
    ///
    /// # Errors
    ///
    /// [`StoreError::Invalid`].
    pub fn check(&self) -> Result<(), StoreError> {
        let name_fits = (1..=PASSKEY_NAME_BYTES_MAX).contains(&self.name.len());
        let id_fits = (16..=CREDENTIAL_ID_BYTES_MAX).contains(&self.credential_id.len());
        if !name_fits || !id_fits || self.name.chars().any(char::is_control) {
            return Err(StoreError::Invalid {
                what: "the name of a passkey has 1 to 64 bytes, its id 16 to 1023",
            });
        }
        Ok(())
    }
}

const COLUMNS: &str = "SELECT p.credential_id, p.tenant, p.user_id, u.name AS user_name, p.name, p.spki, p.created, p.used \
    FROM passkeys p JOIN users u ON u.tenant = p.tenant AND u.id = p.user_id";

impl Registry {
    /// Gives a person one more passkey.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when it is somebody's already or they have [`PASSKEYS_MAX`], [`StoreError::NotFound`]
    /// when there is no such person, [`StoreError::Invalid`] for names out of bounds.
    pub async fn add_passkey(
        &self,
        tenant: &TenantName,
        user: &UserId,
        new: &NewPasskey,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.change().await?;
        insert(&mut tx, tenant, user, new, now).await?;
        tx.commit().await.map_err(failed("add a passkey"))
    }

    /// A passkey, and the tenant of its owner.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`].
    pub async fn passkey(&self, credential_id: &[u8]) -> Result<(TenantName, Passkey), StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE p.credential_id = $1")))
            .bind(credential_id)
            .fetch_optional(self.pool()?)
            .await
            .map_err(failed("read a passkey"))?
            .ok_or(StoreError::NotFound { what: "passkey" })?;
        Ok((parse(&row, "tenant")?, read_passkey(&row)?))
    }

    /// The passkeys of a person, oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn passkeys_of(&self, tenant: &TenantName, user: &UserId) -> Result<Vec<Passkey>, StoreError> {
        let text =
            format!("{COLUMNS} WHERE p.tenant = $1 AND p.user_id = $2 ORDER BY p.created, p.credential_id");
        let rows = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(tenant.as_str())
            .bind(user.to_string())
            .fetch_all(self.pool()?)
            .await
            .map_err(failed("list passkeys"))?;
        rows.iter().map(read_passkey).collect()
    }

    /// Passkeys of all people of the tenant, the newest first, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn passkeys(&self, tenant: &TenantName, limit: u32) -> Result<Vec<Passkey>, StoreError> {
        let text = format!("{COLUMNS} WHERE p.tenant = $1 ORDER BY p.created DESC, p.credential_id LIMIT $2");
        let rows = sqlx::query(sqlx::AssertSqlSafe(text))
            .bind(tenant.as_str())
            .bind(page(limit))
            .fetch_all(self.pool()?)
            .await
            .map_err(failed("list passkeys"))?;
        rows.iter().map(read_passkey).collect()
    }

    /// How many passkeys each person of the tenant has who has any.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn passkey_counts(&self, tenant: &TenantName) -> Result<HashMap<UserId, u64>, StoreError> {
        let rows =
            sqlx::query("SELECT user_id, COUNT(*) AS count FROM passkeys WHERE tenant = $1 GROUP BY user_id")
                .bind(tenant.as_str())
                .fetch_all(self.pool()?)
                .await
                .map_err(failed("count passkeys"))?;
        let count = |row: &SqlRow| Ok((parse(row, "user_id")?, get::<i64>(row, "count")?.unsigned_abs()));
        rows.iter().map(count).collect()
    }

    /// Somebody signed in with a passkey.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`].
    pub async fn passkey_used(&self, credential_id: &[u8], now: Timestamp) -> Result<(), StoreError> {
        let result = sqlx::query("UPDATE passkeys SET used = $2 WHERE credential_id = $1")
            .bind(credential_id)
            .bind(now.as_micros())
            .execute(self.pool()?)
            .await
            .map_err(failed("note the use of a passkey"))?;
        one_changed(&result, "passkey")
    }

    /// Takes a passkey away from a person, and ends the sessions that began with it, but for one. Their last passkey stays.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], [`StoreError::Conflict`] when it is the last.
    pub async fn remove_passkey(
        &self,
        tenant: &TenantName,
        user: &UserId,
        credential_id: &[u8],
        but: Option<&SessionId>,
    ) -> Result<(), StoreError> {
        let mut tx = self.change().await?;
        let result = sqlx::query(
            "DELETE FROM passkeys WHERE tenant = $1 AND user_id = $2 AND credential_id = $3 \
             AND EXISTS (SELECT 1 FROM passkeys WHERE tenant = $1 AND user_id = $2 AND credential_id <> $3)",
        )
        .bind(tenant.as_str())
        .bind(user.to_string())
        .bind(credential_id)
        .execute(&mut *tx)
        .await
        .map_err(failed("remove a passkey"))?;
        if result.rows_affected() == 1 {
            sqlx::query("DELETE FROM sessions WHERE credential_id = $1 AND id <> $2")
                .bind(credential_id)
                .bind(but.map(ToString::to_string).unwrap_or_default())
                .execute(&mut *tx)
                .await
                .map_err(failed("end the sessions of a passkey"))?;
            return tx.commit().await.map_err(failed("remove a passkey"));
        }
        drop(tx);
        let is_theirs =
            self.passkeys_of(tenant, user).await?.iter().any(|p| p.credential_id == credential_id);
        Err(if is_theirs {
            StoreError::Conflict { what: "it is the last passkey of this user" }
        } else {
            StoreError::NotFound { what: "passkey" }
        })
    }
}

pub(super) async fn insert(
    tx: &mut sqlx::AnyConnection,
    tenant: &TenantName,
    user: &UserId,
    new: &NewPasskey,
    now: Timestamp,
) -> Result<(), StoreError> {
    new.check()?;
    let result = sqlx::query(
        "INSERT INTO passkeys (credential_id, tenant, user_id, name, spki, created) \
         SELECT $1, $2, $3, $4, $5, $6 \
         WHERE (SELECT COUNT(*) FROM passkeys WHERE tenant = $2 AND user_id = $3) < $7",
    )
    .bind(new.credential_id.as_slice())
    .bind(tenant.as_str())
    .bind(user.to_string())
    .bind(new.name.as_str())
    .bind(new.key.to_spki())
    .bind(now.as_micros())
    .bind(i64::from(PASSKEYS_MAX))
    .execute(&mut *tx)
    .await
    .map_err(failed("add a passkey"))?;
    match result.rows_affected() {
        0 => Err(StoreError::Conflict { what: "the user has as many passkeys as they may" }),
        _ => Ok(()),
    }
}

fn read_passkey(row: &SqlRow) -> Result<Passkey, StoreError> {
    Ok(Passkey {
        credential_id: get(row, "credential_id")?,
        user: (parse(row, "user_id")?, parse(row, "user_name")?),
        name: get(row, "name")?,
        key: key(get(row, "spki")?)?,
        created: time(row, "created")?,
        used: time_optional(row, "used")?,
    })
}
