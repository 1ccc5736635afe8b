//! What a supervisor must stand: drivers that don't want to end, supervisors that are killed, tampering.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use backends::local::LocalBackend;
use engine::backend::{AttemptRef, Backend as _, BackendError, LaunchOrder, Observation};
use model::id::AttemptId;
use model::state::{Exit, ReasonCode};
use support::{World, order, processes_of, spec};
use testkit::backend_contract::wait_until;
use testkit::fake_spark::FakeSpark;
use tokio::sync::mpsc;

/// A backend with a fake Spark, watched.
struct Bench {
    spark: FakeSpark,
    world: World,
    backend: LocalBackend,
    changes: mpsc::Receiver<(AttemptId, Observation)>,
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut World)) -> Self {
        let spark = FakeSpark::new().unwrap();
        let mut world = World::new(&spark.home());
        change(&mut world);
        let backend = world.backend();
        let changes = backend.take_changes().unwrap();
        Self { spark, world, backend, changes }
    }

    fn order(&self, script: &str, args: &[&str]) -> LaunchOrder {
        order(&self.backend, spec(&self.spark.program("program.sh", script).unwrap(), args))
    }

    async fn launch(&self, order: &LaunchOrder) -> Observation {
        self.backend.launch(order.clone()).await.unwrap()
    }

    /// Launches a script that leaves a file when it is ready, and waits for that.
    async fn launch_until_ready(&self, script: &str) -> AttemptRef {
        let ready = self.world.data.path().join("ready");
        let order = self.order(script, &[ready.to_str().unwrap()]);
        self.launch(&order).await;
        wait_until("the script is ready", || async { ready.exists() }).await;
        order.attempt
    }

    async fn observe(&self, attempt: &AttemptRef) -> Observation {
        self.backend.observe(attempt).await.unwrap()
    }

    /// What is pushed when the attempt isn't running any more.
    async fn end(&mut self, attempt: &AttemptRef) -> Observation {
        let seen = self.observe(attempt).await;
        if !matches!(seen, Observation::Running { .. }) {
            return seen;
        }
        loop {
            let pushed = tokio::time::timeout(Duration::from_secs(60), self.changes.recv()).await.unwrap().unwrap();
            // The end of another one may have been observed before it was pushed.
            if pushed.0 == attempt.id {
                return pushed.1;
            }
        }
    }

    /// The process that the attempt's folder names as `who`.
    fn pid(&self, attempt: &AttemptRef, who: &str) -> i32 {
        let text = fs::read(self.world.attempt_dir(attempt).join("identity.json")).unwrap();
        let identity: serde_json::Value = serde_json::from_slice(&text).unwrap();
        identity[who]["pid"].as_i64().unwrap().try_into().unwrap()
    }
}

fn kill(pid: i32) {
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
}

/// Starts descendants that try to get away: by a session of their own, by a second fork, by ignoring SIGTERM,
/// and by all three. Each says when it is there.
const ESCAPING: &str = r#"
trap '' TERM
setsid sh -c 'touch 1; exec sleep 600' &
( (touch 2; exec sleep 600) & ) &
sh -c 'trap "" TERM; touch 3; sleep 600; sleep 600' &
setsid sh -c '(trap "" TERM; setsid sh -c "touch 4; sleep 600; sleep 600" &) & touch 5; sleep 600' &
until [ -e 1 ] && [ -e 2 ] && [ -e 3 ] && [ -e 4 ] && [ -e 5 ]; do sleep 0.01; done
touch "$1"
"#;

#[tokio::test]
async fn no_descendant_survives_a_stop() {
    let mut bench = Bench::new();
    let attempt = bench.launch_until_ready(&format!("{ESCAPING}\nwhile :; do sleep 600; done")).await;
    assert!(processes_of(&attempt).len() >= 6, "the script and its descendants run");
    bench.backend.stop(&attempt, Duration::from_millis(50)).await.unwrap();
    let Observation::Exited(ended) = bench.end(&attempt).await else { panic!("it ended") };
    assert_eq!((ended.exit, ended.stopped), (Exit::Signal(9), true));
    assert_eq!(processes_of(&attempt), BTreeSet::new());
}

#[tokio::test]
async fn no_descendant_survives_the_driver() {
    let mut bench = Bench::new();
    let attempt = bench.launch_until_ready(&format!("{ESCAPING}\nexit 5")).await;
    let Observation::Exited(ended) = bench.end(&attempt).await else { panic!("it ended") };
    assert_eq!((ended.exit, ended.stopped), (Exit::Code(5), false));
    assert_eq!(processes_of(&attempt), BTreeSet::new());
}

