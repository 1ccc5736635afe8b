//! Nobody waits for ever: long queries are interrupted, lists leave room, and who has gone isn't served.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use engine::store::{ListQuery, NewApplication, Store, StoreError};
use model::application::Application;
use testkit::store_contract::{at, batch, named, owner};

use super::connection::{Access, SqliteConnection};
use super::readers::Readers;
use super::{SqliteStore, complete};
use crate::sql::connection::{Reads, Writes};
use crate::sql::list::{self, Guide};
use crate::sql::places::Places;
use crate::sql::query::{LastEvent, List, Query};

/// A list that has no end.
#[derive(Clone)]
struct Endless;

impl Query for Endless {
    type Output = ();
    const LIST: bool = true;

    async fn run<R: Reads>(self, reads: &mut R) -> Result<(), StoreError> {
        let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        reads.read_one(sql, vec![]).await.map(drop)
    }
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    store.accept(batch()).await.unwrap();
    let readers = Arc::new(Readers::new(&path, Duration::from_millis(20)));
    let endless = Arc::clone(&readers).read(Endless).await;
    assert!(matches!(endless, Err(StoreError::Unavailable(_))), "{endless:?}");
    assert_eq!(readers.read(LastEvent).await.unwrap().0, 1);
}

#[tokio::test]
async fn lists_leave_room_for_others() {
    let places = Places::new(3);
    let lists = [places.take::<List>().await.unwrap(), places.take::<List>().await.unwrap()];
    let mut third = pin!(places.take::<List>());
    assert!(futures::poll!(third.as_mut()).is_pending(), "the last place is not for lists");
    let other = places.take::<LastEvent>().await.unwrap();
    drop((lists, other));
    third.await.unwrap();
}

#[tokio::test]
async fn what_its_client_gave_up_is_not_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    let mut other = SqliteConnection::open(&path, Access::Write).unwrap();
    complete(other.begin()).unwrap().unwrap();
    let mut waiting = Box::pin(store.accept(named("kept")));
    let mut given_up = Box::pin(store.accept(named("given up")));
    poll_fn(|context| {
        assert!(waiting.as_mut().poll(context).is_pending() && given_up.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    drop(given_up);
    complete(other.commit()).unwrap().unwrap();
    waiting.await.unwrap();
    let all = store.list(&ListQuery { limit: 10, ..ListQuery::default() }).await.unwrap();
    let names: Vec<_> = all.iter().map(|it: &Application| it.spec.name.as_deref()).collect();
    assert_eq!(names, [Some("kept")]);
}

#[tokio::test]
async fn a_list_is_led_by_the_filter_that_leaves_few() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    let accept = |n: i64| store.accept(NewApplication { at: at(n), ..batch() });
    futures::future::try_join_all((0..1_000).map(accept)).await.unwrap();
    store.accept(NewApplication { owner: owner("bob"), ..batch() }).await.unwrap();
    let mut connection = SqliteConnection::open(&path, Access::Read).unwrap();
    let mut choose = |user: &str, label: Option<&str>| {
        let labels = label.map(|value| ("team".to_owned(), value.to_owned())).into_iter().collect();
        let kind = Some(model::id::ApplicationKind::Batch);
        let query = ListQuery { owner: Some(owner(user).user), kind, labels, ..ListQuery::default() };
        complete(list::choose(&query, &mut connection)).unwrap().unwrap()
    };
    let chosen = [choose("ada", None), choose("bob", None), choose("ada", Some("none"))];
    assert_eq!(chosen, [Guide::Owner, Guide::Owner, Guide::Label(0)]);
    let query = ListQuery {
        owner: Some(owner("ada").user),
        kind: Some(model::id::ApplicationKind::Server),
        ..ListQuery::default()
    };
    assert_eq!(complete(list::choose(&query, &mut connection)).unwrap().unwrap(), Guide::Kind, "there is no server");
}
