//! The engine of one shard as a state machine: inputs in, effects out. No I/O, no clock, no randomness of its own.
//!
//! Whoever drives it performs the effects, in any order and as slowly as it likes, and hands each outcome back.
//! An effect whose outcome doesn't come in time counts as failed with unknown result, and what follows is safe
//! to do whether it happened or not. Start reading at [`Reconciler::handle`].

mod lease;
mod queue;
mod task;
mod timers;

use std::collections::BTreeMap;
use std::time::Duration;

use model::application::Application;
use model::id::{ApplicationId, AttemptId, HolderId, Shard};
use model::time::Timestamp;

use crate::backend::{AttemptRef, LaunchOrder, Observation};
use crate::step::{self, Decide, Policy};
use crate::store::{Fence, Lease, LeaseRequest, Save};

use self::lease::LeaseState;
use self::queue::Queue;
use self::task::Task;
use self::timers::{Timer, Timers};

/// Makes the ids of new attempts.
pub type AttemptIds = Box<dyn FnMut(Timestamp) -> AttemptId + Send>;

/// What a reconciler is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The shard it cares for.
    pub shard: Shard,
    /// Who it is towards other gateways; stable across restarts.
    pub holder: HolderId,
    /// What the backend wants stored with each attempt.
    pub binding: String,
    /// How many applications may be active at once.
    pub places: usize,
    /// How long a lease lasts.
    pub lease_ttl: Duration,
    /// How long an effect may take before it counts as failed.
    pub effect_timeout: Duration,
    /// How patient the engine is with drivers.
    pub policy: Policy,
    /// The decision; [`step::next_step`] outside of tests.
    pub decide: Decide,
}

impl Settings {
    /// Settings with usual times.
    pub fn new(shard: Shard, holder: HolderId, binding: String, places: usize) -> Self {
        Self {
            shard,
            holder,
            binding,
            places,
            lease_ttl: Duration::from_secs(15),
            effect_timeout: Duration::from_secs(30),
            policy: Policy::default(),
            decide: step::next_step,
        }
    }
}

/// Something the reconciler learns.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Time passed.
    Tick,
    /// This is how the application is stored, as somebody who just read or changed it saw.
    Changed(Box<Application>),
    /// The application was changed by another gateway.
    Hint(ApplicationId),
    /// The backend saw a change of an attempt.
    Observed(AttemptId, Observation),
    /// An effect was performed.
    Done(Token, Outcome),
}

/// Tells one effect from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Something to do outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// To be handed back with the outcome.
    pub token: Token,
    /// What to do.
    pub action: Action,
}

/// What to do outside. Each may be repeated.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask for the shard's lease, or renew it.
    Lease(LeaseRequest),
    /// Read the active applications after one.
    LoadActive {
        /// Continue after this one.
        after: Option<ApplicationId>,
    },
    /// Read the head of the queue.
    LoadQueue {
        /// The time.
        now: Timestamp,
        /// Those already in hand.
        exclude: Vec<ApplicationId>,
        /// How many at most.
        limit: u32,
    },
    /// Read what is due.
    LoadDue {
        /// The time.
        now: Timestamp,
        /// Those already in hand.
        exclude: Vec<ApplicationId>,
        /// How many at most.
        limit: u32,
    },
    /// Find out when something will be due.
    NextDue {
        /// The time.
        now: Timestamp,
    },
    /// Read one application.
    Load(ApplicationId),
    /// Store a change.
    Save(Fence, Box<Save>),
    /// Remove an application from the store.
    Remove(Fence, ApplicationId, Timestamp),
    /// Launch an attempt.
    Launch(Box<LaunchOrder>),
    /// Look at an attempt.
    Observe(AttemptRef),
    /// Make an attempt end.
    Stop(AttemptRef, Duration),
    /// Remove what the backend holds of an attempt.
    Discard(AttemptRef),
}

/// What came of an effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The lease, or `None` when another has it.
    Leased(Option<Lease>),
    /// What was read.
    Loaded(Vec<Application>),
    /// What was read of one.
    LoadedOne(Option<Box<Application>>),
    /// When something will be due.
    NextDue(Option<Timestamp>),
    /// It was stored, removed or discarded.
    Applied,
    /// What the backend answered.
    Observed(Observation),
    /// Somebody else changed the application.
    Conflict,
    /// Somebody else has the lease.
    Fenced,
    /// The backend will never do it.
    Refused(String),
    /// It did not work, or nobody knows whether it did.
    Failed(String),
}

