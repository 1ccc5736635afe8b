//! Drives one reconciler: hands it inputs and the time, and performs what it wants done.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use model::application::Application;
use model::event::EventKind;
use model::id::{ApplicationId, AttemptId, BackendName, HolderId};
use model::time::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use uuid::{NoContext, Uuid};

use super::{BackendOptions, BackendStatus, now};
use crate::backend::{DynBackend, Observation, Owned};
use crate::events::{EventHub, Subscription};
use crate::perform::perform;
use crate::reconciler::{Action, Effect, Input, Outcome, Reconciler, Settings, Token};
use crate::step::Policy;
use crate::store::{DynStore, Fence};

/// Inputs that may wait; whoever sends more waits too.
const INBOX: usize = 1_024;

/// Own changes that are remembered.
const OWN_MAX: usize = 1_024;
/// How long after a change its event counts as the gateway's own.
const OWN_FOR: Duration = Duration::from_secs(1);

/// Applications that clients of this gateway changed, and when.
type OwnChanges = Arc<Mutex<VecDeque<(ApplicationId, Instant)>>>;

/// How long an effect is waited for; the reconciler gives it up a little earlier.
const GIVEN_UP: Duration = Duration::from_secs(35);

/// One backend with the engine that drives it.
pub(super) struct Lane {
    handle: LaneHandle,
    queue_max: Option<u64>,
    places: usize,
    driver: tokio::task::AbortHandle,
    broken: watch::Receiver<bool>,
}

/// What others need of a lane.
#[derive(Clone)]
pub(super) struct LaneHandle {
    pub(super) backend: DynBackend,
    pub(super) figures: Arc<Figures>,
    inbox: mpsc::Sender<Input>,
    /// Applications that clients of this gateway changed a moment ago, whose events tell nothing new.
    own: OwnChanges,
}

/// What a lane says of itself.
#[derive(Default)]
pub(super) struct Figures {
    ready: AtomicBool,
    active: AtomicUsize,
    fence: Mutex<Option<Fence>>,
    pub(super) leftovers: Mutex<Vec<Owned>>,
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl LaneHandle {
    pub(super) async fn send(&self, input: Input) {
        // A closed inbox means that the process is ending; what is stored will be found at the next start.
        let _ = self.inbox.send(input).await;
    }

    /// Tells of a change that this gateway made.
    pub(super) async fn send_own(&self, application: &Application) {
        {
            let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            if own.len() >= OWN_MAX {
                own.pop_front();
            }
            own.push_back((application.id, Instant::now()));
        }
        self.send(Input::Changed(Box::new(application.clone()))).await;
    }

    pub(super) fn is_ready(&self) -> bool {
        self.figures.ready.load(Ordering::Relaxed)
    }
}

impl Lane {
    pub(super) fn start(
        store: &DynStore,
        holder: &HolderId,
        policy: Policy,
        options: BackendOptions,
        follow: Option<Arc<EventHub>>,
    ) -> Self {
        let BackendOptions { backend, places, queue_max } = options;
        let mut settings = Settings::new(backend.shard().clone(), holder.clone(), backend.binding(), places);
        settings.policy = policy;
        let (inbox, inputs) = mpsc::channel(INBOX);
        let figures = Arc::new(Figures::default());
        let own = Arc::default();
        let handle = LaneHandle { backend: Arc::clone(&backend), figures: Arc::clone(&figures), inbox, own };
        let hints = follow.map(|hub| Hints { events: hub.subscribe(None), own: Arc::clone(&handle.own) });
        let driver = Driver {
            reconciler: Reconciler::new(settings, Box::new(new_attempt_id)),
            store: Arc::clone(store),
            backend,
            figures,
            under_way: JoinSet::new(),
        };
        let running = tokio::spawn(driver.run(inputs, hints));
        let driver = running.abort_handle();
        let (broke, broken) = watch::channel(false);
        tokio::spawn(watch_driver(running, Arc::clone(&handle.figures), broke));
        Self { handle, queue_max, places, driver, broken }
    }

