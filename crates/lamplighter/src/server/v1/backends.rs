//! `/api/v1/backends`.

use api::Page;
use api::backend::Backend;
use axum::Json;
use axum::extract::State;
use engine::runtime::BackendStatus;
use model::id::BackendKind;
use model::principal::Scope;

use super::Caller;
use crate::server::AppState;
use crate::server::access::Action;
use crate::server::failure::Failure;

/// `GET /api/v1/backends`: those that the asker may use, or all of them to whom may know of all applications.
pub(in crate::server) async fn list(
    State(app): State<AppState>,
    Caller(asker): Caller,
) -> Result<Json<Page<Backend>>, Failure> {
    let statuses = app.engine.backends().await?;
    let sees_all = app.scope(&asker, Action::ReadApplication) == Scope::Everything;
    let seen = statuses.iter().filter(|it| sees_all || app.policy.allows_backend(&asker.principal, &it.name));
    let kind = |status: &BackendStatus| app.kinds.get(&status.name).copied().unwrap_or(BackendKind::Local);
    let items = seen.map(|status| backend(status, kind(status), sees_all)).collect();
    Ok(Json(Page { items, next_cursor: None }))
}

/// How busy a backend is counts the applications of all tenants, so it is told to few.
fn backend(status: &BackendStatus, kind: BackendKind, sees_all: bool) -> Backend {
    let leftovers = status.leftovers.iter().filter(|_| sees_all).map(|owned| owned.place.clone());
    Backend {
        name: status.name.to_string(),
        kind: kind.as_str().to_owned(),
        ready: status.ready,
        active: sees_all.then_some(status.active as u64),
        places: status.places as u64,
        queued: sees_all.then_some(status.queued),
        leftovers: leftovers.collect(),
    }
}
