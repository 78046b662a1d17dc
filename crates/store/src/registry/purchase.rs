//! Purchases: who bought what, and where the money is.

use base16ct::lower::encode_string as hex;
use thingward_grant::usage::State;
use thingward_model::{ActionName, DeviceName, TenantName, Timestamp};

use super::grant::{id, insert};
use super::{
    GrantEntry, GrantId, LIST_MAX, Registry, SqlRow, count, failed, get, page, parse, parse_optional, stored,
    time, time_optional,
};
use crate::error::StoreError;

/// A purchase. The grant that it becomes has its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    /// Names it.
    pub id: GrantId,
    /// Of which device.
    pub device: DeviceName,
    /// Whose key has to show the grant.
    pub holder: [u8; 32],
    /// The action that begins what is paid for.
    pub start: ActionName,
    /// The action that gives the rest back.
    pub finish: ActionName,
    /// How much of it, in units of the start's input.
    pub quantity: u64,
    /// How long that is, in seconds.
    pub seconds: u64,
    /// What it costs, in the smallest unit of the currency. It stays so, whatever the offer says later.
    pub amount: u64,
    /// Three letters: ISO 4217.
    pub currency: String,
    /// Where it is.
    pub state: State,
    /// As the provider names the payment, and its page.
    pub payment: Option<(String, String)>,
    /// When it was reserved.
    pub made: Timestamp,
    /// When the reservation ends, then when the grant does.
    pub until: Timestamp,
    /// How much of the price goes back.
    pub owed: u64,
    /// How much of the price went back.
    pub refunded: u64,
    /// When it began, by the device's clock.
    pub started: Option<Timestamp>,
    /// How often the provider has said something since the payment was looked at.
    pub news: u64,
}

/// What becomes of a purchase that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close {
    /// Ended or disputed.
    pub state: State,
    /// How much of the price goes back, all in all.
    pub owed: u64,
}

const COLUMNS: &str = "SELECT tenant, id, device, holder, start, finish, quantity, seconds, amount, currency, state, payment, \
    checkout, made, until, owed, refunded, started, news FROM purchases";

impl Registry {
    /// Keeps a purchase that is reserved. Of more than `reserved_max` at a device the oldest end at `now`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when there is one with this id.
    pub async fn add_purchase(
        &self,
        tenant: &TenantName,
        new: &Purchase,
        now: Timestamp,
        reserved_max: u32,
    ) -> Result<(), StoreError> {
        let mut tx = self.change().await?;
        sqlx::query(
            "INSERT INTO purchases (tenant, id, device, holder, start, finish, quantity, seconds, amount, currency, \
             state, made, until, owed, refunded, settled, news) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, 0, FALSE, 0)",
        )
        .bind(tenant.as_str())
        .bind(hex(&new.id))
        .bind(new.device.as_str())
        .bind(new.holder.as_slice())
        .bind(new.start.as_str())
        .bind(new.finish.as_str())
        .bind(stored(new.quantity))
        .bind(stored(new.seconds))
        .bind(stored(new.amount))
        .bind(new.currency.as_str())
        .bind(State::Reserved.as_str())
        .bind(new.made.as_micros())
        .bind(new.until.as_micros())
        .execute(&mut *tx)
        .await
        .map_err(failed("add a purchase"))?;
        sqlx::query(
            "UPDATE purchases SET until = $3 WHERE tenant = $1 AND device = $2 AND state = 'reserved' \
             AND until > $3 AND (made, id) <= (SELECT made, id FROM purchases WHERE tenant = $1 \
             AND device = $2 AND state = 'reserved' AND until > $3 ORDER BY made DESC, id DESC LIMIT 1 OFFSET $4)",
        )
        .bind(tenant.as_str())
        .bind(new.device.as_str())
        .bind(now.as_micros())
        .bind(i64::from(reserved_max))
        .execute(&mut *tx)
        .await
        .map_err(failed("end the oldest reservations"))?;
        tx.commit().await.map_err(failed("add a purchase"))
    }

