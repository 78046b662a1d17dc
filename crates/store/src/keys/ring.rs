//! A tenant's unwrapped keys: one for writing, older ones for reading.

use base16ct::lower::encode_string as hex;
use thingward_model::TenantName;

use crate::error::StoreError;
use crate::keys::KeyProvider;
use crate::secret::{Secret, fill_random};

/// Tells one tenant key from all others. Random, and no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TenantKeyId([u8; Self::BYTES]);

impl TenantKeyId {
    /// Length in bytes: what Parquet's key tools use for a KEK id.
    pub const BYTES: usize = 16;

    /// The id with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

/// A tenant key as stored: nobody uses it without the customer's key.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedTenantKey {
    /// Which key it is.
    pub id: TenantKeyId,
    /// The tenant key, boxed under the customer key.
    pub tenant_key: Vec<u8>,
    /// The Parquet KEK derived from it, boxed under the customer key, for the customer's own tools.
    pub parquet_kek: Vec<u8>,
}

/// What is derived from one tenant key: wiped on drop, never shown.
pub struct TenantKey {
    id: TenantKeyId,
    hot: Secret,
    recipient: Secret,
    parquet_kek: Secret,
    wrapped_parquet_kek: Vec<u8>,
}

impl TenantKey {
    /// Which key it is.
    #[must_use]
    pub const fn id(&self) -> TenantKeyId {
        self.id
    }

    /// The secret X25519 key that devices seal `service` streams for. Gone when the tenant key is.
    #[must_use]
    pub fn recipient(&self) -> &[u8; 32] {
        self.recipient.as_bytes()
    }

    pub(crate) const fn hot(&self) -> &Secret {
        &self.hot
    }

    pub(crate) const fn parquet_kek(&self) -> &Secret {
        &self.parquet_kek
    }

    pub(crate) fn wrapped_parquet_kek(&self) -> &[u8] {
        &self.wrapped_parquet_kek
    }
}

/// All keys of one tenant; there is at least one.
pub struct TenantKeyRing {
    newest: TenantKey,
    older: Vec<TenantKey>,
}

impl TenantKeyRing {
    /// The key to write with.
    #[must_use]
    pub const fn newest(&self) -> &TenantKey {
        &self.newest
    }

    /// All keys, the one to write with first.
    pub fn iter(&self) -> impl Iterator<Item = &TenantKey> {
        std::iter::once(&self.newest).chain(&self.older)
    }

    /// The key with this id.
    #[must_use]
    pub fn find(&self, id: &TenantKeyId) -> Option<&TenantKey> {
        self.iter().find(|k| k.id == *id)
    }

    /// Opens stored keys, oldest first, with the customer's key.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there are none, else what [`KeyProvider::unwrap`] says.
    pub(crate) fn unwrap(
        tenant: &TenantName,
        provider: &dyn KeyProvider,
        wrapped: &[WrappedTenantKey],
    ) -> Result<Self, StoreError> {
        let mut keys = Vec::with_capacity(wrapped.len());
        for stored in wrapped {
            keys.push(unwrap_one(tenant, provider, stored)?);
        }
        let newest = keys.pop().ok_or(StoreError::NotFound { what: "tenant key" })?;
        Ok(Self { newest, older: keys })
    }
}

#[cfg(test)]
impl TenantKeyRing {
    pub(crate) fn with_one_new_key(
        tenant: &TenantName,
        provider: &dyn KeyProvider,
    ) -> Result<Self, StoreError> {
        Self::unwrap(tenant, provider, &[generate(tenant, provider)?])
    }
}

/// Makes a random tenant key and boxes it under the customer's key.
pub(crate) fn generate(
    tenant: &TenantName,
    provider: &dyn KeyProvider,
) -> Result<WrappedTenantKey, StoreError> {
    let mut id = [0; TenantKeyId::BYTES];
    fill_random(&mut id)?;
    let id = TenantKeyId(id);
    let secret = Secret::random()?;
    let parquet_kek = derive_parquet_kek(&secret)?;
    Ok(WrappedTenantKey {
        id,
        tenant_key: provider.wrap(secret.as_bytes(), tenant_key_aad(tenant, &id).as_bytes())?,
        parquet_kek: provider.wrap(parquet_kek.as_bytes(), master_key_id(tenant).as_bytes())?,
    })
}

fn unwrap_one(
    tenant: &TenantName,
    provider: &dyn KeyProvider,
    stored: &WrappedTenantKey,
) -> Result<TenantKey, StoreError> {
    let bytes = provider.unwrap(&stored.tenant_key, tenant_key_aad(tenant, &stored.id).as_bytes())?;
    let secret = Secret::from_slice(&bytes).ok_or(StoreError::WrongKey { what: "a boxed tenant key" })?;
    Ok(TenantKey {
        id: stored.id,
        hot: secret.derive(&[b"thingward hot readings v1"])?,
        recipient: secret.derive(&[b"thingward service recipient v1"])?,
        parquet_kek: derive_parquet_kek(&secret)?,
        wrapped_parquet_kek: stored.parquet_kek.clone(),
    })
}

fn derive_parquet_kek(tenant_key: &Secret) -> Result<Secret, StoreError> {
    tenant_key.derive(&[b"thingward parquet kek v1"])
}

fn tenant_key_aad(tenant: &TenantName, id: &TenantKeyId) -> String {
    format!("thingward/{tenant}/tenant-key/{}", hex(id.as_bytes()))
}

/// What Parquet key material calls the customer's key, and the associated data of the boxed Parquet KEK.
pub(crate) fn master_key_id(tenant: &TenantName) -> String {
    format!("thingward/{tenant}")
}
