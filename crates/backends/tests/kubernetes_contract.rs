//! The Kubernetes backend keeps every law of backends, over a fake cluster.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod kubernetes_world;

use std::sync::Arc;

use backends::kubernetes::WatchScope;
use engine::backend::{AttemptRef, Backend};
use kubernetes_world::{World, spec};
use model::spec::ApplicationSpec;
use spark_kubernetes::names;
use testkit::backend_contract::{BackendUnderTest, Job, check_backend};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_watch_for_each_namespace() {
    check_backend(&World::start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_one_watch_for_all() {
    let mut world = World::start().await;
    world.config.watch = WatchScope::Cluster;
    check_backend(&world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_watches_that_break_all_the_time() {
    let world = World::start().await;
    let fake = Arc::clone(&world.fake);
    let breaking = tokio::spawn(async move {
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(15)).await;
            fake.cut_streams();
        }
    });
    check_backend(&world).await;
    breaking.abort();
}

impl BackendUnderTest for World {
    fn start(&self) -> Arc<dyn Backend> {
        Arc::new(self.backend())
    }

    fn tells_signals_from_codes(&self) -> bool {
        false
    }

    fn left_of(&self, attempt: &AttemptRef) -> Vec<String> {
        let name = names::pod_name(attempt.id);
        self.fake.running().into_iter().filter(|pod| *pod == name).collect()
    }

    fn spec(&self, job: &Job) -> ApplicationSpec {
        match job {
            Job::Run { traces, exit_code } => spec(&["run", traces.to_str().unwrap(), &exit_code.to_string()]),
            Job::KillDriver => spec(&["kill", "-", "137"]),
            Job::Wait { traces } => spec(&["wait", traces.to_str().unwrap(), "143"]),
        }
    }
}
