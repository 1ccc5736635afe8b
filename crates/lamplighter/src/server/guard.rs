//! The layers that every request passes before any handler: is it meant for us, who asks, may they.

use api::ProblemCode;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use model::principal::Principal;
use tracing::Instrument as _;

use super::AppState;
use super::access::{Action, Object};
use super::failure::Failure;
use super::hosts::ForeignRequest;

/// Refuses what isn't meant for this gateway, and finds out who asks. The principal is an extension of the
/// request from here on.
pub(super) async fn admit(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    if let Err(foreign) = app.hosts.check(head.version, &head.uri, &head.headers) {
        return refuse(foreign).into_response();
    }
    match app.access.authenticate(&head) {
        Ok(principal) => {
            head.extensions.insert(principal);
            next.run(Request::from_parts(head, body)).await
        }
        Err(_) => Failure::new(ProblemCode::Unauthenticated).into_response(),
    }
}

fn refuse(foreign: ForeignRequest) -> Failure {
    match foreign {
        ForeignRequest::NoHost => Failure::new(ProblemCode::MalformedRequest).detail("the header `Host` is missing"),
        ForeignRequest::MalformedHost => {
            Failure::new(ProblemCode::MalformedRequest).detail("the header `Host` is malformed")
        }
        ForeignRequest::UnknownHost => Failure::new(ProblemCode::UnknownHost)
            .detail("add the host to `allowed_hosts` if the gateway shall answer for it"),
        ForeignRequest::ForeignOrigin => Failure::new(ProblemCode::ForeignOrigin),
    }
}

/// Whether the asker may do a route's action at all; what it is done to is asked for where it is known.
pub(super) async fn permit(app: AppState, action: Action, request: Request, next: Next) -> Response {
    match check(&app, action, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// The same for what has no route of its own.
pub(super) fn permit_then(
    app: &AppState,
    action: Action,
    request: &Request,
    answer: impl FnOnce(&Request) -> Response,
) -> Response {
    match check(app, action, request) {
        Ok(()) => answer(request),
        Err(refusal) => refusal.into_response(),
    }
}

fn check(app: &AppState, action: Action, request: &Request) -> Result<(), Failure> {
    let principal =
        request.extensions().get::<Principal>().ok_or_else(|| Failure::new(ProblemCode::Unauthenticated))?;
    if app.access.authorise(principal, action, Object::Gateway).is_allowed() {
        Ok(())
    } else {
        Err(Failure::new(ProblemCode::Forbidden))
    }
}

/// Does what must not stop halfway when the client goes away or the limit of time is reached.
pub(super) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Failure> {
    tokio::spawn(work.in_current_span()).await.map_err(|_| Failure::new(ProblemCode::Internal))
}
