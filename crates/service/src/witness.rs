//! Which checkpoints of the audit logs are published: those that enough witnesses have co-signed.
//!
//! Witnesses are asked in the background, after entries became durable. Nothing waits for them but the checkpoint.

mod asking;
mod rounds;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use thingward_audit::Hash;
use thingward_audit::checkpoint::Checkpoint;
use thingward_audit::note::SignedNote;
use thingward_audit::quorum::{Quorum, QuorumError};
use thingward_model::TenantName;
use thingward_pki::PkiError;
use thingward_store::StoreError;
use thingward_store::registry::Registry;
use thingward_witness::client::Client;

pub(crate) use rounds::run;

use crate::audit::Auditor;
use crate::settings::LogSettings;
use crate::witness::asking::Asked;

/// Why witnesses cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// They make no quorum.
    #[error("witnesses of the audit log: {0}")]
    Quorum(#[from] QuorumError),
    /// TLS does not take its configuration.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// What was published cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A checkpoint that whoever asks may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Entries.
    pub size: u64,
    /// Over all of them.
    pub root: Hash,
    /// The note with everybody's signatures.
    pub note: String,
}

/// The witnesses, and what they have co-signed.
pub struct Witnessing {
    quorum: Quorum,
    asked: Vec<Asked>,
    published: Mutex<HashMap<TenantName, Published>>,
}

impl Witnessing {
    /// Reads what was published in the last run: what the witnesses of now believe, and no more.
    ///
    /// # Errors
    ///
    /// [`WitnessError`].
    pub(crate) async fn load(
        settings: &LogSettings,
        registry: &Registry,
        auditor: &Auditor,
        sizes: &[(TenantName, u64)],
    ) -> Result<Self, WitnessError> {
        let keys = settings.witnesses.iter().map(|witness| witness.key.clone()).collect();
        let quorum = Quorum::new(keys, settings.quorum)?;
        let asked = settings.witnesses.iter().map(|witness| {
            Ok(Asked::new(witness.key.clone(), Client::new(witness.url.clone(), witness.fingerprint)?))
        });
        let asked = asked.collect::<Result<_, PkiError>>()?;
        let mut published = HashMap::new();
        if quorum.wanted() > 0 {
            for (tenant, size) in sizes {
                let Some(note) = registry.metadata(&name_of(tenant)).await? else { continue };
                match read(&note, auditor, tenant, &quorum) {
                    Some(last) if last.size <= *size => drop(published.insert(*tenant, last)),
                    Some(last) => {
                        tracing::error!(%tenant, published = last.size, entries = size, "the log is shorter than what was published of it");
                    }
                    None => {
                        tracing::warn!(%tenant, "the witnesses of now have not co-signed what was published")
                    }
                }
            }
        }
        Ok(Self { quorum, asked, published: Mutex::new(published) })
    }

    /// Whether a checkpoint is published only when witnesses have co-signed it.
    #[must_use]
    pub const fn is_required(&self) -> bool {
        self.quorum.wanted() > 0
    }

    /// Who may co-sign, and how many have to.
    #[must_use]
    pub const fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    /// The last checkpoint of a log that enough witnesses have co-signed.
    #[must_use]
    pub fn published(&self, tenant: &TenantName) -> Option<Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned()
    }

    /// Puts a checkpoint in the place of the last one, durable first. A log never becomes shorter.
    async fn publish(
        &self,
        registry: &Registry,
        tenant: TenantName,
        next: Published,
    ) -> Result<(), StoreError> {
        if self.published(&tenant).is_some_and(|last| last.size > next.size) {
            return Ok(());
        }
        registry.set_metadata(&name_of(&tenant), next.note.as_bytes()).await?;
        self.published.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant, next);
        Ok(())
    }
}

/// Where the registry has the published checkpoint of a log.
fn name_of(tenant: &TenantName) -> String {
    format!("log/published/{tenant}")
}

fn read(note: &[u8], auditor: &Auditor, tenant: &TenantName, quorum: &Quorum) -> Option<Published> {
    let note = std::str::from_utf8(note).ok()?;
    let parsed = SignedNote::parse(note).ok()?;
    let Checkpoint { size, root, .. } = Checkpoint::verify(&parsed, &auditor.key(tenant).ok()?).ok()?;
    quorum.check(&parsed).ok()?;
    Some(Published { size, root, note: note.to_owned() })
}
