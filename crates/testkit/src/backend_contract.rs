//! What every [`Backend`] must do, as laws that each of them is held to.
//!
//! Start with [`check_backend`]. A backend's tests implement [`BackendUnderTest`] and call it.

#![allow(clippy::panic, reason = "a broken law fails the test that asked")]

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use engine::backend::{AttemptRef, Backend, Ended, LaunchOrder, Observation};
use model::id::{ApplicationId, ApplicationKind, AttemptId};
use model::principal::Owner;
use model::spec::ApplicationSpec;
use model::state::Exit;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Longer than anything here takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(180);
const GRACE: Duration = Duration::from_secs(30);

/// A program that a law needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// Appends a line to the file, then ends with the exit code.
    Run {
        /// Where each run leaves a line.
        traces: PathBuf,
        /// How it ends.
        exit_code: i32,
    },
    /// Kills the driver's own process with SIGKILL.
    KillDriver,
    /// Appends a line to the file, then waits until it is stopped.
    Wait {
        /// Where each run leaves a line.
        traces: PathBuf,
    },
}

/// A backend and its outside world.
pub trait BackendUnderTest {
    /// A backend over that world. Called again after the one before was dropped, it is the gateway restarted.
    fn start(&self) -> Arc<dyn Backend>;

    /// A specification that does the job.
    fn spec(&self, job: &Job) -> ApplicationSpec;

    /// Whether a driver that a signal killed can be told from one that returned 128 and the signal's number;
    /// behind a container runtime it can't.
    fn tells_signals_from_codes(&self) -> bool {
        true
    }

    /// What still runs of an attempt that ended, as far as this world can see it, for people.
    fn left_of(&self, attempt: &AttemptRef) -> Vec<String>;
}

/// Holds a backend to every law.
///
/// # Panics
/// When one is broken; the message tells which.
pub async fn check_backend(under_test: &dyn BackendUnderTest) {
    let traces = tempfile::tempdir().expect("a folder for traces");
    let world = World { under_test, traces: traces.path() };
    what_never_was_is_absent(&Gateway::start(&world)).await;
    the_exit_is_the_drivers_own(&mut Gateway::start(&world)).await;
    launching_again_runs_nothing_again(&world).await;
    what_is_stopped_before_it_starts_never_runs(&Gateway::start(&world)).await;
    a_stop_ends_what_runs(&mut Gateway::start(&world)).await;
    a_restarted_gateway_goes_on_watching(&world).await;
    what_ends_while_nobody_watches_is_known(&world).await;
    what_is_owned_is_listed_until_it_is_discarded(&mut Gateway::start(&world)).await;
    what_was_discarded_never_starts(&world).await;
    an_end_is_pushed_once(&mut Gateway::start(&world)).await;
    a_launch_and_a_stop_at_once_agree(&mut Gateway::start(&world)).await;
}

/// What outlives a gateway.
struct World<'a> {
    under_test: &'a dyn BackendUnderTest,
    traces: &'a Path,
}

async fn what_never_was_is_absent(gateway: &Gateway<'_>) {
    let attempt = gateway.attempt();
    assert_eq!(gateway.observe(&attempt).await, Observation::Absent, "an attempt that was never launched");
    gateway.backend.discard(&attempt).await.expect("discarding what never was succeeds");
}

async fn the_exit_is_the_drivers_own(gateway: &mut Gateway<'_>) {
    for exit_code in [0, 3, 137] {
        let ended = gateway.run_to_end(&Job::Run { traces: gateway.traces(), exit_code }).await;
        gateway.assert_exit(&ended, Exit::Code(exit_code));
        assert!(ended.started_at <= ended.at, "it ends after it started");
    }
    let ended = gateway.run_to_end(&Job::KillDriver).await;
    gateway.assert_exit(&ended, Exit::Signal(9));
}

