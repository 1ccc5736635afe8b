//! Lines of a driver's output.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// The driver's standard output.
    Stdout,
    /// The driver's standard error, where Spark logs.
    Stderr,
}

/// A line of a driver's output, or a mark where some were dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// The place right after this entry; give it as `cursor` to go on from there.
    pub cursor: String,
    /// The number of the attempt that it is of, from 1.
    pub attempt: u32,
    /// When the gateway read it, RFC 3339 in UTC with nanoseconds; null for a mark.
    #[schema(format = DateTime, example = "2026-11-21T12:00:00.123456789Z")]
    pub at: Option<String>,
    /// Where it came from; null for a mark.
    pub stream: Option<LogStream>,
    /// The text without its line end. Bytes that aren't UTF-8 are replaced by U+FFFD.
    pub text: String,
    /// Whether the line goes on in the next entry of the same stream: very long lines come in pieces.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// Bytes that were dropped here because the log reached its largest size; absent for lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_bytes: Option<u64>,
}

/// A piece of the log of one attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    /// The number of the attempt, from 1; 0 when there was none yet.
    pub attempt: u32,
    /// The entries, oldest first.
    pub items: Vec<LogEntry>,
    /// Give it back as `cursor` to read on; null when the log is complete and this was the end of it.
    pub next_cursor: Option<String>,
}
