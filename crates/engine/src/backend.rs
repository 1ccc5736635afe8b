//! What the engine needs of a place where applications run. Adapters live in the crate `backends`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::id::{ApplicationId, AttemptId, BackendName, Shard};
use model::principal::Owner;
use model::spec::ApplicationSpec;
use model::state::{Exit, Reason, ReasonCode};
use model::time::Timestamp;
use tokio::sync::mpsc;

/// A place where drivers run.
///
/// Every call may be repeated, and repeating it changes nothing: names outside derive from the attempt's id.
/// A call whose answer was lost is simply made again.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Its configured name.
    fn name(&self) -> &BackendName;

    /// The lease that covers its work.
    fn shard(&self) -> &Shard;

    /// What to store with an attempt before it is launched, so that it can be found and judged later
    /// (for local work: the host and its boot).
    fn binding(&self) -> String;

    /// Why it can't run anything now, for a person; `None` when it can.
    fn not_ready(&self) -> Option<String> {
        None
    }

    /// Everything that is wrong with a specification, told before it is accepted; empty when it can run here.
    fn check(&self, spec: &ApplicationSpec) -> Vec<Problem>;

    /// The objects that [`Backend::launch`] would make, for a person to read: with stars for secrets. None where
    /// launching makes no objects.
    fn preview(&self, order: &LaunchOrder) -> Vec<serde_json::Value> {
        let _ = order;
        Vec::new()
    }

    /// Makes sure that the attempt was started exactly once, and watches it. An attempt that already started
    /// is not started again; one that was [`Backend::stop`]ped before it started never starts.
    async fn launch(&self, order: LaunchOrder) -> Result<Observation, BackendError>;

    /// What is known about the attempt now, and watches it from now on.
    async fn observe(&self, attempt: &AttemptRef) -> Result<Observation, BackendError>;

    /// Tells the driver to end, and ends it by force after `grace`; the end itself is observed later. An
    /// attempt that hasn't started is made never to start, which is answered as [`Observation::NeverRan`].
    async fn stop(&self, attempt: &AttemptRef, grace: Duration) -> Result<Observation, BackendError>;

    /// Removes every trace of an ended attempt, its log included. Removing what is gone succeeds. What a later
    /// [`Backend::launch`] of the same attempt needs to know that it must not start (a tombstone) stays for a
    /// day at least, because a launch may still be on its way when its application is deleted; such a launch
    /// is answered with [`Observation::NeverRan`].
    async fn discard(&self, attempt: &AttemptRef) -> Result<(), BackendError>;

    /// Everything here that is ours, whatever the store knows about it.
    async fn list_owned(&self) -> Result<Vec<Owned>, BackendError>;

    /// Changes of watched attempts, as they happen. One receiver; it is taken once.
    fn take_changes(&self) -> Option<mpsc::Receiver<(AttemptId, Observation)>>;
}

/// A shared backend.
pub type DynBackend = Arc<dyn Backend>;

/// Names an attempt to a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRef {
    /// The attempt.
    pub id: AttemptId,
    /// The application it is of.
    pub application: ApplicationId,
    /// What [`Backend::binding`] said when it was planned.
    pub binding: String,
}

/// Everything a backend needs to launch an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct LaunchOrder {
    /// Which attempt.
    pub attempt: AttemptRef,
    /// What to run.
    pub spec: Arc<ApplicationSpec>,
    /// Whom it belongs to.
    pub owner: Owner,
    /// The attempt's number, from 1.
    pub number: u32,
}

/// What a backend knows about an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// There is no trace of it here: it was not launched yet, or everything about it was removed.
    Absent,
    /// It exists and its driver doesn't run yet.
    Pending {
        /// Why that takes longer than usual, if something tells; never an end.
        waits_for: Option<Reason>,
    },
    /// The driver runs.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// The driver ended.
    Exited(Ended),
    /// It was stopped before it started; it never ran and never will.
    NeverRan,
    /// It may have run and was taken away, or how it ended can't be known any more. Nothing of it runs now.
    Lost {
        /// One of the reasons for a lost driver.
        reason: ReasonCode,
        /// What shows it.
        evidence: Option<String>,
    },
}

/// How a driver ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How its process ended.
    pub exit: Exit,
    /// When it had started.
    pub started_at: Timestamp,
    /// When.
    pub at: Timestamp,
    /// Whether it was told to end before it did.
    pub stopped: bool,
    /// What ended it, where the backend knows more than the exit tells.
    pub cause: Option<ReasonCode>,
    /// The driver's own last error line.
    pub evidence: Option<String>,
}

/// Something of ours that a backend holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The attempt.
    pub attempt: AttemptId,
    /// The application it says it is of, if that can be read.
    pub application: Option<ApplicationId>,
    /// Whether a driver is running.
    pub running: bool,
    /// Where it is, for a person: a folder, an object's name.
    pub place: String,
}

/// One thing that is wrong with a specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is meant: a field of the specification or a conf key.
    pub field: String,
    /// What is wrong and what to do, in a sentence without full stop.
    pub message: String,
}

/// Why a backend did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// It will never do this; the sentence tells why and what to change.
    #[error("{0}")]
    Refused(String),
    /// It can't now; nothing is known about the call's effect, which may be repeated.
    #[error("the backend is unavailable: {what}")]
    Unavailable {
        /// What was being done.
        what: String,
        /// Why it failed.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl BackendError {
    /// A failure that may pass.
    pub fn unavailable(what: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable { what: what.into(), source: Some(source.into()) }
    }
}
