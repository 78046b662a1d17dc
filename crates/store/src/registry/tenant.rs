//! Tenants and their wrapped keys.

use thingward_model::{TenantName, Timestamp};

use super::{LIST_MAX, Registry, SqlRow, after, failed, get, one_changed, page, parse, time, time_optional};
use crate::error::StoreError;
use crate::keys::{KekReference, TenantKeyId, WrappedTenantKey};

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its name.
    pub name: TenantName,
    /// Where the key is that wraps the tenant's keys.
    pub customer_key: KekReference,
    /// The public key that devices seal for when only the customer may read. Opaque here.
    pub customer_public_key: Option<Vec<u8>>,
    /// When the customer took the key away.
    pub withdrawn: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
}

impl Registry {
    /// Adds a tenant with its first key.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when the name is taken.
    pub(crate) async fn create_tenant(
        &self,
        name: &TenantName,
        customer_key: &KekReference,
        first: &WrappedTenantKey,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let failed = failed("create a tenant");
        let mut tx = self.change().await?;
        sqlx::query("INSERT INTO tenants (name, created, customer_key) VALUES ($1, $2, $3)")
            .bind(name.as_str())
            .bind(now.as_micros())
            .bind(customer_key.to_string())
            .execute(&mut *tx)
            .await
            .map_err(&failed)?;
        insert_key(&mut tx, name, first, now).await?;
        tx.commit().await.map_err(&failed)
    }

    /// Adds a key that is newer than all others of the tenant.
    pub(crate) async fn add_tenant_key(
        &self,
        tenant: &TenantName,
        key: &WrappedTenantKey,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let failed = failed("add a tenant key");
        let mut tx = self.change().await?;
        insert_key(&mut tx, tenant, key, now).await?;
        tx.commit().await.map_err(&failed)
    }

    /// The tenant's wrapped keys, oldest first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub(crate) async fn tenant_keys(&self, tenant: &TenantName) -> Result<Vec<WrappedTenantKey>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, tenant_key, parquet_kek FROM tenant_keys WHERE tenant = $1 ORDER BY position",
        )
        .bind(tenant.as_str())
        .fetch_all(self.pool()?)
        .await
        .map_err(failed("read tenant keys"))?;
        rows.iter().map(read_key).collect()
    }

    /// The tenant with this name.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`].
    pub async fn tenant(&self, name: &TenantName) -> Result<Tenant, StoreError> {
        let row = sqlx::query(
            "SELECT name, created, customer_key, customer_public_key, withdrawn FROM tenants WHERE name = $1",
        )
        .bind(name.as_str())
        .fetch_optional(self.pool()?)
        .await
        .map_err(failed("read a tenant"))?;
        read_tenant(&row.ok_or(StoreError::NotFound { what: "tenant" })?)
    }

    /// Tenants by name, from the first after `last` on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn tenants(&self, last: Option<&TenantName>, limit: u32) -> Result<Vec<Tenant>, StoreError> {
        let rows = sqlx::query(
            "SELECT name, created, customer_key, customer_public_key, withdrawn FROM tenants \
             WHERE name > $1 ORDER BY name LIMIT $2",
        )
        .bind(after(last))
        .bind(page(limit))
        .fetch_all(self.pool()?)
        .await
        .map_err(failed("list tenants"))?;
        rows.iter().map(read_tenant).collect()
    }

    /// The names of all tenants.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn all_tenants(&self) -> Result<Vec<TenantName>, StoreError> {
        let mut all = Vec::new();
        loop {
            let page = self.tenants(all.last(), LIST_MAX).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page.iter().map(|t| t.name));
        }
    }

    /// Sets the public key that devices of the tenant seal for.
    ///
    /// # Errors
    ///
    /// [`StoreError::NotFound`] when there is no such tenant.
    pub async fn set_customer_public_key(
        &self,
        tenant: &TenantName,
        key: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        let result = sqlx::query("UPDATE tenants SET customer_public_key = $2 WHERE name = $1")
            .bind(tenant.as_str())
            .bind(key)
            .execute(self.pool()?)
            .await
            .map_err(failed("set a customer's public key"))?;
        one_changed(&result, "tenant")
    }

    /// Notes that the tenant's key is withdrawn, or no longer. [`crate::keys::TenantKeys`] keeps memory in step.
    pub(crate) async fn set_withdrawn(
        &self,
        tenant: &TenantName,
        since: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let result = sqlx::query("UPDATE tenants SET withdrawn = $2 WHERE name = $1")
            .bind(tenant.as_str())
            .bind(since.map(Timestamp::as_micros))
            .execute(self.pool()?)
            .await
            .map_err(failed("note that a key is withdrawn"))?;
        one_changed(&result, "tenant")
    }
}

async fn insert_key(
    tx: &mut sqlx::AnyConnection,
    tenant: &TenantName,
    key: &WrappedTenantKey,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO tenant_keys (id, tenant, position, tenant_key, parquet_kek, created) \
         SELECT $1, $2, COUNT(*), $3, $4, $5 FROM tenant_keys WHERE tenant = $2",
    )
    .bind(key.id.as_bytes().as_slice())
    .bind(tenant.as_str())
    .bind(key.tenant_key.as_slice())
    .bind(key.parquet_kek.as_slice())
    .bind(now.as_micros())
    .execute(&mut *tx)
    .await
    .map(drop)
    .map_err(failed("add a tenant key"))
}

fn read_key(row: &SqlRow) -> Result<WrappedTenantKey, StoreError> {
    let id = <[u8; TenantKeyId::BYTES]>::try_from(get::<&[u8]>(row, "id")?)
        .map_err(|_| StoreError::corrupt("registry column `id`"))?;
    Ok(WrappedTenantKey {
        id: TenantKeyId::new(id),
        tenant_key: get(row, "tenant_key")?,
        parquet_kek: get(row, "parquet_kek")?,
    })
}

fn read_tenant(row: &SqlRow) -> Result<Tenant, StoreError> {
    Ok(Tenant {
        name: parse(row, "name")?,
        customer_key: parse(row, "customer_key")?,
        customer_public_key: get(row, "customer_public_key")?,
        withdrawn: time_optional(row, "withdrawn")?,
        created: time(row, "created")?,
    })
}
