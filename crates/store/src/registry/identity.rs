//! Who people are at providers of sign-ins.

use thingward_model::TenantName;

use super::user::{self, User, UserId};
use super::{Registry, failed, get, parse};
use crate::error::StoreError;

impl Registry {
    /// Who an issuer's subject is here.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`].
    pub async fn identity(
        &self,
        tenant: &TenantName,
        issuer: &str,
        subject: &str,
    ) -> Result<UserId, StoreError> {
        let row =
            sqlx::query("SELECT user_id FROM identities WHERE tenant = $1 AND issuer = $2 AND subject = $3")
                .bind(tenant.as_str())
                .bind(issuer)
                .bind(subject)
                .fetch_optional(self.pool()?)
                .await
                .map_err(failed("read an identity"))?
                .ok_or(StoreError::NotFound { what: "identity" })?;
        parse(&row, "user_id")
    }

    /// The issuers that know a person.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn issuers_of(&self, tenant: &TenantName, user: &UserId) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("SELECT issuer FROM identities WHERE tenant = $1 AND user_id = $2")
            .bind(tenant.as_str())
            .bind(user.to_string())
            .fetch_all(self.pool()?)
            .await
            .map_err(failed("read identities"))?;
        rows.iter().map(|row| get(row, "issuer")).collect()
    }

    /// Adds a person who is known to an issuer.
    ///
    /// # Errors
    ///
    /// As [`Registry::add_user`].
    pub async fn add_user_of(
        &self,
        tenant: &TenantName,
        user: &User,
        issuer: &str,
        subject: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.change().await?;
        user::insert(&mut tx, tenant, user).await?;
        sqlx::query("INSERT INTO identities (tenant, issuer, subject, user_id) VALUES ($1, $2, $3, $4)")
            .bind(tenant.as_str())
            .bind(issuer)
            .bind(subject)
            .bind(user.id.to_string())
            .execute(&mut *tx)
            .await
            .map_err(failed("add an identity"))?;
        tx.commit().await.map_err(failed("add a user"))
    }
}
