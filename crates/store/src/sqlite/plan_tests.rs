//! No question walks through all applications: SQLite's own plans say so.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use engine::store::{AuditQuery, Cursor, ListQuery, Store, StoreError};
use model::audit::AuditDecision;
use model::id::{ApplicationId, ApplicationKind, BackendName, EventId, TenantName, UserName};
use model::principal::{Owner, Scope};
use model::state::State;
use model::time::Timestamp;
use testkit::store_contract::{batch, shard};

use super::connection::{Access, SqliteConnection};
use super::{SqliteStore, complete};
use crate::sql::connection::{Dialect, Reads};
use crate::sql::position::ByPosition;
use crate::sql::query::{self, ByInstant, Instant, Query};
use crate::sql::value::{Row, Value};

/// Explains each statement before it answers it.
struct Explained {
    connection: SqliteConnection,
    plans: Vec<String>,
}

impl Reads for Explained {
    const DIALECT: Dialect = Dialect::Sqlite;

    async fn read(&mut self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let plan = self.connection.read(&format!("EXPLAIN QUERY PLAN {sql}"), values.clone()).await?;
        for mut row in plan {
            let (_, _, _, step) = (row.int()?, row.int()?, row.int()?, row.text()?);
            self.plans.push(step);
        }
        self.connection.read(sql, values).await
    }
}

/// Fails when a statement of the query reads a whole table, sorts, or doesn't use the index.
fn check<Q: Query>(query: Q, index: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(store.accept(batch()))
        .unwrap();
    let mut explained = Explained { connection: SqliteConnection::open(&path, Access::Read).unwrap(), plans: vec![] };
    complete(query.run(&mut explained)).unwrap().unwrap();
    drop(store);
    let plans = explained.plans.join("\n");
    // Walking an index over all applications in its order is right for a list without filters.
    let walks = |line: &&str| {
        line.starts_with("SCAN") && !line.starts_with("SCAN a USING INDEX applications_by_time") && !is_arm(line)
    };
    assert_eq!(plans.lines().find(walks), None, "{plans}");
    assert!(plans.contains(index), "{index} is not used:\n{plans}");
    assert!(!plans.contains("TEMP B-TREE") || plans.contains("MERGE"), "{plans}");
}

/// The result of a walk through one state, which the merge of walks reads.
fn is_arm(line: &str) -> bool {
    State::ALL.iter().any(|state| line == format!("SCAN {state}"))
}

fn tenant() -> Scope {
    Scope::Tenant(TenantName::new("science").unwrap())
}

fn member() -> Scope {
    Scope::Owner(Owner { user: UserName::new("ada").unwrap(), tenant: TenantName::new("science").unwrap() })
}

#[test]
fn audit_is_found_by_index() {
    let all = AuditQuery { limit: 10, ..AuditQuery::default() };
    check(query::Audit(all.clone()), "INTEGER PRIMARY KEY");
    check(query::Audit(AuditQuery { user: UserName::new("ada").ok(), ..all.clone() }), "audit_by_user");
    check(query::Audit(AuditQuery { tenant: TenantName::new("a").ok(), ..all.clone() }), "audit_by_tenant");
    check(query::Audit(AuditQuery { decision: Some(AuditDecision::Denied), ..all }), "audit_by_decision");
}

#[test]
fn each_filter_of_a_list_has_its_index() {
    let after =
        Cursor { accepted_at: Timestamp::from_millis(9), id: ApplicationId::new(ApplicationKind::Batch, 3).unwrap() };
    let all = ListQuery { limit: 100, ..ListQuery::default() };
    let running = [State::Starting, State::Running].to_vec();
    let queries = [
        ("applications_by_time", all.clone()),
        ("applications_by_kind", ListQuery { kind: Some(ApplicationKind::Batch), ..all.clone() }),
        ("applications_by_state", ListQuery { states: vec![State::Running], ..all.clone() }),
        ("applications_by_state", ListQuery { states: running, kind: Some(ApplicationKind::Batch), ..all.clone() }),
        ("applications_by_backend", ListQuery { backend: Some(BackendName::new("local").unwrap()), ..all.clone() }),
        ("applications_by_owner", ListQuery { owner: Some(UserName::new("ada").unwrap()), ..all.clone() }),
        ("applications_by_tenant", ListQuery { scope: tenant(), ..all.clone() }),
        ("applications_by_member", ListQuery { scope: member(), ..all.clone() }),
        ("applications_by_name", ListQuery { name: Some("daily".into()), ..all.clone() }),
        ("applications_by_external_id", ListQuery { external_id: Some("run-1".into()), ..all.clone() }),
        ("SEARCH l USING PRIMARY KEY", ListQuery { labels: vec![("team".into(), "core".into())], ..all }),
    ];
    for (index, query) in queries {
        check(query::List(query.clone()), index);
        check(query::List(ListQuery { after: Some(after), ..query }), index);
    }
}

#[test]
fn the_engine_finds_its_work_by_index() {
    let (now, limit) = (Timestamp::from_millis(9), 10);
    let by_instant = |instant| ByInstant { instant, shard: shard(), now, exclude: vec![], limit };
    check(by_instant(Instant::Queued), "applications_queued");
    check(by_instant(Instant::Wake), "applications_to_wake");
    check(query::NextDue(shard(), now), "applications_to_wake");
    check(query::Active { shard: shard(), after: None, limit }, "applications_active");
    check(query::Expired { shard: shard(), ended_before: None, keep: Some(1), limit }, "applications_retained");
    check(query::QueueLength(shard()), "SEARCH tallies USING PRIMARY KEY");
    check(query::Events(EventId(3), limit), "SEARCH events USING INTEGER PRIMARY KEY");
    check(query::LastEvent, "SEARCH counters USING PRIMARY KEY");
}

#[test]
fn positions_are_found_by_tallies() {
    for scope in [Scope::Everything, tenant(), member()] {
        check(
            ByPosition { kind: ApplicationKind::Batch, scope, offset: 0, limit: 10 },
            "SEARCH tallies USING PRIMARY KEY",
        );
    }
}

#[test]
fn single_applications_are_found_by_index() {
    check(query::Get(ApplicationId::new(ApplicationKind::Batch, 3).unwrap()), "INTEGER PRIMARY KEY");
    // Wider scopes sort the few owners who have the name.
    let by_name = query::ByName { scope: member(), kind: ApplicationKind::Batch, name: "daily".into() };
    check(by_name, "applications_by_held_name");
}
