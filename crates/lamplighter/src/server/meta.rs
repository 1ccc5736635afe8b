//! What is about the gateway itself: probes, version, API description, and a page for people.

use axum::Json;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json;

use super::AppState;

/// The version of Livy whose contract `/batches` keeps.
pub(super) const LIVY_VERSION: &str = "0.9.0-incubating";

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> Json<serde_json::Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /readyz`: 200 when it can take work, else 503 with the reasons.
pub(super) async fn readyz(State(app): State<AppState>) -> Response {
    let readiness = app.engine.readiness();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": readiness.ready, "reasons": readiness.reasons }))).into_response()
}

/// `GET /api/v1/version`.
pub(super) async fn version() -> Json<api::Version> {
    Json(api::Version {
        name: "lamplighter".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        livy_version: LIVY_VERSION.to_owned(),
    })
}

/// `GET /api/v1/openapi.json`.
pub(super) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], api::openapi())
}

/// `GET /ui`: what there is to see, until there is more.
pub(super) async fn ui() -> Html<&'static str> {
    Html(include_str!("ui.html"))
}
