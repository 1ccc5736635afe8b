//! `/api/v1/events`: what happens, as it happens.

use std::collections::VecDeque;

use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event as Message;
use engine::events::Subscription;
use futures::Stream;
use http::{HeaderMap, Uri};
use model::id::{ApplicationId, EventId};
use model::principal::Scope;

use super::{Caller, stream};
use crate::server::AppState;
use crate::server::access::Action;
use crate::server::failure::Failure;
use crate::server::query::Parameters;

/// The largest number that stores give.
const EVENT_ID_MAX: u64 = i64::MAX as u64;

/// `GET /api/v1/events`.
pub(in crate::server) async fn follow(
    State(app): State<AppState>,
    Caller(asker): Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let mut parameters = Parameters::of(&uri);
    let asked_after: Option<u64> = parameters.parsed("after");
    if asked_after.is_some_and(|id| id > EVENT_ID_MAX) {
        parameters.refuse("after", "is larger than any event's number");
    }
    let application: Option<ApplicationId> = parameters.parsed("application");
    // A browser that reconnects repeats its first query, so the header is the newer of the two.
    let seen = match stream::last_event_id(&headers) {
        None => None,
        Some(id) => {
            let id = id.parse::<u64>().ok().filter(|id| *id <= EVENT_ID_MAX);
            if id.is_none() {
                parameters.refuse("Last-Event-ID", "expected the number of an event");
            }
            id
        }
    };
    parameters.finish()?;
    let asked = seen.or(asked_after).map(EventId);
    let newest = app.engine.events().newest();
    let mut waiting = VecDeque::new();
    let mut after = asked;
    if asked.is_some_and(|asked| asked > newest) {
        // Only another store's events have such numbers, so everything of this one may be new to the client.
        waiting.push_back(gap(EventId(0), EventId(newest.0.saturating_add(1))));
        after = Some(newest);
    }
    let reader = Reader {
        subscription: app.engine.events().subscribe(after),
        position: after,
        waiting,
        filter: Filter { scope: app.scope(&asker, Action::ReadEvents), application },
    };
    stream::respond(&app, reader.into_messages())
}

/// Events between these two that the client may not have seen.
fn gap(after: EventId, before: EventId) -> Message {
    stream::message("gap", &serde_json::json!({ "after": after.0, "before": before.0 }))
}

struct Filter {
    scope: Scope,
    application: Option<ApplicationId>,
}

impl Filter {
    fn lets_through(&self, event: &model::event::Event) -> bool {
        self.application.is_none_or(|wanted| wanted == event.application) && self.scope.contains(&event.owner)
    }
}

struct Reader {
    subscription: Subscription,
    /// The last event read, or the place that was asked for; unknown when the stream begins now.
    position: Option<EventId>,
    waiting: VecDeque<Message>,
    filter: Filter,
}

impl Reader {
    fn into_messages(self) -> impl Stream<Item = Message> + Send {
        futures::stream::unfold(self, |mut reader| async move {
            while reader.waiting.is_empty() {
                reader.read().await?;
            }
            reader.waiting.pop_front().map(|message| (message, reader))
        })
    }

    /// Reads on; `None` ends the stream, which the client takes up again where it was.
    async fn read(&mut self) -> Option<()> {
        let events = match self.subscription.next().await {
            Ok(events) => events,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "read events for a subscriber");
                return None;
            }
        };
        for event in &events {
            if let Some(missing_after) = self.position.filter(|last| event.id.0 > last.0.saturating_add(1)) {
                self.waiting.push_back(gap(missing_after, event.id));
            }
            self.position = Some(event.id);
            if self.filter.lets_through(event) {
                let body = api::Event::from(&**event);
                self.waiting.push_back(stream::message(&body.kind, &body).id(event.id.to_string()));
            }
        }
        Some(())
    }
}
