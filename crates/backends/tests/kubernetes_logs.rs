//! The output of drivers on a cluster is kept whole, whatever happens to pods, watches and gateways.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod kubernetes_world;

use backends::kubernetes::KubernetesBackend;
use backends::log::{LogCursor, LogFrom, LogQuery, LogSource as _};
use engine::backend::{AttemptRef, Backend as _, Observation};
use kubernetes_world::{DRIVERS, World, order, seen};
use spark_kubernetes::names;
use testkit::backend_contract::wait_until;
use testkit::fake_kubernetes::{Fault, Verb};

/// The whole log, once it is complete.
async fn whole(backend: &KubernetesBackend, attempt: &AttemptRef) -> Vec<String> {
    let mut next = LogCursor::default();
    let mut lines = Vec::new();
    loop {
        let query = LogQuery { from: LogFrom::After(next), ..LogQuery::default() };
        let page = backend.read(attempt, &query).await.unwrap();
        lines.extend(page.lines());
        next = page.next;
        if page.complete {
            return lines;
        }
        if page.at_end {
            backend.grown(attempt, next).await.unwrap();
        }
    }
}

fn counted(lines: usize) -> Vec<String> {
    (0..lines).map(|number| format!("line {number}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_whole_when_streams_break_and_calls_fail() {
    let world = World::start().await;
    let backend = world.backend();
    let order = order(&["count", "300"]);
    backend.launch(order.clone()).await.unwrap();
    for _ in 0..5 {
        world.fake.fail((Verb::Log, "pods"), 1, Fault::Status { code: 500, retry_after_seconds: None });
        world.fake.cut_streams();
        tokio::time::sleep(std::time::Duration::from_millis(40)).await;
    }
    assert_eq!(whole(&backend, &order.attempt).await, counted(300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_goes_on_after_a_restart_and_stays_when_the_pod_is_gone() {
    let world = World::start().await;
    let backend = world.backend();
    let order = order(&["count", "400"]);
    backend.launch(order.clone()).await.unwrap();
    backend.grown(&order.attempt, LogCursor::default()).await.unwrap();
    drop(backend);
    let backend = world.backend();
    backend.observe(&order.attempt).await.unwrap();
    assert_eq!(whole(&backend, &order.attempt).await, counted(400));
    world.delete_pod(&order.attempt, 0);
    wait_until("its pod is gone", || async { world.fake.objects("pods").is_empty() }).await;
    assert_eq!(whole(&backend, &order.attempt).await, counted(400));
    let end = seen(&backend, &order.attempt, |_| true).await;
    assert!(matches!(end, Observation::Exited(_)), "{end:?}");
    backend.discard(&order.attempt).await.unwrap();
    backend.read(&order.attempt, &LogQuery::default()).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_rotated_away_before_it_was_read_is_marked() {
    let world = World::start().await;
    let backend = world.backend();
    let order = order(&["count", "600"]);
    backend.launch(order.clone()).await.unwrap();
    backend.grown(&order.attempt, LogCursor::default()).await.unwrap();
    drop(backend);
    let name = names::pod_name(order.attempt.id);
    wait_until("the driver ended", || async { world.fake.running().is_empty() }).await;
    world.fake.rotate_log(DRIVERS, &name, 10);
    let backend = world.backend();
    backend.observe(&order.attempt).await.unwrap();
    let lines = whole(&backend, &order.attempt).await;
    let gap = lines.iter().position(|line| line.contains("lines may be missing here")).unwrap();
    assert_eq!(lines[..gap], counted(600)[..gap]);
    assert_eq!(lines[gap + 1..], counted(600)[590..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_drivers_than_the_budget_have_whole_logs_in_the_end() {
    let mut world = World::start().await;
    world.config.logs_followed_max = 1;
    let backend = world.backend();
    let orders: Vec<_> = (0..4).map(|_| order(&["count", "50"])).collect();
    for order in &orders {
        backend.launch(order.clone()).await.unwrap();
    }
    for order in &orders {
        assert_eq!(whole(&backend, &order.attempt).await, counted(50));
    }
}
