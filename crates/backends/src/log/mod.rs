//! The output of drivers: how it is kept, read and followed, the same for every backend.
//!
//! Start with [`LogSource`], what a door to logs needs of a backend. `format` is one line of a log, `writer`
//! keeps a log within its bounds, `reader` reads it from any place, `follower` tells when it grew.

mod follower;
mod format;
mod reader;
mod writer;

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use engine::backend::AttemptRef;
use model::time::Timestamp;

pub(crate) use follower::Follower;
pub(crate) use format::{Framer, now};
pub(crate) use reader::LogDir;
pub use writer::LogLimits;
pub(crate) use writer::LogWriter;

/// Where logs of attempts are read; a backend that keeps logs implements it.
#[async_trait]
pub trait LogSource: Send + Sync + 'static {
    /// One page of an attempt's log.
    ///
    /// # Errors
    /// [`LogError::NotFound`] when there is no such log, because the attempt wasn't launched yet or was removed.
    async fn read(&self, attempt: &AttemptRef, query: &LogQuery) -> Result<LogPage, LogError>;

    /// Returns when there is something behind `after`, or when the log ended; at once if that is so already.
    ///
    /// # Errors
    /// As [`LogSource::read`].
    async fn grown(&self, attempt: &AttemptRef, after: LogCursor) -> Result<(), LogError>;
}

/// Which part of a log to read. All bounds hold together; what they cut off is behind [`LogPage::next`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogQuery {
    /// Where to begin.
    pub from: LogFrom,
    /// Only this stream; both, in the order of their arrival, when absent.
    pub stream: Option<Stream>,
    /// How many entries a page has at most.
    pub entries_max: usize,
    /// How many bytes of text a page has at most; the entry that passes the bound still belongs to it.
    pub bytes_max: usize,
    /// How many bytes of the stored log are looked at to find entries of the wanted stream.
    pub scan_bytes_max: usize,
}

impl Default for LogQuery {
    fn default() -> Self {
        Self { from: LogFrom::Start, stream: None, entries_max: 10_000, bytes_max: 1 << 20, scan_bytes_max: 16 << 20 }
    }
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFrom {
    /// At the first line.
    Start,
    /// Right behind what was read last.
    After(LogCursor),
    /// So that this many lines of the wanted stream are left, as far as [`LogQuery::scan_bytes_max`] reaches.
    Tail(usize),
}

/// A page of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPage {
    /// What was read, oldest first.
    pub items: Vec<LogItem>,
    /// Where the next page begins.
    pub next: LogCursor,
    /// Whether the log had nothing more behind this page when it was read. A page may be empty and not at the end:
    /// then [`LogQuery::scan_bytes_max`] was reached before anything wanted was found.
    pub at_end: bool,
    /// Whether the log ended and nothing is behind this page.
    pub complete: bool,
}

impl LogPage {
    /// The text of whole lines: pieces of a long line are joined again, per stream, and gaps say what is missing.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut open: [Option<String>; 2] = [None, None];
        for item in &self.items {
            match item {
                LogItem::Entry(entry) => {
                    let mut line = open[entry.stream as usize].take().unwrap_or_default();
                    line.push_str(&entry.text);
                    if entry.partial {
                        open[entry.stream as usize] = Some(line);
                    } else {
                        lines.push(line);
                    }
                }
                LogItem::Gap(gap) => lines.push(gap.to_string()),
            }
        }
        lines.extend(open.into_iter().flatten());
        lines
    }
}

/// Something in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogItem {
    /// A line, or a piece of one.
    Entry(LogEntry),
    /// A part that isn't kept any more.
    Gap(LogGap),
}

/// A line, or a piece of one that is too long for one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The place right behind it: reading [`LogFrom::After`] it gives what follows.
    pub cursor: LogCursor,
    /// When it was captured.
    pub time: LogTime,
    /// Where the driver wrote it.
    pub stream: Stream,
    /// Whether the line goes on in the next entry of the same stream.
    pub partial: bool,
    /// The text without its line feed; bytes that aren't UTF-8 are replaced.
    pub text: String,
}

/// A part of a log that was dropped to keep the log within its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogGap {
    /// Where the log goes on.
    pub cursor: LogCursor,
    /// How many bytes of the stored log are missing.
    pub bytes: u64,
    /// How many entries are missing.
    pub entries: u64,
}

impl fmt::Display for LogGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[… {} lines ({} bytes) dropped to bound the log …]", self.entries, self.bytes)
    }
}

/// Which of a driver's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The word in stored logs and in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Stream {
    type Err = InvalidLogPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "stdout" => Ok(Self::Stdout),
            "stderr" => Ok(Self::Stderr),
            _ => Err(InvalidLogPosition::new("stream; use stdout or stderr", text)),
        }
    }
}

/// A place in a log, comparable within one log. Its text, `3-1024`, is opaque to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogCursor {
    segment: u32,
    offset: u64,
}

impl fmt::Display for LogCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.segment, self.offset)
    }
}

impl FromStr for LogCursor {
    type Err = InvalidLogPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let cursor = text
            .split_once('-')
            .and_then(|(segment, offset)| Some(Self { segment: segment.parse().ok()?, offset: offset.parse().ok()? }));
        // One spelling per cursor: no sign, no leading zero.
        cursor
            .filter(|cursor| cursor.to_string() == text)
            .ok_or_else(|| InvalidLogPosition::new("place in a log", text))
    }
}

/// Text that names no place in a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}")]
pub struct InvalidLogPosition {
    what: &'static str,
    text: String,
}

impl InvalidLogPosition {
    fn new(what: &'static str, text: &str) -> Self {
        Self { what, text: text.chars().take(64).collect() }
    }
}

/// When a line was captured, to the nanosecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogTime([u8; LogTime::BYTES]);

impl LogTime {
    const BYTES: usize = "2026-11-21T12:00:00.123456789Z".len();

    /// The beginning of the millisecond `at`, for sources that know no finer time. Years beyond four digits
    /// show as the epoch.
    pub fn at(at: Timestamp) -> Self {
        let text = at.to_string().replace('Z', "000000Z");
        Self(text.as_bytes().try_into().unwrap_or(*b"1970-01-01T00:00:00.000000000Z"))
    }

    /// The time that an RFC 3339 text with any offset names; `None` when it names none within four-digit years.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let at: jiff::Timestamp = text.parse().ok()?;
        format!("{at:.9}").as_bytes().try_into().ok().map(Self)
    }

    /// RFC 3339 in UTC with nine decimals.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The instant, in milliseconds.
    pub fn timestamp(&self) -> Timestamp {
        self.as_str().parse().unwrap_or_default()
    }
}

impl fmt::Display for LogTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for LogTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a log can't be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is none.
    #[error("there is no log")]
    NotFound,
    /// It is there and can't be read now.
    #[error("read the log")]
    Unreadable(#[source] std::io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_have_one_spelling() {
        let cursor = LogCursor { segment: 3, offset: 1024 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for wrong in ["", "3", "3-", "-3", "03-1", "3-+1", "3-1-1", "4294967296-0", "3-18446744073709551616"] {
            assert!(wrong.parse::<LogCursor>().is_err(), "{wrong}");
        }
    }
}
