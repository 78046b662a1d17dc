//! The registry in a database that several nodes share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, Connection};

use super::members::member_keys;
use super::{
    CONNECTIONS_MAX, MIGRATIONS, PostgresPlace, Registry, failed, get, is_up_to_date, migration_failed, term,
};
use crate::error::{PlaceProblem, StoreError};

/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// Waits for the end of the change before, and keeps nobody from reading or writing a row.
const TURN: &str = "LOCK TABLE counters IN SHARE UPDATE EXCLUSIVE MODE";
const MEMBER_KEYS: &str = member_keys!("encode(", ", 'hex')");
/// The oldest server that orders text by its own rules or by those of a library, and says which.
const VERSION_MIN: i64 = 15;

impl Registry {
    /// Leads: ends the sessions of all leaders before, whose calls fail from then on, and brings the database up to date.
    /// Each leader has a `term` that is higher than those before; one database user is the leader on all nodes, and the
    /// tables are theirs.
    ///
    /// # Errors
    ///
    /// [`StoreError::Superseded`] when a leader has this term or a higher one, [`StoreError::PlaceUnusable`],
    /// [`StoreError::Conflict`] when a newer release wrote the registry, or [`StoreError::Database`].
    pub async fn lead(place: &PostgresPlace, term: u64) -> Result<Self, StoreError> {
        let candidates = place.named("thingward-candidate");
        let mut candidate = connect(place, candidates.clone()).await?;
        match has_own_tables(&mut candidate).await? {
            // Nobody has led.
            None => {
                let pool = pool().connect_lazy_with(candidates);
                MIGRATIONS.run(&pool).await.map_err(migration_failed)?;
                pool.close().await;
            }
            // The sessions of another user could neither be seen nor ended.
            Some(false) => return Err(unusable(place, PlaceProblem::NotOwner)),
            // Who could not use the tables must not end who can. They are brought up to date by who leads.
            Some(true) => {
                is_up_to_date(&mut candidate).await?;
                refuse_half_moved(&mut candidate, place).await?;
            }
        }
        term::take(&mut candidate, place, term).await?;
        candidate.close().await.map_err(failed("take a term"))?;
        let superseded = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&superseded);
        let pool = pool().after_connect(move |connection, _| {
            let seen = Arc::clone(&seen);
            Box::pin(async move {
                if term::is_newest(connection, term).await? {
                    return Ok(());
                }
                seen.store(true, Ordering::Release);
                term::end_session(connection).await
            })
        });
        let pool = pool.connect_lazy_with(place.named(&term::session_name(term)));
        MIGRATIONS.run(&pool).await.map_err(migration_failed)?;
        Ok(Self { pool, turn: Some(TURN), member_keys: MEMBER_KEYS, superseded })
    }

    /// The newest term that a leader took, 0 where nobody has led.
    ///
    /// # Errors
    ///
    /// [`StoreError::PlaceUnusable`], also when it does not answer or goes away meanwhile.
    pub async fn newest_term(place: &PostgresPlace) -> Result<u64, StoreError> {
        let away = |source| unusable(place, PlaceProblem::Unreachable(source));
        match tokio::time::timeout(2 * CONNECT_MAX, Self::ask_newest_term(place)).await {
            Ok(Err(error @ StoreError::Database { .. })) => Err(away(error.into())),
            Ok(answer) => answer,
            Err(late) => Err(away(late.into())),
        }
    }

    async fn ask_newest_term(place: &PostgresPlace) -> Result<u64, StoreError> {
        let mut candidate = connect(place, place.named("thingward-candidate")).await?;
        let newest = match has_own_tables(&mut candidate).await? {
            None => 0,
            Some(false) => return Err(unusable(place, PlaceProblem::NotOwner)),
            Some(true) => term::newest(&mut candidate).await?,
        };
        candidate.close().await.map_err(failed("look at the terms"))?;
        Ok(newest)
    }

    /// Follows: reads what the leader writes.
    ///
    /// # Errors
    ///
    /// [`StoreError::PlaceUnusable`], also where the leader has an older release, [`StoreError::Conflict`] when a newer release
    /// wrote the registry, or [`StoreError::Database`].
    pub async fn follow(place: &PostgresPlace) -> Result<Self, StoreError> {
        let options = place.read_only("thingward-follower");
        let mut first = connect(place, options.clone()).await?;
        if has_own_tables(&mut first).await?.is_none() || !is_up_to_date(&mut first).await? {
            return Err(unusable(place, PlaceProblem::Behind));
        }
        refuse_half_moved(&mut first, place).await?;
        first.close().await.map_err(failed("open the registry"))?;
        let pool = pool().connect_lazy_with(options);
        Ok(Self { pool, turn: None, member_keys: MEMBER_KEYS, superseded: Arc::default() })
    }
}

