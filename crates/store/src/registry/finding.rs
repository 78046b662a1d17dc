//! What was wrong with what devices sent: one line per kind of trouble, with a count.

use thingward_model::{DeviceName, StreamName, TenantName, Timestamp};

use super::{Registry, SqlRow, failed, get, page, parse, time};
use crate::error::StoreError;

/// Longest detail that is kept, in bytes; the rest is cut off.
const DETAIL_BYTES_MAX: usize = 512;

/// What tells one line of trouble of a tenant from all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingKey {
    /// Whose chain or connection.
    pub device: DeviceName,
    /// The stream; none means the device as a whole.
    pub stream: Option<StreamName>,
    /// The word for the kind of trouble, as the verifier names it.
    pub kind: String,
}

/// One observation.
#[derive(Debug, Clone)]
pub struct NewFinding {
    /// Where and what kind.
    pub key: FindingKey,
    /// What exactly, for people. No reading, key or token.
    pub detail: String,
}

/// All observations of one kind in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where and what kind.
    pub key: FindingKey,
    /// The latest detail.
    pub detail: String,
    /// When it was seen first.
    pub first_seen: Timestamp,
    /// When it was seen last.
    pub last_seen: Timestamp,
    /// How often.
    pub count: u64,
}

impl Registry {
    /// Counts an observation, and returns how often it was made.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such tenant.
    pub async fn note_finding(
        &self,
        tenant: &TenantName,
        finding: &NewFinding,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let detail = finding.detail.get(..finding.detail.floor_char_boundary(DETAIL_BYTES_MAX));
        let row = sqlx::query(
            "INSERT INTO findings (tenant, device, stream, kind, detail, first_seen, last_seen, count) \
             VALUES ($1, $2, $3, $4, $5, $6, $6, 1) ON CONFLICT (tenant, device, stream, kind) DO UPDATE \
             SET detail = excluded.detail, last_seen = excluded.last_seen, count = findings.count + 1 \
             RETURNING count",
        )
        .bind(tenant.as_str())
        .bind(finding.key.device.as_str())
        .bind(finding.key.stream.as_ref().map_or("", StreamName::as_str))
        .bind(finding.key.kind.as_str())
        .bind(detail.unwrap_or_default())
        .bind(now.as_micros())
        .fetch_one(&self.pool)
        .await
        .map_err(failed("note a finding"))?;
        count(&row)
    }

    /// Findings of the tenant by device, stream and kind, from the first after `last` on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn findings(
        &self,
        tenant: &TenantName,
        last: Option<&FindingKey>,
        limit: u32,
    ) -> Result<Vec<Finding>, StoreError> {
        let stream = last.and_then(|k| k.stream.as_ref()).map_or("", StreamName::as_str);
        let rows = sqlx::query(
            "SELECT device, stream, kind, detail, first_seen, last_seen, count FROM findings \
             WHERE tenant = $1 AND (device, stream, kind) > ($2, $3, $4) ORDER BY device, stream, kind LIMIT $5",
        )
        .bind(tenant.as_str())
        .bind(last.map_or("", |k| k.device.as_str()))
        .bind(stream)
        .bind(last.map_or("", |k| k.kind.as_str()))
        .bind(page(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(failed("list findings"))?;
        rows.iter().map(read_finding).collect()
    }
}

fn read_finding(row: &SqlRow) -> Result<Finding, StoreError> {
    let stream = match get::<&str>(row, "stream")? {
        "" => None,
        text => Some(super::parse_text(text, "stream")?),
    };
    Ok(Finding {
        key: FindingKey { device: parse(row, "device")?, stream, kind: get(row, "kind")? },
        detail: get(row, "detail")?,
        first_seen: time(row, "first_seen")?,
        last_seen: time(row, "last_seen")?,
        count: count(row)?,
    })
}

fn count(row: &SqlRow) -> Result<u64, StoreError> {
    u64::try_from(get::<i64>(row, "count")?).map_err(|_| StoreError::corrupt("registry column `count`"))
}
