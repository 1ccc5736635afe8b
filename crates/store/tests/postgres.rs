//! What is particular to the PostgreSQL store: the server can go away and come back.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use engine::store::{Store, StoreError};
use store::OpenError;
use store::postgres::PostgresStore;
use testkit::postgres::Server;
use testkit::store_contract::batch;

/// Runs the test on a database of its own, or says that there is no server.
async fn with_database(test: impl AsyncFnOnce(&Server, String)) {
    match testkit::postgres::server() {
        Ok(server) => test(server, server.database().await).await,
        Err(missing) => println!("skipped: {missing}"),
    }
}

/// Ends every session of the database, as a restart of the server would.
async fn cut_sessions(server: &Server, name: &str) {
    server.execute(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")).await;
}

fn name_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

#[tokio::test]
async fn lost_sessions_are_replaced() {
    with_database(async |server, url| {
        let store = PostgresStore::connect(&url).await.unwrap();
        for number in 0..4 {
            assert_eq!(store.accept(batch()).await.unwrap().application().id.number(), number);
            assert_eq!(store.last_event().await.unwrap().0, u64::from(number) + 1);
            cut_sessions(server, name_of(&url)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_away_is_told_and_found_again() {
    with_database(async |server, url| {
        let store = PostgresStore::connect(&url).await.unwrap();
        store.accept(batch()).await.unwrap();
        server.execute(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", name_of(&url))).await;
        cut_sessions(server, name_of(&url)).await;
        let (write, read) = tokio::join!(store.accept(batch()), store.last_event());
        assert!(matches!(write, Err(StoreError::Unavailable(_))), "{write:?}");
        assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
        server.execute(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", name_of(&url))).await;
        assert_eq!(store.accept(batch()).await.unwrap().application().id.number(), 1);
        assert_eq!(store.last_event().await.unwrap().0, 2);
    })
    .await;
}

/// Adds a trigger to the store's database as an operator could.
async fn spoil(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
}

fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn the_first_error_of_a_transaction_is_told() {
    with_database(async |_, url| {
        let store = PostgresStore::connect(&url).await.unwrap();
        let trigger = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today'; END $$; \
             CREATE TRIGGER refuse BEFORE INSERT ON applications EXECUTE FUNCTION refuse()";
        spoil(&url, trigger).await;
        let refused = store.accept(batch()).await.unwrap_err();
        assert!(causes(&refused).contains("not today"), "{}", causes(&refused));
        let both = futures::future::join(store.accept(batch()), store.accept(batch())).await;
        assert!([both.0, both.1].iter().all(|it| causes(it.as_ref().unwrap_err()).contains("not today")));
    })
    .await;
}

#[tokio::test]
async fn a_refused_value_costs_no_session() {
    with_database(async |_, url| {
        let store = PostgresStore::connect(&url).await.unwrap();
        store.accept(batch()).await.unwrap();
        let pids = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let view = "ALTER TABLE events RENAME TO stored_events; \
             CREATE VIEW events AS SELECT id / (id - id) AS id, body FROM stored_events";
        client.batch_execute(view).await.unwrap();
        let zero = model::id::EventId(0);
        let sessions =
            async || -> Vec<i32> { client.query(pids, &[]).await.unwrap().iter().map(|row| row.get(0)).collect() };
        assert_eq!(store.last_event().await.unwrap().0, 1);
        let before = sessions().await;
        for _ in 0..3 {
            let refused = store.events(zero, 10).await.unwrap_err();
            assert!(matches!(&refused, StoreError::Corrupt(why) if why.contains("division by zero")), "{refused}");
        }
        let after = sessions().await;
        assert!(before.iter().all(|pid| after.contains(pid)), "{before:?} became {after:?}");
        assert_eq!(store.last_event().await.unwrap().0, 1);
    })
    .await;
}

#[tokio::test]
async fn a_newer_format_is_left_alone() {
    with_database(async |_, url| {
        drop(PostgresStore::connect(&url).await.unwrap());
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("INSERT INTO schema_version (version) VALUES (7)").await.unwrap();
        let refused = PostgresStore::connect(&url).await.unwrap_err();
        assert!(matches!(refused, OpenError::Newer { found: 7, known: 2 }), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn what_it_cannot_do_is_refused_before_connecting() {
    let refused = PostgresStore::connect("postgres://ada@127.0.0.1:1/lamp?sslmode=require").await.unwrap_err();
    assert!(matches!(refused, OpenError::NoTls), "{refused}");
    let refused = PostgresStore::connect("postgres://ada@127.0.0.1:port/lamp").await.unwrap_err();
    assert!(matches!(refused, OpenError::Database(_)), "{refused}");
}

#[tokio::test]
async fn gateways_may_start_at_the_same_instant() {
    with_database(async |_, url| {
        let opened = futures::future::join_all((0..6).map(|_| PostgresStore::connect(&url))).await;
        assert!(opened.iter().all(Result::is_ok), "{opened:?}");
    })
    .await;
}
