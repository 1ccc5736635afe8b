//! The body of every error of `/api/v1`: RFC 9457 problem details with a code for machines.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong, as `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A URI for the kind of problem: `urn:lamplighter:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:lamplighter:problem:name_taken")]
    pub type_uri: String,
    /// The kind of problem in words, the same for each occurrence.
    #[schema(example = "the name is taken")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 409)]
    pub status: u16,
    /// This occurrence in words.
    pub detail: Option<String>,
    /// The kind of problem for machines.
    #[schema(example = "name_taken")]
    pub code: String,
    /// The id of the request, as in the header `X-Request-Id`; the gateway's log has it too.
    pub request_id: String,
    /// Everything that is wrong with what was sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
}

/// One thing that is wrong with what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    /// Where, as a JSON pointer into the body (`/conf/spark.master`), or a query parameter (`?limit`).
    #[schema(example = "/driver_memory")]
    pub pointer: String,
    /// What is wrong.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl FieldProblem {
    /// A problem with what stands at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into(), fix: None }
    }

    /// The same with advice.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// Appends one step to a JSON pointer, escaped as RFC 6901 wants it.
pub fn pointer(parent: &str, step: &str) -> String {
    format!("{parent}/{}", step.replace('~', "~0").replace('/', "~1"))
}

macro_rules! problem_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $title:literal;)+) => {
        /// Every kind of problem, with its status and title.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProblemCode {
            $($(#[$doc])* $name,)+
        }

        impl ProblemCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code for machines.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// The kind of problem in words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }
        }
    };
}

problem_codes! {
    /// The body is not JSON.
    MalformedBody = "malformed_body", 400, "the body is not JSON";
    /// Header or path can't be understood.
    MalformedRequest = "malformed_request", 400, "the request can't be understood";
    /// A query parameter is wrong.
    InvalidQuery = "invalid_query", 400, "a query parameter is wrong";
    /// The `Idempotency-Key` is not one.
    InvalidIdempotencyKey = "invalid_idempotency_key", 400, "the idempotency key must be 1 to 255 visible ASCII characters";
    /// Nobody knows who asks.
    Unauthenticated = "unauthenticated", 401, "the request names no known user";
    /// Not allowed.
    Forbidden = "forbidden", 403, "this is not allowed";
    /// What was asked for breaks a rule.
    PolicyRefused = "policy_refused", 403, "the policy of this gateway refuses the application";
    /// A web page of another site asks.
    ForeignOrigin = "foreign_origin", 403, "requests from web pages of other sites are refused";
    /// There is no such thing, or the asker may not know.
    NotFound = "not_found", 404, "there is no such thing";
    /// The path exists, the method doesn't.
    MethodNotAllowed = "method_not_allowed", 405, "the method is not allowed here";
    /// The body came too slowly.
    BodyTimeout = "body_timeout", 408, "the body did not arrive in time";
    /// The name belongs to another application.
    NameTaken = "name_taken", 409, "the name is taken";
    /// It must end first.
    StillActive = "still_active", 409, "the application has not ended yet";
    /// It can't be retried.
    NotRetryable = "not_retryable", 409, "the application can't be retried";
    /// The body is larger than allowed.
    BodyTooLarge = "body_too_large", 413, "the body is too large";
    /// The body is of a type that isn't read here.
    UnsupportedMediaType = "unsupported_media_type", 415, "the body must be application/json";
    /// The request was meant for another host.
    UnknownHost = "unknown_host", 421, "the gateway does not answer for this host";
    /// The fields are wrong.
    InvalidApplication = "invalid_application", 422, "the application can't be accepted";
    /// The key was used for another request.
    IdempotencyKeyReused = "idempotency_key_reused", 422, "the idempotency key was used for another request";
    /// The key's application was deleted meanwhile.
    IdempotencyKeySpent = "idempotency_key_spent", 409, "what the idempotency key made is gone";
    /// Too many wait already.
    QueueFull = "queue_full", 429, "the queue is full";
    /// A defect of the gateway.
    Internal = "internal", 500, "the gateway failed; its log tells why";
    /// The store can't be reached, or the gateway is going down.
    Unavailable = "unavailable", 503, "the gateway can't do this now; try again";
    /// The gateway took too long.
    Timeout = "timeout", 503, "the gateway took too long; whether the request took effect is not known";
}

impl Problem {
    /// A problem of this kind, met in the request `request_id`.
    pub fn new(code: ProblemCode, request_id: &str) -> Self {
        Self {
            type_uri: format!("urn:lamplighter:problem:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            detail: None,
            code: code.as_str().to_owned(),
            request_id: request_id.to_owned(),
            errors: Vec::new(),
        }
    }
}
