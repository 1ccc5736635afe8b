//! The gateway may open more files than its drivers. In a process of its own, because the limit is the process's.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use backends::local::raise_open_files_limit;
use engine::backend::Backend as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{World, order, spec};
use testkit::backend_contract::wait_until;
use testkit::fake_spark::FakeSpark;

#[tokio::test]
async fn drivers_keep_the_limit_that_the_gateway_raised() {
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(333), maximum: hard }).unwrap();
    raise_open_files_limit().unwrap();
    assert_eq!(getrlimit(Resource::Nofile).current, hard);
    let spark = FakeSpark::new().unwrap();
    let world = World::new(&spark.home());
    let backend = world.backend();
    let told = world.data.path().join("told");
    let program = spark
        .program("program.sh", "ulimit -S -n > \"$1.new\"; ulimit -H -n >> \"$1.new\"; mv \"$1.new\" \"$1\"")
        .unwrap();
    backend.launch(order(&backend, spec(&program, &[told.to_str().unwrap()]))).await.unwrap();
    wait_until("the driver told", || async { told.exists() }).await;
    let hard = hard.map_or("unlimited".to_owned(), |hard| hard.to_string());
    assert_eq!(std::fs::read_to_string(told).unwrap(), format!("333\n{hard}\n"));
}
