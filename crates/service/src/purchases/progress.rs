//! The worker that brings every purchase to its end: what the provider says of its payment, and what time says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base16ct::lower::encode_string as hex;
use thingward_grant::usage::State;
use thingward_model::clock::now;
use thingward_model::description::ThingDescription;
use thingward_model::{TenantName, Timestamp};
use thingward_payment::{Payment, PaymentId, ProviderError, Status};
use thingward_store::StoreError;
use thingward_store::registry::{Close, GrantAudience, GrantId, Purchase};

use super::uses::{blocking, take_all};
use super::ware::Ware;
use super::{Payments, Place, holder, is_enough, is_taken, money, reference, target};
use crate::audit::Deed;
use crate::grants::{Ground, NewGrant};
use crate::shared::Shared;

/// How often reports of devices are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// Looks until purchases are gone through without news.
const LOOKS_PER_ROUND: u32 = 15;
/// Rounds until payments of what is paid for are asked about without news: messages of the provider can be lost. An hour.
const ROUNDS_PER_QUESTION: u32 = 240;
/// Purchases that a provider does not answer about, one after the other, before the others wait as well.
const UNANSWERED_MAX: u32 = 3;
/// How long a round may ask about payments of which nothing was heard. The next one goes on behind that.
const QUIET_TIME: Duration = Duration::from_secs(5);
/// How long what nobody paid for is remembered, in seconds: a day.
const UNPAID_SECONDS: i64 = 86_400;
/// How long somebody may take from paying to starting, in seconds.
const START_SECONDS: i64 = 15 * 60;
/// How long a payment counts that was made in time and heard of late, in seconds.
const LATE_SECONDS: i64 = 60;
/// How late a device that was out of reach may report, in seconds: a day.
const REPORT_SECONDS: i64 = 86_400;
/// Uses of a grant that was paid for: a start, an end, and each once more when it fails. Its course lets it start once.
const USES: u32 = 4;

