//! What drivers print, from their pipes to a reader.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use backends::local::LocalBackend;
use backends::log::{LogError, LogFrom, LogItem, LogLimits, LogPage, LogQuery, LogSource as _, Stream};
use engine::backend::{AttemptRef, Backend as _, Observation};
use support::{World, order, spec};
use testkit::fake_spark::FakeSpark;

struct Ran {
    _spark: FakeSpark,
    world: World,
    backend: LocalBackend,
    attempt: AttemptRef,
}

impl Ran {
    /// Starts a script.
    async fn start(script: &str, args: &[&str], limits: LogLimits) -> Self {
        let spark = FakeSpark::new().unwrap();
        let mut world = World::new(&spark.home());
        world.config.log = limits;
        let backend = world.backend();
        let order = order(&backend, spec(&spark.program("program.sh", script).unwrap(), args));
        backend.launch(order.clone()).await.unwrap();
        Self { _spark: spark, world, backend, attempt: order.attempt }
    }

    /// Runs a script to its end.
    async fn to_end(script: &str, args: &[&str], limits: LogLimits) -> Self {
        let ran = Self::start(script, args, limits).await;
        let mut changes = ran.backend.take_changes().unwrap();
        while let Observation::Running { .. } = ran.backend.observe(&ran.attempt).await.unwrap() {
            tokio::time::timeout(Duration::from_secs(120), changes.recv()).await.unwrap();
        }
        ran
    }

    async fn page(&self, query: LogQuery) -> LogPage {
        self.backend.read(&self.attempt, &query).await.unwrap()
    }

    async fn all(&self) -> Vec<LogItem> {
        let mut query = LogQuery::default();
        let mut items = Vec::new();
        loop {
            let page = self.page(query.clone()).await;
            items.extend(page.items);
            if page.complete {
                return items;
            }
            query.from = LogFrom::After(page.next);
        }
    }
}

#[tokio::test]
async fn streams_are_apart_and_in_order() {
    let ran = Ran::to_end("echo one; echo two; echo err >&2; printf open", &[], LogLimits::default()).await;
    let of = |stream| LogQuery { stream: Some(stream), ..LogQuery::default() };
    assert_eq!(ran.page(of(Stream::Stdout)).await.lines(), ["one", "two", "open"]);
    assert_eq!(ran.page(of(Stream::Stderr)).await.lines(), ["err"]);
    let tail = LogQuery { from: LogFrom::Tail(1), ..of(Stream::Stdout) };
    assert_eq!(ran.page(tail).await.lines(), ["open"]);
}

#[tokio::test]
async fn a_huge_log_is_bounded_and_says_what_is_missing() {
    let limits = LogLimits { segment_bytes: 1 << 20, total_bytes: 8 << 20 };
    // Lines of 100 bytes, 200 MB of them, each numbered.
    let script = r#"awk 'BEGIN { for (i = 0; i < 2000000; i++) printf "%099d\n", i }'"#;
    let ran = Ran::to_end(script, &[], limits).await;
    let stored: u64 = std::fs::read_dir(ran.world.attempt_dir(&ran.attempt).join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(stored <= limits.total_bytes + 4_096, "{stored} bytes are stored");
    let items = ran.all().await;
    let gap = items.iter().position(|item| matches!(item, LogItem::Gap(_))).unwrap();
    let number = |item: &LogItem| match item {
        LogItem::Entry(entry) => entry.text.parse::<u64>().unwrap(),
        LogItem::Gap(_) => panic!("one gap only"),
    };
    let LogItem::Gap(missing) = items[gap] else { panic!("a gap") };
    assert_eq!(number(&items[gap + 1]) - number(&items[gap - 1]) - 1, missing.entries);
    assert_eq!((number(&items[0]), number(items.last().unwrap())), (0, 1_999_999));
}

#[tokio::test]
async fn binary_garbage_and_endless_lines_are_survived() {
    let script = r#"head -c 300000 /dev/urandom; echo; head -c 1000000 /dev/zero | tr '\0' x; echo; echo "end""#;
    let ran = Ran::to_end(script, &[], LogLimits::default()).await;
    let lines = ran.page(LogQuery { bytes_max: 10 << 20, ..LogQuery::default() }).await.lines();
    assert_eq!(lines.last().unwrap(), "end");
    assert_eq!(lines[lines.len() - 2], "x".repeat(1_000_000));
}

#[tokio::test]
async fn a_follower_sees_lines_as_they_come_and_the_end() {
    // Opened once and for both directions: opening it again could meet the writer before, who is just closing it.
    let script = "exec 3<> \"$1\"; echo one; read -r line <&3; echo two; read -r line <&3; echo three >&2";
    let fifo = tempfile::tempdir().unwrap();
    let fifo_path = fifo.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo_path).status().unwrap().success());
    let ran = Ran::start(script, &[fifo_path.to_str().unwrap()], LogLimits::default()).await;
    let mut query = LogQuery::default();
    let mut seen = Vec::new();
    let follow = async {
        loop {
            let page = ran.page(query.clone()).await;
            for line in page.lines() {
                seen.push(line.clone());
                if matches!(line.as_str(), "one" | "two") {
                    let fifo_path = fifo_path.clone();
                    tokio::task::spawn_blocking(move || std::fs::write(fifo_path, "go\n")).await.unwrap().unwrap();
                }
            }
            if page.complete {
                break;
            }
            query.from = LogFrom::After(page.next);
            ran.backend.grown(&ran.attempt, page.next).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), follow).await.unwrap();
    assert_eq!(seen, ["one", "two", "three"]);
}

#[tokio::test]
async fn an_attempt_without_folder_has_no_log() {
    let ran = Ran::to_end("true", &[], LogLimits::default()).await;
    ran.backend.discard(&ran.attempt).await.unwrap();
    let read = ran.backend.read(&ran.attempt, &LogQuery::default()).await;
    assert!(matches!(read, Err(LogError::NotFound)), "{read:?}");
    let grown = ran.backend.grown(&ran.attempt, Default::default()).await;
    assert!(matches!(grown, Err(LogError::NotFound)), "{grown:?}");
}

#[tokio::test]
async fn a_reader_that_comes_after_a_killed_supervisor_gets_to_the_end() {
    let ran = Ran::start("echo one; exec sleep 600", &[], LogLimits::default()).await;
    ran.backend.grown(&ran.attempt, Default::default()).await.unwrap();
    let identity = std::fs::read(ran.world.attempt_dir(&ran.attempt).join("identity.json")).unwrap();
    let identity: serde_json::Value = serde_json::from_slice(&identity).unwrap();
    let pid = identity["supervisor"]["pid"].to_string();
    assert!(std::process::Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    let end = ran.page(LogQuery::default()).await.next;
    tokio::time::timeout(Duration::from_secs(60), ran.backend.grown(&ran.attempt, end)).await.unwrap().unwrap();
    let page = ran.page(LogQuery::default()).await;
    assert!(page.complete);
    assert_eq!(page.lines(), ["one"]);
}
