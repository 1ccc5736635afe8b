//! What a handler answers when it can't do what was asked. The body is written by [`super::envelope`], in the
//! words of the door the request came through.

use api::{FieldProblem, ProblemCode};
use axum::response::{IntoResponse, Response};
use engine::backend::Problem as SpecProblem;
use engine::runtime::AcceptError;
use engine::store::StoreError;
use http::{HeaderName, HeaderValue, StatusCode};

/// An error on its way to the client. Nothing in it may be a secret of the gateway.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) code: ProblemCode,
    pub(super) detail: Option<String>,
    pub(super) errors: Vec<FieldProblem>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Failure {
    /// A failure of this kind.
    pub(super) const fn new(code: ProblemCode) -> Self {
        Self { code, detail: None, errors: Vec::new(), headers: Vec::new() }
    }

    /// With words about this occurrence.
    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With everything that is wrong in what was sent.
    pub(super) fn errors(mut self, errors: Vec<FieldProblem>) -> Self {
        self.errors = errors;
        self
    }

    /// With a header.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// 404 for an application that isn't there, or that the asker may not know of.
    pub(super) fn no_application(id: &str) -> Self {
        let id: String = id.chars().take(64).collect();
        Self::new(ProblemCode::NotFound).detail(format!("there is no application `{id}`"))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = StatusCode::from_u16(self.code.status()).unwrap_or_default().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NameTaken { .. } => Self::new(ProblemCode::NameTaken).detail(error.to_string()),
            StoreError::KeyReused => Self::new(ProblemCode::IdempotencyKeyReused),
            StoreError::KeySpent(_) => Self::new(ProblemCode::IdempotencyKeySpent).detail(error.to_string()),
            StoreError::Full(_) | StoreError::TenantFull(_) => Self::new(ProblemCode::QueueFull)
                .detail(error.to_string())
                .header(http::header::RETRY_AFTER, HeaderValue::from_static("5")),
            StoreError::Conflict(_) | StoreError::Fenced(_) | StoreError::Unavailable(_) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the store failed a request");
                Self::new(ProblemCode::Unavailable).header(http::header::RETRY_AFTER, HeaderValue::from_static("1"))
            }
            StoreError::NumbersExhausted(_) | StoreError::Corrupt(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the store failed a request");
                Self::new(ProblemCode::Internal)
            }
        }
    }
}

impl From<AcceptError> for Failure {
    fn from(error: AcceptError) -> Self {
        match error {
            AcceptError::UnknownBackend { .. } => Self::new(ProblemCode::InvalidApplication)
                .errors(vec![FieldProblem::new("/backend", error.to_string())]),
            AcceptError::Rejected(problems) => {
                Self::new(ProblemCode::InvalidApplication).errors(problems.iter().map(field_problem).collect())
            }
            AcceptError::NotRetryable { .. } => Self::new(ProblemCode::NotRetryable).detail(error.to_string()),
            AcceptError::Store(error) => error.into(),
        }
    }
}

/// A backend names a field of the specification, or a conf key.
pub(super) fn field_problem(problem: &SpecProblem) -> FieldProblem {
    let parent = if problem.field.starts_with("spark.") { "/conf" } else { "" };
    FieldProblem::new(api::problem::pointer(parent, &problem.field), problem.message.clone())
}
