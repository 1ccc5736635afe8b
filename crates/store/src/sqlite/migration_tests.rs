//! A database of an older format is brought to this one with nothing lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use engine::store::{NewApplication, Store};
use model::application::Application;
use model::id::{ApplicationId, ApplicationKind};
use model::principal::Scope;
use model::state::State;
use tempfile::TempDir;
use testkit::store_contract::{batch, member, named};

use super::connection::{Access, SqliteConnection};
use super::{MIGRATIONS, SqliteStore, complete, create_private};
use crate::rules;
use crate::schema::{self, Scripts as _};
use crate::sql::columns::{self, Tally};
use crate::sql::connection::{Reads as _, Writes as _};

/// Applications of several owners on both sides of a block's end, one with a name, some ended.
fn population() -> Vec<Application> {
    let numbers = [0, 1, 1_023, 1_024, 40_000];
    let owners = [("ada", "core"), ("bob", "core"), ("ada", "data")].map(|(user, tenant)| member(user, tenant));
    let place = |n: usize| (ApplicationKind::ALL[n % 2], numbers[n / 2]);
    let states = [State::Accepted, State::Succeeded, State::Running];
    let of = |n: usize| {
        let (kind, number) = place(n);
        let new =
            NewApplication { kind, owner: owners[n % 3].clone(), ..if n == 4 { named("daily") } else { batch() } };
        let application = rules::accepted(ApplicationId::new(kind, number).unwrap(), new);
        Application { state: states[n % 3], ..application }
    };
    (0..10).map(of).collect()
}

/// The tallies that format 1 kept of an application, without those of users, which were replaced.
fn format_1_tallies(application: &Application) -> Vec<Tally> {
    let wide = |tally: &Tally| tally.scope.matches(':').count() == 1 && !tally.scope.starts_with("open:");
    columns::tallies(application).into_iter().filter(wide).collect()
}

fn sum(tallies: impl IntoIterator<Item = Tally>) -> BTreeMap<(String, i64), i64> {
    let mut sums = BTreeMap::new();
    for tally in tallies {
        *sums.entry((tally.scope, tally.block)).or_default() += 1;
    }
    sums
}

async fn write_format_1(connection: &mut SqliteConnection, applications: &[Application]) {
    connection.begin().await.unwrap();
    schema::migrate(connection, &MIGRATIONS[..1]).await.unwrap();
    for application in applications {
        connection.write(columns::INSERT, columns::inserted(application).unwrap()).await.unwrap();
    }
    for ((scope, block), count) in sum(applications.iter().flat_map(format_1_tallies)) {
        let sql = "INSERT INTO tallies (scope, block, count) VALUES (?1, ?2, ?3)";
        connection.write(sql, vec![scope.as_str().into(), block.into(), count.into()]).await.unwrap();
    }
    connection.script("INSERT INTO tallies (scope, block, count) VALUES ('1024:batch:ada', 0, 2)").await.unwrap();
    connection.commit().await.unwrap();
}

#[tokio::test]
async fn format_1_becomes_this_one() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("store.db");
    create_private(&path).unwrap();
    let applications = population();
    let mut connection = SqliteConnection::open(&path, Access::Write).unwrap();
    write_format_1(&mut connection, &applications).await;
    drop(connection);

    let store = SqliteStore::open(&path).unwrap();
    let mut reader = SqliteConnection::open(&path, Access::Read).unwrap();
    let rows = complete(reader.read("SELECT scope, block, count FROM tallies", vec![])).unwrap().unwrap();
    let found: BTreeMap<_, _> =
        rows.into_iter().map(|mut row| ((row.text().unwrap(), row.int().unwrap()), row.int().unwrap())).collect();
    assert_eq!(found, sum(applications.iter().flat_map(columns::tallies)));
    for application in &applications {
        assert_eq!(store.get(application.id).await.unwrap().as_ref(), Some(application));
        let scope = Scope::Owner(application.owner.clone());
        let page = store.list_by_position(&scope, application.id.kind(), 0, 100).await.unwrap();
        assert!(page.applications.contains(application));
        assert_eq!(page.total, page.applications.len() as u64);
    }
    assert!(store.get_by_name(&Scope::Everything, ApplicationKind::Batch, "daily").await.unwrap().is_some());
}
