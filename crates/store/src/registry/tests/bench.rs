//! A registry to test, on SQLite and on PostgreSQL.

use thingward_test_postgres::{Postgres, USER};
use tokio::sync::OnceCell;

use crate::keys::tests::{NOW, key_file, tenant};
use crate::keys::{KekReference, TenantKeys};
use crate::registry::{PostgresPlace, Registry};

/// Where a registry is: a file, or a database that nodes share.
pub(super) struct Home {
    pub(super) folder: tempfile::TempDir,
    pub(super) shared: Option<PostgresPlace>,
}

impl Home {
    /// For the how many-th time: the term of who leads.
    pub(super) async fn open(&self, time: u64) -> Registry {
        match &self.shared {
            Some(place) => Registry::lead(place, time).await.unwrap(),
            None => Registry::open(&self.folder.path().join("registry.sqlite")).await.unwrap(),
        }
    }
}

/// A registry with two tenants.
pub(super) struct Bench {
    pub(super) home: Home,
    pub(super) registry: Registry,
}

impl Bench {
    pub(super) async fn in_file() -> Self {
        Self::at(None).await
    }

    /// `None` where PostgreSQL is not installed.
    pub(super) async fn shared() -> Option<Self> {
        /// A database with the tables, to copy: making them takes longer.
        static MADE: OnceCell<String> = OnceCell::const_new();
        let postgres = Postgres::of_this_process()?;
        let place = |database: &str| postgres.url(USER, database).parse().unwrap();
        let made = MADE.get_or_init(async || {
            let database = postgres.database();
            Registry::lead(&place(&database), 0).await.unwrap().close().await;
            database
        });
        let database = postgres.copy_of(made.await);
        Some(Self::at(Some(place(&database))).await)
    }

    async fn at(shared: Option<PostgresPlace>) -> Self {
        let home = Home { folder: tempfile::tempdir().unwrap(), shared };
        let registry = home.open(1).await;
        let keys = TenantKeys::load(registry.clone()).await.unwrap();
        let reference = KekReference::File(key_file(home.folder.path(), "k", 1));
        for name in ["acme", "other"] {
            keys.create(tenant(name), reference.clone(), NOW).await.unwrap();
        }
        Self { home, registry }
    }
}

/// Each of these is a test on SQLite and one on PostgreSQL.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::registry::tests::bench::Bench::in_file().await).await;
            })*
        }

        mod on_postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                if let Some(bench) = $crate::registry::tests::bench::Bench::shared().await {
                    super::$name(bench).await;
                }
            })*
        }
    };
}
