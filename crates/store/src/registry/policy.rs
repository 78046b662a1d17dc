//! A tenant's policy files, in versions.

use serde::{Deserialize, Serialize};
use thingward_model::{TenantName, Timestamp};
use thingward_policy::PolicyFile;

use super::{Registry, SqlRow, failed, get, page, time};
use crate::error::StoreError;

/// A tenant's policy files, as they were applied together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyVersion {
    /// Counts from 1.
    pub version: u64,
    /// Who applied it, as the audit log names them.
    pub author: String,
    /// What they said about it.
    pub note: String,
    /// When.
    pub created: Timestamp,
    /// The files.
    pub files: Vec<PolicyFile>,
}

#[derive(Serialize, Deserialize)]
struct StoredFile {
    name: String,
    text: String,
}

impl Registry {
    /// Makes these files the tenant's policies and returns their version. They MUST have been checked.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when the newest version is another one than `after`: somebody else was faster.
    pub async fn add_policy_version(
        &self,
        tenant: &TenantName,
        after: u64,
        author: &str,
        note: &str,
        files: &[PolicyFile],
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let files = files.iter().map(|f| StoredFile { name: f.name.clone(), text: f.text.clone() });
        let files = serde_json::to_string(&files.collect::<Vec<_>>());
        let files = files.map_err(|_| StoreError::Invalid { what: "a policy file cannot be written" })?;
        let version = after.saturating_add(1);
        let result = sqlx::query(
            "INSERT INTO policy_versions (tenant, version, author, note, files, created) \
             SELECT $1, $2, $3, $4, $5, $6 \
             WHERE (SELECT COALESCE(MAX(version), 0) FROM policy_versions WHERE tenant = $1) = $2 - 1",
        )
        .bind(tenant.as_str())
        .bind(number(version)?)
        .bind(author)
        .bind(note)
        .bind(files)
        .bind(now.as_micros())
        .execute(self.pool()?)
        .await
        .map_err(failed("apply policies"))?;
        if result.rows_affected() == 0 {
            return Err(StoreError::Conflict { what: "the policies were changed meanwhile" });
        }
        Ok(version)
    }

    /// The tenant's policies of one version, or with `None` the newest; `None` before the first.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn policy_version(
        &self,
        tenant: &TenantName,
        version: Option<u64>,
    ) -> Result<Option<PolicyVersion>, StoreError> {
        let row = sqlx::query(
            "SELECT version, author, note, files, created FROM policy_versions \
             WHERE tenant = $1 AND ($2 IS NULL OR version = $2) ORDER BY version DESC LIMIT 1",
        )
        .bind(tenant.as_str())
        .bind(version.map(number).transpose()?)
        .fetch_optional(self.pool()?)
        .await
        .map_err(failed("read policies"))?;
        row.as_ref().map(read_version).transpose()
    }

    /// Versions of the tenant's policies, the newest first, from the first before `last` on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Database`] or [`StoreError::Corrupt`].
    pub async fn policy_versions(
        &self,
        tenant: &TenantName,
        last: Option<u64>,
        limit: u32,
    ) -> Result<Vec<PolicyVersion>, StoreError> {
        let rows = sqlx::query(
            "SELECT version, author, note, files, created FROM policy_versions \
             WHERE tenant = $1 AND version < $2 ORDER BY version DESC LIMIT $3",
        )
        .bind(tenant.as_str())
        .bind(last.map_or(Ok(i64::MAX), number)?)
        .bind(page(limit))
        .fetch_all(self.pool()?)
        .await
        .map_err(failed("list policies"))?;
        rows.iter().map(read_version).collect()
    }
}

fn number(version: u64) -> Result<i64, StoreError> {
    i64::try_from(version).map_err(|_| StoreError::NotFound { what: "version" })
}

fn read_version(row: &SqlRow) -> Result<PolicyVersion, StoreError> {
    let corrupt = || StoreError::corrupt("registry column `files`".to_owned());
    let files: Vec<StoredFile> = serde_json::from_str(get(row, "files")?).map_err(|_| corrupt())?;
    Ok(PolicyVersion {
        version: u64::try_from(get::<i64>(row, "version")?).unwrap_or_default(),
        author: get::<&str>(row, "author")?.to_owned(),
        note: get::<&str>(row, "note")?.to_owned(),
        created: time(row, "created")?,
        files: files.into_iter().map(|f| PolicyFile { name: f.name, text: f.text }).collect(),
    })
}
