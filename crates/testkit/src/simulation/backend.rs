//! A backend in memory: drivers that start, run and end by a script, and remember that they did.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use engine::backend::{AttemptRef, Backend, BackendError, Ended, LaunchOrder, Observation, Owned, Problem};
use engine::store::Store;
use futures::FutureExt;
use model::id::{ApplicationId, AttemptId, BackendName, Shard};
use model::spec::ApplicationSpec;
use model::state::Exit;
use model::time::Timestamp;
use store::memory::MemoryStore;
use tokio::sync::mpsc;

use super::scenario::{Driver, End, Wanted};

/// Who called: a gateway and which of its lives.
pub(super) type Caller = (usize, u64);

/// The backend as one gateway sees it.
#[derive(Clone)]
pub(super) struct SimBackend {
    pub(super) shared: Arc<Mutex<Drivers>>,
    store: MemoryStore,
    caller: Caller,
    name: BackendName,
    shard: Shard,
}

/// All that the backend holds.
#[derive(Default)]
pub(super) struct Drivers {
    pub(super) now: Timestamp,
    applications: &'static [Wanted],
    pub(super) attempts: BTreeMap<AttemptId, SimAttempt>,
    /// Every start of a driver that ever happened.
    pub(super) starts: Vec<(ApplicationId, AttemptId)>,
    watchers: BTreeMap<AttemptId, BTreeSet<Caller>>,
    pub(super) broken_law: Option<String>,
}

/// What is known of an attempt.
#[derive(Clone, Debug)]
pub(super) struct SimAttempt {
    pub(super) application: ApplicationId,
    pub(super) phase: Phase,
    pub(super) discarded: bool,
}

/// Where a driver stands.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    Fenced,
    Running { since: Timestamp, ends_at: Timestamp, end: End, stubborn: bool, stopped: bool },
    Ended(Ended),
    Lost(model::state::ReasonCode),
}

impl Drivers {
    pub(super) fn new(applications: &'static [Wanted]) -> Self {
        Self { applications, ..Self::default() }
    }

    /// When the next driver ends.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.attempts.values().filter_map(SimAttempt::ends_at).min()
    }

    /// Ends the drivers that are due; who must be told of which.
    pub(super) fn end_due(&mut self) -> Vec<(Caller, AttemptId, Observation)> {
        let now = self.now;
        let due: Vec<AttemptId> = self
            .attempts
            .iter()
            .filter(|(_, it)| it.ends_at().is_some_and(|at| at <= now))
            .map(|(id, _)| *id)
            .collect();
        let mut news = Vec::new();
        for id in due {
            if let Some(attempt) = self.attempts.get_mut(&id) {
                attempt.end();
                let observation = attempt.observation();
                let watchers = self.watchers.remove(&id).unwrap_or_default();
                news.extend(watchers.into_iter().map(|caller| (caller, id, observation.clone())));
            }
        }
        news
    }

    /// The attempts of an application whose drivers started, in order.
    pub(super) fn starts_of(&self, id: ApplicationId) -> impl Iterator<Item = AttemptId> {
        self.starts.iter().filter(move |(of, _)| *of == id).map(|(_, attempt)| *attempt)
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &SimAttempt> {
        self.attempts.values().filter(|attempt| attempt.ends_at().is_some())
    }

    fn driver(&self, order: &LaunchOrder) -> Driver {
        let index: usize = order.spec.args.first().and_then(|text| text.parse().ok()).unwrap_or(0);
        let drivers = self.applications[index].drivers;
        drivers[(order.number as usize - 1).min(drivers.len() - 1)]
    }

    fn start(&mut self, order: &LaunchOrder) {
        let now = self.now;
        let driver = self.driver(order);
        let application = order.attempt.application;
        if self.running().any(|other| other.application == application) {
            self.broken_law = Some(format!("{application} got a second driver while one was running"));
        }
        let ends_at = now.after(Duration::from_millis(driver.run_ms.unsigned_abs()));
        let phase = Phase::Running { since: now, ends_at, end: driver.end, stubborn: driver.stubborn, stopped: false };
        self.attempts.insert(order.attempt.id, SimAttempt { application, phase, discarded: false });
        self.starts.push((application, order.attempt.id));
    }
}

