//! What only a real Spark can show: conf that reaches it unseen, ports on loopback, and no process left behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backends::log::{LogQuery, LogSource as _, Stream};
use engine::backend::{Backend as _, Observation};
use support::{World, order, spec};
use testkit::backend_contract::wait_until;
use testkit::environment::{SPARK_4, SPARK_35, needed};

/// Shows the conf that arrived, runs tasks in Python's workers, and waits.
const PROGRAM: &str = r#"
import sys, time
from pyspark.sql import SparkSession

context = SparkSession.builder.getOrCreate().sparkContext
for key in ("spark.test.secret", "spark.test.default", "spark.app.name"):
    print(key, "=", context.getConf().get(key))
assert context.parallelize([1, 2]).map(lambda x: x * 2).sum() == 6
open(sys.argv[1], "w").close()
time.sleep(600)
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spark_3_5_is_unseen_and_unreachable() {
    check("spark_3_5_is_unseen_and_unreachable", SPARK_35).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spark_4_is_unseen_and_unreachable() {
    check("spark_4_is_unseen_and_unreachable", SPARK_4).await;
}

async fn check(test: &str, variable: &str) {
    let Some(home) = needed(test, variable) else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program.py");
    fs::write(&program, PROGRAM).unwrap();
    let ready = folder.path().join("ready");
    let world = World::new(&with_defaults(&home, &folder.path().join("spark")));
    let backend = world.backend();
    let mut changes = backend.take_changes().unwrap();

    let mut spec = spec(&program, &[ready.to_str().unwrap()]);
    spec.name = Some("héllo".to_owned());
    spec.conf.set("spark.test.secret", "hush-hush").unwrap();
    let order = order(&backend, spec);
    backend.launch(order.clone()).await.unwrap();
    wait_until("Spark ran its tasks", || async { ready.exists() }).await;

    let processes = support::processes_of(&order.attempt);
    assert!(processes.len() >= 3, "the JVM, the program and Python's workers run: {processes:?}");
    for pid in &processes {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&arguments).contains("hush-hush"), "arguments of {pid}");
    }
    let listening: Vec<String> = processes.iter().flat_map(|pid| listening_addresses(*pid)).collect();
    assert!(!listening.is_empty(), "the UI and the block manager listen");
    for address in &listening {
        assert!(is_loopback(address), "{address} of {listening:?}");
    }

    backend.stop(&order.attempt, Duration::from_secs(30)).await.unwrap();
    let (_, end) = tokio::time::timeout(Duration::from_secs(60), changes.recv()).await.unwrap().unwrap();
    assert!(matches!(&end, Observation::Exited(ended) if ended.stopped), "{end:?}");
    assert!(support::processes_of(&order.attempt).is_empty(), "nothing is left");
    let stdout = LogQuery { stream: Some(Stream::Stdout), ..LogQuery::default() };
    let lines = backend.read(&order.attempt, &stdout).await.unwrap().lines();
    for line in ["spark.test.secret = hush-hush", "spark.test.default = from-defaults", "spark.app.name = héllo"] {
        assert!(lines.iter().any(|seen| seen == line), "{line:?} in {lines:?}");
    }
}

/// The same Spark at another place, with a `spark-defaults.conf` of its own.
fn with_defaults(home: &Path, copy: &Path) -> PathBuf {
    fs::create_dir_all(copy.join("conf")).unwrap();
    for entry in fs::read_dir(home).unwrap().map(Result::unwrap).filter(|entry| entry.file_name() != "conf") {
        symlink(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let defaults = "spark.test.default from-defaults\nspark.test.secret overridden\n";
    fs::write(copy.join("conf/spark-defaults.conf"), defaults).unwrap();
    copy.to_owned()
}

/// The addresses, as the kernel prints them, on which a process accepts connections.
fn listening_addresses(pid: i32) -> Vec<String> {
    let sockets: HashSet<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let target = fs::read_link(entry.ok()?.path()).ok()?;
            Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let table = |name: &str| fs::read_to_string(Path::new("/proc/net").join(name)).unwrap_or_default();
    let lines = table("tcp") + &table("tcp6");
    lines
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let listens = *fields.get(3)? == "0A" && sockets.contains(*fields.get(9)?);
            listens.then(|| fields[1].split_once(':').map_or(fields[1], |(address, _)| address).to_owned())
        })
        .collect()
}

/// 127.0.0.1, alone or within an IPv6 address, or ::1.
fn is_loopback(address: &str) -> bool {
    address.ends_with("0100007F") || address == "00000000000000000000000001000000"
}
