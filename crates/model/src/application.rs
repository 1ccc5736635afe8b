//! An application as the gateway stores it, and the pure rules about it.

use std::sync::Arc;

use crate::id::{ApplicationId, AttemptId, BackendName, Shard};
use crate::principal::Owner;
use crate::spec::ApplicationSpec;
use crate::state::{Exit, Reason, State};
use crate::time::Timestamp;

/// What the user wants of an accepted application. It only ever grows: run, then cancel, then delete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wish {
    /// Run it.
    #[default]
    Run,
    /// End it and keep its record.
    Cancel,
    /// End it and remove every trace of it.
    Delete,
}

impl Wish {
    /// The word in the API and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Cancel => "cancel",
            Self::Delete => "delete",
        }
    }
}

/// One Spark driver with its executors, from acceptance to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Application {
    /// Its id.
    pub id: ApplicationId,
    /// What to run; never changes.
    pub spec: Arc<ApplicationSpec>,
    /// Whom it belongs to.
    pub owner: Owner,
    /// The application that a user's retry repeats.
    pub retry_of: Option<ApplicationId>,
    /// Where it runs.
    pub backend: BackendName,
    /// The lease that covers it.
    pub shard: Shard,
    /// Where it stands.
    pub state: State,
    /// Why; always present when the state is terminal, and after a failed attempt.
    pub reason: Option<Reason>,
    /// What the user wants.
    pub wish: Wish,
    /// All attempts, oldest first; the last is the current one while the state is active.
    pub attempts: Vec<Attempt>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// From when on it may start: its place in the queue.
    pub ready_at: Timestamp,
    /// When the state became terminal.
    pub ended_at: Option<Timestamp>,
    /// Counts stored changes, from 1; every change compares and sets it.
    pub version: u64,
}

/// One try to run an application.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Its id, from which every external name derives.
    pub id: AttemptId,
    /// Counted from 1.
    pub number: u32,
    /// What the backend wants to find again, for instance the host and its boot; opaque to everyone else.
    pub binding: String,
    /// When the intent was stored.
    pub created_at: Timestamp,
    /// When the driver was first seen running.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How the driver's process ended.
    pub exit: Option<Exit>,
    /// Why it ended.
    pub reason: Option<Reason>,
}

impl Attempt {
    /// An attempt that is about to be launched.
    pub const fn new(id: AttemptId, number: u32, binding: String, created_at: Timestamp) -> Self {
        Self { id, number, binding, created_at, started_at: None, ended_at: None, exit: None, reason: None }
    }
}

impl Application {
    /// The attempt under way; `None` when the state is not active.
    pub fn current_attempt(&self) -> Option<&Attempt> {
        if self.state.is_active() { self.attempts.last() } else { None }
    }

    /// The exit code of the last attempt, if one is known.
    pub fn exit_code(&self) -> Option<i32> {
        self.attempts.last().and_then(|attempt| attempt.exit).map(Exit::code)
    }

    /// When the driver of the last attempt was first seen running.
    pub fn started_at(&self) -> Option<Timestamp> {
        self.attempts.last().and_then(|attempt| attempt.started_at)
    }

    /// When it gives up waiting for its first start.
    pub fn queue_deadline(&self) -> Option<Timestamp> {
        // A retry has waited its turn already.
        let waits = self.state == State::Accepted && self.attempts.is_empty();
        self.spec.limits.queue_timeout.filter(|_| waits).map(|limit| self.accepted_at.after(limit))
    }

    /// When the running attempt has run long enough.
    pub fn run_deadline(&self) -> Option<Timestamp> {
        let started = self.current_attempt()?.started_at?;
        self.spec.limits.run_timeout.map(|limit| started.after(limit))
    }

    /// When somebody must look at it although it isn't active and nothing happens to it; stores index this.
    ///
    /// Active applications are always looked after, so they have none.
    pub fn wake_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Accepted if self.wish > Wish::Run => Some(Timestamp::EPOCH),
            State::Accepted => self.queue_deadline(),
            state if state.is_terminal() && self.wish == Wish::Delete => Some(Timestamp::EPOCH),
            _ => None,
        }
    }
}
