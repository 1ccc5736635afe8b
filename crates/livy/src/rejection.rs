//! Everything that is refused, in the three shapes that Livy's error bodies have.

use std::fmt;

use crate::to_json;

/// A refusal, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status} {body}")]
pub struct Rejection {
    /// The HTTP status.
    pub status: u16,
    /// The body that goes with it.
    pub body: Body,
}

/// The body of a [`Rejection`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// `{"msg":"…"}`: what Livy's own checks answer.
    Msg(String),
    /// `"…"`: what its JSON parser and unexpected failures answer.
    JsonString(String),
    /// No body: unknown paths and methods.
    Empty,
}

impl Body {
    /// The bytes on the wire, UTF-8.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Msg(text) => to_json(&Msg { msg: text }),
            Self::JsonString(text) => to_json(text),
            Self::Empty => Vec::new(),
        }
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Msg(text) | Self::JsonString(text) => f.write_str(text),
            Self::Empty => f.write_str("(no body)"),
        }
    }
}

#[derive(serde::Serialize)]
struct Msg<'a> {
    msg: &'a str,
}

impl Rejection {
    /// A refusal with `{"msg":…}`.
    pub fn msg(status: u16, text: impl Into<String>) -> Self {
        Self { status, body: Body::Msg(text.into()) }
    }

    /// 404 for a batch or session; `id_or_name` is the path's segment, decoded.
    pub fn not_found(id_or_name: &str) -> Self {
        Self::msg(404, format!("Session '{id_or_name}' not found."))
    }

    /// 404 for a path that has no route.
    pub fn unknown_path() -> Self {
        Self { status: 404, body: Body::Empty }
    }

    /// 405; the `Allow` header comes from [`crate::http::allow`].
    pub fn method_not_allowed() -> Self {
        Self { status: 405, body: Body::Empty }
    }

    /// 400 for a number that Java could not read.
    pub fn number_format(text: &str) -> Self {
        Self::msg(400, format!("For input string: \"{text}\""))
    }

    /// 400 for a create whose content is refused.
    pub fn rejected(reason: impl fmt::Display) -> Self {
        Self::msg(400, format!("Rejected, Reason: {reason}"))
    }

    /// 400 for a name that another batch has; `id` is the one the refused batch would have had.
    pub fn duplicate_name(name: &str, id: impl fmt::Display) -> Self {
        Self::rejected(format_args!("Duplicate session name: Some({name}) for session {id}"))
    }

    /// 400 for a create while the gateway takes no more; comes before the body is read.
    pub fn too_many_creates() -> Self {
        Self::msg(400, "Rejected, too many sessions are being created!")
    }

    /// 403 for a principal that may not act as another.
    pub fn may_not_impersonate(user: &str, other: &str) -> Self {
        Self::msg(403, format!("User '{user}' not allowed to impersonate 'Some({other})'."))
    }

    /// 400 for a body that is not JSON of the right shape.
    pub(crate) fn malformed(text: impl Into<String>) -> Self {
        Self { status: 400, body: Body::JsonString(text.into()) }
    }

    /// A failure of the gateway itself. Livy prints the exception here; the text must be safe for strangers.
    pub fn internal(text: impl Into<String>) -> Self {
        Self { status: 500, body: Body::JsonString(text.into()) }
    }
}
