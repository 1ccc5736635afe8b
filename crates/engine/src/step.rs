//! What to do next with one application: the decisions, and nothing but the decisions.
//!
//! [`next_step`] is a pure function. Each [`Step`] is plain data, can be printed, and is safe to repeat. The order
//! of steps is what makes the engine crash-safe: the intent to launch is saved (`starting`) before anything is
//! launched, and an attempt is identified outside by its id, so that doing a step again does nothing new.

use std::time::Duration;

use model::application::{Application, Attempt, Wish};
use model::event::EventKind;
use model::id::AttemptId;
use model::state::{Exit, Reason, ReasonCode, State};
use model::time::Timestamp;

use crate::backend::{AttemptRef, Ended, LaunchOrder, Observation};
use crate::store::Save;

/// How patient the engine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Time between telling a driver to end and ending it by force.
    pub stop_grace: Duration,
    /// A driver that was told to end and hasn't is told again after this.
    pub stop_repeat: Duration,
    /// A running driver is looked at after this even if nothing was heard of it, because news can get lost.
    pub resync: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            stop_grace: Duration::from_secs(10),
            stop_repeat: Duration::from_secs(30),
            resync: Duration::from_secs(60),
        }
    }
}

/// What is known about the current attempt beyond what is stored. It is lost in a crash and found again by looking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// The newest observation.
    pub observation: Option<Observation>,
    /// When it was made.
    pub observed_at: Timestamp,
    /// The backend's reason for refusing to launch.
    pub refused: Option<String>,
    /// When the driver was last told to end.
    pub stop_issued_at: Option<Timestamp>,
    /// How many attempts of a deleted application were discarded, oldest first.
    pub discarded: usize,
}

/// What the decision depends on besides the application.
#[derive(Clone, Debug)]
pub struct Circumstances<'a> {
    /// The time.
    pub now: Timestamp,
    /// Whether one of the backend's places is reserved for it.
    pub has_place: bool,
    /// The id that a new attempt would get.
    pub fresh_attempt: AttemptId,
    /// What [`crate::backend::Backend::binding`] says.
    pub binding: &'a str,
    /// How patient to be.
    pub policy: &'a Policy,
}

/// The next thing to do with an application.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing, until the instant or until there is news.
    Rest {
        /// When to look again at the latest.
        until: Option<Timestamp>,
    },
    /// Nothing, until the backend has a place for it.
    AwaitPlace {
        /// When to look again at the latest.
        until: Option<Timestamp>,
    },
    /// Store this change.
    Save(Box<Save>),
    /// Make sure that the attempt is launched.
    Launch(Box<LaunchOrder>),
    /// See how the attempt is.
    Observe(AttemptRef),
    /// Make sure that the attempt ends.
    Stop {
        /// Which.
        attempt: AttemptRef,
        /// How long it may take to end by itself.
        grace: Duration,
    },
    /// Remove what the backend holds of an ended attempt.
    Discard(AttemptRef),
    /// Remove the application from the store.
    Remove,
    /// It needs nobody's attention any more.
    Done,
}

