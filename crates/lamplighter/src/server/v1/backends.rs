//! `/api/v1/backends`.

use api::Page;
use api::backend::Backend;
use axum::Json;
use axum::extract::State;
use engine::runtime::BackendStatus;

use crate::server::AppState;
use crate::server::failure::Failure;

/// `GET /api/v1/backends`.
pub(in crate::server) async fn list(State(app): State<AppState>) -> Result<Json<Page<Backend>>, Failure> {
    let statuses = app.engine.backends().await?;
    Ok(Json(Page { items: statuses.iter().map(backend).collect(), next_cursor: None }))
}

fn backend(status: &BackendStatus) -> Backend {
    Backend {
        name: status.name.to_string(),
        ready: status.ready,
        active: status.active as u64,
        places: status.places as u64,
        queued: status.queued,
        leftovers: status.leftovers.iter().map(|owned| owned.place.clone()).collect(),
    }
}