/// Why a step waits for the next round.
#[derive(Debug, thiserror::Error)]
enum Later {
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Works for ever.
pub(crate) async fn run(shared: Arc<Shared>) {
    let Some(payments) = &shared.payments else { return };
    let (mut looks, mut rounds) = (0, 0);
    let mut quiet = None;
    loop {
        let has_news = tokio::time::timeout(LOOK, payments.news.notified()).await.is_ok();
        let is_used = take_all(&shared).await.unwrap_or_else(|error| {
            tracing::error!(%error, "uses that were paid for wait");
            false
        });
        looks += 1;
        if has_news || is_used || looks >= LOOKS_PER_ROUND {
            looks = 0;
            rounds = (rounds + 1) % ROUNDS_PER_QUESTION;
            let asks = rounds == 0;
            if let Err(error) = round(&shared, payments, asks, &mut quiet).await {
                tracing::warn!(%error, "purchases wait");
            }
            let before = now().plus_micros(-UNPAID_SECONDS * 1_000_000);
            if let (true, Err(error)) = (asks, shared.store.registry().forget_unpaid(before).await) {
                tracing::warn!(%error, "what nobody paid for is not forgotten");
            }
        }
    }
}

/// Where a round was among purchases.
type Behind = Option<(Timestamp, GrantId)>;

/// Goes through all purchases that are not settled, and then, from behind `quiet` on, through what nobody has paid for as far as is
/// known: anybody can make much of that.
async fn round(
    shared: &Arc<Shared>,
    payments: &Payments,
    asks: bool,
    quiet: &mut Behind,
) -> Result<(), Later> {
    go_through(shared, payments, (false, asks), &mut None, Duration::MAX).await?;
    go_through(shared, payments, (true, asks), quiet, QUIET_TIME).await
}

/// Stops at a provider that does not answer, and after `time`. `last` is where it went to, and `None` when that is the end.
async fn go_through(
    shared: &Arc<Shared>,
    payments: &Payments,
    (are_quiet, asks): (bool, bool),
    last: &mut Behind,
    time: Duration,
) -> Result<(), Later> {
    let begun = Instant::now();
    let mut unanswered = 0;
    loop {
        let page = shared.store.registry().open_purchases(are_quiet, *last).await?;
        if page.is_empty() {
            *last = None;
            return Ok(());
        }
        for (tenant, purchase) in page {
            if begun.elapsed() > time {
                return Ok(());
            }
            *last = Some((purchase.made, purchase.id));
            let id = hex(&purchase.id);
            let Err(error) = advance(shared, payments, tenant, purchase, asks).await else {
                unanswered = 0;
                continue;
            };
            tracing::warn!(%tenant, id, %error, "a purchase waits");
            if let Later::Provider(ProviderError::Unreachable(_)) = error {
                unanswered += 1;
                if unanswered >= UNANSWERED_MAX {
                    return Err(error);
                }
            }
        }
    }
}

async fn advance(
    shared: &Arc<Shared>,
    payments: &Payments,
    tenant: TenantName,
    purchase: Purchase,
    asks: bool,
) -> Result<(), Later> {
    let time = now();
    if purchase.state == State::Reserved {
        return reserved(shared, payments, tenant, purchase, time).await;
    }
    if purchase.state == State::Disputed {
        return Ok(shared.store.registry().no_news(&tenant, &purchase.id, purchase.news).await?);
    }
    if (asks || purchase.news > 0) && is_disputed(shared, payments, tenant, &purchase).await? {
        return Ok(shared.dispute(tenant, purchase).await?);
    }
    match purchase.state {
        State::Paid | State::Active if shared.is_taken_back(tenant, &purchase).await? => {
            let close = Close { state: State::Ended, owed: purchase.amount };
            Ok(shared.close(tenant, &[(purchase, close)], "revoked").await?)
        }
        State::Paid if is_silent(&purchase, time) => {
            let close = Close { state: State::Ended, owed: purchase.amount };
            Ok(shared.close(tenant, &[(purchase, close)], "unused").await?)
        }
        State::Active if is_silent(&purchase, time) => {
            let close = Close { state: State::Ended, owed: 0 };
            Ok(shared.close(tenant, &[(purchase, close)], "rest").await?)
        }
        State::Ended if purchase.owed > purchase.refunded => refund(shared, payments, tenant, purchase).await,
        _ => Ok(()),
    }
}

/// Whether its device would have reported by now.
fn is_silent(purchase: &Purchase, time: Timestamp) -> bool {
    time >= purchase.until.plus_micros(REPORT_SECONDS * 1_000_000)
}

async fn reserved(
    shared: &Arc<Shared>,
    payments: &Payments,
    tenant: TenantName,
    purchase: Purchase,
    time: Timestamp,
) -> Result<(), Later> {
    let is_late = time >= purchase.until;
    let nothing = Close { state: State::Ended, owed: 0 };
    let Some(id) = payment_id(&purchase)? else {
        // Nobody was told where to pay.
        return if is_late { Ok(shared.close(tenant, &[(purchase, nothing)], "").await?) } else { Ok(()) };
    };
    let provider = &payments.provider;
    let found = provider.find(&id).await?;
    match found.status {
        Status::Open if !is_late => {
            Ok(shared.store.registry().no_news(&tenant, &purchase.id, purchase.news).await?)
        }
        Status::Authorised | Status::Captured => {
            let is_in_time = time < purchase.until.plus_micros(LATE_SECONDS * 1_000_000);
            let is_right = is_for(&found, tenant, &purchase)?;
            let new = if is_right && is_in_time { shared.sold(tenant, &purchase, time).await? } else { None };
            match (new, found.status) {
                (Some(new), status) => {
                    if status == Status::Authorised {
                        provider.capture(&id).await?;
                    }
                    Ok(shared.issue(tenant, &purchase, &new, &id).await?)
                }
                (None, Status::Captured) => {
                    let close = Close { state: State::Ended, owed: purchase.amount };
                    Ok(shared.close(tenant, &[(purchase, close)], "not to be had").await?)
                }
                (None, _) => {
                    provider.cancel(&id).await?;
                    Ok(shared.close(tenant, &[(purchase, nothing)], "").await?)
                }
            }
        }
        Status::Open => {
            provider.cancel(&id).await?;
            Ok(shared.close(tenant, &[(purchase, nothing)], "").await?)
        }
        Status::Cancelled => Ok(shared.close(tenant, &[(purchase, nothing)], "").await?),
        Status::Disputed => Ok(shared.dispute(tenant, purchase).await?),
    }
}

/// Looks at the payment of what is paid for: its card's owner may have taken the money back.
async fn is_disputed(
    shared: &Shared,
    payments: &Payments,
    tenant: TenantName,
    purchase: &Purchase,
) -> Result<bool, Later> {
    let Some(id) = payment_id(purchase)? else { return Ok(false) };
    let is_disputed = payments.provider.find(&id).await?.status == Status::Disputed;
    if !is_disputed {
        shared.store.registry().no_news(&tenant, &purchase.id, purchase.news).await?;
    }
    Ok(is_disputed)
}

async fn refund(
    shared: &Shared,
    payments: &Payments,
    tenant: TenantName,
    purchase: Purchase,
) -> Result<(), Later> {
    let Some(id) = payment_id(&purchase)? else { return Ok(()) };
    // What went back before is part of the key, so that one refund asked for again is one.
    let key = format!("{}/{}", reference(&tenant, &purchase.id), purchase.refunded);
    let amount = purchase.owed - purchase.refunded;
    if purchase.owed >= purchase.amount && purchase.until > now() {
        // Nobody goes on using what they got all the money back for.
        shared.end_grant(tenant, &purchase).await?;
    }
    match payments.provider.refund(&id, &key, amount).await {
        Ok(_) => Ok(shared.store.registry().refunded(&tenant, &purchase.id, purchase.owed).await?),
        Err(refused @ ProviderError::Refused(_)) => {
            let found = payments.provider.find(&id).await?;
            if found.status == Status::Disputed {
                // Its card's owner has the money already.
                return Ok(shared.dispute(tenant, purchase).await?);
            }
            if found.refunded > purchase.refunded {
                // An answer was lost. The rest goes back under another key.
                return Ok(shared.store.registry().refunded(&tenant, &purchase.id, found.refunded).await?);
            }
            Err(refused.into())
        }
        Err(other) => Err(other.into()),
    }
}

fn payment_id(purchase: &Purchase) -> Result<Option<PaymentId>, StoreError> {
    let corrupt = |_| StoreError::Corrupt { what: "the name of a payment".to_owned() };
    purchase.payment.as_ref().map(|(id, _)| id.parse().map_err(corrupt)).transpose()
}

/// Whether the provider speaks of this purchase, at its price.
fn is_for(payment: &Payment, tenant: TenantName, purchase: &Purchase) -> Result<bool, StoreError> {
    let price = money(purchase, purchase.amount)?;
    Ok(payment.price == price && payment.reference == reference(&tenant, &purchase.id))
}

impl Shared {
    /// The grant that somebody gets who has paid; `None` when it is not to be had any more.
    async fn sold(
        self: &Arc<Self>,
        tenant: TenantName,
        purchase: &Purchase,
        time: Timestamp,
    ) -> Result<Option<NewGrant>, StoreError> {
        let at = (tenant, purchase.device);
        let stays = self.store.registry().stays(&tenant, &purchase.device, time).await?;
        if self.directory.role(&tenant, &purchase.device).is_none() || is_taken(&stays, &purchase.holder) {
            return Ok(None);
        }
        let thing = match self.described(at).await {
            Ok(thing) => thing,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(other) => return Err(other),
        };
        let Ok(ware) = Ware::of(&thing, purchase.start, purchase.finish) else { return Ok(None) };
        if is_enough(&stays, &ware, time) {
            return Ok(None);
        }
        // It goes on where what the same holder has paid for ends.
        let from = stays.iter().map(|stay| stay.until).fold(time, Timestamp::max);
        let to_start = if stays.is_empty() { START_SECONDS } else { 0 };
        let seconds = i64::try_from(purchase.seconds).unwrap_or(i64::MAX).saturating_add(to_start);
        let new = NewGrant {
            id: purchase.id,
            audience: GrantAudience::Device(purchase.device),
            permissions: ware.permissions(purchase.quantity),
            holder: holder(purchase),
            not_before: None,
            expires: Some(Timestamp::from_seconds(from.as_seconds().saturating_add(seconds))),
            uses: Some(USES),
            ground: Some(Ground::Payment(hex(&purchase.id))),
        };
        Ok(new.opened_by(&thing).is_ok().then_some(new))
    }

