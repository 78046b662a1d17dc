//! Unwrapped tenant keys in memory, and taking them away.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use ahash::HashMap;
use thingward_model::{TenantName, Timestamp};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::error::StoreError;
use crate::keys::ring::{TenantKeyRing, WrappedTenantKey, generate};
use crate::keys::{KekReference, connect};
use crate::registry::{LIST_MAX, Registry, Tenant};

/// How long a start waits for one customer's key. A key that does not answer closes its own tenant.
const START_WAIT: Duration = Duration::from_secs(10);

/// The keys of every tenant whose customer key could be used.
///
/// Customer keys are used once per [`Self::load`], [`Self::recheck`] or [`Self::restore`] and not kept. A running
/// read or write that got its keys before [`Self::withdraw`] ends with them; the next one fails. A customer's key
/// that hangs keeps nobody waiting but those who want to use it.
pub struct TenantKeys {
    registry: Registry,
    entries: RwLock<HashMap<TenantName, Entry>>,
    /// Held while it is noted in the registry whether a tenant is withdrawn. Nobody waits for a customer's key
    /// with it.
    noting: Mutex<()>,
}

struct Entry {
    state: State,
    /// How often the tenant was withdrawn. What was unwrapped before the last time does not open it.
    withdrawals: u64,
    /// Held by whoever uses the customer's key, so that of two changes the later one stays.
    turn: Arc<Mutex<()>>,
}

enum State {
    Open(Arc<TenantKeyRing>),
    Withdrawn,
    Unusable { reference: String, problem: String },
}

impl TenantKeys {
    /// Unwraps the keys of all tenants. A customer key that cannot be used closes its own tenant only.
    ///
    /// # Errors
    ///
    /// What the registry says.
    pub async fn load(registry: Registry) -> Result<Self, StoreError> {
        let keys = Self { registry, entries: RwLock::default(), noting: Mutex::new(()) };
        let mut after = None;
        loop {
            let page = keys.registry.tenants(after.as_ref(), LIST_MAX).await?;
            let Some(last) = page.last() else { return Ok(keys) };
            after = Some(last.name);
            for tenant in &page {
                let late = || State::unusable(tenant, "it does not answer".to_owned());
                let state = tokio::time::timeout(START_WAIT, keys.look(tenant)).await;
                keys.add(tenant.name, state.unwrap_or_else(|_| late()));
            }
        }
    }

    /// The tenant's keys.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyWithdrawn`], [`StoreError::KeyUnusable`] when the customer key could not be used the last
    /// time it was tried, [`StoreError::NotFound`] when there is no such tenant.
    pub fn get(&self, tenant: &TenantName) -> Result<Arc<TenantKeyRing>, StoreError> {
        match self.read().get(tenant).map(|entry| &entry.state) {
            Some(State::Open(ring)) => Ok(Arc::clone(ring)),
            Some(State::Withdrawn) => Err(StoreError::KeyWithdrawn { tenant: *tenant }),
            Some(State::Unusable { reference, problem }) => {
                Err(StoreError::KeyUnusable { reference: reference.clone(), problem: problem.clone() })
            }
            None => Err(StoreError::NotFound { what: "tenant" }),
        }
    }

    /// Makes a tenant with a first key under its customer key.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyUnusable`], or [`StoreError::Conflict`] when the name is taken.
    pub async fn create(
        &self,
        tenant: TenantName,
        customer_key: KekReference,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let reference = customer_key.clone();
        let first = blocking(move || generate(&tenant, connect(&reference)?.as_ref())).await?;
        self.registry.create_tenant(&tenant, &customer_key, &first, now).await?;
        let stored = self.registry.tenant(&tenant).await?;
        self.add(tenant, State::unusable(&stored, "it was not used yet".to_owned()));
        self.recheck(&tenant).await
    }

    /// Makes a new key that all later writes use. Older data stays readable through the older keys.
    ///
    /// # Errors
    ///
    /// As [`Self::get`], and [`StoreError::KeyUnusable`].
    pub async fn rotate(&self, tenant: &TenantName, now: Timestamp) -> Result<(), StoreError> {
        let turn = self.turn(tenant)?;
        let _turn = turn.lock().await;
        self.get(tenant)?;
        let (name, reference) = (*tenant, self.registry.tenant(tenant).await?.customer_key);
        let next = blocking(move || generate(&name, connect(&reference)?.as_ref())).await?;
        self.registry.add_tenant_key(tenant, &next, now).await?;
        self.reopen(tenant).await
    }

