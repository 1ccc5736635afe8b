//! Drives one reconciler: hands it inputs and the time, and performs what it wants done.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::event::EventKind;
use model::id::{AttemptId, BackendName, HolderId};
use model::time::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use uuid::{NoContext, Uuid};

use super::{BackendOptions, BackendStatus, now};
use crate::backend::{DynBackend, Observation, Owned};
use crate::events::{EventHub, Subscription};
use crate::perform::perform;
use crate::reconciler::{Effect, Input, Outcome, Reconciler, Settings, Token};
use crate::step::Policy;
use crate::store::DynStore;

/// Inputs that may wait; whoever sends more waits too.
const INBOX: usize = 1_024;

/// One backend with the engine that drives it.
pub(super) struct Lane {
    handle: LaneHandle,
    queue_max: Option<u64>,
    places: usize,
    driver: tokio::task::JoinHandle<()>,
}

/// What others need of a lane.
#[derive(Clone)]
pub(super) struct LaneHandle {
    pub(super) backend: DynBackend,
    pub(super) figures: Arc<Figures>,
    inbox: mpsc::Sender<Input>,
}

/// What a lane says of itself.
#[derive(Default)]
pub(super) struct Figures {
    ready: AtomicBool,
    active: AtomicUsize,
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
        let handle = LaneHandle { backend: Arc::clone(&backend), figures: Arc::clone(&figures), inbox };
        let driver = Driver {
            reconciler: Reconciler::new(settings, Box::new(new_attempt_id)),
            store: Arc::clone(store),
            backend,
            figures,
            under_way: JoinSet::new(),
        };
        let driver = tokio::spawn(driver.run(inputs, follow.map(|hub| hub.subscribe(None))));
        Self { handle, queue_max, places, driver }
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

    pub(super) async fn send(&self, input: Input) {
        self.handle.send(input).await;
    }

    pub(super) fn not_ready(&self) -> Option<String> {
        let waiting = || format!("backend {} is waiting for its lease or reading what is active", self.name());
        (!self.handle.is_ready()).then(waiting)
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
    async fn run(mut self, mut inputs: mpsc::Receiver<Input>, mut events: Option<Subscription>) {
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
                hints = next_hints(&mut events) => {
                    for hint in hints {
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
        self.figures.ready.store(self.reconciler.is_ready(), Ordering::Relaxed);
        self.figures.active.store(self.reconciler.places_taken(), Ordering::Relaxed);
        for effect in effects {
            self.spawn(effect);
        }
    }

    fn spawn(&mut self, Effect { token, action }: Effect) {
        tracing::debug!(token = token.0, ?action, "perform");
        let store = Arc::clone(&self.store);
        let backend = Arc::clone(&self.backend);
        self.under_way.spawn(async move {
            let outcome = perform(action, backend.shard(), &*store, &*backend).await;
            if let Outcome::Failed(why) | Outcome::Refused(why) = &outcome {
                tracing::warn!(backend = %backend.name(), token = token.0, why, "an effect failed");
            }
            (token, outcome)
        });
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
async fn next_hints(events: &mut Option<Subscription>) -> Vec<Input> {
    let Some(events) = events else { return std::future::pending().await };
    match events.next().await {
        Ok(batch) => batch
            .iter()
            .filter(|event| matches!(event.kind, EventKind::Accepted | EventKind::Wish(_)))
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
