//! What devices report of uses that were paid for. A report waits in the hot store, durable in one step with the log
//! entry about it, until the worker has taken it. Taken twice, it changes nothing more.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thingward_audit::usage::ReportedUse;
use thingward_grant::usage::State;
use thingward_grant::{Nonce, Reference};
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

/// What a device says of one use that was paid for.
#[derive(Debug, Serialize, Deserialize)]
struct PaidUse {
    action: String,
    /// It was not begun, or did not succeed.
    has_failed: bool,
    /// How much was left, when it says so.
    rest: Option<u64>,
}

/// What is to be kept of a use, when somebody paid for it.
pub(crate) fn kept(known: &ReportedUse<'_>) -> Option<Vec<u8>> {
    let Some(Reference::Payment(_)) = known.used.origin.reference else { return None };
    let rest = match known.reply.outcome {
        Outcome::Done(output) => json::decode(output).get(REST).and_then(serde_json::Value::as_u64),
        _ => None,
    };
    let has_failed = matches!(known.reply.outcome, Outcome::Failed { .. });
    let action = known.used.operation.action().to_string();
    serde_json::to_vec(&PaidUse { action, has_failed, rest }).ok()
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

/// Takes all that waits. Says whether there was something.
///
/// # Errors
///
/// What the store says; what was not taken waits on.
pub(super) async fn take_all(shared: &Arc<Shared>) -> Result<bool, StoreError> {
    let mut any = false;
    loop {
        let store = Arc::clone(&shared.store);
        let page = blocking(move || store.page(Space::Uses, &[PREFIX], &[], PAGE)).await?;
        if page.is_empty() {
            return Ok(any);
        }
        let mut batch = Batch::new();
        for (key, value) in page {
            let corrupt = || StoreError::Corrupt { what: "a use that was paid for".to_owned() };
            let (tenant, id) = parse_key(&key).ok_or_else(corrupt)?;
            let reported: PaidUse = serde_json::from_slice(&value).map_err(|_| corrupt())?;
            take(shared, tenant, &id, &reported).await?;
            batch.delete(Space::Uses, key);
        }
        let store = Arc::clone(&shared.store);
        blocking(move || store.commit(batch)).await?;
        any = true;
    }
}

async fn take(shared: &Shared, tenant: TenantName, id: &GrantId, said: &PaidUse) -> Result<(), StoreError> {
    let registry = shared.store.registry();
    let purchase = match registry.purchase(&tenant, id).await {
        Ok(purchase) => purchase,
        Err(StoreError::NotFound { .. }) => return Ok(()),
        Err(other) => return Err(other),
    };
    if said.has_failed {
        return Ok(());
    }
    let (is_start, is_end) =
        (said.action == purchase.start.as_str(), said.action == purchase.finish.as_str());
    match purchase.state {
        State::Paid if is_start => registry.start_purchase(&tenant, id).await,
        State::Paid if is_end => {
            // Reports come in the order of the uses: it was given up before it began.
            let close = Close { state: State::Ended, owed: purchase.amount };
            shared.close(tenant, &[(purchase, close)], "unused").await
        }
        State::Active if is_end => {
            let stays = registry.stays(&tenant, &purchase.device, Timestamp::from_seconds(0)).await?;
            let is_own = |stay: &Purchase| stay.holder == purchase.holder && stay.state == State::Active;
            let own: Vec<Purchase> = stays.into_iter().filter(is_own).collect();
            let closes = closed(said.rest.unwrap_or_default(), &own);
            let all: Vec<_> = own.into_iter().zip(closes.into_iter().map(|(_, close)| close)).collect();
            shared.close(tenant, &all, "rest").await
        }
        _ => Ok(()),
    }
}

/// Runs on a thread where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let ended = |_| StoreError::Invalid { what: "the store is closing" };
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}
