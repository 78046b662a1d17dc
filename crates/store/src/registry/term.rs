//! Terms: which of the nodes that share a database leads, and that none of those before it still does.
//!
//! The newest term is the counter `term`. A leader's sessions have its term in their name. Whoever takes a term holds the
//! counter's row until the sessions of earlier leaders have ended; a new session looks at the row before its first use, and waits
//! for that. So every session of an earlier leader is either ended or sees the newer term.

use sqlx::{AnyConnection, Connection};

use super::{PostgresPlace, failed, get, stored};
use crate::error::{PlaceProblem, StoreError};

/// How often it is looked whether the sessions of earlier leaders have ended.
const LOOKS_MAX: u32 = 3;

/// What the server knows a leader's session by.
pub(super) fn session_name(term: u64) -> String {
    format!("thingward-leader-{term}")
}

/// Makes this the newest term, and ends the sessions of earlier leaders.
pub(super) async fn take(
    candidate: &mut AnyConnection,
    place: &PostgresPlace,
    term: u64,
) -> Result<(), StoreError> {
    let failed = failed("take a term");
    let unusable = |problem| StoreError::PlaceUnusable { place: place.to_string(), problem };
    let mut tx = candidate.begin().await.map_err(&failed)?;
    let taken = sqlx::query(
        "INSERT INTO counters (name, value) VALUES ('term', $1) \
         ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE counters.value < excluded.value",
    );
    let taken = taken.bind(stored(term)).execute(&mut *tx).await;
    let taken = taken.map_err(|e| match failed(e) {
        StoreError::ReadOnly { .. } => unusable(PlaceProblem::ReadOnly),
        other => other,
    })?;
    if taken.rows_affected() == 0 {
        return Err(StoreError::Superseded);
    }
    for _ in 0..LOOKS_MAX {
        if end_leaders(&mut tx).await? {
            return tx.commit().await.map_err(&failed);
        }
    }
    Err(unusable(PlaceProblem::LeaderStays))
}

/// Ends the sessions of leaders. Says whether each has ended: not when one was gone before its end was asked for.
async fn end_leaders(connection: &mut AnyConnection) -> Result<bool, StoreError> {
    let failed = failed("end the sessions of an earlier leader");
    sqlx::query("SELECT pg_stat_clear_snapshot()").execute(&mut *connection).await.map_err(&failed)?;
    let ended = sqlx::query(
        "SELECT pg_terminate_backend(pid, 5000) AS ended FROM pg_stat_activity \
         WHERE datname = current_database() AND application_name LIKE 'thingward-leader-%'",
    );
    let ended = ended.fetch_all(connection).await.map_err(&failed)?;
    ended.iter().try_fold(true, |all, row| Ok(all & get::<bool>(row, "ended")?))
}

/// The newest term; 0 where nobody has led.
pub(super) async fn newest(connection: &mut AnyConnection) -> Result<u64, StoreError> {
    let newest =
        sqlx::query("SELECT value FROM counters WHERE name = 'term'").fetch_optional(connection).await;
    let newest = newest.map_err(failed("look at the terms"))?;
    let newest = newest.map(|row| get::<i64>(&row, "value")).transpose()?;
    Ok(newest.and_then(|newest| u64::try_from(newest).ok()).unwrap_or_default())
}

/// Whether no newer term was taken.
pub(super) async fn is_newest(connection: &mut AnyConnection, term: u64) -> Result<bool, sqlx::Error> {
    let newest = sqlx::query("SELECT 1 FROM counters WHERE name = 'term' AND value = $1 FOR SHARE");
    newest.bind(stored(term)).fetch_optional(connection).await.map(|row| row.is_some())
}

/// Ends this very session: nothing can be done with it, and whoever waits for it hears so at once, where an error here would
/// have the pool try again.
pub(super) async fn end_session(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    match sqlx::query("SELECT pg_terminate_backend(pg_backend_pid())").execute(connection).await {
        Err(_) => Ok(()),
        Ok(_) => Err(sqlx::Error::Protocol("the session of an earlier leader does not end".to_owned())),
    }
}
