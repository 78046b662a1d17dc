//! Who is who: tenants, principals and their public keys, certificates, tokens, people and what they sign in with, the
//! grants that they gave, and those that strangers bought.
//!
//! On SQLite in a data directory ([`Registry::open`]), or on PostgreSQL where several nodes share one registry: one of
//! them leads and changes it ([`Registry::lead`]), the others read ([`Registry::follow`]). The same migrations and
//! statements run on both, through sqlx's `Any` driver, in what both take of SQL: text, 64-bit integers and bytes come
//! out of columns, booleans do not; lists are ordered by the bytes of a text.
//!
//! A change of several steps, or of one whose condition is about other rows, is made by `Registry::change`: one at a
//! time, so that it sees all that was changed before. Every change is durable when its call returns: what changes and
//! gives rows is read to its end, which is behind the commit. Lists come in pages of at most [`LIST_MAX`], continued after
//! the last item of the page before.

mod admission;
mod attestation;
mod certificate;
mod claim;
mod copy;
mod grant;
mod group;
mod identity;
mod link;
mod maker;
mod members;
mod metadata;
mod offer;
mod passkey;
mod place;
mod policy;
mod postgres;
mod principal;
mod purchase;
mod raw_key;
mod session;
mod sqlite;
mod tenant;
mod term;
mod token;
mod types;
mod user;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::any::{AnyQueryResult, AnyRow as SqlRow};
use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::{Any, AnyPool, Row as _};

pub use admission::Admission;
pub use attestation::{Attestation, KeptEvidence};
pub use certificate::{Revocation, RevocationReason};
pub use claim::{Claim, ShownClaim};
pub use grant::{GrantAudience, GrantEnd, GrantEntry, GrantId, GrantStanding};
pub use group::{GROUP_MEMBERS_MAX, GroupMember};
pub use link::{Link, LinkKind};
pub use maker::{Admit, ExpectedSerial, Maker};
pub use members::{EnrolledMember, Lines, MemberKey};
pub use offer::Offer;
pub use passkey::{NewPasskey, PASSKEYS_MAX, Passkey};
pub use place::PostgresPlace;
pub use policy::PolicyVersion;
pub use principal::{Joining, NewPrincipal, PrincipalEntry, PrincipalKey, PrincipalState};
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

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Who is who. Clones share the connections.
#[derive(Clone)]
pub struct Registry {
    pool: AnyPool,
    /// The statement that waits until no other change is under way; none where nothing may be changed.
    turn: Option<&'static str>,
    /// The statement that gives many keys in one row.
    member_keys: &'static str,
    /// A newer leader was seen.
    superseded: Arc<AtomicBool>,
}

impl Registry {
    /// Waits for running calls and closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Whether a newer leader was seen: no call succeeds from then on.
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.superseded.load(Ordering::Acquire)
    }

    /// The connections, for what is one statement.
    fn pool(&self) -> Result<&AnyPool, StoreError> {
        if self.is_superseded() { Err(StoreError::Superseded) } else { Ok(&self.pool) }
    }

    /// Begins a change, when the one before it is over.
    async fn change(&self) -> Result<sqlx::Transaction<'static, Any>, StoreError> {
        let what = "begin a change of the registry";
        let turn = self.turn.ok_or(StoreError::ReadOnly { what })?;
        let pool = self.pool()?.clone();
        // On a task of its own: were it dropped between the words, the connection would go back with its transaction open.
        let begun = tokio::spawn(async move {
            let mut transaction = pool.begin().await?;
            sqlx::query(turn).execute(&mut *transaction).await?;
            Ok(transaction)
        });
        begun.await.map_err(|e| StoreError::database(what, e))?.map_err(failed(what))
    }
}

/// Whether all migrations of this build were made, and no others.
///
/// # Errors
///
/// [`StoreError::Conflict`] when a newer release made more.
async fn is_up_to_date(connection: &mut impl Migrate) -> Result<bool, StoreError> {
    let made = connection.list_applied_migrations(&MIGRATIONS.table_name).await.map_err(migration_failed)?;
    if let Some(newer) = made.iter().find(|made| !MIGRATIONS.version_exists(made.version)) {
        return Err(migration_failed(MigrateError::VersionMissing(newer.version)));
    }
    Ok(made.len() == MIGRATIONS.iter().count())
}

fn migration_failed(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(_) => StoreError::Conflict {
            what: "a newer release wrote this registry: run that release, or put back the backup that was taken before \
                   the upgrade",
        },
        other => StoreError::database("bring the registry up to date", other),
    }
}

/// Turns a database error into ours: a broken uniqueness rule is a conflict, the rest names `what` failed. Numbers are
/// those of PostgreSQL, appendix A.
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
        sqlx::Error::Database(e) if matches!(e.code().as_deref(), Some("25006" | "42501")) => {
            StoreError::ReadOnly { what }
        }
        sqlx::Error::Database(e) if e.code().as_deref() == Some("22021") => {
            StoreError::Invalid { what: "a text has a character of value 0" }
        }
        other => StoreError::database(what, other),
    }
}

/// One column of `row` as `T`.
fn get<'r, T>(row: &'r SqlRow, column: &'static str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, Any> + sqlx::Type<Any>,
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
fn one_changed(result: &AnyQueryResult, what: &'static str) -> Result<(), StoreError> {
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