    async fn issue(
        &self,
        tenant: TenantName,
        purchase: &Purchase,
        new: &NewGrant,
        payment: &PaymentId,
    ) -> Result<(), StoreError> {
        let turn = self.grants_turn().await;
        let registry = self.store.registry();
        let standing = registry.grant_standing(&tenant, &new.audience, now()).await?;
        let too_large = |_| StoreError::Invalid { what: "the grant is too large" };
        let issued = (now(), "service".to_owned());
        let entry = new.sign(&self.grant_key, tenant, standing.epoch, issued).map_err(too_large)?;
        let price = money(purchase, purchase.amount)?;
        let deed = new.deed(&self.grant_key, &entry);
        let deed = deed.with("payment", payment.as_str()).with("price", price.to_string());
        self.record(tenant, deed).await?;
        let until = new.expires.unwrap_or(purchase.until);
        registry.pay_purchase(&tenant, &entry, until).await?;
        drop(turn);
        Ok(())
    }

    /// Purchases are over. The log says first what goes back.
    pub(super) async fn close(
        &self,
        tenant: TenantName,
        all: &[(Purchase, Close)],
        why: &str,
    ) -> Result<(), StoreError> {
        for (purchase, close) in all.iter().filter(|(_, close)| close.owed > 0) {
            let deed = Deed::new("service".to_owned(), "purchase.refund", target(&purchase.id))
                .with("device", purchase.device.to_string())
                .with("amount", money(purchase, close.owed)?.to_string())
                .with("why", why);
            self.record(tenant, deed).await?;
        }
        let closes: Vec<_> = all.iter().map(|(purchase, close)| (purchase.id, *close)).collect();
        self.store.registry().close_purchases(&tenant, &closes).await?;
        // What is owed goes back at once.
        if let (Some(payments), true) = (&self.payments, all.iter().any(|(_, close)| close.owed > 0)) {
            payments.look();
        }
        Ok(())
    }

