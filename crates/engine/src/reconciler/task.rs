//! One application in hand: at most one effect of it is under way at any time.

use std::time::Duration;

use model::application::Application;
use model::id::{ApplicationId, AttemptId};
use model::state::State;
use model::time::Timestamp;

use super::timers::Timer;
use super::{Action, Outcome, Purpose, Reconciler};
use crate::backend::Observation;
use crate::step::{Circumstances, Knowledge, Step};

/// The longest wait between two tries of an effect that keeps failing.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Applications of others' making that wait to be read; beyond that everything is looked at.
const PEEKS_MAX: usize = 1_000;
/// The first wait.
const RETRY_MIN: Duration = Duration::from_millis(100);

/// An application in hand.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) application: Application,
    knowledge: Knowledge,
    has_place: bool,
    deed: Option<Deed>,
    /// A version that was seen while an effect was under way.
    newer: Option<Box<Application>>,
    /// What is stored is uncertain and must be read again.
    reload: bool,
    failures: u32,
    retry_at: Option<Timestamp>,
}

/// The effect under way.
#[derive(Debug)]
enum Deed {
    Load,
    Save(Box<Application>),
    Remove,
    Launch,
    Observe,
    Stop,
    Discard,
}

impl Task {
    /// `reload` says that the application may have changed since it was read.
    pub(super) fn new(application: Application, has_place: bool, reload: bool) -> Self {
        Self {
            application,
            knowledge: Knowledge::default(),
            has_place,
            deed: None,
            newer: None,
            reload,
            failures: 0,
            retry_at: None,
        }
    }

    pub(super) fn holds_place(&self) -> bool {
        self.has_place || self.application.state.is_active()
    }

    fn attempt(&self) -> Option<AttemptId> {
        self.application.current_attempt().map(|attempt| attempt.id)
    }

    /// Takes a newer version of the application over.
    fn replace(&mut self, next: Application) {
        let same_attempt = self.application.attempts.last().map(|a| a.id) == next.attempts.last().map(|a| a.id);
        if !same_attempt || next.state == State::Accepted {
            self.knowledge = Knowledge::default();
        }
        // The promise of a place is kept by being active, or is given up.
        self.has_place &= next.state == State::Accepted && next.attempts.len() == self.application.attempts.len();
        self.application = next;
    }

    /// Adds an observation to what is known. An end is final, and news that comes late doesn't take anything back.
    fn note(&mut self, observation: Observation, asked: bool, now: Timestamp) {
        use Observation::{Absent, Exited, Lost, NeverRan, Pending, Running};
        let stale = match (&self.knowledge.observation, &observation) {
            (Some(Exited(_) | Lost { .. } | NeverRan), _) => true,
            (Some(Running { .. }), Pending { .. }) => true,
            (Some(_), Absent) => !asked,
            _ => false,
        };
        if !stale {
            self.knowledge.observation = Some(observation);
        }
        self.knowledge.observed_at = now;
    }

    fn failed(&mut self, failures: u32, now: Timestamp) {
        let wait = RETRY_MIN.saturating_mul(1 << failures.min(10)).min(RETRY_MAX);
        self.failures = failures + 1;
        self.retry_at = Some(now.after(wait));
    }
}

impl Reconciler {
    /// Somebody saw the application stored like this.
    pub(super) fn learn(&mut self, application: Application, now: Timestamp) {
        if application.shard != self.settings.shard {
            return;
        }
        let id = application.id;
        let Some(task) = self.tasks.get_mut(&id) else { return self.notice(application, now) };
        if application.version <= task.application.version {
            return;
        }
        task.newer = Some(Box::new(application));
        self.advance(id, now);
    }

    /// Another gateway changed the application: read it.
    pub(super) fn hint(&mut self, id: ApplicationId, now: Timestamp) {
        if self.lease.fence().is_none() {
            return;
        }
        match self.tasks.get_mut(&id) {
            Some(task) => {
                task.reload = true;
                self.advance(id, now);
            }
            None => {
                self.queue.to_peek.insert(id);
                self.peek(now);
            }
        }
    }

    /// Reads one of the applications that others changed; the next when it is answered.
    fn peek(&mut self, now: Timestamp) {
        if self.queue.to_peek.len() > PEEKS_MAX {
            self.queue.to_peek.clear();
            return self.queue.look_again();
        }
        if !self.is_under_way(|purpose| *purpose == Purpose::Peek)
            && let Some(id) = self.queue.to_peek.pop_first()
        {
            self.emit(Purpose::Peek, Action::Load(id), now);
        }
    }

    pub(super) fn peeked(&mut self, outcome: Outcome, now: Timestamp) {
        match outcome {
            Outcome::LoadedOne(Some(application)) => self.learn(*application, now),
            Outcome::LoadedOne(None) => {}
            // It may be one that waits or is due; looking at both finds it.
            _ => self.queue.look_again(),
        }
        self.peek(now);
    }

    pub(super) fn observed(&mut self, attempt: AttemptId, observation: Observation, now: Timestamp) {
        let Some(&id) = self.by_attempt.get(&attempt) else { return };
        if let Some(task) = self.tasks.get_mut(&id).filter(|task| task.attempt() == Some(attempt)) {
            task.note(observation, false, now);
            self.advance(id, now);
        }
    }