    /// Stops acting; the fence of the lease that it held.
    pub(super) fn stop(&self) -> Option<Fence> {
        self.driver.abort();
        self.handle.figures.ready.store(false, Ordering::Relaxed);
        self.handle.figures.fence.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Returns when the driver ended by a fault.
    pub(super) async fn broken(&self) {
        let mut broken = self.broken.clone();
        if broken.wait_for(|broken| *broken).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn handle(&self) -> LaneHandle {
        self.handle.clone()
    }

    pub(super) fn name(&self) -> &BackendName {
        self.handle.backend.name()
    }

    pub(super) fn backend(&self) -> &DynBackend {
        &self.handle.backend
    }

    pub(super) const fn queue_max(&self) -> Option<u64> {
        self.queue_max
    }

    pub(super) fn not_ready(&self) -> Option<String> {
        let waiting = || format!("backend {} is waiting for its lease or reading what is active", self.name());
        if self.handle.is_ready() { self.backend().not_ready() } else { Some(waiting()) }
    }

    pub(super) fn status(&self, queued: u64) -> BackendStatus {
        let figures = &self.handle.figures;
        BackendStatus {
            name: self.name().clone(),
            shard: self.backend().shard().clone(),
            ready: self.handle.is_ready(),
            active: figures.active.load(Ordering::Relaxed),
            places: self.places,
            queued,
            leftovers: figures.leftovers.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

struct Driver {
    reconciler: Reconciler,
    store: DynStore,
    backend: DynBackend,
    figures: Arc<Figures>,
    under_way: JoinSet<(Token, Outcome)>,
}

impl Driver {
    async fn run(mut self, mut inputs: mpsc::Receiver<Input>, mut hints: Option<Hints>) {
        let mut changes = self.backend.take_changes();
        self.handle(Input::Tick);
        loop {
            let wakeup = self.reconciler.next_wakeup();
            let input = tokio::select! {
                Some(done) = self.under_way.join_next() => match done {
                    Ok((token, outcome)) => Input::Done(token, outcome),
                    Err(error) => {
                        // Its effect runs into the time limit and is looked at again.
                        tracing::error!(error = &error as &dyn std::error::Error, "an effect panicked");
                        continue;
                    }
                },
                input = inputs.recv() => match input {
                    Some(input) => input,
                    None => return,
                },
                (attempt, observation) = next_change(&mut changes) => Input::Observed(attempt, observation),
                batch = next_hints(&mut hints) => {
                    for hint in batch {
                        self.handle(hint);
                    }
                    continue;
                },
                () = sleep_until(wakeup) => Input::Tick,
            };
            self.handle(input);
        }
    }

    fn handle(&mut self, input: Input) {
        let effects = self.reconciler.handle(input, now());
        let (was_ready, is_ready) = (self.figures.ready.load(Ordering::Relaxed), self.reconciler.is_ready());
        self.figures.ready.store(is_ready, Ordering::Relaxed);
        if is_ready && !was_ready {
            let active = self.reconciler.places_taken();
            tracing::info!(backend = %self.backend.name(), active, "takes work; active applications were found again");
        }
        self.figures.active.store(self.reconciler.places_taken(), Ordering::Relaxed);
        *self.figures.fence.lock().unwrap_or_else(PoisonError::into_inner) = self.reconciler.fence().cloned();
        for effect in effects {
            self.spawn(effect);
        }
    }

    fn spawn(&mut self, Effect { token, action }: Effect) {
        tracing::debug!(token = token.0, ?action, "perform");
        let saved = match &action {
            Action::Save(_, save) => {
                let next = &save.next;
                Some((next.id, next.state, next.reason.as_ref().map(|reason| reason.code.as_str())))
            }
            _ => None,
        };
        let store = Arc::clone(&self.store);
        let backend = Arc::clone(&self.backend);
        self.under_way.spawn(async move {
            let performed = tokio::time::timeout(GIVEN_UP, perform(action, backend.shard(), &*store, &*backend));
            let outcome = performed.await.unwrap_or_else(|_| Outcome::Failed("no answer in time".into()));
            if let (Some((id, state, reason)), Outcome::Applied) = (saved, &outcome) {
                tracing::info!(application = %id, %state, reason, "changed state");
            }
            if let Outcome::Failed(why) | Outcome::Refused(why) = &outcome {
                tracing::warn!(backend = %backend.name(), token = token.0, why, "an effect failed");
            }
            (token, outcome)
        });
    }
}

/// Says so when the driver ends otherwise than by being stopped: nothing would be looked after any more.
async fn watch_driver(running: tokio::task::JoinHandle<()>, figures: Arc<Figures>, broke: watch::Sender<bool>) {
    if let Err(error) = running.await
        && error.is_panic()
    {
        tracing::error!(error = &error as &dyn std::error::Error, "the engine ended by a fault of its own");
        figures.ready.store(false, Ordering::Relaxed);
        broke.send_replace(true);
    }
}

/// What other gateways' clients changed.
struct Hints {
    events: Subscription,
    own: OwnChanges,
}

impl Hints {
    /// Whether the event is of a change that this gateway made, and so knows already.
    fn is_own(&self, id: ApplicationId) -> bool {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let position = own.iter().position(|(known, _)| *known == id);
        // A change that turned out to be none has no event; what is older than this may be someone else's.
        position.and_then(|index| own.remove(index)).is_some_and(|(_, at)| at.elapsed() < OWN_FOR)
    }
}

async fn next_change(changes: &mut Option<mpsc::Receiver<(AttemptId, Observation)>>) -> (AttemptId, Observation) {
    match changes {
        Some(receiver) => match receiver.recv().await {
            Some(change) => change,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// Applications that clients of other gateways created or want otherwise.
async fn next_hints(hints: &mut Option<Hints>) -> Vec<Input> {
    let Some(hints) = hints else { return std::future::pending().await };
    match hints.events.next().await {
        Ok(batch) => batch
            .iter()
            .filter(|event| matches!(event.kind, EventKind::Accepted | EventKind::Wish(_)))
            .filter(|event| !hints.is_own(event.application))
            .map(|event| Input::Hint(event.application))
            .collect(),
        Err(_) => {
            tokio::time::sleep(Duration::from_millis(200)).await;
            Vec::new()
        }
    }
}

async fn sleep_until(wakeup: Option<Timestamp>) {
    match wakeup {
        Some(at) => tokio::time::sleep(at.since(now())).await,
        None => std::future::pending().await,
    }
}

fn new_attempt_id(at: Timestamp) -> AttemptId {
    let millis = u64::try_from(at.as_millis()).unwrap_or(0);
    let nanos = u32::try_from((millis % 1_000) * 1_000_000).unwrap_or(0);
    AttemptId::new(Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, millis / 1_000, nanos)))
}
