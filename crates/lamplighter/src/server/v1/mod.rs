//! `/api/v1`: our own REST API. Wire types are in the crate `api`.

pub(super) mod applications;
pub(super) mod backends;
pub(super) mod events;
pub(super) mod logs;
mod stream;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use engine::runtime::{AcceptError, AcceptRequest};
use engine::store::Accepted;
use http::request::Parts;
use model::application::{Application, Wish};
use model::id::ApplicationId;
use model::principal::Principal;

use super::access::{Action, Object};
use super::failure::Failure;
use super::{App, AppState, admission, guard, query};

/// Which segment of `/api/v1/applications/{id}` is the id.
const ID_SEGMENT: usize = 3;

/// Who asks: what [`super::guard::admit`] found out.
pub(super) struct Caller(pub(super) Principal);

impl FromRequestParts<AppState> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(head: &mut Parts, _app: &AppState) -> Result<Self, Failure> {
        let principal = head.extensions.get::<Principal>().cloned();
        principal.map(Self).ok_or_else(|| Failure::new(api::ProblemCode::Unauthenticated))
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
    /// Stores a new application, if its size and the gateway's rules allow it.
    pub(super) async fn accept(
        &self,
        principal: &Principal,
        request: AcceptRequest,
    ) -> Result<Result<Accepted, AcceptError>, Failure> {
        let problems = admission::problems(&self.livy.rules, &request.spec);
        if !problems.is_empty() {
            return Ok(Err(AcceptError::Rejected(problems)));
        }
        let (engine, principal) = (Arc::clone(&self.engine), principal.clone());
        guard::to_its_end(async move { engine.accept(&principal, request).await }).await
    }

    /// Raises the user's wish; `None` when there is no such application.
    pub(super) async fn wish(&self, id: ApplicationId, wish: Wish) -> Result<Option<Application>, Failure> {
        let engine = Arc::clone(&self.engine);
        Ok(guard::to_its_end(async move { engine.wish(id, wish).await }).await??)
    }

    /// Whether `principal` may do `action` to this application.
    pub(super) fn permits(&self, principal: &Principal, action: Action, application: &Application) -> bool {
        self.access.authorise(principal, action, Object::ApplicationOf(&application.owner)).is_allowed()
    }

    /// The application, if it is there and the asker may do this to it; nobody learns which of the two failed.
    pub(super) async fn application(
        &self,
        principal: &Principal,
        action: Action,
        id: ApplicationId,
    ) -> Result<Application, Failure> {
        let application = self.engine.get(id).await?;
        application
            .filter(|application| self.permits(principal, action, application))
            .ok_or_else(|| Failure::no_application(&id.to_string()))
    }
}
