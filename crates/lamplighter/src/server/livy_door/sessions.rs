//! Livy's `/sessions`, of which this gateway holds none yet: reading finds nothing, creating is refused honestly.

use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri};
use livy::view::BatchList;
use livy::{Rejection, page, to_json};

use super::{Refusal, bytes, negotiate, optional_int};
use crate::server::query;

/// `GET /sessions`: an empty list.
pub(in crate::server) async fn list(headers: HeaderMap, uri: Uri) -> Result<Response, Refusal> {
    negotiate(&headers)?;
    let pairs = query::pairs(&uri);
    let from = optional_int(&pairs, "from")?.unwrap_or(0);
    optional_int(&pairs, "size")?.unwrap_or(page::DEFAULT_SIZE);
    let empty = BatchList { from, total: 0, sessions: Vec::new() };
    Ok(bytes(StatusCode::OK, livy::http::JSON, to_json(&empty)))
}

/// `POST /sessions`.
pub(in crate::server) async fn create(headers: HeaderMap) -> Result<Response, Refusal> {
    negotiate(&headers)?;
    Err(Rejection::msg(501, "This gateway has no interactive sessions yet; POST /batches runs programs.").into())
}

/// Everything below `/sessions/{id}`.
pub(in crate::server) async fn not_found(headers: HeaderMap, uri: Uri) -> Result<Response, Refusal> {
    negotiate(&headers)?;
    let segment = query::segment(&uri, 1);
    livy::id::parse(&segment)?;
    Err(Rejection::not_found(&segment).into())
}
