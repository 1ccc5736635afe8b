//! What is particular to the SQLite store: its files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;

use engine::store::Store;
use rusqlite::Connection;
use store::OpenError;
use store::sqlite::SqliteStore;
use testkit::store_contract::batch;

#[tokio::test]
async fn nobody_else_may_read_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("store.db")).unwrap();
    store.accept(batch()).await.unwrap();
    store.last_event().await.unwrap();
    let modes: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().permissions().mode() & 0o777)
        .collect();
    assert_eq!(modes, [0o600; 3], "the file, its log and the log's index");
}

#[test]
fn a_newer_format_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    drop(SqliteStore::open(&path).unwrap());
    Connection::open(&path).unwrap().execute("INSERT INTO schema_version (version) VALUES (7)", []).unwrap();
    let refused = SqliteStore::open(&path).unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 7, known: 2 }), "{refused}");
    Connection::open(&path).unwrap().execute("DELETE FROM schema_version WHERE version = 7", []).unwrap();
    SqliteStore::open(&path).unwrap();
}

#[test]
fn what_is_no_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, "dear diary, ".repeat(1_000)).unwrap();
    assert!(matches!(SqliteStore::open(&path).unwrap_err(), OpenError::Database(_)));
    assert_eq!(std::fs::read(&path).unwrap().len(), 12_000, "a stranger's file is left as it was");
    let absent = SqliteStore::open(&folder.path().join("absent/store.db")).unwrap_err();
    assert!(matches!(absent, OpenError::File { .. }), "{absent}");
}
