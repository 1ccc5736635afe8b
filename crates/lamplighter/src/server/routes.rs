//! The table of routes. The router is made from it and from nothing else, so that whoever walks the table sees
//! every way in: its method, its path, and the action that must be permitted.

use std::time::{Duration, Instant};

use api::ProblemCode;
use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::{Method, StatusCode};
use tower::Layer as _;

use super::access::Action;
use super::envelope::Door;
use super::failure::Failure;
use super::{AppState, envelope, guard, livy_door, meta, metrics, v1};

/// One way in.
pub(super) struct Route {
    pub(super) method: Method,
    /// As the router spells it: `{id}` stands for one segment.
    pub(super) path: &'static str,
    pub(super) action: Action,
    pace: Pace,
    handler: MethodRouter<AppState>,
}

/// How long an answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// As long as the limits say.
    Usual,
    /// The handler sets its own limit.
    Own,
}

impl Route {
    fn new<H, T>(method: Method, path: &'static str, action: Action, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        let filter = match method {
            Method::POST => MethodFilter::POST,
            Method::DELETE => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        };
        Self { method, path, action, pace: Pace::Usual, handler: on(filter, handler) }
    }

    fn get<H: Handler<T, AppState>, T: 'static>(path: &'static str, action: Action, handler: H) -> Self {
        Self::new(Method::GET, path, action, handler)
    }

    fn post<H: Handler<T, AppState>, T: 'static>(path: &'static str, action: Action, handler: H) -> Self {
        Self::new(Method::POST, path, action, handler)
    }

    fn delete<H: Handler<T, AppState>, T: 'static>(path: &'static str, action: Action, handler: H) -> Self {
        Self { pace: Pace::Own, ..Self::new(Method::DELETE, path, action, handler) }
    }

    fn into_method_router(self, app: &AppState) -> MethodRouter<AppState> {
        let Self { method, path, action, pace, handler } = self;
        let limit = app.limits.answer_timeout;
        let app = app.clone();
        handler.route_layer(from_fn(move |request: Request, next: Next| {
            let (app, method) = (app.clone(), method.clone());
            let start = Instant::now();
            let permitted = guard::permit(app.clone(), action, request, next);
            async move {
                let response = match pace {
                    Pace::Usual => in_time(limit, permitted).await,
                    Pace::Own => permitted.await,
                };
                let (status, took) = (response.status(), start.elapsed());
                app.metrics.observe_request(&method, path, status, took);
                if action == Action::CreateApplication && matches!(status, StatusCode::OK | StatusCode::CREATED) {
                    app.metrics.observe_accept(path, took);
                }
                response
            }
        }))
    }
}

async fn in_time(limit: Duration, answer: impl Future<Output = Response>) -> Response {
    match tokio::time::timeout(limit, answer).await {
        Ok(response) => response,
        Err(_) => Failure::new(ProblemCode::Timeout).into_response(),
    }
}

