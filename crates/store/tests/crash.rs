//! Killed at any instant, the store has everything that it answered for.
//!
//! This executable runs itself as a child that accepts until it is killed and prints what was acknowledged.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use engine::store::{ListQuery, Store};
use model::id::{ApplicationId, EventId};
use store::sqlite::SqliteStore;
use testkit::store_contract::batch;

/// Names the file to the child.
const FILE_VARIABLE: &str = "LAMPLIGHTER_CRASH_TEST_FILE";
const MARK: &str = "acknowledged ";
const KILLS: usize = 8;
const CLIENTS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the crash test runs it in a process that is killed"]
async fn accept_until_killed() {
    let Some(path) = std::env::var_os(FILE_VARIABLE) else { return };
    let store = Arc::new(SqliteStore::open(Path::new(&path)).unwrap());
    let client = |_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            loop {
                let accepted = store.accept(batch()).await.unwrap();
                let line = format!("\n{MARK}{}\n", accepted.application().id);
                std::io::stdout().write_all(line.as_bytes()).unwrap();
            }
        })
    };
    futures::future::join_all((0..CLIENTS).map(client)).await;
}

fn child(path: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["accept_until_killed", "--exact", "--ignored", "--nocapture"]);
    command.env(FILE_VARIABLE, path).stdout(Stdio::piped()).spawn().unwrap()
}

/// What the child acknowledged until it was killed after about so many.
fn killed_after(path: &Path, acknowledgements: usize) -> Vec<ApplicationId> {
    let mut child = child(path);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    for line in lines.map_while(Result::ok) {
        // The last line may be cut; what was printed whole was acknowledged.
        acknowledged.extend(line.strip_prefix(MARK).and_then(|id| id.parse::<ApplicationId>().ok()));
        if acknowledged.len() == acknowledgements {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    acknowledged
}

#[tokio::test]
async fn nothing_that_was_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut acknowledged = Vec::new();
    for kill in 0..KILLS {
        let wanted = 1 + 61 * kill;
        let more = killed_after(&path, wanted);
        assert!(more.len() >= wanted, "the child ended by itself");
        acknowledged.extend(more);
        check(&path, &acknowledged).await;
    }
}

async fn check(path: &Path, acknowledged: &[ApplicationId]) {
    let store = SqliteStore::open(path).unwrap();
    let everything = ListQuery { limit: u32::MAX, ..ListQuery::default() };
    let mut stored: Vec<_> = store.list(&everything).await.unwrap().iter().map(|application| application.id).collect();
    stored.sort_unstable();
    let lost = acknowledged.iter().find(|id| stored.binary_search(id).is_err());
    assert_eq!(lost, None, "it was acknowledged");
    assert!(stored.iter().zip(0..).all(|(id, number)| id.number() == number), "numbers have no gaps");
    assert_eq!(store.last_event().await.unwrap(), EventId(stored.len() as u64), "each was told of once");
}
