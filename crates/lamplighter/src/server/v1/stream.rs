//! Server-sent events: the form that both streams of the API share.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use api::ProblemCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderValue, header};

use crate::server::App;
use crate::server::failure::Failure;

/// How often a silent stream shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The header that a reconnecting client sends.
pub(super) const LAST_EVENT_ID: &str = "last-event-id";

/// Answers with a stream that ends by itself or when the gateway goes down. Nothing is made before the client
/// has taken what was made earlier.
///
/// # Errors
/// 503 when there are as many streams as the gateway keeps open.
pub(super) fn respond(app: &App, messages: impl Stream<Item = Event> + Send + 'static) -> Result<Response, Failure> {
    let place = Arc::clone(&app.streams).try_acquire_owned().map_err(|_| too_many())?;
    let counted = app.metrics.stream();
    let closing = app.closing.clone();
    let closed = async move { closing.closed().await };
    let messages = messages.map(move |message| {
        // Held for as long as the stream lives.
        let _held = (&place, &counted);
        Ok::<_, Infallible>(message)
    });
    let messages = messages.take_until(Box::pin(closed));
    let mut response = Sse::new(messages).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
    // Proxies such as nginx hold streams back unless told not to.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn too_many() -> Failure {
    Failure::new(ProblemCode::Unavailable)
        .detail("as many streams are open as `limits.streams_max` allows")
        .header(header::RETRY_AFTER, HeaderValue::from_static("5"))
}

/// A message with a JSON body.
pub(super) fn message(name: &str, body: &impl serde::Serialize) -> Event {
    Event::default().event(name).data(serde_json::to_string(body).unwrap_or_default())
}

/// Whether the client asks for a stream.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    accepts(headers, "text/event-stream")
}

/// Whether `Accept` names a media type.
pub(super) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|item| item.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type))
}

/// The place after which a reconnecting client goes on.
pub(super) fn last_event_id(headers: &HeaderMap) -> Option<String> {
    headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or("?").to_owned()).filter(|id| !id.is_empty())
}