async fn launching_again_runs_nothing_again(world: &World<'_>) {
    let mut gateway = Gateway::start(world);
    let traces = gateway.traces();
    let order = gateway.order(&Job::Run { traces: traces.clone(), exit_code: 0 });
    let backend = &gateway.backend;
    let (first, second) = tokio::join!(backend.launch(order.clone()), backend.launch(order.clone()));
    first.expect("launch");
    second.expect("launch at the same time");
    let ended = gateway.end_of(&order.attempt).await;
    let launched = gateway.backend.launch(order.clone()).await;
    assert_eq!(launched.expect("launch after the end"), Observation::Exited(ended.clone()));
    drop(gateway);
    let gateway = Gateway::start(world);
    let launched = gateway.backend.launch(order).await;
    assert_eq!(launched.expect("launch after a restart"), Observation::Exited(ended));
    assert_eq!(runs(&traces), 1, "the driver ran once");
}

async fn what_is_stopped_before_it_starts_never_runs(gateway: &Gateway<'_>) {
    let traces = gateway.traces();
    let order = gateway.order(&Job::Run { traces: traces.clone(), exit_code: 0 });
    for _ in 0..2 {
        assert_eq!(gateway.stop(&order.attempt).await, Observation::NeverRan);
        let launched = gateway.backend.launch(order.clone()).await;
        assert_eq!(launched.expect("launch what was stopped"), Observation::NeverRan);
        assert_eq!(gateway.observe(&order.attempt).await, Observation::NeverRan);
    }
    assert_eq!(runs(&traces), 0, "the driver never ran");
}

async fn a_stop_ends_what_runs(gateway: &mut Gateway<'_>) {
    let order = gateway.launch_waiting().await;
    for _ in 0..2 {
        let told = gateway.stop(&order.attempt).await;
        assert!(
            matches!(told, Observation::Running { .. } | Observation::Exited(_)),
            "a stop is told at once: {told:?}"
        );
    }
    let ended = gateway.end_of(&order.attempt).await;
    assert!(ended.stopped && !ended.exit.is_success(), "it was told to end: {ended:?}");
    gateway.assert_nothing_is_left(&order.attempt);
    assert_eq!(gateway.stop(&order.attempt).await, Observation::Exited(ended), "stopping what ended tells the end");
}

async fn a_restarted_gateway_goes_on_watching(world: &World<'_>) {
    let gateway = Gateway::start(world);
    let order = gateway.launch_waiting().await;
    drop(gateway);
    let mut gateway = Gateway::start(world);
    let seen = gateway.observe(&order.attempt).await;
    assert!(matches!(seen, Observation::Running { .. }), "it survived the gateway: {seen:?}");
    gateway.stop(&order.attempt).await;
    assert!(gateway.end_of(&order.attempt).await.stopped);
    gateway.assert_nothing_is_left(&order.attempt);
}

async fn what_ends_while_nobody_watches_is_known(world: &World<'_>) {
    let gateway = Gateway::start(world);
    let traces = gateway.traces();
    let order = gateway.order(&Job::Run { traces: traces.clone(), exit_code: 3 });
    gateway.backend.launch(order.clone()).await.expect("launch");
    drop(gateway);
    wait_until("the driver ran", || async { runs(&traces) == 1 }).await;
    let gateway = Gateway::start(world);
    wait_until("its end is seen", || async {
        match gateway.observe(&order.attempt).await {
            Observation::Exited(ended) => {
                assert_eq!(ended.exit, Exit::Code(3));
                true
            }
            Observation::Running { .. } => false,
            other => panic!("an attempt that ran is {other:?}"),
        }
    })
    .await;
}

async fn what_is_owned_is_listed_until_it_is_discarded(gateway: &mut Gateway<'_>) {
    let order = gateway.launch_waiting().await;
    let owned = gateway.owned(&order.attempt).await.expect("a running attempt is listed");
    assert_eq!((owned.running, owned.application), (true, Some(order.attempt.application)));
    gateway.backend.discard(&order.attempt).await.expect_err("what runs isn't discarded");
    gateway.stop(&order.attempt).await;
    gateway.end_of(&order.attempt).await;
    let owned = gateway.owned(&order.attempt).await.expect("an ended attempt is listed");
    assert!(!owned.running);
    for _ in 0..2 {
        gateway.backend.discard(&order.attempt).await.expect("discard, and discard again");
    }
    assert_eq!(gateway.owned(&order.attempt).await, None);
    let seen = gateway.observe(&order.attempt).await;
    assert!(matches!(seen, Observation::Absent | Observation::NeverRan), "nothing of it is left: {seen:?}");
}

