//! A registry that goes from a file to a database which several nodes share.

use std::collections::BTreeMap;

use sqlx::Row as _;
use thingward_crypto::sha256;

use super::{Registry, SqlRow, failed, get};
use crate::error::StoreError;

/// All tables, each behind those that it refers to.
const TABLES: [&str; 27] = [
    "tenants",
    "tenant_keys",
    "principals",
    "principal_keys",
    "claim_codes",
    "makers",
    "maker_certificates",
    "expected_serials",
    "certificates",
    "revocations",
    "counters",
    "tokens",
    "metadata",
    "users",
    "group_members",
    "policy_versions",
    "passkeys",
    "links",
    "sessions",
    "identities",
    "grants",
    "grant_epochs",
    "attestations",
    "offers",
    "purchases",
    "admissions",
    "raw_keys",
];

/// Of the counters, those that are the database's own: who leads, and whether all of a service is there.
const OWN: &str = "('term', 'moving')";

/// A column, and what it holds.
struct Column {
    name: String,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Bytes,
    /// Read and written as a number, which is 0 or 1.
    Truth,
}

enum Value {
    Text(Option<String>),
    Number(Option<i64>),
    Bytes(Option<Vec<u8>>),
}

impl Registry {
    /// Copies all that this registry, which is a file, has to another one, which has nothing. All of it, or nothing when
    /// it fails. The other one is of no use to nodes before [`Self::moved`]: a registry is only a part of a service.
    ///
    /// # Errors
    ///
    /// [`StoreError::Conflict`] when the other has something, else what the databases say.
    pub async fn copy_to(&self, to: &Self) -> Result<u64, StoreError> {
        let mut copied = 0;
        let what = "copy the registry";
        let mut transaction = to.change().await?;
        for table in TABLES {
            let columns = self.columns(table).await?;
            let insert = insert(table, &columns);
            for row in self.rows(table, &columns).await? {
                let mut query = sqlx::query(sqlx::AssertSqlSafe(insert.clone()));
                for value in row {
                    query = match value {
                        Value::Text(text) => query.bind(text),
                        Value::Number(number) => query.bind(number),
                        Value::Bytes(bytes) => query.bind(bytes),
                    };
                }
                query.execute(&mut *transaction).await.map_err(failed(what))?;
                copied += 1;
            }
        }
        let moving = sqlx::query("INSERT INTO counters (name, value) VALUES ('moving', 1)");
        moving.execute(&mut *transaction).await.map_err(failed(what))?;
        transaction.commit().await.map_err(failed(what))?;
        Ok(copied)
    }

    /// What belongs to a registry that was copied is where it has to be.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn moved(&self) -> Result<(), StoreError> {
        let ended = sqlx::query("DELETE FROM counters WHERE name = 'moving'").execute(self.pool()?).await;
        ended.map(drop).map_err(failed("end the move"))
    }

    /// How many rows each table has, and a digest over all of them in whatever order: what two registries are compared by.
    /// The columns are those of `as_in`, which is a file.
    ///
    /// # Errors
    ///
    /// What the database says.
    pub async fn digest(&self, as_in: &Self) -> Result<BTreeMap<&'static str, (u64, [u8; 32])>, StoreError> {
        let mut digests = BTreeMap::new();
        for table in TABLES {
            let columns = as_in.columns(table).await?;
            let mut rows: Vec<[u8; 32]> =
                self.rows(table, &columns).await?.iter().map(|row| hash(row)).collect();
            rows.sort_unstable();
            digests.insert(table, (rows.len() as u64, sha256(&[&rows.concat()])));
        }
        Ok(digests)
    }

    async fn columns(&self, table: &str) -> Result<Vec<Column>, StoreError> {
        let text = format!("SELECT name, type AS kind FROM pragma_table_info('{table}') ORDER BY cid");
        let rows = sqlx::query(sqlx::AssertSqlSafe(text)).fetch_all(self.pool()?).await;
        let rows = rows.map_err(failed("read the registry's tables"))?;
        let column = |row: &SqlRow| {
            let kind = match get::<&str>(row, "kind")? {
                "TEXT" => Kind::Text,
                "BIGINT" => Kind::Number,
                "BYTEA" => Kind::Bytes,
                "BOOLEAN" => Kind::Truth,
                other => return Err(StoreError::corrupt(format!("registry column of type {other}"))),
            };
            Ok(Column { name: get(row, "name")?, kind })
        };
        rows.iter().map(column).collect()
    }

    async fn rows(&self, table: &str, columns: &[Column]) -> Result<Vec<Vec<Value>>, StoreError> {
        let read = |column: &Column| match column.kind {
            Kind::Truth => format!("CAST(CAST({} AS INTEGER) AS BIGINT)", column.name),
            _ => column.name.clone(),
        };
        let names = columns.iter().map(read).collect::<Vec<_>>().join(", ");
        let which = if table == "counters" { format!("WHERE name NOT IN {OWN}") } else { String::new() };
        // In the order in which a file has them, those that refer to others of the same table are behind these.
        let order = if self.is_file() { "ORDER BY rowid" } else { "" };
        let text = format!("SELECT {names} FROM {table} {which} {order}");
        let rows = sqlx::query(sqlx::AssertSqlSafe(text)).fetch_all(self.pool()?).await;
        let rows = rows.map_err(failed("read the registry"))?;
        rows.iter()
            .map(|row| columns.iter().enumerate().map(|(at, column)| value(row, at, column.kind)).collect())
            .collect()
    }

    fn is_file(&self) -> bool {
        self.pool.connect_options().database_url.scheme() == "sqlite"
    }
}