fn pool() -> AnyPoolOptions {
    AnyPoolOptions::new().max_connections(CONNECTIONS_MAX).acquire_timeout(CONNECT_MAX)
}

/// A registry without the rest of its service would be one that has lost it.
async fn refuse_half_moved(connection: &mut AnyConnection, place: &PostgresPlace) -> Result<(), StoreError> {
    let moving = sqlx::query("SELECT value FROM counters WHERE name = 'moving'");
    match moving.fetch_optional(connection).await.map_err(failed("open the registry"))? {
        Some(_) => Err(unusable(place, PlaceProblem::HalfMoved)),
        None => Ok(()),
    }
}

fn unusable(place: &PostgresPlace, problem: PlaceProblem) -> StoreError {
    StoreError::PlaceUnusable { place: place.to_string(), problem }
}

/// A connection to a database that can hold a registry; a pool would try again and not say what is wrong.
async fn connect(place: &PostgresPlace, options: AnyConnectOptions) -> Result<AnyConnection, StoreError> {
    sqlx::any::install_default_drivers();
    let connected = tokio::time::timeout(CONNECT_MAX, AnyConnection::connect_with(&options)).await;
    let mut connection =
        connected.map_err(|e| unusable(place, PlaceProblem::Unreachable(e.into())))?.map_err(|e| {
            let code = e.as_database_error().and_then(|e| e.code());
            let problem = match code.as_deref() {
                Some("28P01" | "28000") => PlaceProblem::LoginRefused,
                Some("3D000") => PlaceProblem::NoDatabase,
                _ => PlaceProblem::Unreachable(e.into()),
            };
            unusable(place, problem)
        })?;
    check(&mut connection).await?.map_or(Ok(connection), |problem| Err(unusable(place, problem)))
}

/// What keeps a database from holding a registry: names are in the order of their bytes.
async fn check(connection: &mut AnyConnection) -> Result<Option<PlaceProblem>, StoreError> {
    let failed = failed("look at the database");
    let version = sqlx::query("SELECT current_setting('server_version_num')::BIGINT / 10000 AS version");
    if get::<i64>(&version.fetch_one(&mut *connection).await.map_err(&failed)?, "version")? < VERSION_MIN {
        return Ok(Some(PlaceProblem::Version));
    }
    let row = sqlx::query(
        "SELECT pg_encoding_to_char(encoding) = 'UTF8' \
         AND (datlocprovider = 'b' OR datlocprovider = 'c' AND datcollate IN ('C', 'POSIX')) AS in_order, \
         NOT EXISTS (SELECT 1 FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl AND version <> 'TLSv1.3') AS is_tls_13 \
         FROM pg_database WHERE datname = current_database()",
    );
    let row = row.fetch_one(connection).await.map_err(&failed)?;
    Ok(match (get(&row, "is_tls_13")?, get(&row, "in_order")?) {
        (false, _) => Some(PlaceProblem::OldTls),
        (_, false) => Some(PlaceProblem::Order),
        _ => None,
    })
}

/// Whether the tables are this user's; `None` where there are none.
async fn has_own_tables(connection: &mut AnyConnection) -> Result<Option<bool>, StoreError> {
    let row = sqlx::query(
        "SELECT pg_get_userbyid(relowner) = session_user AS is_own FROM pg_class \
         WHERE oid = to_regclass('counters')",
    );
    let row = row.fetch_optional(connection).await.map_err(failed("look at the database"))?;
    row.map(|row| get(&row, "is_own")).transpose()
}
