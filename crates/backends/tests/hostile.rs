//! Drivers that turn against the folder of their attempt, or against their supervisor.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use backends::local::LocalBackend;
use engine::backend::{AttemptRef, Backend as _, BackendError, Observation};
use model::state::{Exit, ReasonCode};
use support::{World, order, processes_of, spec};
use testkit::backend_contract::wait_until;
use testkit::fake_spark::FakeSpark;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a driver did while it ran, and who watches it.
struct Attack {
    _spark: FakeSpark,
    world: World,
    backend: LocalBackend,
    attempt: AttemptRef,
}

impl Attack {
    /// Runs a script, which gets the number of our process, until it says that it is done.
    async fn launch(script: &str) -> Self {
        let spark = FakeSpark::new().unwrap();
        let world = World::new(&spark.home());
        let ready = world.data.path().join("ready");
        let program = spark.program("program.sh", &format!("{script}\ntouch \"$1\"\nsleep 600")).unwrap();
        let backend = world.backend();
        let own = std::process::id().to_string();
        let order = order(&backend, spec(&program, &[ready.to_str().unwrap(), &own]));
        backend.launch(order.clone()).await.unwrap();
        wait_until("the driver did it", || async { ready.exists() }).await;
        Self { _spark: spark, world, backend, attempt: order.attempt }
    }

    async fn observe(&self) -> Observation {
        self.backend.observe(&self.attempt).await.unwrap()
    }

    /// The end as it is pushed, unless it is there already.
    async fn end(&self) -> Observation {
        let mut changes = self.backend.take_changes().unwrap();
        match self.observe().await {
            Observation::Running { .. } => tokio::time::timeout(PATIENCE, changes.recv()).await.unwrap().unwrap().1,
            ended => ended,
        }
    }
}

