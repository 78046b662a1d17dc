//! Certificates that our CA issued, and what it took back.

use std::fmt;
use std::str::FromStr;

use thingward_model::assurance::UnknownWord;
use thingward_model::{DeviceName, Principal, TenantName, Timestamp};

use super::{PrincipalKey, PrincipalState, Registry, Serial, SqlRow, count, failed, get, page, parse, time};
use crate::error::StoreError;

/// Why a certificate no longer counts: CRLReason of RFC 5280, §5.3.1, as far as we use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevocationReason {
    /// No reason was given.
    Unspecified,
    /// Someone else may have the private key.
    KeyCompromise,
    /// The holder went to another tenant or role.
    AffiliationChanged,
    /// A newer certificate took its place.
    Superseded,
    /// The holder is out of service.
    CessationOfOperation,
    /// The holder may no longer do what the certificate allows.
    PrivilegeWithdrawn,
}

impl RevocationReason {
    const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// The word that CLI, API and registry use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
            Self::PrivilegeWithdrawn => "privilege-withdrawn",
        }
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for RevocationReason {
    type Err = UnknownWord;
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let wanted = "unspecified, key-compromise, affiliation-changed, superseded, \
                      cessation-of-operation, privilege-withdrawn";
        Self::ALL.into_iter().find(|r| r.as_str() == text).ok_or(UnknownWord { wanted })
    }
}

/// A certificate that no longer counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Its serial number.
    pub serial: Serial,
    /// Since when.
    pub time: Timestamp,
    /// Why.
    pub reason: RevocationReason,
}

impl Registry {
    /// How many certificates of the holder end after `time`, revoked ones too.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub async fn certificates_ending_after(
        &self,
        tenant: &TenantName,
        name: &DeviceName,
        time: Timestamp,
    ) -> Result<u64, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS found FROM certificates WHERE tenant = $1 AND name = $2 AND not_after > $3",
        )
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(time.as_micros())
        .fetch_one(self.pool()?)
        .await
        .map_err(failed("count certificates"))?;
        count(&row, "found")
    }

    /// Takes back in one step all that a member has: every certificate that is not over, every key that it ever
    /// had, every claim code of its name, a gateway's admission; with `release` the name too. Returns the certificates that are revoked
    /// by it. What was revoked before stays as it was.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such member.
    pub async fn revoke_member(
        &self,
        tenant: &TenantName,
        name: &DeviceName,
        time: Timestamp,
        reason: RevocationReason,
        release: bool,
    ) -> Result<Vec<Serial>, StoreError> {
        let failed = failed("revoke a member");
        let mut tx = self.change().await?;
        let state = if release { PrincipalState::Released.as_str() } else { "" };
        let found = sqlx::query(
            "UPDATE principals SET state = CASE WHEN $3 = '' THEN state ELSE $3 END \
             WHERE tenant = $1 AND name = $2",
        )
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(state)
        .execute(&mut *tx)
        .await
        .map_err(&failed)?;
        super::one_changed(&found, "principal")?;
        let revoked = sqlx::query(
            "INSERT INTO revocations (serial, time, reason) \
             SELECT serial, $3, $4 FROM certificates WHERE tenant = $1 AND name = $2 AND not_after > $3 \
             ON CONFLICT (serial) DO NOTHING RETURNING serial",
        )
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(time.as_micros())
        .bind(reason.as_str())
        .fetch_all(&mut *tx)
        .await
        .map_err(&failed)?;
        // A key may have several certificates, and none of them brings it back: the ended ones neither.
        sqlx::query(
            "UPDATE principal_keys SET revoked = $3, revoke_reason = $4 \
             WHERE tenant = $1 AND principal = $2 AND revoked IS NULL",
        )
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(time.as_micros())
        .bind(reason.as_str())
        .execute(&mut *tx)
        .await
        .map_err(&failed)?;
        sqlx::query("DELETE FROM admissions WHERE tenant = $1 AND gateway = $2")
            .bind(tenant.as_str())
            .bind(name.as_str())
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        super::claim::forget_codes(&mut tx, tenant, name).await?;
        tx.commit().await.map_err(&failed)?;
        revoked.iter().map(|row| Serial::new(get(row, "serial")?)).collect()
    }

    /// Revocations of certificates that end after `time`, by serial number, from the first after `last` on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn revocations(
        &self,
        time: Timestamp,
        last: Option<&Serial>,
        limit: u32,
    ) -> Result<Vec<Revocation>, StoreError> {
        let rows = sqlx::query(
            "SELECT r.serial, r.time, r.reason FROM revocations r \
             JOIN certificates c ON c.serial = r.serial AND c.not_after > $3 \
             WHERE r.serial > $1 ORDER BY r.serial LIMIT $2",
        )
        .bind(last.map_or(&[][..], Serial::as_bytes))
        .bind(page(limit))
        .bind(time.as_micros())
        .fetch_all(self.pool()?)
        .await
        .map_err(failed("list revocations"))?;
        rows.iter().map(read_revocation).collect()
    }

    /// The next CRL number: 1, 2, 3 … and never the same twice (RFC 5280, §5.2.3).
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub async fn next_crl_number(&self) -> Result<u64, StoreError> {
        let rows = sqlx::query(
            "INSERT INTO counters (name, value) VALUES ('crl', 1) \
             ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value",
        )
        .fetch_all(self.pool()?)
        .await
        .map_err(failed("take a CRL number"))?;
        count(rows.first().ok_or(StoreError::NotFound { what: "CRL number" })?, "value")
    }
}

/// Notes that our CA issued a certificate for this key.
pub(super) async fn insert(
    tx: &mut sqlx::AnyConnection,
    holder: &Principal,
    key: &PrincipalKey,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO certificates (serial, tenant, role, name, not_before, not_after) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(key.serial.as_bytes())
    .bind(holder.tenant.as_str())
    .bind(holder.role.as_str())
    .bind(holder.name.as_str())
    .bind(key.not_before.as_micros())
    .bind(key.not_after.as_micros())
    .execute(&mut *tx)
    .await
    .map(drop)
    .map_err(failed("note a certificate"))
}

fn read_revocation(row: &SqlRow) -> Result<Revocation, StoreError> {
    Ok(Revocation {
        serial: Serial::new(get(row, "serial")?)?,
        time: time(row, "time")?,
        reason: parse(row, "reason")?,
    })
}