/// The signature of [`next_step`], so that tests can show what a wrong decision would do.
pub type Decide = fn(&Application, &Knowledge, &Circumstances<'_>) -> Step;

/// Decides what to do next with `application`.
pub fn next_step(application: &Application, knowledge: &Knowledge, at: &Circumstances<'_>) -> Step {
    match application.state {
        State::Accepted => accepted(application, at),
        State::Starting => starting(application, knowledge, at),
        State::Running => running(application, knowledge, at),
        State::Stopping => stopping(application, knowledge, at),
        State::Succeeded | State::Failed | State::Cancelled => ended(application, knowledge),
    }
}

fn accepted(application: &Application, at: &Circumstances<'_>) -> Step {
    let deadline = application.queue_deadline();
    if let Some(code) = wished_end(application) {
        return save(application, at, |next| end(next, Reason::new(code), at.now));
    }
    if deadline.is_some_and(|deadline| deadline <= at.now) {
        return save(application, at, |next| end(next, Reason::new(ReasonCode::QueueTimeout), at.now));
    }
    if application.ready_at > at.now {
        return Step::Rest { until: earliest(Some(application.ready_at), deadline) };
    }
    if !at.has_place {
        return Step::AwaitPlace { until: deadline };
    }
    save(application, at, |next| {
        let number = next.attempts.last().map_or(1, |last| last.number + 1);
        next.attempts.push(Attempt::new(at.fresh_attempt, number, at.binding.to_owned(), at.now));
        next.state = State::Starting;
        next.reason = None;
    })
}

fn starting(application: &Application, knowledge: &Knowledge, at: &Circumstances<'_>) -> Step {
    if let Some(refusal) = &knowledge.refused {
        return refused(application, knowledge, refusal, at);
    }
    if knowledge.observation == Some(Observation::NeverRan) {
        // Only a refused launch is made never to run in this state; the refusal itself went down with a crash.
        let reason =
            Reason::with_evidence(ReasonCode::LaunchRefused, "the gateway's log before its last start tells why");
        return save(application, at, |next| settle(next, Ending::never_ran(reason, at.now), at.now));
    }
    if let Some(ending) = ending(knowledge, at.now) {
        return save(application, at, |next| settle(next, ending, at.now));
    }
    if let Some(code) = wished_end(application) {
        return save(application, at, |next| begin_stop(next, code, knowledge));
    }
    match &knowledge.observation {
        None | Some(Observation::Absent) => launch(application),
        // What it waits for is told, because somebody may have to do something about it.
        Some(Observation::Pending { waits_for }) if *waits_for != application.reason => {
            save(application, at, |next| next.reason.clone_from(waits_for))
        }
        Some(Observation::Running { since }) => save(application, at, |next| {
            next.state = State::Running;
            next.reason = None;
            if let Some(attempt) = next.attempts.last_mut() {
                attempt.started_at = Some(*since);
            }
        }),
        _ => look_again(application, knowledge, at, None),
    }
}

/// The backend won't launch it. An earlier launch may still be on its way, so the attempt is made to end first.
fn refused(application: &Application, knowledge: &Knowledge, refusal: &str, at: &Circumstances<'_>) -> Step {
    let reason = || Reason::with_evidence(ReasonCode::LaunchRefused, refusal);
    match &knowledge.observation {
        Some(Observation::NeverRan) => {
            save(application, at, |next| settle(next, Ending::never_ran(reason(), at.now), at.now))
        }
        Some(Observation::Exited(_) | Observation::Lost { .. }) => match ending(knowledge, at.now) {
            Some(ending) => save(application, at, |next| settle(next, ending, at.now)),
            None => Step::Done,
        },
        _ => stop(application, knowledge, at),
    }
}

fn running(application: &Application, knowledge: &Knowledge, at: &Circumstances<'_>) -> Step {
    // After a restart nothing is known of the driver; looking also makes the backend report its end.
    let Some(observation) = &knowledge.observation else { return observe(application) };
    if let Some(ending) = ending(knowledge, at.now) {
        return save(application, at, |next| settle(next, ending, at.now));
    }
    if *observation == Observation::Absent {
        let reason = Reason::new(ReasonCode::DriverLost);
        return save(application, at, |next| settle(next, Ending::never_ran(reason, at.now), at.now));
    }
    if let Some(code) = wished_end(application) {
        return save(application, at, |next| begin_stop(next, code, knowledge));
    }
    let deadline = application.run_deadline();
    if deadline.is_some_and(|deadline| deadline <= at.now) {
        return save(application, at, |next| begin_stop(next, ReasonCode::RunTimeout, knowledge));
    }
    look_again(application, knowledge, at, deadline)
}

fn stopping(application: &Application, knowledge: &Knowledge, at: &Circumstances<'_>) -> Step {
    let why = application.reason.as_ref().map_or(ReasonCode::CancelledByUser, |reason| reason.code);
    match &knowledge.observation {
        // It ended before it heard of being stopped: what it did itself is the truth.
        Some(Observation::Exited(ended)) if !ended.stopped => {
            let ending = Ending::from_exit(ended);
            save(application, at, |next| conclude(next, ending, at.now))
        }
        Some(Observation::Exited(ended)) => {
            let mut ending = Ending::from_exit(ended);
            ending.reason = Reason::new(why);
            save(application, at, |next| conclude(next, ending, at.now))
        }
        Some(Observation::NeverRan | Observation::Lost { .. }) => {
            save(application, at, |next| conclude(next, Ending::never_ran(Reason::new(why), at.now), at.now))
        }
        // Absent is not enough: a launch may be on its way, and stopping is what keeps it from starting.
        None | Some(Observation::Absent | Observation::Pending { .. } | Observation::Running { .. }) => {
            stop(application, knowledge, at)
        }
    }
}

fn stop(application: &Application, knowledge: &Knowledge, at: &Circumstances<'_>) -> Step {
    let repeat_at =
        knowledge.stop_issued_at.map(|issued| issued.after(at.policy.stop_grace).after(at.policy.stop_repeat));
    match (repeat_at, current(application)) {
        (Some(repeat_at), _) if repeat_at > at.now => Step::Rest { until: Some(repeat_at) },
        (_, Some(attempt)) => Step::Stop { attempt, grace: at.policy.stop_grace },
        (_, None) => Step::Done,
    }
}

fn ended(application: &Application, knowledge: &Knowledge) -> Step {
    if application.wish != Wish::Delete {
        return Step::Done;
    }
    match application.attempts.get(knowledge.discarded) {
        Some(attempt) => Step::Discard(attempt_ref(application, attempt)),
        None => Step::Remove,
    }
}

/// The reason with which the user wants it ended, if so.
fn wished_end(application: &Application) -> Option<ReasonCode> {
    match application.wish {
        Wish::Run => None,
        Wish::Cancel => Some(ReasonCode::CancelledByUser),
        Wish::Delete => Some(ReasonCode::DeletedByUser),
    }
}

fn launch(application: &Application) -> Step {
    match application.attempts.last() {
        Some(attempt) => Step::Launch(Box::new(LaunchOrder {
            attempt: attempt_ref(application, attempt),
            spec: application.spec.clone(),
            owner: application.owner.clone(),
            number: attempt.number,
        })),
        None => Step::Done,
    }
}

fn observe(application: &Application) -> Step {
    current(application).map_or(Step::Done, Step::Observe)
}

fn look_again(
    application: &Application,
    knowledge: &Knowledge,
    at: &Circumstances<'_>,
    deadline: Option<Timestamp>,
) -> Step {
    let resync_at = knowledge.observed_at.after(at.policy.resync);
    if resync_at <= at.now { observe(application) } else { Step::Rest { until: earliest(Some(resync_at), deadline) } }
}

fn current(application: &Application) -> Option<AttemptRef> {
    application.current_attempt().map(|attempt| attempt_ref(application, attempt))
}

fn attempt_ref(application: &Application, attempt: &Attempt) -> AttemptRef {
    AttemptRef { id: attempt.id, application: application.id, binding: attempt.binding.clone() }
}

/// How an attempt ended, as far as it is known.
struct Ending {
    reason: Reason,
    exit: Option<Exit>,
    started_at: Option<Timestamp>,
    at: Timestamp,
}

impl Ending {
    fn never_ran(reason: Reason, at: Timestamp) -> Self {
        Self { reason, exit: None, started_at: None, at }
    }

    fn from_exit(ended: &Ended) -> Self {
        let code = match (ended.exit, ended.cause) {
            (Exit::Code(0), _) => ReasonCode::Completed,
            (_, Some(cause)) => cause,
            (Exit::Code(_), None) => ReasonCode::ExitCode,
            (Exit::Signal(_), None) => ReasonCode::KilledBySignal,
        };
        let evidence = ended.evidence.as_deref().filter(|_| code != ReasonCode::Completed);
        let reason = evidence.map_or(Reason::new(code), |line| Reason::with_evidence(code, line));
        Self { reason, exit: Some(ended.exit), started_at: Some(ended.started_at), at: ended.at }
    }
}

/// The ending that the newest observation tells of, if it is one.
fn ending(knowledge: &Knowledge, now: Timestamp) -> Option<Ending> {
    match knowledge.observation.as_ref()? {
        Observation::Exited(ended) => Some(Ending::from_exit(ended)),
        // Nobody wanted it stopped, so whatever kept it from starting is a loss.
        Observation::NeverRan => Some(Ending::never_ran(Reason::new(ReasonCode::DriverLost), now)),
        Observation::Lost { reason, evidence } => {
            let reason = evidence.as_ref().map_or(Reason::new(*reason), |line| Reason::with_evidence(*reason, line));
            Some(Ending::never_ran(reason, now))
        }
        Observation::Absent | Observation::Pending { .. } | Observation::Running { .. } => None,
    }
}

/// Ends the attempt and, when its loss may be repaired, puts the application back into the queue.
fn settle(next: &mut Application, ending: Ending, now: Timestamp) {
    let tried = u32::try_from(next.attempts.len()).unwrap_or(u32::MAX);
    let again = next.wish == Wish::Run && tried < next.spec.limits.max_attempts;
    match ending.reason.code.backoff(tried).filter(|_| again) {
        Some(wait) => {
            next.state = State::Accepted;
            next.ready_at = now.after(wait);
            next.reason = Some(ending.reason.clone());
            end_attempt(next, ending);
        }
        None => conclude(next, ending, now),
    }
}

/// Ends the attempt and the application with it.
fn conclude(next: &mut Application, ending: Ending, now: Timestamp) {
    let reason = ending.reason.clone();
    end_attempt(next, ending);
    end(next, reason, now);
}

fn end_attempt(next: &mut Application, ending: Ending) {
    if let Some(attempt) = next.attempts.last_mut() {
        attempt.started_at = attempt.started_at.or(ending.started_at);
        attempt.ended_at = Some(ending.at);
        attempt.exit = ending.exit;
        attempt.reason = Some(ending.reason);
    }
}

fn end(next: &mut Application, reason: Reason, now: Timestamp) {
    next.state = reason.code.terminal_state();
    next.reason = Some(reason);
    next.ended_at = Some(now);
}

fn begin_stop(next: &mut Application, code: ReasonCode, knowledge: &Knowledge) {
    next.state = State::Stopping;
    next.reason = Some(Reason::new(code));
    if let (Some(Observation::Running { since }), Some(attempt)) = (&knowledge.observation, next.attempts.last_mut()) {
        attempt.started_at = attempt.started_at.or(Some(*since));
    }
}

fn save(application: &Application, at: &Circumstances<'_>, change: impl FnOnce(&mut Application)) -> Step {
    let mut next = application.clone();
    change(&mut next);
    next.version += 1;
    let event = (next.state != application.state).then_some(EventKind::State);
    Step::Save(Box::new(Save { next, at: at.now, event }))
}

fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}
