//! One-time codes with which a thing without a trusted maker enrols.

use thingward_crypto::sha256;
use thingward_model::{DeviceName, Principal, TenantName, Timestamp};

use super::{Registry, SqlRow, failed, get, one_changed, parse};
use crate::error::StoreError;

/// What a claim code stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Who its bearer becomes.
    pub principal: Principal,
}

/// A claim whose code somebody shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownClaim {
    /// What it stands for.
    pub claim: Claim,
    /// Whether it was used up before.
    pub is_used: bool,
}

impl Registry {
    /// Stores a claim code, as a hash only. It works once, before `expires`, and ends every older code of the name.
    ///
    /// The caller MUST make the code from at least 128 random bits: the hash is not slow.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such tenant, [`StoreError::Conflict`] when the code exists.
    pub async fn add_claim_code(
        &self,
        code: &str,
        claim: &Claim,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        let failed = failed("add a claim code");
        let mut tx = self.change().await?;
        forget_codes(&mut tx, &claim.principal.tenant, &claim.principal.name).await?;
        sqlx::query(
            "INSERT INTO claim_codes (code_hash, tenant, role, name, expires) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(sha256(&[code.as_bytes()]).as_slice())
        .bind(claim.principal.tenant.as_str())
        .bind(claim.principal.role.as_str())
        .bind(claim.principal.name.as_str())
        .bind(expires.as_micros())
        .execute(&mut *tx)
        .await
        .map_err(&failed)?;
        tx.commit().await.map_err(&failed)
    }

    /// What a claim code stands for, also one that was used up. It is used no more for that.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when the code is unknown or expired; which one is not told.
    pub async fn claim(&self, code: &str, now: Timestamp) -> Result<ShownClaim, StoreError> {
        let row = sqlx::query(
            "SELECT tenant, role, name, used FROM claim_codes WHERE code_hash = $1 AND expires > $2",
        )
        .bind(sha256(&[code.as_bytes()]).as_slice())
        .bind(now.as_micros())
        .fetch_optional(self.pool()?)
        .await
        .map_err(failed("look at a claim code"))?
        .ok_or(StoreError::NotFound { what: "claim code" })?;
        Ok(ShownClaim { claim: read(&row)?, is_used: get::<Option<i64>>(&row, "used")?.is_some() })
    }
}

/// Uses a claim code up. Of two with one code, at most one succeeds.
pub(super) async fn use_up(
    tx: &mut sqlx::AnyConnection,
    code: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let result = sqlx::query(
        "UPDATE claim_codes SET used = $2 WHERE code_hash = $1 AND used IS NULL AND expires > $2",
    )
    .bind(sha256(&[code.as_bytes()]).as_slice())
    .bind(now.as_micros())
    .execute(&mut *tx)
    .await
    .map_err(failed("use a claim code"))?;
    one_changed(&result, "claim code")
}

fn read(row: &SqlRow) -> Result<Claim, StoreError> {
    let (tenant, role, name) = (parse(row, "tenant")?, parse(row, "role")?, parse(row, "name")?);
    Ok(Claim { principal: Principal { tenant, role, name } })
}

/// Ends every code of a name.
pub(super) async fn forget_codes(
    tx: &mut sqlx::AnyConnection,
    tenant: &TenantName,
    name: &DeviceName,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM claim_codes WHERE tenant = $1 AND name = $2")
        .bind(tenant.as_str())
        .bind(name.as_str())
        .execute(&mut *tx)
        .await
        .map(drop)
        .map_err(failed("end claim codes"))
}