/// Every route.
pub(super) fn table() -> Vec<Route> {
    let mut routes = vec![
        Route::get("/", Action::ReadGateway, livy_door::root),
        Route::get("/ui", Action::ReadGateway, meta::ui),
        Route::get("/ui/", Action::ReadGateway, meta::ui),
        Route::get("/healthz", Action::Probe, meta::healthz),
        Route::get("/readyz", Action::Probe, meta::readyz),
        Route::get("/metrics", Action::ReadMetrics, metrics::read),
        Route::get("/api/v1/version", Action::ReadGateway, meta::version),
        Route::get("/api/v1/openapi.json", Action::ReadGateway, meta::openapi),
        Route::get("/api/v1/backends", Action::ReadBackends, v1::backends::list),
        Route::get("/api/v1/audit", Action::ReadAudit, v1::audit::list),
        Route::get("/api/v1/events", Action::ReadEvents, v1::events::follow),
        Route::get("/api/v1/applications", Action::ListApplications, v1::applications::list),
        Route::post("/api/v1/applications", Action::CreateApplication, v1::applications::create),
        Route::get("/api/v1/applications/{id}", Action::ReadApplication, v1::applications::get),
        Route::delete("/api/v1/applications/{id}", Action::DeleteApplication, v1::applications::delete),
        Route::post("/api/v1/applications/{id}/cancel", Action::CancelApplication, v1::applications::cancel),
        Route::post("/api/v1/applications/{id}/retry", Action::RetryApplication, v1::applications::retry),
        Route::get("/api/v1/applications/{id}/logs", Action::ReadLogs, v1::logs::read),
        Route::get("/batches/{id}", Action::ReadApplication, livy_door::batches::get),
        Route::delete("/batches/{id}", Action::DeleteApplication, livy_door::batches::delete),
        Route::get("/batches/{id}/state", Action::ReadApplication, livy_door::batches::state),
        Route::get("/batches/{id}/log", Action::ReadLogs, livy_door::batches::log),
    ];
    for path in ["/version", "/version/"] {
        routes.push(Route::get(path, Action::ReadGateway, livy_door::version));
    }
    for path in ["/batches", "/batches/"] {
        routes.push(Route::get(path, Action::ListApplications, livy_door::batches::list));
        routes.push(Route::post(path, Action::CreateApplication, livy_door::batches::create));
    }
    routes.extend(session_routes());
    routes
}

/// Livy's sessions, of which this gateway has none.
fn session_routes() -> Vec<Route> {
    let mut routes = Vec::new();
    for path in ["/sessions", "/sessions/"] {
        routes.push(Route::get(path, Action::ListApplications, livy_door::sessions::list));
        routes.push(Route::post(path, Action::CreateApplication, livy_door::sessions::create));
    }
    for path in [
        "/sessions/{id}",
        "/sessions/{id}/state",
        "/sessions/{id}/log",
        "/sessions/{id}/statements",
        "/sessions/{id}/statements/{statement}",
    ] {
        routes.push(Route::get(path, Action::ReadApplication, livy_door::sessions::not_found));
    }
    routes.push(Route::delete("/sessions/{id}", Action::DeleteApplication, livy_door::sessions::not_found));
    for path in
        ["/sessions/{id}/statements", "/sessions/{id}/statements/{statement}/cancel", "/sessions/{id}/completion"]
    {
        routes.push(Route::post(path, Action::CreateApplication, livy_door::sessions::not_found));
    }
    routes
}

/// The whole server as one router.
pub(crate) fn router(app: AppState) -> Router {
    let mut inner = Router::new();
    for route in table() {
        inner = inner.route(route.path, route.into_method_router(&app));
    }
    let inner = inner.fallback(not_found).method_not_allowed_fallback(method_not_allowed).with_state(app.clone());
    // A POST may mean another method, which has to be known before the router looks at it.
    let inner = from_fn_with_state(app.clone(), livy_door::method_override).layer(inner);
    Router::new().fallback_service(inner).layer(from_fn_with_state(app, guard::admit)).layer(from_fn(envelope::wrap))
}

async fn not_found(State(app): State<AppState>, request: Request) -> Response {
    guard::permit_then(&app, Action::Nothing, request, |path| match Door::of(path) {
        Door::Ours if is_ours(path) => Failure::new(ProblemCode::NotFound).into_response(),
        _ => livy_door::unknown_path(path),
    })
    .await
}

async fn method_not_allowed(State(app): State<AppState>, request: Request) -> Response {
    guard::permit_then(&app, Action::Nothing, request, |path| match Door::of(path) {
        Door::Ours => Failure::new(ProblemCode::MethodNotAllowed).into_response(),
        Door::Livy => livy_door::method_not_allowed(path),
    })
    .await
}

fn is_ours(path: &str) -> bool {
    matches!(path.split('/').nth(1), Some("api" | "ui" | "healthz" | "readyz" | "metrics"))
}