impl SimAttempt {
    fn ends_at(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Running { ends_at, .. } => Some(ends_at),
            _ => None,
        }
    }

    fn end(&mut self) {
        let Phase::Running { since, ends_at, end, stubborn, stopped } = self.phase else { return };
        self.phase = match end {
            _ if stopped => {
                let exit = Exit::Signal(if stubborn { 9 } else { 15 });
                Phase::Ended(Ended { exit, started_at: since, at: ends_at, stopped, cause: None, evidence: None })
            }
            End::Exit(exit) => {
                Phase::Ended(Ended { exit, started_at: since, at: ends_at, stopped, cause: None, evidence: None })
            }
            End::Lost(reason) => Phase::Lost(reason),
        };
    }

    fn observation(&self) -> Observation {
        match &self.phase {
            _ if self.discarded => Observation::NeverRan,
            Phase::Fenced => Observation::NeverRan,
            Phase::Running { since, .. } => Observation::Running { since: *since },
            Phase::Ended(ended) => Observation::Exited(ended.clone()),
            Phase::Lost(reason) => Observation::Lost { reason: *reason, evidence: None },
        }
    }
}

impl SimBackend {
    pub(super) fn new(shared: Arc<Mutex<Drivers>>, store: MemoryStore, caller: Caller, shard: Shard) -> Self {
        #[allow(clippy::unwrap_used, reason = "a constant that is spelled right")]
        let name = BackendName::new("simulated").unwrap();
        Self { shared, store, caller, name, shard }
    }

    pub(super) fn drivers(&self) -> MutexGuard<'_, Drivers> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self, attempt: AttemptId) -> Observation {
        let mut drivers = self.drivers();
        let Some(observation) = drivers.attempts.get(&attempt).map(SimAttempt::observation) else {
            return Observation::Absent;
        };
        drivers.watchers.entry(attempt).or_default().insert(self.caller);
        observation
    }

    /// Write first, act second: whoever starts a driver must have stored that it would.
    fn check_intent(&self, order: &LaunchOrder) {
        let stored = self.store.get(order.attempt.application).now_or_never();
        let Some(Ok(stored)) = stored else { return };
        let intended = stored.as_ref().and_then(|it| it.current_attempt()).is_some_and(|it| it.id == order.attempt.id);
        if !intended {
            let id = order.attempt.application;
            self.drivers().broken_law = Some(format!("a driver of {id} was started without a stored intent"));
        }
    }
}

#[async_trait]
impl Backend for SimBackend {
    fn name(&self) -> &BackendName {
        &self.name
    }

    fn shard(&self) -> &Shard {
        &self.shard
    }

    fn binding(&self) -> String {
        "simulated".into()
    }

    fn check(&self, _: &ApplicationSpec) -> Vec<Problem> {
        Vec::new()
    }

    async fn launch(&self, order: LaunchOrder) -> Result<Observation, BackendError> {
        if !self.drivers().attempts.contains_key(&order.attempt.id) {
            if self.drivers().driver(&order).refused {
                return Err(BackendError::Refused("it is refused".into()));
            }
            self.check_intent(&order);
            self.drivers().start(&order);
        }
        Ok(self.seen(order.attempt.id))
    }

    async fn observe(&self, attempt: &AttemptRef) -> Result<Observation, BackendError> {
        Ok(self.seen(attempt.id))
    }

    async fn stop(&self, attempt: &AttemptRef, grace: Duration) -> Result<Observation, BackendError> {
        let mut drivers = self.drivers();
        let now = drivers.now;
        let fenced = SimAttempt { application: attempt.application, phase: Phase::Fenced, discarded: false };
        let known = drivers.attempts.entry(attempt.id).or_insert(fenced);
        if let Phase::Running { ends_at, stubborn, stopped, .. } = &mut known.phase {
            let takes = if *stubborn { grace } else { Duration::from_millis(50) };
            *ends_at = (*ends_at).min(now.after(takes));
            *stopped = true;
        }
        drop(drivers);
        Ok(self.seen(attempt.id))
    }

    async fn discard(&self, attempt: &AttemptRef) -> Result<(), BackendError> {
        let mut drivers = self.drivers();
        if let Some(known) = drivers.attempts.get_mut(&attempt.id) {
            if known.ends_at().is_some() {
                let id = attempt.application;
                drivers.broken_law = Some(format!("a running driver of {id} was discarded"));
            } else {
                known.discarded = true;
            }
        }
        Ok(())
    }

    async fn list_owned(&self) -> Result<Vec<Owned>, BackendError> {
        Ok(Vec::new())
    }

    fn take_changes(&self) -> Option<mpsc::Receiver<(AttemptId, Observation)>> {
        None
    }
}
