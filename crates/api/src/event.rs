//! What happened to an application, as the event stream tells it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::application::{Reason, State};

/// One event. It describes the application right after the change, which is stored by then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its place in the log of events; also the `id` of the SSE message, and what `Last-Event-ID` takes.
    #[schema(example = 42)]
    pub id: u64,
    /// When the change was decided, RFC 3339 in UTC.
    #[schema(format = DateTime, example = "2026-11-21T12:00:00.000Z")]
    pub at: String,
    /// `accepted`, `state`, `cancel_requested`, `delete_requested` or `removed`; also the `event` of the SSE message.
    #[serde(rename = "type")]
    #[schema(example = "state")]
    pub kind: String,
    /// The application it is about.
    #[schema(example = "batch-12")]
    pub application: String,
    /// Whom the application belongs to.
    pub owner: String,
    /// The state after the change.
    pub state: State,
    /// The number of the last attempt; 0 before the first.
    pub attempt: u32,
    /// Why it is in its state, when there is something to say.
    pub reason: Option<Reason>,
    /// The exit code of the last attempt, 128 + n for signal n; null while unknown.
    pub exit_code: Option<i32>,
}

impl From<&model::event::Event> for Event {
    fn from(event: &model::event::Event) -> Self {
        Self {
            id: event.id.0,
            at: event.at.to_string(),
            kind: event.kind.as_str().to_owned(),
            application: event.application.to_string(),
            owner: event.owner.user.to_string(),
            state: event.state.into(),
            attempt: event.attempt,
            reason: event.reason.as_ref().map(Reason::from),
            exit_code: event.exit_code,
        }
    }
}
