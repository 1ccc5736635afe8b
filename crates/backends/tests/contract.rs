//! The local backend keeps every law of backends, with a fake Spark and with real ones.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::sync::Arc;

use engine::backend::{AttemptRef, Backend};
use model::spec::ApplicationSpec;
use support::{World, spec};
use testkit::backend_contract::{BackendUnderTest, Job, check_backend};
use testkit::environment::{SPARK_4, SPARK_35, is_whole_run, needed};
use testkit::fake_spark::FakeSpark;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_fake_spark() {
    check_backend(&WithFakeSpark::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_spark_3_5() {
    with_real_spark("with_spark_3_5", SPARK_35).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_spark_4() {
    with_real_spark("with_spark_4", SPARK_4).await;
}

async fn with_real_spark(test: &str, variable: &str) {
    if !is_whole_run(test) {
        return;
    }
    if let Some(home) = needed(test, variable) {
        check_backend(&WithRealSpark::new(&home)).await;
    }
}

struct WithFakeSpark {
    spark: FakeSpark,
    world: World,
}

impl WithFakeSpark {
    fn new() -> Self {
        let spark = FakeSpark::new().unwrap();
        let world = World::new(&spark.home());
        Self { spark, world }
    }
}

impl BackendUnderTest for WithFakeSpark {
    fn start(&self) -> Arc<dyn Backend> {
        Arc::new(self.world.backend())
    }

    fn left_of(&self, attempt: &AttemptRef) -> Vec<String> {
        support::processes_of(attempt).iter().map(ToString::to_string).collect()
    }

    fn spec(&self, job: &Job) -> ApplicationSpec {
        let program = |name, script| self.spark.program(name, script).unwrap();
        match job {
            Job::Run { traces, exit_code } => {
                let program = program("run.sh", "echo run >> \"$1\"; exit \"$2\"");
                spec(&program, &[traces.to_str().unwrap(), &exit_code.to_string()])
            }
            Job::KillDriver => spec(&program("kill.sh", "kill -KILL $$"), &[]),
            Job::Wait { traces } => {
                let program = program("wait.sh", "echo run >> \"$1\"; exec sleep 600");
                spec(&program, &[traces.to_str().unwrap()])
            }
        }
    }
}

/// The same jobs in PySpark, where the driver's own process is the JVM above Python. What waits has run tasks,
/// so that Python's workers, which are in a process group of their own, are among its descendants.
const PROGRAM: &str = r#"
import os, signal, sys, time

what, traces, code = sys.argv[1:4]
if what == "kill":
    os.kill(os.getppid(), signal.SIGKILL)
if what == "wait":
    from pyspark.sql import SparkSession
    context = SparkSession.builder.getOrCreate().sparkContext
    assert context.parallelize([1, 2]).map(lambda x: x * 2).sum() == 6
with open(traces, "a") as file:
    file.write("run\n")
if what == "wait":
    time.sleep(600)
sys.exit(int(code))
"#;

struct WithRealSpark {
    folder: tempfile::TempDir,
    world: World,
}

impl WithRealSpark {
    fn new(home: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("program.py"), PROGRAM).unwrap();
        Self { folder, world: World::new(home) }
    }
}

impl BackendUnderTest for WithRealSpark {
    fn start(&self) -> Arc<dyn Backend> {
        Arc::new(self.world.backend())
    }

    fn left_of(&self, attempt: &AttemptRef) -> Vec<String> {
        support::processes_of(attempt).iter().map(ToString::to_string).collect()
    }

    fn spec(&self, job: &Job) -> ApplicationSpec {
        let program = self.folder.path().join("program.py");
        match job {
            Job::Run { traces, exit_code } => {
                spec(&program, &["run", traces.to_str().unwrap(), &exit_code.to_string()])
            }
            Job::KillDriver => spec(&program, &["kill", "-", "0"]),
            Job::Wait { traces } => spec(&program, &["wait", traces.to_str().unwrap(), "0"]),
        }
    }
}
