//! The registry in a file.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::members::member_keys;
use super::{CONNECTIONS_MAX, MIGRATIONS, Registry, failed, is_up_to_date, migration_failed};
use crate::error::StoreError;

/// Changes nothing, and waits for the right to.
const TURN: &str = "UPDATE counters SET value = value WHERE FALSE";
const MEMBER_KEYS: &str = member_keys!("hex(", ")");

impl Registry {
    /// Opens the database file, making it or bringing it up to date when needed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] or [`StoreError::Database`]; [`StoreError::Conflict`] when a newer release wrote it.
    pub async fn open(file: &Path) -> Result<Self, StoreError> {
        let mut first = connect(file, true).await?;
        let migrated = MIGRATIONS.run_direct(None, &mut first, false).await.map_err(migration_failed);
        Self::after(first, migrated, file).await
    }

    /// Opens a database file that is there, as it is.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] or [`StoreError::Database`]; [`StoreError::Conflict`] when another release wrote it.
    pub(crate) async fn open_as_it_is(file: &Path) -> Result<Self, StoreError> {
        let mut first = connect(file, false).await?;
        let looked = match is_up_to_date(&mut first).await {
            Ok(false) => Err(StoreError::Conflict {
                what: "an earlier release wrote this registry: start the service, which brings it up to date",
            }),
            looked => looked.map(drop),
        };
        Self::after(first, looked, file).await
    }

    /// The registry in a file that `first` has open, and has found to be ours or not.
    async fn after(
        first: SqliteConnection,
        found: Result<(), StoreError>,
        file: &Path,
    ) -> Result<Self, StoreError> {
        if let Err(refused) = found {
            // Dropped, it could leave its log beside a file that is not ours to change.
            let _ = first.close().await;
            return Err(refused);
        }
        let failed = failed("open the registry");
        sqlx::any::install_default_drivers();
        let options: AnyConnectOptions = url(file).await?.parse().map_err(&failed)?;
        let pool = AnyPoolOptions::new().max_connections(CONNECTIONS_MAX).after_connect(|connection, _| {
            Box::pin(async { sqlx::query("PRAGMA synchronous = FULL").execute(connection).await.map(drop) })
        });
        let pool = pool.connect_with(options).await.map_err(&failed)?;
        first.close().await.map_err(&failed)?;
        Ok(Self { pool, turn: Some(TURN), member_keys: MEMBER_KEYS, superseded: Default::default() })
    }
}

/// A connection that says what is wrong with the file, where the pool would try again, and that leaves the file with a
/// write-ahead log.
async fn connect(file: &Path, create: bool) -> Result<SqliteConnection, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(create)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true);
    options.connect().await.map_err(failed("open the registry"))
}

/// The file as a URL: of its path every byte but a few is escaped.
async fn url(file: &Path) -> Result<String, StoreError> {
    let path = tokio::fs::canonicalize(file).await.map_err(StoreError::io("open the registry"))?;
    let mut url = "sqlite://".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                url.push(char::from(*byte))
            }
            other => write!(url, "%{other:02x}").unwrap_or_default(),
        }
    }
    Ok(url)
}
