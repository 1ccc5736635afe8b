//! What can go wrong between the command line and a gateway.

use std::path::PathBuf;

use reqwest::{Response, StatusCode};

/// Characters of a foreign answer that are shown.
const SNIPPET_CHARS_MAX: usize = 200;

/// Why a request has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The address can't be one of a gateway.
    #[error("`{url}` is no address of a gateway: {why}")]
    InvalidUrl {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The certificates to trust can't be used.
    #[error("the certificates in {} can't be used: {why}", path.display())]
    BadCertificates {
        /// Their file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The token can't be used.
    #[error("the token{} can't be used: {why}", path.as_ref().map(|path| format!(" in {}", path.display())).unwrap_or_default())]
    BadToken {
        /// Its file, if it is from one.
        path: Option<PathBuf>,
        /// What is wrong with it.
        why: String,
    },
    /// No connection, or it was lost.
    #[error("can't reach the gateway at {url}: {}", root_cause(source))]
    Unreachable {
        /// The gateway's address.
        url: String,
        /// What happened.
        source: reqwest::Error,
    },
    /// A stream could not be taken up again in time.
    #[error("lost the gateway at {url}")]
    Lost {
        /// The gateway's address.
        url: String,
    },
    /// The gateway refuses, and says why.
    #[error("{}", problem.detail.as_deref().unwrap_or(&problem.title))]
    Refused {
        /// What it says.
        problem: Box<api::Problem>,
    },
    /// Something else than a gateway answered.
    #[error("{url} answered {status} as no gateway does: {snippet}")]
    Foreign {
        /// The address.
        url: String,
        /// The status.
        status: StatusCode,
        /// The beginning of the answer.
        snippet: String,
    },
    /// The answer makes no sense, perhaps because the versions are too far apart.
    #[error("the answer of {url} can't be understood: {source}")]
    Unreadable {
        /// The gateway's address.
        url: String,
        /// What doesn't fit.
        source: serde_json::Error,
    },
    /// What follows is no event stream.
    #[error("the event stream of {url} can't be understood")]
    UnreadableStream {
        /// The gateway's address.
        url: String,
        /// What doesn't fit.
        source: super::sse::MessageTooLarge,
    },
}

impl ClientError {
    /// What an unsuccessful answer says.
    pub(super) async fn refusal(url: &str, response: Response) -> Self {
        let status = response.status();
        let body = response.text().await.unwrap_or_default();
        match serde_json::from_str(&body) {
            Ok(problem) => Self::Refused { problem: Box::new(problem) },
            Err(_) => {
                Self::Foreign { url: url.to_owned(), status, snippet: body.chars().take(SNIPPET_CHARS_MAX).collect() }
            }
        }
    }

    /// Whether the same request may succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } => true,
            Self::Refused { problem } => matches!(problem.status, 408 | 502..=504),
            // A proxy between, or a gateway that is being started behind one.
            Self::Foreign { status, .. } => matches!(status.as_u16(), 502..=504),
            _ => false,
        }
    }

    /// Whether there wasn't even a connection, so that the gateway can't have seen the request.
    pub(crate) fn is_connect(&self) -> bool {
        matches!(self, Self::Unreachable { source, .. } if source.is_connect())
    }

    /// Whether the gateway says that there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { problem } if problem.status == 404)
    }
}

/// The innermost cause, which tells most: reqwest's own sentences repeat the URL.
fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
