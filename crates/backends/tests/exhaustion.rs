//! A gateway without a file descriptor to spare. In a process of its own, because the limit is the process's.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use engine::backend::{Backend as _, BackendError, Observation};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{World, order, processes_of, spec};
use testkit::backend_contract::wait_until;
use testkit::fake_spark::FakeSpark;

fn allow_open_files(count: Option<u64>) {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: count, ..limit }).unwrap();
}

#[tokio::test]
async fn what_cannot_be_seen_is_not_taken_for_dead() {
    let spark = FakeSpark::new().unwrap();
    let world = World::new(&spark.home());
    let backend = world.backend();
    let program = spark.program("program.sh", "exec sleep 600").unwrap();
    let order = order(&backend, spec(&program, &[]));
    backend.launch(order.clone()).await.unwrap();
    wait_until("the driver runs", || async { processes_of(&order.attempt).len() >= 2 }).await;
    let mut changes = backend.take_changes().unwrap();
    let before = getrlimit(Resource::Nofile).current;
    allow_open_files(Some(3));
    let seen = [
        backend.observe(&order.attempt).await.err(),
        backend.stop(&order.attempt, Duration::ZERO).await.err(),
        backend.discard(&order.attempt).await.err(),
        backend.list_owned().await.err(),
    ];
    allow_open_files(before);
    for error in seen {
        assert!(matches!(error, Some(BackendError::Unavailable { .. })), "{error:?}");
    }
    assert!(matches!(backend.observe(&order.attempt).await, Ok(Observation::Running { .. })));
    backend.stop(&order.attempt, Duration::ZERO).await.unwrap();
    let (_, end) = tokio::time::timeout(Duration::from_secs(60), changes.recv()).await.unwrap().unwrap();
    assert!(matches!(&end, Observation::Exited(ended) if ended.stopped), "{end:?}");
}
