//! Unwrapped tenant keys in memory, and taking them away.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use thingward_model::{TenantName, Timestamp};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::error::StoreError;
use crate::keys::ring::{TenantKeyRing, WrappedTenantKey, generate};
use crate::keys::{KekReference, connect};
use crate::registry::{LIST_MAX, Registry, Tenant};

/// The keys of every tenant whose customer key could be used.
///
/// Customer keys are used once per [`Self::load`], [`Self::recheck`] or [`Self::restore`] and not kept. A running
/// read or write that got its keys before [`Self::withdraw`] ends with them; the next one fails.
pub struct TenantKeys {
    registry: Registry,
    states: RwLock<HashMap<TenantName, State>>,
    /// Held while the state of a tenant changes, in memory and in the registry together.
    change: Mutex<()>,
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
        let keys = Self { registry, states: RwLock::default(), change: Mutex::new(()) };
        let mut after = None;
        loop {
            let page = keys.registry.tenants(after.as_ref(), LIST_MAX).await?;
            let Some(last) = page.last() else { return Ok(keys) };
            after = Some(last.name);
            for tenant in &page {
                let state = if tenant.withdrawn.is_some() {
                    State::Withdrawn
                } else {
                    keys.unwrap(tenant).await.map_or_else(|e| State::unusable(tenant, &e), State::Open)
                };
                keys.set(tenant.name, state);
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
        match self.states.read().unwrap_or_else(PoisonError::into_inner).get(tenant) {
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
        let _change = self.change.lock().await;
        let reference = customer_key.clone();
        let first = blocking(move || generate(&tenant, connect(&reference)?.as_ref())).await?;
        self.registry.create_tenant(&tenant, &customer_key, &first, now).await?;
        self.open(&tenant).await
    }

    /// Makes a new key that all later writes use. Older data stays readable through the older keys.
    ///
    /// # Errors
    ///
    /// As [`Self::get`], and [`StoreError::KeyUnusable`].
    pub async fn rotate(&self, tenant: &TenantName, now: Timestamp) -> Result<(), StoreError> {
        let _change = self.change.lock().await;
        self.get(tenant)?;
        let (name, reference) = (*tenant, self.registry.tenant(tenant).await?.customer_key);
        let next = blocking(move || generate(&name, connect(&reference)?.as_ref())).await?;
        self.registry.add_tenant_key(tenant, &next, now).await?;
        self.open(tenant).await
    }

    /// Forgets the tenant's keys at once, and for every later start until [`Self::restore`].
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`], or what the registry says; the keys are forgotten in this process even then.
    pub async fn withdraw(&self, tenant: &TenantName, now: Timestamp) -> Result<(), StoreError> {
        let _change = self.change.lock().await;
        if self.states.read().unwrap_or_else(PoisonError::into_inner).contains_key(tenant) {
            self.set(*tenant, State::Withdrawn);
        }
        self.registry.set_withdrawn(tenant, Some(now)).await
    }

    /// Unwraps the tenant's keys again with the customer's key.
    ///
    /// # Errors
    ///
    /// [`StoreError::KeyUnusable`] or [`StoreError::WrongKey`]; the tenant stays withdrawn then.
    pub async fn restore(&self, tenant: &TenantName) -> Result<(), StoreError> {
        let _change = self.change.lock().await;
        let ring = self.unwrap(&self.registry.tenant(tenant).await?).await?;
        self.registry.set_withdrawn(tenant, None).await?;
        self.set(*tenant, State::Open(ring));
        Ok(())
    }

    /// Tries the customer's key again, so that a key taken away at its source closes the tenant and one that
    /// came back opens it. A withdrawn tenant stays withdrawn.
    ///
    /// # Errors
    ///
    /// As [`Self::get`] afterwards.
    pub async fn recheck(&self, tenant: &TenantName) -> Result<(), StoreError> {
        let _change = self.change.lock().await;
        let stored = self.registry.tenant(tenant).await?;
        if stored.withdrawn.is_none() {
            let state = self.unwrap(&stored).await.map_or_else(|e| State::unusable(&stored, &e), State::Open);
            self.set(*tenant, state);
        }
        self.get(tenant).map(drop)
    }

    async fn open(&self, tenant: &TenantName) -> Result<(), StoreError> {
        let ring = self.unwrap(&self.registry.tenant(tenant).await?).await?;
        self.set(*tenant, State::Open(ring));
        Ok(())
    }

    async fn unwrap(&self, tenant: &Tenant) -> Result<Arc<TenantKeyRing>, StoreError> {
        let wrapped: Vec<WrappedTenantKey> = self.registry.tenant_keys(&tenant.name).await?;
        let (name, reference) = (tenant.name, tenant.customer_key.clone());
        blocking(move || TenantKeyRing::unwrap(&name, connect(&reference)?.as_ref(), &wrapped))
            .await
            .map(Arc::new)
    }

    fn set(&self, tenant: TenantName, state: State) {
        self.states.write().unwrap_or_else(PoisonError::into_inner).insert(tenant, state);
    }
}

impl State {
    fn unusable(tenant: &Tenant, error: &StoreError) -> Self {
        match error {
            StoreError::KeyUnusable { reference, problem } => {
                Self::Unusable { reference: reference.clone(), problem: problem.clone() }
            }
            other => {
                Self::Unusable { reference: tenant.customer_key.to_string(), problem: other.to_string() }
            }
        }
    }
}

/// Runs `work`, which may wait for a file or a token, off the asynchronous threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    spawn_blocking(work).await.map_err(|e| StoreError::database("use a customer key", e))?
}
