//! What members proved of themselves.

use thingward_crypto::VerifyingKey;
use thingward_model::{DeviceName, TenantName, Timestamp};

use super::{Registry, Serial, SqlRow, failed, get, key, time};
use crate::error::StoreError;

/// Evidence that was verified when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEvidence {
    /// Who signed it.
    pub key: VerifyingKey,
    /// The token.
    pub token: Vec<u8>,
    /// When it came.
    pub at: Timestamp,
}

/// The evidence of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// What later evidence is held against: what came first, or was accepted since.
    pub reference: KeptEvidence,
    /// What came last.
    pub latest: KeptEvidence,
    /// The certificate in whose place the key of accepted firmware may renew.
    pub in_place_of: Option<Serial>,
}

impl Registry {
    /// Keeps the evidence of a member in place of what was kept.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such tenant.
    pub async fn set_attestation(
        &self,
        tenant: &TenantName,
        name: &DeviceName,
        attestation: &Attestation,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO attestations \
             (tenant, name, reference_spki, reference, reference_at, latest_spki, latest, latest_at, in_place_of) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant, name) DO UPDATE \
             SET reference_spki = excluded.reference_spki, reference = excluded.reference, \
             reference_at = excluded.reference_at, latest_spki = excluded.latest_spki, \
             latest = excluded.latest, latest_at = excluded.latest_at, in_place_of = excluded.in_place_of",
        )
        .bind(tenant.as_str())
        .bind(name.as_str())
        .bind(attestation.reference.key.to_spki())
        .bind(attestation.reference.token.as_slice())
        .bind(attestation.reference.at.as_micros())
        .bind(attestation.latest.key.to_spki())
        .bind(attestation.latest.token.as_slice())
        .bind(attestation.latest.at.as_micros())
        .bind(attestation.in_place_of.as_ref().map(Serial::as_bytes))
        .execute(self.pool()?)
        .await
        .map(drop)
        .map_err(failed("keep evidence"))
    }

    /// The evidence of a member.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn attestation(
        &self,
        tenant: &TenantName,
        name: &DeviceName,
    ) -> Result<Option<Attestation>, StoreError> {
        let row = sqlx::query("SELECT * FROM attestations WHERE tenant = $1 AND name = $2")
            .bind(tenant.as_str())
            .bind(name.as_str())
            .fetch_optional(self.pool()?)
            .await
            .map_err(failed("look for evidence"))?;
        row.as_ref().map(read).transpose()
    }
}

fn read(row: &SqlRow) -> Result<Attestation, StoreError> {
    Ok(Attestation {
        reference: KeptEvidence {
            key: key(get(row, "reference_spki")?)?,
            token: get(row, "reference")?,
            at: time(row, "reference_at")?,
        },
        latest: KeptEvidence {
            key: key(get(row, "latest_spki")?)?,
            token: get(row, "latest")?,
            at: time(row, "latest_at")?,
        },
        in_place_of: get::<Option<&[u8]>>(row, "in_place_of")?.map(Serial::new).transpose()?,
    })
}
