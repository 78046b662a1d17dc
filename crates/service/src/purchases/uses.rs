//! What devices report of uses that were paid for. A report waits in the hot store, durable in one step with the log
//! entry about it, until the worker has taken it. Taken twice, it changes nothing more.
//!
//! A device that was out of reach reports in any order. So an end waits until the starts before it are there, and closes
//! only what began before it, by the device's own clock.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thingward_audit::usage::ReportedUse;
use thingward_grant::usage::State;
use thingward_grant::{Nonce, Reference};
use thingward_model::clock::now;
use thingward_model::{TenantName, Timestamp};
use thingward_seal::command::{Outcome, json};
use thingward_store::StoreError;
use thingward_store::hot::{Batch, Space};
use thingward_store::registry::{Close, GrantId, Purchase};

use super::rest::closed;
use super::ware::REST;
use crate::shared::Shared;

/// What the keys of reports that wait start with.
pub(crate) const PREFIX: u8 = b'p';
/// Reports that are taken at a time.
const PAGE: usize = 256;

/// How long an end waits for starts that were reported with it, in microseconds.
const SETTLES_MICROS: i64 = 3_000_000;
/// How long an end with a grant that never began waits for its start, when the holder has other stays, in microseconds.
const BEGINS_MICROS: i64 = 60_000_000;

/// What a device says of one use that was paid for.
#[derive(Debug, Serialize, Deserialize)]
struct PaidUse {
    action: String,
    /// It was not begun, or did not succeed.
    has_failed: bool,
    /// How much was left, when it says so.
    rest: Option<u64>,
    /// When, by the device's clock, in microseconds.
    time: i64,
    /// When it was reported, in microseconds.
    arrived: i64,
}

/// Whether a use was taken.
#[derive(PartialEq)]
enum Taken {
    Yes,
    /// Something may come that belongs before it.
    Later,
}

/// What is to be kept of a use, when somebody paid for it.
pub(crate) fn kept(known: &ReportedUse<'_>, arrived: Timestamp) -> Option<Vec<u8>> {
    let Some(Reference::Payment(_)) = known.used.origin.reference else { return None };
    let rest = match known.reply.outcome {
        Outcome::Done(output) => json::decode(output).get(REST).and_then(serde_json::Value::as_u64),
        _ => None,
    };
    let has_failed = matches!(known.reply.outcome, Outcome::Failed { .. });
    let action = known.used.operation.action().to_string();
    let (time, arrived) = (known.reply.time.as_micros(), arrived.as_micros());
    serde_json::to_vec(&PaidUse { action, has_failed, rest, time, arrived }).ok()
}

/// The tenant and grant in a key: `p | tenant | 0 | grant(8) | nonce(16)`.
fn parse_key(key: &[u8]) -> Option<(TenantName, GrantId)> {
    let (_, rest) = key.split_first()?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    let (tenant, rest) = rest.split_at(end);
    let (grant, nonce) = rest.get(1..)?.split_first_chunk()?;
    if nonce.len() != size_of::<Nonce>() {
        return None;
    }
    Some((std::str::from_utf8(tenant).ok()?.parse().ok()?, *grant))
}

/// Takes all that waits, as far as nothing can come that belongs before it. Says whether something was taken.
///
/// # Errors
///
/// What the store says; what was not taken waits on.
pub(super) async fn take_all(shared: &Arc<Shared>) -> Result<bool, StoreError> {
    let (mut any, mut after) = (false, Vec::new());
    loop {
        let (store, from) = (Arc::clone(&shared.store), after.clone());
        let page = blocking(move || store.page(Space::Uses, &[PREFIX], &from, PAGE)).await?;
        let Some((last, _)) = page.last() else { return Ok(any) };
        after.clone_from(last);
        let mut uses: Vec<_> = page.into_iter().filter_map(|(key, value)| read(key, &value)).collect();
        uses.sort_by_key(|(_, _, said)| said.time);
        let mut batch = Batch::new();
        for (key, (tenant, id), said) in uses {
            match take(shared, tenant, &id, &said, now()).await {
                Ok(Taken::Yes) => batch.delete(Space::Uses, key),
                Ok(Taken::Later) => {}
                // The others do not wait for it.
                Err(error) => tracing::error!(%tenant, %error, "a use that was paid for waits"),
            }
        }
        if !batch.is_empty() {
            let store = Arc::clone(&shared.store);
            blocking(move || store.commit(batch)).await?;
            any = true;
        }
    }
}

type Waiting = (Vec<u8>, (TenantName, GrantId), PaidUse);

fn read(key: Vec<u8>, value: &[u8]) -> Option<Waiting> {
    let read = parse_key(&key).zip(serde_json::from_slice(value).ok());
    if read.is_none() {
        tracing::error!("a use that was paid for cannot be read");
    }
    let (of, said) = read?;
    Some((key, of, said))
}

async fn take(
    shared: &Shared,
    tenant: TenantName,
    id: &GrantId,
    said: &PaidUse,
    time: Timestamp,
) -> Result<Taken, StoreError> {
    let registry = shared.store.registry();
    let purchase = match registry.purchase(&tenant, id).await {
        Ok(purchase) => purchase,
        Err(StoreError::NotFound { .. }) => return Ok(Taken::Yes),
        Err(other) => return Err(other),
    };
    if said.has_failed {
        return Ok(Taken::Yes);
    }
    let at = Timestamp::from_micros(said.time);
    if purchase.state == State::Paid && said.action == purchase.start.as_str() {
        registry.start_purchase(&tenant, id, at).await?;
        return Ok(Taken::Yes);
    }
    let is_open = matches!(purchase.state, State::Paid | State::Active);
    if !is_open || said.action != purchase.finish.as_str() {
        return Ok(Taken::Yes);
    }
    let stays = registry.stays(&tenant, &purchase.device, Timestamp::from_seconds(0)).await?;
    let has_begun = |stay: &Purchase| stay.started.is_some_and(|started| started <= at);
    let own: Vec<Purchase> =
        stays.into_iter().filter(|stay| stay.holder == purchase.holder && has_begun(stay)).collect();
    let waits = match purchase.state {
        // Its start may be on its way. If it is not, the price goes back whole when its time is over.
        State::Paid if own.is_empty() => return Ok(Taken::Later),
        State::Paid => BEGINS_MICROS,
        _ => SETTLES_MICROS,
    };
    if (0..waits).contains(&time.as_micros().saturating_sub(said.arrived)) {
        return Ok(Taken::Later);
    }
    end(shared, tenant, purchase, own, said.rest.unwrap_or_default()).await?;
    Ok(Taken::Yes)
}

/// A holder has left: what was left goes back of all that they had begun, and whole what the grant that they showed never
/// began.
async fn end(
    shared: &Shared,
    tenant: TenantName,
    purchase: Purchase,
    own: Vec<Purchase>,
    rest: u64,
) -> Result<(), StoreError> {
    let closes = closed(rest, &own);
    let all: Vec<_> = own.into_iter().zip(closes.into_iter().map(|(_, close)| close)).collect();
    shared.close(tenant, &all, "rest").await?;
    if purchase.state == State::Paid {
        let close = Close { state: State::Ended, owed: purchase.amount };
        shared.close(tenant, &[(purchase, close)], "unused").await?;
    }
    Ok(())
}

/// Runs on a thread where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let ended = |_| StoreError::Invalid { what: "the store is closing" };
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}
