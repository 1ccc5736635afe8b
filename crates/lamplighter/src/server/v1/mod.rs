//! `/api/v1`: our own REST API. Wire types are in the crate `api`.

pub(super) mod applications;
pub(super) mod audit;
pub(super) mod backends;
mod dry_run;
pub(super) mod events;
pub(super) mod logs;
mod stream;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use model::application::{Application, Wish};
use model::id::ApplicationId;

use super::asker::Asker;
use super::failure::Failure;
use super::{App, AppState, guard, query};

/// Which segment of `/api/v1/applications/{id}` is the id.
const ID_SEGMENT: usize = 3;

/// Who asks: what [`super::guard::admit`] found out.
pub(super) struct Caller(pub(super) Asker);

impl FromRequestParts<AppState> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(head: &mut Parts, _app: &AppState) -> Result<Self, Failure> {
        let asker = head.extensions.get::<Asker>().cloned();
        asker.map(Self).ok_or_else(|| Failure::new(api::ProblemCode::Unauthenticated))
    }
}

/// The application id in the path. What can't be one names nothing that exists.
pub(super) struct PathId(pub(super) ApplicationId);

impl FromRequestParts<AppState> for PathId {
    type Rejection = Failure;

    async fn from_request_parts(head: &mut Parts, _app: &AppState) -> Result<Self, Failure> {
        let segment = query::segment(&head.uri, ID_SEGMENT);
        segment.parse().map(Self).map_err(|_| Failure::no_application(&segment))
    }
}

impl App {
    /// Raises the user's wish; `None` when there is no such application.
    pub(super) async fn wish(&self, id: ApplicationId, wish: Wish) -> Result<Option<Application>, Failure> {
        let engine = Arc::clone(&self.engine);
        Ok(guard::to_its_end(async move { engine.wish(id, wish).await }).await??)
    }
}
