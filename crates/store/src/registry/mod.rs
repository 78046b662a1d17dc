//! Who is who: tenants, principals and their public keys, certificates, tokens, people and what they sign in with, the
//! grants that they gave, and those that strangers bought.
//!
//! SQL that SQLite and PostgreSQL both take. Every change is durable when its call returns. Lists come in pages
//! of at most [`LIST_MAX`], continued after the last item of the page before.

mod admission;
mod attestation;
mod certificate;
mod claim;
mod grant;
mod group;
mod identity;
mod link;
mod maker;
mod metadata;
mod offer;
mod passkey;
mod policy;
mod principal;
mod purchase;
mod raw_key;
mod session;
mod tenant;
mod token;
mod types;
mod user;

use std::path::Path;

use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Row as _, SqlitePool};

pub use admission::Admission;
pub use attestation::{Attestation, KeptEvidence};
pub use certificate::{Certificate, Revocation, RevocationReason};
pub use claim::{Claim, ShownClaim};
pub use grant::{GrantAudience, GrantEnd, GrantEntry, GrantId, GrantStanding};
pub use group::{GROUP_MEMBERS_MAX, GroupMember};
pub use link::{Link, LinkKind};
pub use maker::{Admit, ExpectedSerial, Maker};
pub use offer::Offer;
pub use passkey::{NewPasskey, PASSKEYS_MAX, Passkey};
pub use policy::PolicyVersion;
pub use principal::{NewPrincipal, PrincipalEntry, PrincipalKey, PrincipalState};
pub use purchase::{Close, Purchase};
pub use raw_key::RawKey;
pub use session::{SESSION_IDLE_MICROS, Session, SessionId, SignedInBy, Way};
pub use tenant::Tenant;
pub use token::{NewToken, Token, TokenId};
pub use types::{Hardware, Serial};
pub use user::{User, UserId};

use crate::error::StoreError;

/// Most items that one list call returns.
pub const LIST_MAX: u32 = 1000;

/// Connections to the database: one writes at a time, the others read.
const CONNECTIONS_MAX: u32 = 4;

/// The registry of one data directory. Clones share the connections.
#[derive(Clone)]
pub struct Registry {
    pool: SqlitePool,
}

impl Registry {
    /// Opens the database file, making it or bringing it up to date when needed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] or [`StoreError::Database`]; [`StoreError::Conflict`] when a newer build wrote it.
    pub async fn open(file: &Path) -> Result<Self, StoreError> {
        let registry = Self::connect(file, true).await?;
        sqlx::migrate!("./migrations").run(&registry.pool).await.map_err(|e| match e {
            MigrateError::VersionMissing(_) => {
                StoreError::Conflict { what: "a newer build wrote this registry" }
            }
            other => StoreError::database("bring the registry up to date", other),
        })?;
        Ok(registry)
    }

    /// Opens a database file that is there, as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] or [`StoreError::Database`].
    pub(crate) async fn open_as_it_is(file: &Path) -> Result<Self, StoreError> {
        Self::connect(file, false).await
    }

    async fn connect(file: &Path, create: bool) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(create)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX);
        let pool = pool.connect_with(options).await.map_err(failed("open the registry"))?;
        Ok(Self { pool })
    }

    /// Waits for running calls and closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

type SqlRow = sqlx::sqlite::SqliteRow;

/// Turns a database error into ours: a broken uniqueness rule is a conflict, the rest names `what` failed.
fn failed(what: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |e| match e {
        sqlx::Error::RowNotFound => StoreError::NotFound { what },
        sqlx::Error::Io(e) => StoreError::from_io(what, e),
        sqlx::Error::Database(e) if e.is_unique_violation() => {
            StoreError::Conflict { what: "it exists already" }
        }
        sqlx::Error::Database(e) if e.is_foreign_key_violation() => {
            StoreError::NotFound { what: "what this refers to" }
        }
        other => StoreError::database(what, other),
    }
}

/// One column of `row` as `T`.
fn get<'r, T>(row: &'r SqlRow, column: &'static str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(column).map_err(|e| StoreError::database("read a registry row", e))
}

/// One text column of `row` as the type that it was written from.
fn parse<T: std::str::FromStr>(row: &SqlRow, column: &'static str) -> Result<T, StoreError> {
    parse_text(get(row, column)?, column)
}

/// Like [`parse`], for a column that may be empty.
fn parse_optional<T: std::str::FromStr>(row: &SqlRow, column: &'static str) -> Result<Option<T>, StoreError> {
    get::<Option<&str>>(row, column)?.map(|text| parse_text(text, column)).transpose()
}

fn parse_text<T: std::str::FromStr>(text: &str, column: &'static str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::corrupt(format!("registry column `{column}`")))
}

/// A public key as it is kept.
fn key(spki: &[u8]) -> Result<thingward_crypto::VerifyingKey, StoreError> {
    thingward_crypto::VerifyingKey::from_spki(spki)
        .map_err(|_| StoreError::corrupt("registry column `spki`".to_owned()))
}

/// One time column of `row`.
fn time(row: &SqlRow, column: &'static str) -> Result<thingward_model::Timestamp, StoreError> {
    get(row, column).map(thingward_model::Timestamp::from_micros)
}

/// One time column of `row` that may be empty.
fn time_optional(
    row: &SqlRow,
    column: &'static str,
) -> Result<Option<thingward_model::Timestamp>, StoreError> {
    Ok(get::<Option<i64>>(row, column)?.map(thingward_model::Timestamp::from_micros))
}

/// `Ok` when a statement changed a row, else that `what` is not there.
fn one_changed(result: &sqlx::sqlite::SqliteQueryResult, what: &'static str) -> Result<(), StoreError> {
    if result.rows_affected() == 0 { Err(StoreError::NotFound { what }) } else { Ok(()) }
}

/// A column of `row` that counts something.
fn count(row: &SqlRow, column: &'static str) -> Result<u64, StoreError> {
    u64::try_from(get::<i64>(row, column)?)
        .map_err(|_| StoreError::corrupt(format!("registry column `{column}`")))
}

/// A count as it is kept. Nothing is counted beyond 2⁶³.
fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The page size that a list call uses.
fn page(limit: u32) -> i64 {
    i64::from(limit.min(LIST_MAX))
}

/// Text after which a list starts. Names are never empty, so the empty text is before all.
fn after<T: ToString>(last: Option<&T>) -> String {
    last.map(T::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests;
