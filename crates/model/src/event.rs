//! What happened to applications, as the store's log keeps it.

use crate::application::Wish;
use crate::id::{ApplicationId, EventId};
use crate::principal::Owner;
use crate::state::{Reason, State};
use crate::time::Timestamp;

/// One entry of the log. It describes the application right after the change, which is stored by then.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its place in the log.
    pub id: EventId,
    /// When the change was decided.
    pub at: Timestamp,
    /// The application.
    pub application: ApplicationId,
    /// Whom it belongs to: who may read the event.
    pub owner: Owner,
    /// What changed.
    pub kind: EventKind,
    /// The state after the change.
    pub state: State,
    /// The number of the last attempt; 0 before the first.
    pub attempt: u32,
    /// Why.
    pub reason: Option<Reason>,
    /// The exit code of the last attempt, if known.
    pub exit_code: Option<i32>,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was accepted.
    Accepted,
    /// Its state changed.
    State,
    /// The user wants it otherwise.
    Wish(Wish),
    /// It was removed; nothing of it can be read any more.
    Removed,
}

impl EventKind {
    /// The word in the API and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::State => "state",
            Self::Wish(Wish::Run) => "run_requested",
            Self::Wish(Wish::Cancel) => "cancel_requested",
            Self::Wish(Wish::Delete) => "delete_requested",
            Self::Removed => "removed",
        }
    }
}