#[tokio::test]
async fn a_driver_may_use_its_grace() {
    let mut bench = Bench::new();
    let script = "trap 'echo bye; exit 0' TERM; touch \"$1\"; while :; do sleep 0.01; done";
    let attempt = bench.launch_until_ready(script).await;
    bench.backend.stop(&attempt, Duration::from_secs(60)).await.unwrap();
    let Observation::Exited(ended) = bench.end(&attempt).await else { panic!("it ended") };
    assert_eq!((ended.exit, ended.stopped), (Exit::Code(0), true));
}

#[tokio::test]
async fn a_more_urgent_stop_shortens_the_grace() {
    let mut bench = Bench::new();
    let attempt = bench.launch_until_ready("trap '' TERM; touch \"$1\"; while :; do sleep 600; done").await;
    for grace in [Duration::from_secs(600), Duration::ZERO] {
        bench.backend.stop(&attempt, grace).await.unwrap();
    }
    let Observation::Exited(ended) = bench.end(&attempt).await else { panic!("it ended") };
    assert_eq!(ended.exit, Exit::Signal(9));
}

#[tokio::test]
async fn a_killed_supervisor_takes_the_driver_with_it() {
    let mut bench = Bench::new();
    let script = "setsid sh -c 'setsid sleep 600 & sleep 600' & touch \"$1\"; exec sleep 600";
    let attempt = bench.launch_until_ready(script).await;
    let driver = bench.pid(&attempt, "driver");
    kill(bench.pid(&attempt, "supervisor"));
    let end = bench.end(&attempt).await;
    assert!(matches!(&end, Observation::Lost { reason: ReasonCode::SupervisorLost, evidence: Some(_) }), "{end:?}");
    assert!(!Path::new(&format!("/proc/{driver}")).exists() || processes_of(&attempt).is_empty());
    assert_eq!(processes_of(&attempt), BTreeSet::new(), "what it left was ended before the loss was told");
    assert_eq!(bench.observe(&attempt).await, end, "it stays lost");
    assert_eq!(bench.backend.stop(&attempt, Duration::ZERO).await.unwrap(), end);
}

#[tokio::test]
async fn what_died_before_the_driver_started_is_never_started_again() {
    let bench = Bench::new();
    let traces = bench.world.data.path().join("traces");
    let order = bench.order("echo run >> \"$1\"", &[traces.to_str().unwrap()]);
    let dir = bench.world.attempt_dir(&order.attempt);
    fs::create_dir_all(dir.join("log")).unwrap();
    let gone = Command::new("true").spawn().and_then(|mut child| child.wait().map(|_| child.id())).unwrap();
    let identity = serde_json::json!({
        "boot": order.attempt.binding, "supervisor": {"pid": gone, "start_time": 1}, "driver": null, "started_at": 0
    });
    fs::write(dir.join("identity.json"), identity.to_string()).unwrap();
    let launched = bench.launch(&order).await;
    assert!(matches!(launched, Observation::Lost { reason: ReasonCode::SupervisorLost, .. }), "{launched:?}");
    assert!(!traces.exists());
}

