//! One witness, as the service knows it: what it has seen of each log, and when it may be asked again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thingward_audit::cosignature::WitnessKey;
use thingward_audit::quorum::cosignature_line;
use thingward_model::TenantName;
use thingward_witness::client::{AskError, Client};
use tokio::time::Instant;

use crate::shared::Shared;

/// Wait after the first failure; each further one doubles it.
const WAIT_FIRST: Duration = Duration::from_secs(1);
const WAIT_LONGEST: Duration = Duration::from_secs(60);

/// When something that failed may be tried again.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    fn failed(&mut self) {
        let wait = WAIT_FIRST.saturating_mul(1 << self.failures.min(16)).min(WAIT_LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.until = Some(Instant::now() + wait);
    }

    fn is_over(&self) -> bool {
        self.until.is_none_or(|until| until <= Instant::now())
    }
}

#[derive(Debug, Default)]
struct State {
    /// For the witness as a whole: it does not answer.
    backoff: Backoff,
    logs: HashMap<TenantName, LogState>,
}

#[derive(Debug, Default)]
struct LogState {
    /// Entries that it has seen, as far as we know.
    seen: u64,
    /// For this log: it does not believe us.
    backoff: Backoff,
}

/// A witness that is asked.
pub(super) struct Asked {
    key: WitnessKey,
    client: Client,
    state: Mutex<State>,
}

/// A checkpoint that is to be co-signed.
pub(super) struct Wanted<'a> {
    pub(super) tenant: TenantName,
    pub(super) size: u64,
    pub(super) note: &'a str,
}

impl Asked {
    pub(super) fn new(key: WitnessKey, client: Client) -> Self {
        Self { key, client, state: Mutex::default() }
    }

    /// Whether it may be asked about this log now.
    pub(super) fn is_due(&self, tenant: &TenantName) -> bool {
        let state = self.state();
        state.backoff.is_over() && state.logs.get(tenant).is_none_or(|log| log.backoff.is_over())
    }

    /// The line of its cosignature. What goes wrong is counted and logged here.
    pub(super) async fn cosign(&self, shared: &Shared, wanted: &Wanted<'_>) -> Option<String> {
        let metrics = shared.core.metrics();
        match self.ask(shared, wanted).await {
            Ok(line) => {
                metrics.cosignatures.inc();
                Some(line)
            }
            Err(failure) => {
                metrics.cosignature_failed(failure.kind());
                let (tenant, witness) = (wanted.tenant, self.key.name());
                failure.log(&tenant, witness);
                self.failed(&failure, tenant);
                None
            }
        }
    }

    async fn ask(&self, shared: &Shared, wanted: &Wanted<'_>) -> Result<String, Failure> {
        let Wanted { tenant, size, note } = *wanted;
        let known = self.state().logs.get(&tenant).map(|log| log.seen);
        let published = || shared.witnessing.published(&tenant).map_or(0, |last| last.size);
        let mut old = known.unwrap_or_else(published).min(size);
        let mut told = false;
        loop {
            let store = std::sync::Arc::clone(&shared.store);
            let proof = move || store.log(tenant).view()?.consistency_proof(old, size);
            let proof = tokio::task::spawn_blocking(proof).await.map_err(|e| Failure::Own(e.to_string()))?;
            let proof = proof.map_err(|e| Failure::Own(e.to_string()))?;
            match self.client.add_checkpoint(old, &proof, note).await {
                Ok(answer) => {
                    let line = cosignature_line(note, &answer, &self.key).map_err(|_| Failure::Invalid)?;
                    let mut state = self.state();
                    state.backoff = Backoff::default();
                    state.logs.insert(tenant, LogState { seen: size, backoff: Backoff::default() });
                    return Ok(line);
                }
                // After a restart of ours or of the witness: it says what it has seen.
                Err(AskError::Conflict { size: seen }) if seen != old && seen <= size && !told => {
                    (old, told) = (seen, true);
                }
                Err(AskError::Conflict { size: seen }) => return Err(Failure::Conflict { seen, size }),
                Err(AskError::Unreachable(why)) => return Err(Failure::Unreachable(why)),
                Err(refused) => return Err(Failure::Refused(refused.to_string())),
            }
        }
    }

    fn failed(&self, failure: &Failure, tenant: TenantName) {
        let mut state = self.state();
        match failure {
            Failure::Unreachable(_) => state.backoff.failed(),
            _ => state.logs.entry(tenant).or_default().backoff.failed(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a witness did not co-sign.
enum Failure {
    /// It does not answer.
    Unreachable(String),
    /// It does not believe us.
    Refused(String),
    /// It has seen another history, or more than there is.
    Conflict { seen: u64, size: u64 },
    /// What it answers is not its cosignature.
    Invalid,
    /// We could not ask.
    Own(String),
}

impl Failure {
    /// One of a fixed set of words.
    const fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Refused(_) => "refused",
            Self::Conflict { .. } => "conflict",
            Self::Invalid => "invalid",
            Self::Own(_) => "own",
        }
    }

    fn log(&self, tenant: &TenantName, witness: &str) {
        match self {
            Self::Unreachable(why) => tracing::warn!(witness, why, "a witness is out of reach"),
            Self::Refused(why) => {
                tracing::error!(%tenant, witness, why, "a witness does not co-sign the log")
            }
            Self::Conflict { seen, size } => {
                tracing::error!(%tenant, witness, seen, size, "a witness has seen another history of the log: was it restored?");
            }
            Self::Invalid => tracing::error!(%tenant, witness, "a witness's answer is not its cosignature"),
            Self::Own(why) => tracing::error!(%tenant, witness, why, "a witness could not be asked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_double_up_to_a_minute() {
        let mut backoff = Backoff::default();
        assert!(backoff.is_over());
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            backoff.failed();
            tokio::time::advance(Duration::from_millis(seconds * 1000 - 1)).await;
            assert!(!backoff.is_over(), "{seconds}");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(backoff.is_over(), "{seconds}");
        }
    }
}
