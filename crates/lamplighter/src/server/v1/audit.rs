//! `/api/v1/audit`.

use api::{AuditRecord, Page};
use axum::Json;
use axum::extract::State;
use engine::store::AuditQuery;
use http::Uri;
use model::audit::AuditId;

use crate::server::AppState;
use crate::server::failure::Failure;
use crate::server::query::Parameters;

/// Records on a page when the client doesn't say.
const PAGE_ITEMS: u32 = 100;
/// Records on a page at most.
const PAGE_ITEMS_MAX: u32 = 1_000;

/// `GET /api/v1/audit`.
pub(in crate::server) async fn list(State(app): State<AppState>, uri: Uri) -> Result<Json<Page<AuditRecord>>, Failure> {
    let mut parameters = Parameters::of(&uri);
    let limit = parameters.number("limit", 1, PAGE_ITEMS_MAX).unwrap_or(PAGE_ITEMS);
    let query = AuditQuery {
        before: parameters.parsed("cursor").map(AuditId),
        user: parameters.parsed("user"),
        tenant: parameters.parsed("tenant"),
        decision: parameters.parsed("decision"),
        // One more than asked for tells whether there is a next page.
        limit: limit + 1,
    };
    parameters.finish()?;
    let mut found = app.engine.audit(&query).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next_cursor = found.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(Json(Page { items: found.iter().map(AuditRecord::from).collect(), next_cursor }))
}