    /// Forgets the tenant's keys at once, and for every later start until [`Self::restore`].
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], or what the registry says; the keys are forgotten in this process even then.
    pub async fn withdraw(&self, tenant: &TenantName, now: Timestamp) -> Result<(), StoreError> {
        if let Some(entry) = self.write().get_mut(tenant) {
            entry.withdrawals += 1;
            entry.state = State::Withdrawn;
        }
        let _noting = self.noting.lock().await;
        self.registry.set_withdrawn(tenant, Some(now)).await
    }

    /// Unwraps the tenant's keys again with the customer's key.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyUnusable`] or [`StoreError::WrongKey`]; the tenant stays withdrawn then.
    /// [`StoreError::KeyWithdrawn`] when it was withdrawn again meanwhile.
    pub async fn restore(&self, tenant: &TenantName) -> Result<(), StoreError> {
        let turn = self.turn(tenant)?;
        let _turn = turn.lock().await;
        let before = self.withdrawals(tenant);
        let ring = self.unwrap(&self.registry.tenant(tenant).await?).await?;
        let _noting = self.noting.lock().await;
        if self.withdrawals(tenant) == before {
            self.registry.set_withdrawn(tenant, None).await?;
            self.set(tenant, before, State::Open(ring));
        }
        self.get(tenant).map(drop)
    }

    /// Tries the customer's key again, so that a key taken away at its source closes the tenant and one that
    /// came back opens it. A withdrawn tenant stays withdrawn. While somebody else waits for the key, nothing is
    /// tried.
    ///
    /// # Errors
    ///
    /// As [`Self::get`] afterwards.
    pub async fn recheck(&self, tenant: &TenantName) -> Result<(), StoreError> {
        let turn = self.turn(tenant)?;
        let Ok(_turn) = turn.try_lock() else { return self.get(tenant).map(drop) };
        self.reopen(tenant).await
    }

    /// Brings the state up to date with the registry and the customer's key. The caller has the tenant's turn.
    async fn reopen(&self, tenant: &TenantName) -> Result<(), StoreError> {
        let before = self.withdrawals(tenant);
        let stored = self.registry.tenant(tenant).await?;
        self.set(tenant, before, self.look(&stored).await);
        self.get(tenant).map(drop)
    }

    async fn look(&self, tenant: &Tenant) -> State {
        if tenant.withdrawn.is_some() {
            return State::Withdrawn;
        }
        match self.unwrap(tenant).await {
            Ok(ring) => State::Open(ring),
            Err(StoreError::KeyUnusable { reference, problem }) => State::Unusable { reference, problem },
            Err(other) => State::unusable(tenant, other.to_string()),
        }
    }

    async fn unwrap(&self, tenant: &Tenant) -> Result<Arc<TenantKeyRing>, StoreError> {
        let wrapped: Vec<WrappedTenantKey> = self.registry.tenant_keys(&tenant.name).await?;
        let (name, reference) = (tenant.name, tenant.customer_key.clone());
        blocking(move || TenantKeyRing::unwrap(&name, connect(&reference)?.as_ref(), &wrapped))
            .await
            .map(Arc::new)
    }

    fn add(&self, tenant: TenantName, state: State) {
        let entry = Entry { state, withdrawals: 0, turn: Arc::default() };
        self.write().insert(tenant, entry);
    }

    /// Sets a state that was found out when the tenant had been withdrawn `withdrawals` times.
    fn set(&self, tenant: &TenantName, withdrawals: u64, state: State) {
        if let Some(entry) = self.write().get_mut(tenant)
            && entry.withdrawals == withdrawals
        {
            entry.state = state;
        }
    }

    fn withdrawals(&self, tenant: &TenantName) -> u64 {
        self.read().get(tenant).map_or(0, |entry| entry.withdrawals)
    }

    fn turn(&self, tenant: &TenantName) -> Result<Arc<Mutex<()>>, StoreError> {
        let turn = self.read().get(tenant).map(|entry| Arc::clone(&entry.turn));
        turn.ok_or(StoreError::NotFound { what: "tenant" })
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<TenantName, Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<TenantName, Entry>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn unusable(tenant: &Tenant, problem: String) -> Self {
        Self::Unusable { reference: tenant.customer_key.to_string(), problem }
    }
}

/// Runs `work`, which may wait for a file or a token, off the asynchronous threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    spawn_blocking(work).await.map_err(|e| StoreError::database("use a customer key", e))?
}