    /// The money is with the card's owner again: the grant ends.
    async fn dispute(&self, tenant: TenantName, purchase: Purchase) -> Result<(), StoreError> {
        let deed = Deed::new("service".to_owned(), "purchase.dispute", target(&purchase.id));
        self.record(tenant, deed.with("device", purchase.device.to_string())).await?;
        self.end_grant(tenant, &purchase).await?;
        let close = Close { state: State::Disputed, owed: purchase.refunded };
        self.store.registry().close_purchases(&tenant, &[(purchase.id, close)]).await
    }

    /// Takes the grant of a purchase back, when it has one that still counts.
    async fn end_grant(&self, tenant: TenantName, purchase: &Purchase) -> Result<(), StoreError> {
        let turn = self.grants_turn().await;
        let entry = match self.store.registry().grant(&tenant, &purchase.id).await {
            Ok(entry) if entry.revoked.is_none() => entry,
            Ok(_) | Err(StoreError::NotFound { .. }) => return Ok(()),
            Err(other) => return Err(other),
        };
        let taking = self.taking_back(&turn, tenant, entry).await?;
        self.record(tenant, taking.deed("service".to_owned())).await?;
        self.take_back(&turn, tenant, &taking).await
    }

    /// Whether the grant of what is paid for was taken back before its time: by somebody, with the device, or with others.
    async fn is_taken_back(&self, tenant: TenantName, purchase: &Purchase) -> Result<bool, StoreError> {
        let grant = self.store.registry().grant(&tenant, &purchase.id).await?;
        Ok(grant.revoked.is_some_and(|(at, _)| at < purchase.until))
    }

    /// Gives all of it back, because somebody says so whose deed is in the log already. The worker takes the grant back
    /// before the money goes.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub(crate) async fn give_back(&self, tenant: TenantName, purchase: &Purchase) -> Result<(), StoreError> {
        let close = Close { state: State::Ended, owed: purchase.amount };
        self.store.registry().close_purchases(&tenant, &[(purchase.id, close)]).await?;
        if let Some(payments) = &self.payments {
            payments.look();
        }
        Ok(())
    }

    /// [`Shared::description`], where nothing may block.
    pub(super) async fn described(self: &Arc<Self>, at: Place) -> Result<ThingDescription, StoreError> {
        let shared = Arc::clone(self);
        blocking(move || shared.description(&at.0, &at.1)).await
    }
}
