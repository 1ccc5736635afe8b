//! What a question can't see: rows that should be gone with their application.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use engine::store::{Fence, IdempotencyKey, KEY_KEPT, NewApplication, Save, Store};
use model::application::Wish;
use model::event::EventKind;
use model::label::Labels;
use model::spec::ApplicationSpec;
use model::state::State;
use model::time::Timestamp;
use tempfile::TempDir;
use testkit::store_contract::{at, batch, lease_request, shard, spec, step_to};

use super::connection::{Access, SqliteConnection};
use super::{SqliteStore, complete};
use crate::sql::connection::Reads;

const DAY: i64 = 86_400_000;

/// An application that has something in every table.
fn rich(key: &str) -> NewApplication {
    let mut labels = Labels::default();
    labels.insert("team", "core").unwrap();
    labels.insert("nightly", "").unwrap();
    let idempotency = Some(IdempotencyKey { key: key.into(), fingerprint: [7; 32] });
    NewApplication { spec: Arc::new(ApplicationSpec { labels, ..spec() }), idempotency, ..batch() }
}

async fn live_and_go(store: &SqliteStore, fence: &Fence, key: &str, removed_at: Timestamp) {
    let mut next = store.accept(rich(key)).await.unwrap().application().clone();
    next.version += 1;
    step_to(&mut next, State::Failed);
    let id = next.id;
    store.save(fence, Save { next, at: at(1), event: Some(EventKind::State) }).await.unwrap();
    store.wish(id, Wish::Delete, at(2)).await.unwrap();
    store.remove(fence, id, removed_at).await.unwrap();
}

#[tokio::test]
async fn a_removed_application_leaves_its_key_for_a_day() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    let fence = store.lease(lease_request(&shard(), "test", None, 0)).await.unwrap().unwrap().fence;
    let mut connection = SqliteConnection::open(&path, Access::Read).unwrap();
    let mut rows = |table: &str| {
        let sql = format!("SELECT count(*) FROM {table}");
        complete(connection.read_one(&sql, vec![])).unwrap().unwrap().unwrap().count().unwrap()
    };
    assert_eq!(KEY_KEPT.as_millis(), u128::try_from(DAY).unwrap());

    live_and_go(&store, &fence, "first", at(0)).await;
    live_and_go(&store, &fence, "second", at(DAY - 1)).await;
    assert_eq!(["applications", "labels", "tallies", "keys"].map(&mut rows), [0, 0, 0, 2]);
    live_and_go(&store, &fence, "third", at(DAY)).await;
    assert_eq!(["applications", "labels", "tallies", "keys"].map(&mut rows), [0, 0, 0, 2], "the first is forgotten");
}
