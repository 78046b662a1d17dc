//! Certificates that our CA issued, and what it took back.

use std::fmt;
use std::str::FromStr;

use thingward_model::assurance::UnknownWord;
use thingward_model::{DeviceName, Principal, TenantName, Timestamp};

use super::{Registry, Serial, SqlRow, failed, get, page, parse, time};
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

    /// The number in a CRL entry.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::PrivilegeWithdrawn => 9,
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

/// A certificate that our CA issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its serial number.
    pub serial: Serial,
    /// Whom it names.
    pub holder: Principal,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
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
    /// Notes an issued certificate.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when the serial number was used before.
    pub async fn add_certificate(&self, certificate: &Certificate) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO certificates (serial, tenant, role, name, not_before, not_after) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(certificate.serial.as_bytes())
        .bind(certificate.holder.tenant.as_str())
        .bind(certificate.holder.role.as_str())
        .bind(certificate.holder.name.as_str())
        .bind(certificate.not_before.as_micros())
        .bind(certificate.not_after.as_micros())
        .execute(&self.pool)
        .await
        .map(drop)
        .map_err(failed("note a certificate"))
    }

    /// Certificates of the holder, newest first. At most [`super::LIST_MAX`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn certificates(
        &self,
        tenant: &TenantName,
        name: &DeviceName,
    ) -> Result<Vec<Certificate>, StoreError> {
        let rows = sqlx::query(
            "SELECT serial, tenant, role, name, not_before, not_after FROM certificates \
             WHERE tenant = $1 AND name = $2 ORDER BY not_before DESC, serial LIMIT $3",
        )
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(page(super::LIST_MAX))
        .fetch_all(&self.pool)
        .await
        .map_err(failed("list certificates"))?;
        rows.iter().map(read_certificate).collect()
    }

    /// Revokes a certificate and the key that it vouched for. The first revocation of a serial number stays.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when our CA did not issue it.
    pub async fn revoke(&self, revocation: &Revocation) -> Result<(), StoreError> {
        let failed = failed("revoke a certificate");
        let (serial, time) = (revocation.serial.as_bytes(), revocation.time.as_micros());
        let reason = revocation.reason.as_str();
        let mut tx = self.pool.begin().await.map_err(&failed)?;
        let result = sqlx::query(
            "INSERT INTO revocations (serial, time, reason) \
             SELECT serial, $2, $3 FROM certificates WHERE serial = $1 \
             ON CONFLICT (serial) DO UPDATE SET time = revocations.time",
        )
        .bind(serial)
        .bind(time)
        .bind(reason)
        .execute(&mut *tx)
        .await
        .map_err(&failed)?;
        super::one_changed(&result, "certificate")?;
        sqlx::query(
            "UPDATE principal_keys SET revoked = $2, revoke_reason = $3 WHERE serial = $1 AND revoked IS NULL",
        )
        .bind(serial)
        .bind(time)
        .bind(reason)
        .execute(&mut *tx)
        .await
        .map_err(&failed)?;
        tx.commit().await.map_err(&failed)
    }

    /// The revocation of a certificate, if there is one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn revocation(&self, serial: &Serial) -> Result<Option<Revocation>, StoreError> {
        let row = sqlx::query("SELECT serial, time, reason FROM revocations WHERE serial = $1")
            .bind(serial.as_bytes())
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read a revocation"))?;
        row.as_ref().map(read_revocation).transpose()
    }

    /// Revocations by serial number, from the first after `last` on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn revocations(
        &self,
        last: Option<&Serial>,
        limit: u32,
    ) -> Result<Vec<Revocation>, StoreError> {
        let rows = sqlx::query(
            "SELECT serial, time, reason FROM revocations WHERE serial > $1 ORDER BY serial LIMIT $2",
        )
        .bind(last.map_or(&[][..], Serial::as_bytes))
        .bind(page(limit))
        .fetch_all(&self.pool)
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
        let row = sqlx::query(
            "INSERT INTO counters (name, value) VALUES ('crl', 1) \
             ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 RETURNING value",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(failed("take a CRL number"))?;
        u64::try_from(get::<i64>(&row, "value")?).map_err(|_| StoreError::corrupt("registry column `value`"))
    }
}

fn read_certificate(row: &SqlRow) -> Result<Certificate, StoreError> {
    Ok(Certificate {
        serial: Serial::new(get(row, "serial")?)?,
        holder: Principal {
            tenant: parse(row, "tenant")?,
            role: parse(row, "role")?,
            name: parse(row, "name")?,
        },
        not_before: time(row, "not_before")?,
        not_after: time(row, "not_after")?,
    })
}

fn read_revocation(row: &SqlRow) -> Result<Revocation, StoreError> {
    Ok(Revocation {
        serial: Serial::new(get(row, "serial")?)?,
        time: time(row, "time")?,
        reason: parse(row, "reason")?,
    })
}