/// What an effect under way is for.
#[derive(Clone, Debug, PartialEq)]
enum Purpose {
    Lease { asked_at: Timestamp },
    LoadActive,
    LoadQueue,
    LoadDue,
    NextDue,
    Peek,
    Task(ApplicationId),
}

/// The engine of one shard.
pub struct Reconciler {
    settings: Settings,
    attempt_ids: AttemptIds,
    lease: LeaseState,
    queue: Queue,
    tasks: BTreeMap<ApplicationId, Task>,
    by_attempt: BTreeMap<AttemptId, ApplicationId>,
    flights: BTreeMap<Token, Purpose>,
    /// The purposes of effects under way that aren't about one application; a handful at most.
    general: Vec<Purpose>,
    timers: Timers,
    next_token: u64,
    effects: Vec<Effect>,
}

impl Reconciler {
    /// A reconciler that knows nothing yet; its first input should be [`Input::Tick`].
    pub fn new(settings: Settings, attempt_ids: AttemptIds) -> Self {
        Self {
            settings,
            attempt_ids,
            lease: LeaseState::default(),
            queue: Queue::default(),
            tasks: BTreeMap::new(),
            by_attempt: BTreeMap::new(),
            flights: BTreeMap::new(),
            general: Vec::new(),
            timers: Timers::default(),
            next_token: 0,
            effects: Vec::new(),
        }
    }

    /// Takes one input and answers what to do now.
    pub fn handle(&mut self, input: Input, now: Timestamp) -> Vec<Effect> {
        self.expire_lease(now);
        match input {
            Input::Tick => {}
            Input::Changed(application) => self.learn(*application, now),
            Input::Hint(id) => self.hint(id, now),
            Input::Observed(attempt, observation) => self.observed(attempt, observation, now),
            Input::Done(token, outcome) => self.done(token, outcome, now),
        }
        self.fire_timers(now);
        self.pursue_lease(now);
        self.pursue_queue(now);
        std::mem::take(&mut self.effects)
    }

    /// When to hand in the next [`Input::Tick`] at the latest.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.timers.first()
    }

    /// Whether it holds its lease and knows every active application.
    pub fn is_ready(&self) -> bool {
        self.lease.fence().is_some() && self.queue.actives_known()
    }

    /// Applications that hold one of the backend's places.
    pub fn places_taken(&self) -> usize {
        self.tasks.values().filter(|task| task.holds_place()).count()
    }

    /// The fence of the lease that it believes to hold.
    pub fn fence(&self) -> Option<&Fence> {
        self.lease.fence()
    }

    fn done(&mut self, token: Token, outcome: Outcome, now: Timestamp) {
        // Late answers of effects that counted as failed say nothing that looking again won't.
        let Some(purpose) = self.flights.remove(&token) else { return };
        self.timers.cancel(Timer::Flight(token));
        if let Some(index) = self.general.iter().position(|it| *it == purpose) {
            self.general.swap_remove(index);
        }
        if outcome == Outcome::Fenced {
            return self.lose_lease(now);
        }
        match purpose {
            Purpose::Lease { asked_at } => self.leased(outcome, asked_at, now),
            Purpose::LoadActive => self.actives_loaded(outcome, now),
            Purpose::LoadQueue => self.queue_loaded(outcome, now),
            Purpose::LoadDue => self.due_loaded(outcome, now),
            Purpose::NextDue => self.next_due_known(&outcome, now),
            Purpose::Peek => self.peeked(outcome, now),
            Purpose::Task(id) => self.task_done(id, outcome, now),
        }
    }

    fn fire_timers(&mut self, now: Timestamp) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Flight(token) => self.done(token, Outcome::Failed("no answer in time".into()), now),
                Timer::Task(id) => self.advance(id, now),
                // Both are looked at after every input.
                Timer::Lease | Timer::Queue => {}
            }
        }
    }

    fn emit(&mut self, purpose: Purpose, action: Action, now: Timestamp) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        if !matches!(purpose, Purpose::Task(_)) {
            self.general.push(purpose.clone());
        }
        self.flights.insert(token, purpose);
        let patience = match self.flights.get(&token) {
            // A lost answer must leave time to ask again before the lease runs out.
            Some(Purpose::Lease { .. }) => self.settings.lease_ttl / 5,
            _ => self.settings.effect_timeout,
        };
        self.timers.set(Timer::Flight(token), now.after(patience));
        self.effects.push(Effect { token, action });
        token
    }

    fn is_under_way(&self, is: impl Fn(&Purpose) -> bool) -> bool {
        self.general.iter().any(is)
    }
}
