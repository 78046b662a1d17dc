//! Gateways that may enrol things of their radios, and until when.

use thingward_model::{DeviceName, TenantName, Timestamp};

use super::{Registry, SqlRow, failed, one_changed, parse, parse_optional, time};
use crate::error::StoreError;

/// That a gateway may enrol things of its radios for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// Whose.
    pub tenant: TenantName,
    /// Which gateway.
    pub gateway: DeviceName,
    /// Only for things of this radio; of all of them when nothing is said. Radios have names as devices do.
    pub radio: Option<DeviceName>,
    /// When it ends.
    pub until: Timestamp,
}

impl Registry {
    /// Lets a gateway enrol things, in place of what it was let before.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such tenant.
    pub async fn open_admission(&self, new: &Admission) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO admissions (tenant, gateway, radio, until) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (tenant, gateway) DO UPDATE SET radio = excluded.radio, until = excluded.until",
        )
        .bind(new.tenant.as_str())
        .bind(new.gateway.as_str())
        .bind(new.radio.as_ref().map(DeviceName::as_str))
        .bind(new.until.as_micros())
        .execute(self.pool()?)
        .await
        .map(drop)
        .map_err(failed("open an admission"))
    }

    /// Ends a gateway's admission.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it has none.
    pub async fn close_admission(&self, tenant: &TenantName, gateway: &DeviceName) -> Result<(), StoreError> {
        let result = sqlx::query("DELETE FROM admissions WHERE tenant = $1 AND gateway = $2")
            .bind(tenant.as_str())
            .bind(gateway.as_str())
            .execute(self.pool()?)
            .await
            .map_err(failed("close an admission"))?;
        one_changed(&result, "admission")
    }

    /// Every admission that is not over at `now`; those that are over are removed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn admissions(&self, now: Timestamp) -> Result<Vec<Admission>, StoreError> {
        let failed = failed("read admissions");
        sqlx::query("DELETE FROM admissions WHERE until <= $1")
            .bind(now.as_micros())
            .execute(self.pool()?)
            .await
            .map_err(&failed)?;
        let rows = sqlx::query("SELECT tenant, gateway, radio, until FROM admissions")
            .fetch_all(self.pool()?)
            .await
            .map_err(&failed)?;
        rows.iter().map(read_admission).collect()
    }
}

fn read_admission(row: &SqlRow) -> Result<Admission, StoreError> {
    Ok(Admission {
        tenant: parse(row, "tenant")?,
        gateway: parse(row, "gateway")?,
        radio: parse_optional(row, "radio")?,
        until: time(row, "until")?,
    })
}
