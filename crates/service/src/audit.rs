//! The audit log of each tenant: who did what, durable before it takes effect.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};

use thingward_audit::checkpoint::Checkpoint;
use thingward_audit::entry::{Entry, EntryError, origin};
use thingward_audit::frontier::Frontier;
use thingward_audit::note::{LogKey, NoteError};
use thingward_audit::{Hash, leaf_hash};
use thingward_crypto::sealed::SealingKey;
use thingward_crypto::{SignatureAlgorithm, Signer, SoftwareKey, system_rng};
use thingward_model::{TenantName, Timestamp};
use thingward_store::hot::Batch;
use thingward_store::registry::Registry;
use thingward_store::{Store, StoreError};

use crate::authority::{AuthorityError, sealed_key};

/// The name of the log's key, in the registry.
pub(crate) const LOG_KEY: &str = "log.key";

/// What somebody does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Who, as `token/3f2a` or `device/meter-1`.
    pub actor: String,
    /// What, as `device.revoke`.
    pub action: &'static str,
    /// To whom, as `device/meter-1`.
    pub target: String,
    /// How.
    pub details: BTreeMap<String, String>,
    /// What the actor signed.
    pub evidence: Option<Vec<u8>>,
}

impl Deed {
    /// Somebody does this to somebody.
    #[must_use]
    pub const fn new(actor: String, action: &'static str, target: String) -> Self {
        Self { actor, action, target, details: BTreeMap::new(), evidence: None }
    }

    /// To this instead.
    #[must_use]
    pub fn about(self, target: String) -> Self {
        Self { target, ..self }
    }

    /// As it stands in the log.
    #[must_use]
    pub fn entry(self, at: Timestamp) -> Entry {
        let Self { actor, action, target, details, evidence } = self;
        Entry { time: at.as_micros(), action: action.to_owned(), actor, target, details, evidence }
    }

    /// With this detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

/// How many entries of each log are durable, as the committer made them.
pub(crate) type Sizes = Arc<Mutex<HashMap<TenantName, u64>>>;

/// Signs entries and checkpoints in the service's name.
pub struct Auditor {
    signer: SoftwareKey,
    trust_domain: String,
}

impl Auditor {
    /// Loads the log's key, or makes it at the first start. Ed25519, which witnesses and log clients read.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`].
    pub async fn open(
        trust_domain: &str,
        registry: &Registry,
        sealing_key: &SealingKey,
    ) -> Result<Self, AuthorityError> {
        let make = || SoftwareKey::generate(SignatureAlgorithm::Ed25519, &mut system_rng());
        let signer = sealed_key(registry, sealing_key, LOG_KEY, make).await?;
        Ok(Self { signer, trust_domain: trust_domain.to_owned() })
    }

    /// The name after `spiffe://` in every identity of the installation.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        &self.trust_domain
    }

    /// What a tenant's log is called.
    #[must_use]
    pub fn origin(&self, tenant: &TenantName) -> String {
        origin(&self.trust_domain, tenant.as_str())
    }

    /// The key that checkpoints and the service's entries of a tenant's log verify with.
    ///
    /// # Errors
    ///
    /// [`NoteError`] when the trust domain cannot be in a note.
    pub fn key(&self, tenant: &TenantName) -> Result<LogKey, NoteError> {
        LogKey::new(&self.origin(tenant), self.signer.public_key())
    }

    /// A deed as an entry.
    ///
    /// # Errors
    ///
    /// [`EntryError`] when a part is too large.
    pub fn entry(&self, deed: Deed, now: Timestamp) -> Result<Vec<u8>, EntryError> {
        deed.entry(now).sign(&self.signer)
    }

    /// The signed checkpoint over so many entries, which have to be durable.
    ///
    /// # Errors
    ///
    /// [`NoteError`].
    pub fn checkpoint(&self, tenant: &TenantName, size: u64, root: Hash) -> Result<String, NoteError> {
        Checkpoint { origin: self.origin(tenant), size, root, extensions: Vec::new() }.sign(&self.signer)
    }
}

/// In the core: numbers entries in the order in which they become durable.
#[derive(Default)]
pub(crate) struct LogWriter {
    ends: HashMap<TenantName, Frontier>,
    changed: HashSet<TenantName>,
    batch: Batch,
}

impl LogWriter {
    /// Reads the ends of these tenants' logs. A tenant that comes later begins its log.
    ///
    /// # Errors
    ///
    /// What the store says.
    pub(crate) fn load(store: &Store, tenants: &[TenantName]) -> Result<Self, StoreError> {
        let end = |tenant: &TenantName| Ok((*tenant, store.log(*tenant).end()?));
        let ends = tenants.iter().map(end).collect::<Result<_, StoreError>>()?;
        Ok(Self { ends, ..Self::default() })
    }

    /// The sizes at a start, when all that is there is durable.
    pub(crate) fn sizes(&self) -> Sizes {
        Arc::new(Mutex::new(self.ends.iter().map(|(tenant, end)| (*tenant, end.size())).collect()))
    }

    /// Puts an entry behind the others and returns its index.
    pub(crate) fn append(&mut self, tenant: TenantName, entry: Vec<u8>) -> Result<u64, StoreError> {
        let end = self.ends.entry(tenant).or_default();
        let (index, leaf) = (end.size(), leaf_hash(&entry));
        self.batch.put_log_entry(&tenant, index, entry)?;
        end.push(leaf, |_, _| ());
        self.changed.insert(tenant);
        Ok(index)
    }

    /// What changed since the last time, and the sizes once it is durable.
    pub(crate) fn drain(&mut self) -> (Batch, Vec<(TenantName, u64)>) {
        let size = |tenant: TenantName| Some((tenant, self.ends.get(&tenant)?.size()));
        let sizes = self.changed.drain().filter_map(size).collect();
        (std::mem::take(&mut self.batch), sizes)
    }
}