#[tokio::test]
async fn of_many_supervisors_one_starts_the_driver() {
    let mut bench = Bench::new();
    let traces = bench.world.data.path().join("traces");
    let order = bench.order("echo run >> \"$1\"; sleep 0.05", &[traces.to_str().unwrap()]);
    // Prepares the folder as a launch does, without starting anything.
    let mut config = bench.world.config.clone();
    config.supervisor.program = "/bin/true".into();
    let preparing = LocalBackend::new(config).unwrap();
    assert!(matches!(preparing.launch(order.clone()).await, Err(BackendError::Unavailable { .. })));
    let dir = bench.world.attempt_dir(&order.attempt);
    let program = &bench.world.config.supervisor.program;
    let start = |_| Command::new(program).arg(&dir).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let supervisors: Vec<_> = (0..8).map(start).collect();
    let said: Vec<String> = supervisors
        .into_iter()
        .map(|supervisor| String::from_utf8(supervisor.wait_with_output().unwrap().stdout).unwrap())
        .collect();
    assert_eq!(said.iter().filter(|said| *said == "started\n").count(), 1, "{said:?}");
    assert_eq!(said.iter().filter(|said| *said == "taken\n").count(), 7, "{said:?}");
    assert_eq!(fs::read_to_string(&traces).unwrap(), "run\n");
    assert!(matches!(bench.end(&order.attempt).await, Observation::Exited(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_short_drivers_at_once_all_end_with_their_own_code() {
    let mut bench = Bench::new();
    let program = bench.spark.program("program.sh", "echo run >> \"$1\"; exit \"$2\"").unwrap();
    let traces = bench.world.data.path().join("traces");
    let mut expected = BTreeMap::new();
    for code in 0..60 {
        let order = order(&bench.backend, spec(&program, &[traces.to_str().unwrap(), &code.to_string()]));
        expected.insert(order.attempt.id, Exit::Code(code));
        bench.launch(&order).await;
    }
    let mut ended = BTreeMap::new();
    // An end that launching saw already isn't pushed again.
    while ended.len() < expected.len() {
        let pushed = tokio::time::timeout(Duration::from_millis(20), bench.changes.recv()).await;
        match pushed {
            Ok(change) => ended.extend(change.map(|(attempt, seen)| (attempt, exit_of(&seen)))),
            Err(_) => {
                for owned in bench.backend.list_owned().await.unwrap().iter().filter(|owned| !owned.running) {
                    let application = owned.application.unwrap();
                    let binding = bench.backend.binding();
                    let attempt = AttemptRef { id: owned.attempt, application, binding };
                    ended.insert(attempt.id, exit_of(&bench.observe(&attempt).await));
                }
            }
        }
    }
    assert_eq!(ended, expected);
    assert_eq!(fs::read_to_string(&traces).unwrap().lines().count(), 60);
}

fn exit_of(seen: &Observation) -> Exit {
    match seen {
        Observation::Exited(ended) => ended.exit,
        other => panic!("it ended as {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn launch_and_stop_at_once_agree() {
    let mut bench = Bench::new();
    for round in 0..20 {
        let traces = bench.world.data.path().join(format!("traces-{round}"));
        let order = bench.order("echo run >> \"$1\"; exec sleep 600", &[traces.to_str().unwrap()]);
        let stop = bench.backend.stop(&order.attempt, Duration::ZERO);
        let (launched, stopped) = tokio::join!(bench.backend.launch(order.clone()), stop);
        launched.unwrap();
        match bench.end(&order.attempt).await {
            Observation::NeverRan => {
                assert_eq!(stopped.unwrap(), Observation::NeverRan);
                assert!(!traces.exists());
            }
            Observation::Exited(ended) => assert!(ended.stopped),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn another_boot_means_that_it_may_have_run() {
    let bench = Bench::new();
    let mut order = bench.order("true", &[]);
    order.attempt.binding = "another boot".to_owned();
    let lost = Observation::Lost { reason: ReasonCode::HostRebooted, evidence: None };
    assert_eq!(bench.launch(&order).await, lost);
    assert_eq!(bench.observe(&order.attempt).await, lost);
    assert_eq!(bench.backend.stop(&order.attempt, Duration::ZERO).await.unwrap(), lost);
    assert!(!bench.world.attempt_dir(&order.attempt).exists(), "nothing was started");
}

#[tokio::test]
async fn an_end_that_was_recorded_before_a_reboot_is_known() {
    let mut bench = Bench::new();
    let order = bench.order("exit 4", &[]);
    bench.launch(&order).await;
    let ended = bench.end(&order.attempt).await;
    let before = AttemptRef { binding: "another boot".to_owned(), ..order.attempt };
    assert_eq!(bench.observe(&before).await, ended);
}

#[tokio::test]
async fn a_program_that_cannot_be_started_says_so() {
    let mut bench = Bench::new();
    let order = bench.order("true", &[]);
    fs::remove_file(bench.spark.home().join("bin/spark-submit")).unwrap();
    bench.launch(&order).await;
    let Observation::Exited(ended) = bench.end(&order.attempt).await else { panic!("it ended") };
    assert_eq!(ended.exit, Exit::Code(127));
    let evidence = ended.evidence.unwrap();
    assert!(evidence.contains("spark-submit: No such file or directory"), "{evidence}");
}

#[tokio::test]
async fn a_torn_record_of_the_end_counts_as_none() {
    let mut bench = Bench::new();
    let order = bench.order("exit 4", &[]);
    bench.launch(&order).await;
    bench.end(&order.attempt).await;
    fs::write(bench.world.attempt_dir(&order.attempt).join("exit.json"), r#"{"exit":{"co"#).unwrap();
    let seen = bench.observe(&order.attempt).await;
    assert!(matches!(seen, Observation::Lost { reason: ReasonCode::SupervisorLost, .. }), "{seen:?}");
}

#[tokio::test]
async fn a_driver_cannot_end_by_forging_the_record() {
    let mut bench = Bench::new();
    let forged = r#"{"exit":{"code":0},"started_at":0,"ended_at":0,"stopped":false,"evidence":null}"#;
    let script = format!("echo '{forged}' > ../exit.json; touch \"$1\"; exec sleep 600");
    let attempt = bench.launch_until_ready(&script).await;
    assert!(matches!(bench.observe(&attempt).await, Observation::Running { .. }));
    bench.backend.stop(&attempt, Duration::from_secs(60)).await.unwrap();
    assert_eq!(exit_of(&bench.end(&attempt).await), Exit::Signal(15));
}

#[tokio::test]
async fn a_driver_that_tampers_with_its_folder_reaches_nothing_outside() {
    let mut bench = Bench::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("keep"), "x").unwrap();
    fs::write(outside.path().join("exit.json"), "{}").unwrap();
    let script =
        "cd ..; rm -rf work; ln -s \"$1\" work; ln -s \"$1\" log/link; ln -sf \"$1/exit.json\" exit.json; exit 0";
    let order = bench.order(script, &[outside.path().to_str().unwrap()]);
    bench.launch(&order).await;
    let end = bench.end(&order.attempt).await;
    assert!(matches!(end, Observation::Exited(_)), "its link was replaced by the record: {end:?}");
    bench.backend.discard(&order.attempt).await.unwrap();
    assert!(!bench.world.attempt_dir(&order.attempt).is_dir());
    assert_eq!(fs::read_to_string(outside.path().join("keep")).unwrap(), "x");
    assert_eq!(fs::read_to_string(outside.path().join("exit.json")).unwrap(), "{}");
}

#[tokio::test]
async fn what_still_runs_is_not_discarded() {
    let mut bench = Bench::new();
    let attempt = bench.launch_until_ready("touch \"$1\"; exec sleep 600").await;
    assert!(matches!(bench.backend.discard(&attempt).await, Err(BackendError::Unavailable { .. })));
    bench.backend.stop(&attempt, Duration::ZERO).await.unwrap();
    bench.end(&attempt).await;
    bench.backend.discard(&attempt).await.unwrap();
}

#[tokio::test]
async fn the_working_folder_goes_when_the_driver_succeeded() {
    let mut bench = Bench::new();
    for (script, kept) in [("touch leftover; exit 0", false), ("touch leftover; exit 1", true)] {
        let order = bench.order(script, &[]);
        bench.launch(&order).await;
        bench.end(&order.attempt).await;
        assert_eq!(bench.world.attempt_dir(&order.attempt).join("work/leftover").exists(), kept, "{script}");
    }
}

#[tokio::test]
async fn no_supervisor_stays_a_zombie() {
    let mut bench = Bench::new();
    let order = bench.order("exit 0", &[]);
    bench.launch(&order).await;
    let supervisor = bench.pid(&order.attempt, "supervisor");
    bench.end(&order.attempt).await;
    wait_until("the supervisor was reaped", || async { !Path::new(&format!("/proc/{supervisor}")).exists() }).await;
}

#[tokio::test]
async fn secrets_stand_in_no_list_of_processes_and_in_no_readable_file() {
    let bench = Bench::new();
    let ready = bench.world.data.path().join("ready");
    let program = bench.spark.program("program.sh", "touch \"$1\"; exec sleep 600").unwrap();
    let mut spec = spec(&program, &[ready.to_str().unwrap()]);
    spec.conf.set("spark.hadoop.fs.s3a.secret.key", "hush-hush").unwrap();
    let order = order(&bench.backend, spec);
    bench.launch(&order).await;
    wait_until("the script is ready", || async { ready.exists() }).await;
    for pid in processes_of(&order.attempt).into_iter().chain([bench.pid(&order.attempt, "supervisor")]) {
        for file in ["cmdline", "environ"] {
            // What ended meanwhile shows nothing any more.
            let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&text).contains("hush-hush"), "{file} of {pid}");
        }
    }
    for file in ["spark.properties", "order.json", "identity.json"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(bench.world.attempt_dir(&order.attempt).join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let properties = fs::read_to_string(bench.world.attempt_dir(&order.attempt).join("spark.properties")).unwrap();
    assert!(properties.contains("hush-hush"), "Spark itself gets it");
    bench.backend.stop(&order.attempt, Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_driver_gets_the_allowed_environment_only() {
    let mut bench = Bench::with(|world| world.config.environment_added = vec!["CARGO_PKG_NAME".to_owned()]);
    let output = bench.world.data.path().join("environment");
    let order = bench.order("env > \"$1\"; umask >> \"$1\"", &[output.to_str().unwrap()]);
    bench.launch(&order).await;
    bench.end(&order.attempt).await;
    let text = fs::read_to_string(&output).unwrap();
    assert!(text.contains("CARGO_PKG_NAME=backends\n") && text.contains("SPARK_LOCAL_IP=127.0.0.1\n"), "{text}");
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() && !text.contains("CARGO_MANIFEST_DIR"), "{text}");
}