async fn what_was_discarded_never_starts(world: &World<'_>) {
    let gateway = Gateway::start(world);
    let traces = gateway.traces();
    let job = Job::Run { traces: traces.clone(), exit_code: 0 };
    let [never_launched, fenced] = [gateway.order(&job), gateway.order(&job)];
    gateway.stop(&fenced.attempt).await;
    for order in [&never_launched, &fenced] {
        gateway.backend.discard(&order.attempt).await.expect("discard what didn't run");
    }
    drop(gateway);
    let gateway = Gateway::start(world);
    for order in [never_launched, fenced] {
        let launched = gateway.backend.launch(order.clone()).await;
        assert_eq!(launched.expect("launch what was discarded"), Observation::NeverRan);
        assert_eq!(gateway.stop(&order.attempt).await, Observation::NeverRan);
        assert_eq!(gateway.owned(&order.attempt).await, None, "a tombstone is nothing that is owned");
    }
    assert_eq!(runs(&traces), 0, "the driver never ran");
}

async fn an_end_is_pushed_once(gateway: &mut Gateway<'_>) {
    let order = gateway.launch_waiting().await;
    gateway.stop(&order.attempt).await;
    let ended = loop {
        let pushed = tokio::time::timeout(PATIENCE, gateway.changes.recv()).await;
        let (id, change) = pushed.expect("the end is pushed without being asked for").expect("the backend lives");
        assert_eq!(id, order.attempt.id);
        match change {
            Observation::Pending { .. } | Observation::Running { .. } => {}
            Observation::Exited(ended) => break ended,
            other => panic!("the driver ended as {other:?}"),
        }
    };
    assert!(ended.stopped);
    gateway.stop(&order.attempt).await;
    // Whatever would be pushed again would be pushed before the end of another one.
    gateway.run_to_end(&Job::Run { traces: gateway.traces(), exit_code: 0 }).await;
    while let Ok((id, change)) = gateway.changes.try_recv() {
        assert_ne!(id, order.attempt.id, "pushed again: {change:?}");
    }
}

async fn a_launch_and_a_stop_at_once_agree(gateway: &mut Gateway<'_>) {
    for _ in 0..3 {
        let traces = gateway.traces();
        let order = gateway.order(&Job::Wait { traces: traces.clone() });
        let backend = &gateway.backend;
        let (launched, stopped) = tokio::join!(backend.launch(order.clone()), backend.stop(&order.attempt, GRACE));
        launched.expect("launch");
        let stopped = stopped.expect("stop at the same time");
        match gateway.outcome_of(&order.attempt).await {
            Observation::NeverRan => assert_eq!(runs(&traces), 0, "the driver never ran"),
            Observation::Exited(ended) => {
                assert_ne!(stopped, Observation::NeverRan, "what never runs doesn't end");
                assert!(ended.stopped, "it ran and was told to end");
            }
            other => panic!("it ran or it didn't: {other:?}"),
        }
    }
}

/// One life of the gateway.
struct Gateway<'a> {
    world: &'a World<'a>,
    backend: Arc<dyn Backend>,
    changes: mpsc::Receiver<(AttemptId, Observation)>,
}

impl<'a> Gateway<'a> {
    fn start(world: &'a World<'a>) -> Self {
        let backend = world.under_test.start();
        let changes = backend.take_changes().expect("changes can be taken");
        assert!(backend.take_changes().is_none(), "changes are taken once");
        Self { world, backend, changes }
    }

    fn attempt(&self) -> AttemptRef {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let application = ApplicationId::new(ApplicationKind::Batch, number).expect("few applications");
        AttemptRef { id: AttemptId::new(Uuid::now_v7()), application, binding: self.backend.binding() }
    }