fn insert(table: &str, columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let place = |(number, column): (usize, &Column)| match column.kind {
        Kind::Truth => format!("(${number} <> 0)"),
        _ => format!("${number}"),
    };
    let places: Vec<String> = (1..).zip(columns).map(place).collect();
    // What a new registry counts from.
    let upsert = "ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    let upsert = if table == "counters" { upsert } else { "" };
    format!("INSERT INTO {table} ({}) VALUES ({}) {upsert}", names.join(", "), places.join(", "))
}

fn value(row: &SqlRow, at: usize, kind: Kind) -> Result<Value, StoreError> {
    let read = match kind {
        Kind::Text => row.try_get(at).map(Value::Text),
        Kind::Number | Kind::Truth => row.try_get(at).map(Value::Number),
        Kind::Bytes => row.try_get(at).map(Value::Bytes),
    };
    read.map_err(|e| StoreError::database("read a registry row", e))
}

fn hash(row: &[Value]) -> [u8; 32] {
    let mut bytes = Vec::new();
    let mut push = |kind: u8, value: Option<&[u8]>| {
        bytes.push(if value.is_some() { kind } else { 0 });
        bytes.extend_from_slice(&(value.map_or(0, <[u8]>::len) as u64).to_be_bytes());
        bytes.extend_from_slice(value.unwrap_or_default());
    };
    for value in row {
        match value {
            Value::Text(text) => push(1, text.as_deref().map(str::as_bytes)),
            Value::Number(number) => push(2, number.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice)),
            Value::Bytes(bytes) => push(3, bytes.as_deref()),
        }
    }
    sha256(&[&bytes])
}

#[cfg(test)]
mod tests {
    use thingward_test_postgres::{Postgres, USER};

    use super::*;
    use crate::error::PlaceProblem;

    #[tokio::test]
    async fn every_table_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::open(&folder.path().join("registry.sqlite")).await.unwrap();
        let there = sqlx::query(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'",
        );
        let there = there.fetch_all(registry.pool().unwrap()).await.unwrap();
        let mut there: Vec<String> = there.iter().map(|row| get(row, "name").unwrap()).collect();
        there.retain(|name| !name.starts_with("sqlite_"));
        there.sort();
        let mut known = TABLES.map(str::to_owned);
        known.sort();
        assert_eq!(there, known);
    }

    #[tokio::test]
    async fn a_registry_is_the_same_in_a_database_and_goes_into_an_empty_one_only() {
        let Some(postgres) = Postgres::of_this_process() else { return };
        let place: crate::registry::PostgresPlace = postgres.url(USER, &postgres.database()).parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = Registry::open(&folder.path().join("registry.sqlite")).await.unwrap();
        let fill = [
            "INSERT INTO tenants (name, customer_key, created) VALUES ('acme', 'file:/k', 7), ('other', 'file:/l', 8)",
            "INSERT INTO metadata (name, value) VALUES ('a', x'00ff'), ('b', x'')",
            "INSERT INTO tokens (id, token_hash, tenant, parent, scopes, created, expires, revoked) \
             VALUES ('z', x'01', NULL, NULL, 'all', 1, 2, NULL), ('a', x'02', 'acme', 'z', 'read', 1, 2, 9)",
            "UPDATE counters SET value = 41",
        ];
        for statement in fill {
            sqlx::query(statement).execute(file.pool().unwrap()).await.unwrap();
        }
        let database = Registry::lead(&place, 3).await.unwrap();
        file.copy_to(&database).await.unwrap();
        let (one, other) = (file.digest(&file).await.unwrap(), database.digest(&file).await.unwrap());
        assert_eq!(one, other);
        assert_eq!(one["tokens"].0, 2);
        assert!(matches!(file.copy_to(&database).await, Err(StoreError::Conflict { .. })));
        sqlx::query("UPDATE tokens SET revoked = 10 WHERE id = 'a'")
            .execute(database.pool().unwrap())
            .await
            .unwrap();
        assert_ne!(one, database.digest(&file).await.unwrap());
        for unfinished in [Registry::lead(&place, 4).await.err(), Registry::follow(&place).await.err()] {
            let unfinished = unfinished.unwrap();
            assert!(
                matches!(unfinished, StoreError::PlaceUnusable { problem: PlaceProblem::HalfMoved, .. }),
                "{unfinished}"
            );
        }
        database.moved().await.unwrap();
        Registry::follow(&place).await.unwrap();
        assert!(
            matches!(Registry::lead(&place, 3).await, Err(StoreError::Superseded)),
            "the term is its own"
        );
    }
}