/// Whatever the driver does to the folder, it runs until it is stopped, and its end is known.
async fn check_harmless(script: &str) {
    let attack = Attack::launch(script).await;
    let seen = attack.observe().await;
    assert!(matches!(seen, Observation::Running { .. }), "{script}: {seen:?}");
    assert!(matches!(attack.backend.discard(&attack.attempt).await, Err(BackendError::Unavailable { .. })), "{script}");
    let owned = attack.backend.list_owned().await.unwrap();
    assert!(owned.iter().all(|owned| owned.running), "{script}: {owned:?}");
    attack.backend.stop(&attack.attempt, Duration::from_secs(5)).await.unwrap();
    let end = attack.end().await;
    let Observation::Exited(ended) = &end else { panic!("{script}: {end:?}") };
    assert_eq!((ended.exit, ended.stopped), (Exit::Signal(15), true), "{script}");
    assert_eq!(processes_of(&attack.attempt), BTreeSet::new(), "{script}");
    assert_eq!(attack.observe().await, end, "{script}");
    attack.backend.discard(&attack.attempt).await.unwrap();
    assert_eq!(attack.observe().await, Observation::NeverRan, "{script}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_driver_that_tampers_with_the_records_gains_nothing() {
    for script in [
        "rm ../identity.json",
        "echo garbage > ../identity.json",
        "mkdir -p x/y && rm ../identity.json && mv x ../identity.json",
        "mkdir -p ../exit.json/x ../stop.json/x ../lost.json/x ../fenced.json/x",
        "mkfifo ../exit.json ../stop.json ../lost.json ../fenced.json ../log/dropped.new",
        "for n in 0 1 2 3 4 5 6 7 8 9; do mkfifo ../.exit.json.$PPID.$n ../.stop.json.$2.$n; done 2> errors",
        "rm ../order.json && ln -s /dev/zero ../order.json",
        "chmod 000 ../log; chmod 000 ..",
        "boot=$(sed 's/.*\"boot\":\"\\([^\"]*\\)\".*/\\1/' ../identity.json)
         start=$(sed 's/.*) //' \"/proc/$2/stat\" | cut -d' ' -f20)
         echo \"{\\\"boot\\\":\\\"$boot\\\",\\\"supervisor\\\":{\\\"pid\\\":$2,\\\"start_time\\\":$start},\
         \\\"driver\\\":null,\\\"started_at\\\":0}\" > ../identity.json",
    ] {
        check_harmless(script).await;
    }
}

#[tokio::test]
async fn an_attempt_whose_folder_was_removed_is_lost_and_never_starts_again() {
    let attack = Attack::launch("rm -rf ../../\"$(basename \"$(dirname \"$PWD\")\")\"").await;
    assert!(matches!(attack.observe().await, Observation::Running { .. }));
    attack.backend.stop(&attack.attempt, Duration::ZERO).await.unwrap();
    let end = attack.end().await;
    assert!(matches!(end, Observation::Lost { reason: ReasonCode::SupervisorLost, .. }), "{end:?}");
    assert_eq!(attack.observe().await, end);
}

#[tokio::test]
async fn what_runs_without_identity_is_ended_by_the_next_gateway() {
    // The supervisor writes the identity a second time, with the driver in it; only then it stays away.
    let wait = r#"until grep -q '"driver":{' ../identity.json; do sleep 0.01; done"#;
    let attack = Attack::launch(&format!("{wait}; rm ../identity.json; setsid sleep 600 &")).await;
    let next = attack.world.backend();
    let seen = next.observe(&attack.attempt).await.unwrap();
    assert!(matches!(seen, Observation::Lost { reason: ReasonCode::SupervisorLost, .. }), "{seen:?}");
    assert_eq!(processes_of(&attack.attempt), BTreeSet::new());
}

#[tokio::test]
async fn a_forged_record_counts_only_when_nothing_is_left() {
    let forged = r#"{"exit":{"code":0},"started_at":0,"ended_at":0,"stopped":false,"evidence":null}"#;
    let script = format!(
        "echo '{forged}' > ../exit.json; supervisor=$PPID; touch \"$1\"; sleep 0.1
        setsid setsid sh -c \"trap '' TERM; kill -KILL $supervisor; sleep 600; sleep 600\" &"
    );
    let attack = Attack::launch(&script).await;
    let end = attack.end().await;
    assert!(matches!(end, Observation::Exited(_)), "{end:?}");
    assert_eq!(processes_of(&attack.attempt), BTreeSet::new(), "nothing is left when the end is told");
}

#[tokio::test]
async fn an_escapee_without_environment_dies_with_the_driver() {
    let argument = format!("600.{}", std::process::id());
    let script = format!(
        "env -i setsid setsid sleep {argument} & (env -i setsid sleep {argument} &)
        until [ \"$(grep -l '{argument}' /proc/[0-9]*/cmdline 2> errors | wc -l)\" -ge 2 ]; do sleep 0.01; done"
    );
    let attack = Attack::launch(&script).await;
    assert!(with_argument(&argument) >= 2);
    attack.backend.stop(&attack.attempt, Duration::ZERO).await.unwrap();
    attack.end().await;
    assert_eq!(with_argument(&argument), 0);
}

/// How many processes were started with the argument.
fn with_argument(argument: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let command_lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    command_lines.filter(|line| line.split(|&b| b == 0).any(|one| one == argument.as_bytes())).count()
}

#[tokio::test]
async fn a_driver_that_forks_without_end_is_killed() {
    let attack = Attack::launch("sh -c 'while :; do (sleep 0.01; sleep 600) & sleep 0.001; done' &").await;
    attack.backend.stop(&attack.attempt, Duration::ZERO).await.unwrap();
    assert!(matches!(attack.end().await, Observation::Exited(_)));
    assert_eq!(processes_of(&attack.attempt), BTreeSet::new());
}

#[tokio::test]
async fn a_gateway_that_is_no_parent_watches_and_stops_as_well() {
    let spark = FakeSpark::new().unwrap();
    let mut world = World::new(&spark.home());
    let supervisor = std::mem::replace(&mut world.config.supervisor.program, "/bin/true".into());
    let backend = world.backend();
    let order = order(&backend, spec(&spark.program("program.sh", "sleep 600").unwrap(), &[]));
    // Prepares the folder as a launch does, without starting anything.
    assert!(backend.launch(order.clone()).await.is_err());
    let dir = world.attempt_dir(&order.attempt);
    let mut orphaning = Command::new("sh");
    orphaning.args(["-c", "\"$0\" \"$1\" > /dev/null &"]).arg(supervisor).arg(&dir);
    orphaning.env("LAMPLIGHTER_ATTEMPT", order.attempt.id.to_string());
    assert!(orphaning.status().unwrap().success());
    wait_until("the driver runs", || async {
        matches!(backend.observe(&order.attempt).await, Ok(Observation::Running { .. }))
    })
    .await;
    let mut changes = backend.take_changes().unwrap();
    backend.stop(&order.attempt, Duration::from_secs(5)).await.unwrap();
    let (_, end) = tokio::time::timeout(PATIENCE, changes.recv()).await.unwrap().unwrap();
    assert!(matches!(&end, Observation::Exited(ended) if ended.stopped), "{end:?}");
    assert_eq!(processes_of(&order.attempt), BTreeSet::new());
}

#[tokio::test]
async fn only_the_owner_can_read_what_the_supervisor_writes() {
    let attack = Attack::launch("echo printed; touch ../../../made").await;
    let dir = attack.world.attempt_dir(&attack.attempt);
    let mode = |path: &str| fs::metadata(dir.join(path)).unwrap().permissions().mode() & 0o777;
    for file in ["supervisor.log", "identity.json", "lock", "log/00000001.log"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    let probe = attack.world.data.path().join("probe");
    fs::write(&probe, "").unwrap();
    let probe = fs::metadata(probe).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("../../made"), probe, "drivers make files as the gateway would");
    attack.backend.stop(&attack.attempt, Duration::ZERO).await.unwrap();
    attack.end().await;
}