    /// A file that doesn't exist yet.
    fn traces(&self) -> PathBuf {
        self.world.traces.join(Uuid::now_v7().to_string())
    }

    fn order(&self, job: &Job) -> LaunchOrder {
        let owner = Owner { user: "tester".parse().expect("a name"), tenant: "default".parse().expect("a name") };
        let spec = self.world.under_test.spec(job);
        assert_eq!(self.backend.check(&spec), [], "the specification can run");
        LaunchOrder { attempt: self.attempt(), spec: Arc::new(spec), owner, number: 1 }
    }

    async fn observe(&self, attempt: &AttemptRef) -> Observation {
        self.backend.observe(attempt).await.expect("observe")
    }

    async fn stop(&self, attempt: &AttemptRef) -> Observation {
        self.backend.stop(attempt, GRACE).await.expect("stop")
    }

    /// It ended so, and by itself.
    fn assert_exit(&self, ended: &Ended, expected: Exit) {
        assert!(!ended.stopped, "nobody stopped it: {ended:?}");
        if self.world.under_test.tells_signals_from_codes() {
            assert_eq!(ended.exit, expected);
        } else {
            assert_eq!(ended.exit.code(), expected.code());
        }
    }

    fn assert_nothing_is_left(&self, attempt: &AttemptRef) {
        assert_eq!(self.world.under_test.left_of(attempt), Vec::<String>::new(), "runs on after the end was told");
    }

    async fn owned(&self, attempt: &AttemptRef) -> Option<engine::backend::Owned> {
        let owned = self.backend.list_owned().await.expect("list what is owned");
        owned.into_iter().find(|owned| owned.attempt == attempt.id)
    }

    /// Launches a driver and returns when its program runs.
    async fn launch_waiting(&self) -> LaunchOrder {
        let traces = self.traces();
        let order = self.order(&Job::Wait { traces: traces.clone() });
        let launched = self.backend.launch(order.clone()).await.expect("launch");
        assert!(matches!(launched, Observation::Running { .. } | Observation::Pending { .. }), "{launched:?}");
        wait_until("the program runs", || async { runs(&traces) == 1 }).await;
        order
    }

    async fn run_to_end(&mut self, job: &Job) -> Ended {
        let order = self.order(job);
        self.backend.launch(order.clone()).await.expect("launch");
        self.end_of(&order.attempt).await
    }

    /// How it ended, or that it never ran; one that is decided later is pushed.
    async fn outcome_of(&mut self, attempt: &AttemptRef) -> Observation {
        loop {
            let seen = self.observe(attempt).await;
            if !matches!(seen, Observation::Absent | Observation::Pending { .. } | Observation::Running { .. }) {
                return seen;
            }
            while let Some((id, _)) =
                tokio::time::timeout(PATIENCE, self.changes.recv()).await.expect("the outcome is pushed")
            {
                if id == attempt.id {
                    break;
                }
            }
        }
    }

    /// The end as it is pushed, unless it was there already; then observing must tell the same.
    async fn end_of(&mut self, attempt: &AttemptRef) -> Ended {
        let mut seen = self.observe(attempt).await;
        while !matches!(seen, Observation::Exited(_)) {
            let change = tokio::time::timeout(PATIENCE, self.changes.recv()).await;
            let (id, change) = change.expect("the end is pushed").expect("the backend lives");
            if id == attempt.id {
                assert!(!matches!(change, Observation::Absent | Observation::NeverRan), "pushed: {change:?}");
                seen = change;
            }
        }
        assert_eq!(self.observe(attempt).await, seen, "what is pushed can be observed");
        match seen {
            Observation::Exited(ended) => ended,
            other => panic!("the driver ended as {other:?}"),
        }
    }
}

/// How often a program ran.
fn runs(traces: &Path) -> usize {
    fs::read_to_string(traces).map_or(0, |text| text.lines().count())
}

/// Waits until a condition holds.
///
/// # Panics
/// When it doesn't come to hold.
pub async fn wait_until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
