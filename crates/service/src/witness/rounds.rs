//! Rounds: the newest checkpoint of a log goes to all witnesses, and is published when enough have co-signed it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use thingward_model::TenantName;
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use super::Published;
use super::asking::Wanted;
use crate::shared::Shared;

/// How often logs are looked at: entries of that time share a checkpoint.
const EVERY: Duration = Duration::from_secs(1);
/// Logs whose witnesses are asked at a time.
const ROUNDS_MAX: usize = 8;
/// A log that had no quorum for so long is worth a warning, and again after each further such time.
const LATE: Duration = Duration::from_secs(60);

/// Asks witnesses as entries become durable. Ends never.
pub(crate) async fn run(shared: Arc<Shared>) {
    let turns = Arc::new(Semaphore::new(ROUNDS_MAX));
    let (mut rounds, mut running) = (JoinSet::new(), HashMap::<Id, TenantName>::new());
    let mut waits = Waits::default();
    loop {
        tokio::time::sleep(EVERY).await;
        while let Some(ended) = rounds.try_join_next_with_id() {
            running.remove(&ended.map_or_else(|e| e.id(), |(id, ())| id));
        }
        let sizes = shared.core.log_sizes();
        waits.look(&shared, &sizes);
        let busy: HashSet<TenantName> = running.values().copied().collect();
        for (tenant, size) in sizes {
            if size > published_size(&shared, &tenant) && !busy.contains(&tenant) {
                let (shared, turns) = (Arc::clone(&shared), Arc::clone(&turns));
                let round = rounds.spawn(async move {
                    let _turn = turns.acquire().await;
                    round(&shared, tenant).await;
                });
                running.insert(round.id(), tenant);
            }
        }
    }
}

fn published_size(shared: &Shared, tenant: &TenantName) -> u64 {
    shared.witnessing.published(tenant).map_or(0, |last| last.size)
}

/// Asks all witnesses of whom an answer can be hoped for, when these are enough.
async fn round(shared: &Arc<Shared>, tenant: TenantName) {
    let witnesses = &shared.witnessing.asked;
    let due: Vec<usize> = (0..).zip(witnesses).filter(|(_, w)| w.is_due(&tenant)).map(|(n, _)| n).collect();
    if due.len() < shared.witnessing.quorum.wanted() {
        return;
    }
    let Some(mut next) = signed(shared, tenant).await else { return };
    let note: Arc<str> = next.note.as_str().into();
    let mut answers = JoinSet::new();
    for n in due {
        let (shared, note, size) = (Arc::clone(shared), Arc::clone(&note), next.size);
        answers.spawn(async move {
            let wanted = Wanted { tenant, size, note: &note };
            shared.witnessing.asked.get(n)?.cosign(&shared, &wanted).await
        });
    }
    let mut lines = Vec::new();
    while let Some(answer) = answers.join_next().await {
        let Ok(Some(line)) = answer else { continue };
        lines.push(line);
        if lines.len() < shared.witnessing.quorum.wanted() {
            continue;
        }
        // Those who answer later are added to what is published then.
        next.note = format!("{note}{}", lines.concat());
        let registry = shared.store.registry();
        if let Err(error) = shared.witnessing.publish(registry, tenant, next.clone()).await {
            tracing::error!(%tenant, %error, "a co-signed checkpoint could not be kept");
        }
    }
}

/// The log as it is, with our own signature only.
async fn signed(shared: &Arc<Shared>, tenant: TenantName) -> Option<Published> {
    let (store, size) = (Arc::clone(&shared.store), shared.core.log_size(&tenant));
    let root = tokio::task::spawn_blocking(move || store.log(tenant).view()?.root(size)).await;
    let root = root.map_err(|e| e.to_string()).and_then(|root| root.map_err(|e| e.to_string()));
    let note = root.and_then(|root| {
        let note = shared.auditor.checkpoint(&tenant, size, root).map_err(|e| e.to_string())?;
        Ok(Published { size, root, note })
    });
    note.inspect_err(|error| tracing::error!(%tenant, error, "no checkpoint can be made")).ok()
}

/// Since when logs wait for their quorum.
#[derive(Default)]
struct Waits(HashMap<TenantName, Wait>);

struct Wait {
    /// What was published then.
    published: u64,
    since: Instant,
    warned: Duration,
}

impl Waits {
    /// Looks at all logs: counts what is not published, and warns of what waits for long.
    fn look(&mut self, shared: &Shared, sizes: &[(TenantName, u64)]) {
        let (mut entries, mut longest) = (0_u64, Duration::ZERO);
        for (tenant, size) in sizes {
            let published = published_size(shared, tenant);
            if *size <= published {
                self.0.remove(tenant);
                continue;
            }
            entries = entries.saturating_add(size - published);
            let new = || Wait { published, since: Instant::now(), warned: Duration::ZERO };
            let wait = self.0.entry(*tenant).or_insert_with(new);
            if wait.published != published {
                *wait = new();
            }
            let time = wait.since.elapsed();
            longest = longest.max(time);
            if time >= wait.warned + LATE {
                wait.warned = time;
                let seconds = time.as_secs();
                tracing::warn!(%tenant, published, entries = size, seconds, "too few witnesses co-sign the log");
            }
        }
        let metrics = shared.core.metrics();
        metrics.log_entries_unpublished.set(i64::try_from(entries).unwrap_or(i64::MAX));
        metrics.log_quorum_missing_seconds.set(i64::try_from(longest.as_secs()).unwrap_or(i64::MAX));
    }
}
