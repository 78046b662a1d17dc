//! The registry in a file.

use std::time::Instant;

use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;

use super::*;

async fn raw(file: &std::path::Path) -> SqlitePool {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    SqlitePool::connect_with(options).await.unwrap()
}

#[tokio::test]
async fn a_file_of_an_earlier_release_is_brought_up_to_date_and_one_of_a_newer_one_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("registry.sqlite");
    let before = raw(&file).await;
    MIGRATIONS.run_to(5, &before).await.unwrap();
    sqlx::query("INSERT INTO metadata (name, value) VALUES ('ca', X'01')").execute(&before).await.unwrap();
    before.close().await;
    let as_it_is = Registry::open_as_it_is(&file).await.err();
    assert!(matches!(as_it_is, Some(StoreError::Conflict { .. })), "{as_it_is:?}");
    let registry = Registry::open(&file).await.unwrap();
    assert_eq!(registry.metadata("ca").await.unwrap().as_deref(), Some(&[1][..]));
    assert!(registry.raw_keys(None).await.unwrap().is_empty());
    registry.close().await;
    let later = raw(&file).await;
    let row = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
               VALUES (9999, 'later', TRUE, '', 0)";
    sqlx::query(row).execute(&later).await.unwrap();
    later.close().await;
    let newer = Registry::open(&file).await.err();
    assert!(matches!(newer, Some(StoreError::Conflict { .. })), "{newer:?}");
    let as_it_is = Registry::open_as_it_is(&file).await.err();
    assert!(matches!(as_it_is, Some(StoreError::Conflict { .. })), "{as_it_is:?}");
}

#[tokio::test]
async fn a_file_is_opened_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a b", "50%", "%2e%2e", "a?mode=ro#b", "é", "x'\"&\\"] {
        let inner = folder.path().join(name);
        std::fs::create_dir(&inner).unwrap();
        let file = inner.join("../").join(name).join("registry.sqlite");
        let registry = Registry::open(&file).await.unwrap();
        registry.set_metadata("name", name.as_bytes()).await.unwrap();
        registry.close().await;
        let again = Registry::open_as_it_is(&inner.join("registry.sqlite")).await.unwrap();
        assert_eq!(again.metadata("name").await.unwrap().as_deref(), Some(name.as_bytes()));
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("registry.sqlite");
    let begun = Instant::now();
    assert!(Registry::open_as_it_is(&file).await.is_err());
    std::fs::write(&file, [7; 4096]).unwrap();
    let damaged = Registry::open(&file).await.err().unwrap().to_string();
    assert!(damaged.contains("not a database"), "{damaged}");
    assert!(begun.elapsed().as_secs() < 5);
}
