//! When the disk is full or a command can't be written, the others don't suffer and nothing is half done.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::error::Error;

use engine::store::{NewApplication, Store, StoreError};
use futures::future::join_all;
use tempfile::TempDir;
use testkit::store_contract::{batch, owner};

use super::connection::{Access, SqliteConnection};
use super::{SqliteStore, complete};
use crate::schema::Scripts;

/// A store whose file can't grow to more than so many pages beyond an empty one's.
fn limited(pages: u32) -> (TempDir, SqliteStore) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.db");
    drop(SqliteStore::open(&path).unwrap());
    let mut connection = SqliteConnection::open(&path, Access::Write).unwrap();
    complete(connection.script(&format!("PRAGMA max_page_count = {}", 40 + pages))).unwrap().unwrap();
    let store = SqliteStore::start(connection, &path).unwrap();
    (folder, store)
}

fn causes(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn a_full_disk_is_told_and_spoils_nothing() {
    let (_folder, store) = limited(20);
    let mut accepted = 0;
    let error = loop {
        match store.accept(batch()).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(causes(&error).starts_with("the store is unavailable: database or disk is full"), "{}", causes(&error));
    assert!(accepted > 0);
    let kind = model::id::ApplicationKind::Batch;
    assert_eq!(
        store.list_by_position(&model::principal::Scope::Everything, kind, 0, 10).await.unwrap().total,
        accepted
    );
    assert_eq!(store.last_event().await.unwrap().0, accepted);
}

#[tokio::test]
async fn one_command_that_fails_does_not_undo_the_others() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    let mut connection = SqliteConnection::open(&path, Access::Write).unwrap();
    let trigger = "CREATE TRIGGER no_mallory BEFORE INSERT ON applications WHEN new.owner_user = 'mallory' \
         BEGIN SELECT RAISE(ABORT, 'not him'); END";
    complete(connection.script(trigger)).unwrap().unwrap();
    let accept =
        |n: u32| store.accept(NewApplication { owner: owner(if n % 8 == 3 { "mallory" } else { "ada" }), ..batch() });
    let (accepted, refused): (Vec<_>, Vec<_>) =
        join_all((0..64).map(accept)).await.into_iter().partition(Result::is_ok);
    assert_eq!((accepted.len(), refused.len()), (56, 8));
    assert!(refused.iter().all(|refused| causes(refused.as_ref().unwrap_err()).contains("not him")));
    let mut numbers: Vec<_> =
        accepted.iter().map(|accepted| accepted.as_ref().unwrap().application().id.number()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..56).collect::<Vec<_>>(), "what was undone took no numbers");
}
