//! The layers that every request passes before any handler: is it meant for us, who asks, may they.

use std::sync::Arc;

use api::ProblemCode;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use tracing::Instrument as _;

use super::AppState;
use super::access::Action;
use super::asker::Asker;
use super::envelope::RequestId;
use super::failure::Failure;
use super::hosts::ForeignRequest;

/// Refuses what isn't meant for this gateway, and finds out who asks. The [`Asker`] is an extension of the request
/// from here on; a request of nobody known has none.
pub(super) async fn admit(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let (mut head, body) = request.into_parts();
    if let Err(foreign) = app.hosts.check(head.version, &head.uri, &head.headers) {
        return refuse(foreign).into_response();
    }
    if let Ok(principal) = app.access.authenticate(&head) {
        let request_id = head.extensions.get::<RequestId>().map_or("-", RequestId::as_str).to_owned();
        head.extensions.insert(Asker { principal: Arc::new(principal), request_id });
    }
    next.run(Request::from_parts(head, body)).await
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
    match Asked::of(&request).check(&app, action).await {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// The same for what has no route of its own; `answer` gets the path.
pub(super) async fn permit_then(
    app: &AppState,
    action: Action,
    request: Request,
    answer: impl FnOnce(&str) -> Response,
) -> Response {
    let asked = Asked::of(&request);
    match asked.check(app, action).await {
        Ok(()) => answer(&asked.path),
        Err(refusal) => refusal.into_response(),
    }
}

/// What the guard looks at.
struct Asked {
    asker: Option<Asker>,
    path: String,
    request_id: String,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let extensions = request.extensions();
        let request_id = extensions.get::<RequestId>().map_or("-", RequestId::as_str).to_owned();
        Self { asker: extensions.get::<Asker>().cloned(), path: request.uri().path().to_owned(), request_id }
    }

    async fn check(&self, app: &AppState, action: Action) -> Result<(), Failure> {
        match &self.asker {
            Some(asker) => app.permit(asker, action, &self.path).await,
            // Whoever watches over the process has no token.
            None if action == Action::Probe => Ok(()),
            None => {
                app.record_unknown(&self.path, &self.request_id).await?;
                let challenge = HeaderValue::from_static("Bearer realm=\"lamplighter\"");
                Err(Failure::new(ProblemCode::Unauthenticated).header(header::WWW_AUTHENTICATE, challenge))
            }
        }
    }
}

/// Does what must not stop halfway when the client goes away or the limit of time is reached.
pub(super) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Failure> {
    tokio::spawn(work.in_current_span()).await.map_err(|_| Failure::new(ProblemCode::Internal))
}