    /// A purchase of the tenant.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it has none with this id.
    pub async fn purchase(&self, tenant: &TenantName, id: &GrantId) -> Result<Purchase, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE tenant = $1 AND id = $2")))
            .bind(tenant.as_str())
            .bind(hex(id))
            .fetch_optional(self.pool()?)
            .await
            .map_err(failed("look for a purchase"))?;
        read_purchase(&row.ok_or(StoreError::NotFound { what: "purchase" })?)
    }

    /// Purchases of the tenant, or of one of its devices, the newest first, from the first behind `last` on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn purchases(
        &self,
        tenant: &TenantName,
        device: Option<&DeviceName>,
        last: Option<&GrantId>,
        limit: u32,
    ) -> Result<Vec<Purchase>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{COLUMNS} WHERE tenant = $1 AND ($2 IS NULL OR device = $2) AND ($3 IS NULL \
             OR (made, id) < (SELECT made, id FROM purchases WHERE tenant = $1 AND id = $3)) \
             ORDER BY made DESC, id DESC LIMIT $4"
        )))
        .bind(tenant.as_str())
        .bind(device.map(DeviceName::as_str))
        .bind(last.map(|id| hex(id)))
        .bind(page(limit))
        .fetch_all(self.pool()?)
        .await
        .map_err(failed("list purchases"))?;
        rows.iter().map(read_purchase).collect()
    }

    /// What is paid for at a device and not over at `now`, the newest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn stays(
        &self,
        tenant: &TenantName,
        device: &DeviceName,
        now: Timestamp,
    ) -> Result<Vec<Purchase>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{COLUMNS} WHERE tenant = $1 AND device = $2 AND state IN ('paid', 'active') \
             AND until > $3 ORDER BY made DESC, id DESC LIMIT $4"
        )))
        .bind(tenant.as_str())
        .bind(device.as_str())
        .bind(now.as_micros())
        .bind(page(LIST_MAX))
        .fetch_all(self.pool()?)
        .await
        .map_err(failed("list stays"))?;
        rows.iter().map(read_purchase).collect()
    }

    /// Purchases of all tenants with which something may be to be done, the oldest first, from the first behind `last`
    /// on: those that nobody has paid for and of which the provider has said nothing, or all others.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn open_purchases(
        &self,
        are_quiet: bool,
        last: Option<(Timestamp, GrantId)>,
    ) -> Result<Vec<(TenantName, Purchase)>, StoreError> {
        let (made, id) = last.map_or((i64::MIN, String::new()), |(made, id)| (made.as_micros(), hex(&id)));
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "{COLUMNS} WHERE (NOT settled OR news > 0) AND (state = 'reserved' AND news = 0) = $4 \
             AND (made, id) > ($1, $2) ORDER BY made, id LIMIT $3"
        )))
        .bind(made)
        .bind(id)
        .bind(page(LIST_MAX))
        .bind(are_quiet)
        .fetch_all(self.pool()?)
        .await
        .map_err(failed("list open purchases"))?;
        rows.iter().map(|row| Ok((parse(row, "tenant")?, read_purchase(row)?))).collect()
    }

    /// Somebody may pay for a purchase there now.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it is not reserved any more.
    pub async fn set_payment(
        &self,
        tenant: &TenantName,
        id: &GrantId,
        payment: &str,
        checkout: &str,
    ) -> Result<(), StoreError> {
        let result = sqlx::query(
            "UPDATE purchases SET payment = $3, checkout = $4 WHERE tenant = $1 AND id = $2 AND state = 'reserved'",
        )
        .bind(tenant.as_str())
        .bind(hex(id))
        .bind(payment)
        .bind(checkout)
        .execute(self.pool()?)
        .await
        .map_err(failed("keep a payment"))?;
        super::one_changed(&result, "reservation")
    }

    /// The provider has said something about a payment. Says whether it is one of ours.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub async fn payment_news(&self, payment: &str) -> Result<bool, StoreError> {
        let result = sqlx::query("UPDATE purchases SET news = news + 1 WHERE payment = $1")
            .bind(payment)
            .execute(self.pool()?)
            .await
            .map_err(failed("keep news of a payment"))?;
        Ok(result.rows_affected() > 0)
    }

    /// The payment was looked at after so much `news`; what came meanwhile stays news.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub async fn no_news(&self, tenant: &TenantName, id: &GrantId, news: u64) -> Result<(), StoreError> {
        sqlx::query("UPDATE purchases SET news = 0 WHERE tenant = $1 AND id = $2 AND news = $3")
            .bind(tenant.as_str())
            .bind(hex(id))
            .bind(stored(news))
            .execute(self.pool()?)
            .await
            .map(drop)
            .map_err(failed("keep news of a payment"))
    }

    /// A reservation is paid for: its grant counts from now on, in the same step.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when it is not reserved any more.
    pub async fn pay_purchase(
        &self,
        tenant: &TenantName,
        grant: &GrantEntry,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let failed = failed("pay a purchase");
        let mut tx = self.change().await?;
        let result = sqlx::query(
            "UPDATE purchases SET state = 'paid', until = $3 \
             WHERE tenant = $1 AND id = $2 AND state = 'reserved'",
        )
        .bind(tenant.as_str())
        .bind(hex(&grant.id))
        .bind(until.as_micros())
        .execute(&mut *tx)
        .await
        .map_err(&failed)?;
        super::one_changed(&result, "reservation")?;
        insert(&mut tx, tenant, grant).await?;
        tx.commit().await.map_err(&failed)
    }

    /// What was paid for has begun, by the device's clock.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub async fn start_purchase(
        &self,
        tenant: &TenantName,
        id: &GrantId,
        started: Timestamp,
    ) -> Result<(), StoreError> {
        let started = started.as_micros();
        sqlx::query(
            "UPDATE purchases SET state = 'active', started = $3 WHERE tenant = $1 AND id = $2 AND state = 'paid'",
        )
            .bind(tenant.as_str())
            .bind(hex(id))
            .bind(started)
            .execute(self.pool()?)
            .await
            .map(drop)
            .map_err(failed("start a purchase"))
    }

    /// Purchases are over, all in one step; those that were over before stay as they are.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub async fn close_purchases(
        &self,
        tenant: &TenantName,
        all: &[(GrantId, Close)],
    ) -> Result<(), StoreError> {
        let failed = failed("close purchases");
        let mut tx = self.change().await?;
        for (id, close) in all {
            sqlx::query(
                "UPDATE purchases SET state = $3, owed = $4, \
                 settled = ($3 = 'disputed' OR refunded >= $4) \
                 WHERE tenant = $1 AND id = $2 AND (state IN ('reserved', 'paid', 'active') \
                 OR state = 'ended' AND (owed < $4 OR $3 = 'disputed'))",
            )
            .bind(tenant.as_str())
            .bind(hex(id))
            .bind(close.state.as_str())
            .bind(stored(close.owed))
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        }
        tx.commit().await.map_err(&failed)
    }

    /// Forgets what was never paid and is over since `before`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub async fn forget_unpaid(&self, before: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.change().await?;
        sqlx::query(
            "DELETE FROM purchases WHERE state = 'ended' AND settled AND owed = 0 AND until < $1 AND NOT EXISTS \
             (SELECT 1 FROM grants WHERE grants.tenant = purchases.tenant AND grants.id = purchases.id)",
        )
        .bind(before.as_micros())
        .execute(&mut *tx)
        .await
        .map_err(failed("forget unpaid purchases"))?;
        tx.commit().await.map_err(failed("forget unpaid purchases"))
    }

    /// So much of the price went back, all in all.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub async fn refunded(&self, tenant: &TenantName, id: &GrantId, refunded: u64) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE purchases SET refunded = $3, settled = (owed <= $3) WHERE tenant = $1 AND id = $2",
        )
        .bind(tenant.as_str())
        .bind(hex(id))
        .bind(stored(refunded))
        .execute(self.pool()?)
        .await
        .map(drop)
        .map_err(failed("keep a refund"))
    }
}

fn read_purchase(row: &SqlRow) -> Result<Purchase, StoreError> {
    let holder = get::<&[u8]>(row, "holder")?.try_into();
    Ok(Purchase {
        id: id(row)?,
        device: parse(row, "device")?,
        holder: holder.map_err(|_| StoreError::corrupt("registry column `holder`".to_owned()))?,
        start: parse(row, "start")?,
        finish: parse(row, "finish")?,
        quantity: count(row, "quantity")?,
        seconds: count(row, "seconds")?,
        amount: count(row, "amount")?,
        currency: parse(row, "currency")?,
        state: parse(row, "state")?,
        payment: parse_optional(row, "payment")?.zip(parse_optional(row, "checkout")?),
        made: time(row, "made")?,
        until: time(row, "until")?,
        owed: count(row, "owed")?,
        refunded: count(row, "refunded")?,
        started: time_optional(row, "started")?,
        news: count(row, "news")?,
    })
}
