//! What the service does from time to time.

use std::sync::Arc;
use std::time::Duration;

use thingward_model::TenantName;
use thingward_model::clock::now;
use thingward_store::StoreError;
use thingward_store::segment::RollPolicy;
use tokio::task::JoinSet;

use crate::service::StartError;
use crate::shared::Shared;
use crate::{grants, purchases, witness};

/// Most rows of one segment.
const SEGMENT_ROWS_MAX: usize = 1_000_000;
/// How often old commands are looked for.
const CLEANING: Duration = Duration::from_secs(6 * 3600);
/// How long a command is kept that has ended, in microseconds: 30 days.
const COMMANDS_KEPT_MICROS: i64 = 30 * 86_400 * 1_000_000;
/// How often certificates, the CRL and customers' keys are looked after.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// All of it, until the tasks are dropped.
pub(crate) fn start(shared: &Arc<Shared>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(housekeeping(Arc::clone(shared)));
    tasks.spawn(Arc::clone(shared).tell_refusals());
    tasks.spawn(customer_keys(Arc::clone(shared)));
    tasks.spawn(history(Arc::clone(shared)));
    tasks.spawn(ended_commands(Arc::clone(shared)));
    tasks.spawn(grants::untold(Arc::clone(shared)));
    tasks.spawn(purchases::run(Arc::clone(shared)));
    if shared.witnessing.is_required() {
        tasks.spawn(witness::run(Arc::clone(shared)));
    }
    tasks
}

/// Renews the service's certificates and the CRL long before they end.
async fn housekeeping(shared: Arc<Shared>) {
    let lifetimes = shared.settings.lifetimes;
    let renew_every = (lifetimes.service / 3).min(lifetimes.crl / 3);
    let mut renewed = tokio::time::Instant::now();
    loop {
        tokio::time::sleep(HOUSEKEEPING.min(renew_every)).await;
        if renewed.elapsed() < renew_every {
            continue;
        }
        renewed = tokio::time::Instant::now();
        let turn = shared.membership.lock().await;
        let signed = shared.authority.sign_crl(shared.store.registry(), now()).await;
        if let Err(error) = signed.map_err(StartError::from) {
            tracing::error!(%error, "the CRL was not renewed");
        }
        if let Err(error) = shared.renew_tls(&turn).await {
            tracing::error!(%error, "the service's certificate was not renewed");
        }
    }
}

/// Looks whether customers' keys are still where they were. Each by itself: one may hang.
async fn customer_keys(shared: Arc<Shared>) {
    let mut running = JoinSet::new();
    loop {
        tokio::time::sleep(HOUSEKEEPING).await;
        for tenant in all_tenants(&shared).await {
            running.spawn(recheck_key(Arc::clone(&shared), tenant));
        }
        while running.try_join_next().is_some() {}
    }
}

async fn recheck_key(shared: Arc<Shared>, tenant: TenantName) {
    let before = shared.store.keys().get(&tenant).is_ok();
    if let Err(error) = shared.store.keys().recheck(&tenant).await {
        tracing::warn!(%tenant, %error, "the customer's key cannot be used");
    }
    if before && shared.store.keys().get(&tenant).is_err() {
        shared.core.cut_tenant(tenant).await;
    }
}

/// All tenants, for work that comes round again.
async fn all_tenants(shared: &Shared) -> Vec<TenantName> {
    shared.store.registry().all_tenants().await.unwrap_or_else(|error| {
        tracing::error!(%error, "tenants cannot be listed");
        Vec::new()
    })
}

/// Forgets commands that ended long ago. What was done with them stays in the audit log.
async fn ended_commands(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(CLEANING).await;
        let store = Arc::clone(&shared.store);
        let before = now().plus_micros(-COMMANDS_KEPT_MICROS);
        let forgotten =
            tokio::task::spawn_blocking(move || crate::command::forget_ended(&store, before)).await;
        if let Ok(Err(error)) = forgotten {
            tracing::error!(%error, "old commands stay where they are");
        }
    }
}

/// Moves readings to history.
async fn history(shared: Arc<Shared>) {
    let settings = shared.settings.history;
    let age = i64::try_from(settings.age_max.as_micros()).unwrap_or(i64::MAX);
    let mut swept = now();
    loop {
        tokio::time::sleep(settings.every).await;
        let time = now();
        // Once per age bound everything due goes, however little it is.
        let sweep = time.micros_since(swept) >= age;
        if sweep {
            swept = time;
        }
        let policy = RollPolicy {
            unsigned_before: time.plus_micros(-age),
            rows_min: if sweep { 1 } else { settings.rows_min },
            rows_max: SEGMENT_ROWS_MAX,
        };
        for tenant in all_tenants(&shared).await {
            shared.roll(tenant, policy).await;
        }
    }
}

impl Shared {
    /// Moves what is due of one tenant to history.
    pub async fn roll(&self, tenant: TenantName, policy: RollPolicy) {
        let store = Arc::clone(&self.store);
        let rolled = tokio::task::spawn_blocking(move || {
            if let Err(error) = store.log(tenant).roll() {
                tracing::error!(%tenant, %error, "log entries stay where they are");
            }
            store.roll(&tenant, &policy, now())
        });
        match rolled.await {
            Ok(Ok(None) | Err(StoreError::KeyWithdrawn { .. })) => {}
            Ok(Ok(Some(segment))) => {
                tracing::info!(%tenant, rows = segment.rows, bytes = segment.bytes, "readings moved to history");
            }
            Ok(Err(error)) => tracing::error!(%tenant, %error, "readings stay where they are"),
            Err(error) => tracing::error!(%tenant, %error, "moving readings to history failed"),
        }
    }
}
