//! Offers: what a device costs for whoever stands before it.

use thingward_model::{ActionName, DeviceName, TenantName, Timestamp};

use super::{Registry, SqlRow, count, failed, one_changed, parse, stored, time};
use crate::error::StoreError;

/// What a device costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Which device.
    pub device: DeviceName,
    /// The action that begins what is paid for, so long as its input says.
    pub start: ActionName,
    /// The action that gives the rest back.
    pub finish: ActionName,
    /// The price of `per` units of the input, in the smallest unit of the currency.
    pub amount: u64,
    /// Three letters: ISO 4217.
    pub currency: String,
    /// Units that the price is for, 1 or more.
    pub per: u64,
    /// Units that are sold at once.
    pub most: u64,
    /// What a buyer has to know.
    pub notice: String,
    /// When it was set.
    pub set_at: Timestamp,
    /// By whom, as the audit log names them.
    pub set_by: String,
}

impl Registry {
    /// Sets what a device costs, in place of what it cost before.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such tenant.
    pub async fn set_offer(&self, tenant: &TenantName, offer: &Offer) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO offers (tenant, device, start, finish, amount, currency, per, most, notice, set_at, set_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (tenant, device) DO UPDATE SET \
             start = excluded.start, finish = excluded.finish, amount = excluded.amount, \
             currency = excluded.currency, per = excluded.per, most = excluded.most, notice = excluded.notice, \
             set_at = excluded.set_at, set_by = excluded.set_by",
        )
        .bind(tenant.as_str())
        .bind(offer.device.as_str())
        .bind(offer.start.as_str())
        .bind(offer.finish.as_str())
        .bind(stored(offer.amount))
        .bind(offer.currency.as_str())
        .bind(stored(offer.per))
        .bind(stored(offer.most))
        .bind(offer.notice.as_str())
        .bind(offer.set_at.as_micros())
        .bind(offer.set_by.as_str())
        .execute(self.pool()?)
        .await
        .map(drop)
        .map_err(failed("set an offer"))
    }

    /// What a device costs.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when nothing is offered there.
    pub async fn offer(&self, tenant: &TenantName, device: &DeviceName) -> Result<Offer, StoreError> {
        let row = sqlx::query("SELECT * FROM offers WHERE tenant = $1 AND device = $2")
            .bind(tenant.as_str())
            .bind(device.as_str())
            .fetch_optional(self.pool()?)
            .await
            .map_err(failed("look for an offer"))?;
        read_offer(&row.ok_or(StoreError::NotFound { what: "offer" })?)
    }

    /// Offers nothing there any more.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when nothing was.
    pub async fn remove_offer(&self, tenant: &TenantName, device: &DeviceName) -> Result<(), StoreError> {
        let result = sqlx::query("DELETE FROM offers WHERE tenant = $1 AND device = $2")
            .bind(tenant.as_str())
            .bind(device.as_str())
            .execute(self.pool()?)
            .await
            .map_err(failed("remove an offer"))?;
        one_changed(&result, "offer")
    }
}

fn read_offer(row: &SqlRow) -> Result<Offer, StoreError> {
    Ok(Offer {
        device: parse(row, "device")?,
        start: parse(row, "start")?,
        finish: parse(row, "finish")?,
        amount: count(row, "amount")?,
        currency: parse(row, "currency")?,
        per: count(row, "per")?,
        most: count(row, "most")?,
        notice: parse(row, "notice")?,
        set_at: time(row, "set_at")?,
        set_by: parse(row, "set_by")?,
    })
}
