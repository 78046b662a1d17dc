//! Whose raw keys are: those by which members that speak CoAP are known.

use thingward_crypto::VerifyingKey;
use thingward_model::{Principal, Timestamp};

use super::{LIST_MAX, Registry, Serial, failed, get, key, page, parse, time};
use crate::error::StoreError;

/// A raw key, and the certificate that it was shown with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawKey {
    /// The x-coordinate of a point on P-256.
    pub key: [u8; 32],
    /// Whose it is.
    pub holder: Principal,
    /// The certificate's serial number.
    pub serial: Serial,
    /// The certificate's key.
    pub signs: VerifyingKey,
    /// The end of the certificate's validity.
    pub not_after: Timestamp,
}

impl Registry {
    /// Keeps whose a raw key is, in the place of what was known of the key and of its holder. The certificate is known.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when the certificate is none of the holder's.
    pub async fn set_raw_key(
        &self,
        raw_key: &[u8; 32],
        holder: &Principal,
        serial: &Serial,
    ) -> Result<(), StoreError> {
        let failed = failed("keep a raw key");
        let (tenant, name) = (holder.tenant.as_str(), holder.name.as_str());
        let mut tx = self.change().await?;
        sqlx::query("DELETE FROM raw_keys WHERE raw_key = $1 OR (tenant = $2 AND name = $3)")
            .bind(raw_key.as_slice())
            .bind(tenant)
            .bind(name)
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        sqlx::query("INSERT INTO raw_keys (raw_key, tenant, name, serial) VALUES ($1, $2, $3, $4)")
            .bind(raw_key.as_slice())
            .bind(tenant)
            .bind(name)
            .bind(serial.as_bytes())
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        tx.commit().await.map_err(&failed)
    }

    /// Raw keys of enrolled members whose certificate was not revoked, from the first after `last` on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn raw_keys(&self, last: Option<&[u8; 32]>) -> Result<Vec<RawKey>, StoreError> {
        let rows = sqlx::query(
            "SELECT r.raw_key, r.serial, k.spki, k.not_after, p.tenant, p.role, p.name FROM raw_keys r \
             JOIN principal_keys k ON k.tenant = r.tenant AND k.principal = r.name AND k.serial = r.serial \
             JOIN principals p ON p.tenant = r.tenant AND p.name = r.name \
             WHERE r.raw_key > $1 AND k.revoked IS NULL AND p.state = 'enrolled' ORDER BY r.raw_key LIMIT $2",
        )
        .bind(last.map_or(&[][..], |last| last.as_slice()))
        .bind(page(LIST_MAX))
        .fetch_all(self.pool()?)
        .await
        .map_err(failed("list raw keys"))?;
        let read = |row| {
            let raw_key: &[u8] = get(row, "raw_key")?;
            Ok(RawKey {
                key: raw_key.try_into().map_err(|_| StoreError::corrupt("registry column `raw_key`"))?,
                holder: Principal {
                    tenant: parse(row, "tenant")?,
                    role: parse(row, "role")?,
                    name: parse(row, "name")?,
                },
                serial: Serial::new(get(row, "serial")?)?,
                signs: key(get(row, "spki")?)?,
                not_after: time(row, "not_after")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Forgets whose a raw key is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub async fn forget_raw_key(&self, raw_key: &[u8; 32]) -> Result<(), StoreError> {
        let forgotten = sqlx::query("DELETE FROM raw_keys WHERE raw_key = $1").bind(raw_key.as_slice());
        forgotten.execute(self.pool()?).await.map(drop).map_err(failed("forget a raw key"))
    }
}