    /// Does the next thing for the application, unless something is under way.
    pub(super) fn advance(&mut self, id: ApplicationId, now: Timestamp) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if task.deed.is_some() {
            return;
        }
        if let Some(at) = task.retry_at.filter(|at| *at > now) {
            return self.timers.set(Timer::Task(id), at);
        }
        task.retry_at = None;
        if let Some(newer) = task.newer.take() {
            self.adopt_version(id, *newer);
        }
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if task.reload {
            return self.perform(id, Deed::Load, Action::Load(id), now);
        }
        let step = self.decide(id, now);
        self.take(id, step, now);
    }

    fn decide(&mut self, id: ApplicationId, now: Timestamp) -> Step {
        let fresh_attempt = (self.attempt_ids)(now);
        let Some(task) = self.tasks.get(&id) else { return Step::Done };
        let at = Circumstances {
            now,
            has_place: task.has_place,
            fresh_attempt,
            binding: &self.settings.binding,
            policy: &self.settings.policy,
        };
        (self.settings.decide)(&task.application, &task.knowledge, &at)
    }

    fn take(&mut self, id: ApplicationId, step: Step, now: Timestamp) {
        let Some(fence) = self.lease.fence().cloned() else { return };
        match step {
            Step::Rest { until } => self.rest(id, until, now),
            Step::AwaitPlace { .. } => self.await_place(id, now),
            Step::Save(save) => {
                let next = Box::new(save.next.clone());
                self.perform(id, Deed::Save(next), Action::Save(fence, save), now);
            }
            Step::Launch(order) => self.perform(id, Deed::Launch, Action::Launch(order), now),
            Step::Observe(attempt) => self.perform(id, Deed::Observe, Action::Observe(attempt), now),
            Step::Stop { attempt, grace } => self.perform(id, Deed::Stop, Action::Stop(attempt, grace), now),
            Step::Discard(attempt) => self.perform(id, Deed::Discard, Action::Discard(attempt), now),
            Step::Remove => self.perform(id, Deed::Remove, Action::Remove(fence, id, now), now),
            Step::Done => self.forget(id),
        }
    }

    fn perform(&mut self, id: ApplicationId, deed: Deed, action: Action, now: Timestamp) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.deed = Some(deed);
            self.emit(Purpose::Task(id), action, now);
        }
    }

    fn rest(&mut self, id: ApplicationId, until: Option<Timestamp>, now: Timestamp) {
        let Some(task) = self.tasks.get(&id) else { return };
        if task.application.state == State::Accepted {
            // It waits in the store; the time at which it must be looked at again is remembered.
            let application = task.application.clone();
            self.note_time(&application, now);
            self.forget(id);
        } else if let Some(until) = until {
            self.timers.set(Timer::Task(id), until);
        }
    }

    fn await_place(&mut self, id: ApplicationId, now: Timestamp) {
        if self.places_free() == 0 {
            self.forget(id);
            return self.queue.place_freed();
        }
        if let Some(task) = self.tasks.get_mut(&id) {
            task.has_place = true;
            self.advance(id, now);
        }
    }

    fn forget(&mut self, id: ApplicationId) {
        let Some(task) = self.tasks.remove(&id) else { return };
        self.timers.cancel(Timer::Task(id));
        if let Some(attempt) = task.application.attempts.last() {
            self.by_attempt.remove(&attempt.id);
        }
        if task.holds_place() {
            self.queue.place_freed();
        }
    }

    pub(super) fn task_done(&mut self, id: ApplicationId, outcome: Outcome, now: Timestamp) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let Some(deed) = task.deed.take() else { return };
        let failures = std::mem::take(&mut task.failures);
        match (deed, outcome) {
            (Deed::Save(next), Outcome::Applied) => self.adopt_version(id, *next),
            (Deed::Load, Outcome::LoadedOne(Some(application))) => {
                task.reload = false;
                self.adopt_version(id, *application);
            }
            (Deed::Load, Outcome::LoadedOne(None)) | (Deed::Remove, Outcome::Applied) => return self.forget(id),
            // It was launched and isn't there: somebody else may be starting it, so not at once again.
            (Deed::Launch, Outcome::Observed(Observation::Absent)) => task.failed(failures, now),
            (Deed::Launch, Outcome::Refused(why)) => task.knowledge.refused = Some(why),
            (Deed::Launch, Outcome::Observed(observation)) => task.note(observation, true, now),
            (Deed::Observe, Outcome::Observed(observation)) => {
                task.note(observation, true, now);
                // What the user wants may have been missed, too.
                task.reload = true;
            }
            (Deed::Stop, Outcome::Observed(observation)) => {
                task.knowledge.stop_issued_at = Some(now);
                task.note(observation, true, now);
            }
            (Deed::Discard, Outcome::Applied) => task.knowledge.discarded += 1,
            (Deed::Load | Deed::Launch | Deed::Observe | Deed::Stop | Deed::Discard, _) => task.failed(failures, now),
            (Deed::Save(_) | Deed::Remove, Outcome::Conflict) => task.reload = true,
            // Nobody knows whether it was stored.
            (Deed::Save(_) | Deed::Remove, _) => {
                task.reload = true;
                task.failed(failures, now);
            }
        }
        self.advance(id, now);
    }

    /// The application is stored like this; older news is ignored.
    fn adopt_version(&mut self, id: ApplicationId, next: Application) {
        let Some(task) = self.tasks.get_mut(&id).filter(|task| next.version > task.application.version) else { return };
        let held = task.holds_place();
        if let Some(attempt) = task.attempt() {
            self.by_attempt.remove(&attempt);
        }
        task.replace(next);
        if let Some(attempt) = task.attempt() {
            self.by_attempt.insert(attempt, id);
        }
        if held && !task.holds_place() {
            self.queue.place_freed();
        }
    }
}
