//! What surrounds every answer: the request's id and span, headers that browsers heed, and the one place that
//! turns failures into bodies.

use std::panic::AssertUnwindSafe;

use api::{Problem, ProblemCode};
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use http::{HeaderName, HeaderValue, header};
use tracing::Instrument as _;
use uuid::Uuid;

use super::failure::Failure;
use super::livy_door;

/// The header with the request's id, in both directions.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Bytes a client's own request id may have.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The id of a request, as it stands in the answer and in the log.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub(super) HeaderValue);

impl RequestId {
    /// The client's own id if it is well-formed, else a new one.
    fn of(request: &Request) -> Self {
        let given = request.headers().get(REQUEST_ID).filter(|value| is_well_formed(value.as_bytes()));
        Self(given.cloned().unwrap_or_else(|| {
            let id = Uuid::now_v7().to_string();
            HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("-"))
        }))
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("-")
    }
}

fn is_well_formed(id: &[u8]) -> bool {
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
        && id.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(b))
}

/// The clients a path is for, who expect errors in their own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// Livy's.
    Livy,
    /// Everybody else.
    Ours,
}

impl Door {
    /// The door a path belongs to.
    pub(super) fn of(path: &str) -> Self {
        match path.split('/').nth(1) {
            Some("batches" | "sessions" | "version" | "") => Self::Livy,
            _ => Self::Ours,
        }
    }
}

/// The outermost layer.
pub(super) async fn wrap(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(&request);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let span = tracing::info_span!("request", request_id = id.as_str(), %method, path);
    request.extensions_mut().insert(id.clone());
    let mut response = answer(id.clone(), request, next).instrument(span).await;
    let headers = response.headers_mut();
    for (name, value) in livy::http::STANDARD_HEADERS {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.entry(name).or_insert(value);
        }
    }
    headers.insert(REQUEST_ID, id.0);
    response
}

/// The answer in the words of the request's door, whatever became of the handler.
async fn answer(id: RequestId, request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let door = Door::of(&path);
    let accept_encoding = request.headers().get(header::ACCEPT_ENCODING).cloned();
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = answer.unwrap_or_else(|_| {
        tracing::error!("a handler panicked");
        Failure::new(ProblemCode::Internal).into_response()
    });
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        response = write_failure(door, &id, failure, response);
    }
    if door == Door::Livy && method != http::Method::HEAD {
        response = livy_door::encode(&path, accept_encoding.as_ref(), response).await;
    }
    tracing::debug!(status = response.status().as_u16(), "answered");
    response
}

/// Replaces the empty `answer`, whose headers stay: a router adds `Allow`, for instance.
fn write_failure(door: Door, id: &RequestId, failure: Failure, answer: Response) -> Response {
    let mut headers = answer.into_parts().0.headers;
    headers.remove(header::CONTENT_LENGTH);
    headers.extend(failure.headers.clone());
    let mut response = match door {
        Door::Livy => livy_door::failure_response(&failure),
        Door::Ours => problem_response(id, failure),
    };
    response.headers_mut().extend(headers);
    response
}

fn problem_response(id: &RequestId, failure: Failure) -> Response {
    let problem = Problem { detail: failure.detail, errors: failure.errors, ..Problem::new(failure.code, id.as_str()) };
    let status = http::StatusCode::from_u16(problem.status).unwrap_or_default();
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, content_type, Body::from(body)).into_response()
}
