//! Bytes of the service itself, by name: its CA, sealed by whoever put them here.

use super::{Registry, failed, get};
use crate::error::StoreError;

impl Registry {
    /// The bytes under `name`, if any.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub async fn metadata(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT value FROM metadata WHERE name = $1")
            .bind(name)
            .fetch_optional(self.pool()?)
            .await
            .map_err(failed("read metadata"))?;
        row.as_ref().map(|r| get(r, "value")).transpose()
    }

    /// Puts bytes under `name`, in place of what was there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`].
    pub async fn set_metadata(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO metadata (name, value) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(name)
        .bind(value)
        .execute(self.pool()?)
        .await
        .map(drop)
        .map_err(failed("write metadata"))
    }

    /// Puts bytes under `name` when there are none: of two processes that start at once, one makes the CA.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when there are some already.
    pub async fn add_metadata(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO metadata (name, value) VALUES ($1, $2)")
            .bind(name)
            .bind(value)
            .execute(self.pool()?)
            .await
            .map(drop)
            .map_err(failed("write metadata"))
    }
}
