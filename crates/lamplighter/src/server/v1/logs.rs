//! `/api/v1/applications/{id}/logs`: what a driver printed, as pages, as text, or followed to its end.
//!
//! A place in the log of an application is the number of an attempt and a place in that attempt's log.

mod follow;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ::backends::log::{LogCursor, LogError, LogFrom, LogItem, LogQuery, LogSource, Stream};
use api::log::LogStream;
use api::{LogEntry, LogPage, ProblemCode};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::backend::AttemptRef;
use http::{HeaderMap, Uri, header};
use model::application::Application;

use super::{Caller, PathId, stream};
use crate::server::access::Action;
use crate::server::failure::Failure;
use crate::server::query::Parameters;
use crate::server::{App, AppState};

/// Entries on a page when the client doesn't say.
const PAGE_ENTRIES: u32 = 1_000;
/// Entries on a page, and lines of a tail, at most.
const ENTRIES_MAX: u32 = 10_000;

/// What a client asks for.
struct Wanted {
    attempt: Option<u32>,
    stream: Option<Stream>,
    from: LogFrom,
    /// The attempt that the client's cursor is of.
    cursor_attempt: Option<u32>,
    limit: usize,
    follow: bool,
}

/// `GET /api/v1/applications/{id}/logs`.
pub(in crate::server) async fn read(
    State(app): State<AppState>,
    Caller(asker): Caller,
    PathId(id): PathId,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let wanted = wanted(&headers, &uri)?;
    let application = app.application(&asker, Action::ReadLogs, id).await?;
    if let Some(number) = wanted.attempt.or(wanted.cursor_attempt)
        && !application.attempts.iter().any(|attempt| attempt.number == number)
    {
        let detail = format!("{id} has {} attempts", application.attempts.len());
        return Err(Failure::new(ProblemCode::NotFound).detail(detail));
    }
    if wanted.follow || stream::is_wanted(&headers) {
        let follower = follow::Follower::new(app.clone(), application.id, &wanted);
        return stream::respond(&app, follower.into_messages());
    }
    if prefers_text(&headers) {
        return Ok(text(&app, &application, &wanted));
    }
    page(&app, &application, &wanted).await.map(|page| Json(page).into_response())
}

/// Whether `Accept` names plain text before JSON, or instead of it.
fn prefers_text(headers: &HeaderMap) -> bool {
    stream::accepts(headers, "text/plain") && !stream::accepts(headers, "application/json")
}

fn wanted(headers: &HeaderMap, uri: &Uri) -> Result<Wanted, Failure> {
    let mut parameters = Parameters::of(uri);
    let asked: Option<Place> = parameters.parsed("cursor");
    let seen = stream::last_event_id(headers).and_then(|id| match id.parse::<Place>() {
        Ok(place) => Some(place),
        Err(error) => {
            parameters.refuse("Last-Event-ID", error.to_string());
            None
        }
    });
    let place = seen.or(asked);
    let tail = parameters.number("tail", 0, ENTRIES_MAX);
    let wanted = Wanted {
        attempt: parameters.number("attempt", 1, u32::MAX),
        stream: parameters.parsed("stream"),
        from: match (place, tail) {
            (Some(place), _) => LogFrom::After(place.cursor),
            (None, Some(lines)) => LogFrom::Tail(lines as usize),
            (None, None) => LogFrom::Start,
        },
        cursor_attempt: place.map(|place| place.attempt),
        limit: parameters.number("limit", 1, ENTRIES_MAX).unwrap_or(PAGE_ENTRIES) as usize,
        follow: parameters.flag("follow"),
    };
    if let (Some(attempt), Some(of_cursor)) = (wanted.attempt, wanted.cursor_attempt)
        && attempt != of_cursor
    {
        parameters.refuse("cursor", format!("is of attempt {of_cursor}"));
    }
    parameters.finish()?;
    Ok(wanted)
}

/// One attempt's log.
#[derive(Clone)]
struct AttemptLog {
    source: Arc<dyn LogSource>,
    attempt: AttemptRef,
    number: u32,
}

impl AttemptLog {
    /// The log of the attempt of this number, or of the last one; `None` when there is no attempt yet, or its
    /// backend keeps no logs.
    fn of(app: &App, application: &Application, number: Option<u32>) -> Option<Self> {
        let attempt = match number {
            Some(number) => application.attempts.iter().find(|attempt| attempt.number == number)?,
            None => application.attempts.last()?,
        };
        Some(Self {
            source: Arc::clone(app.logs.get(&application.backend)?),
            attempt: AttemptRef { id: attempt.id, application: application.id, binding: attempt.binding.clone() },
            number: attempt.number,
        })
    }

    /// A page; while the attempt has no log, an empty one that is at the end and not complete.
    async fn read(&self, query: &LogQuery) -> Result<backends::log::LogPage, Failure> {
        match self.source.read(&self.attempt, query).await {
            Ok(page) => Ok(page),
            Err(LogError::NotFound) => {
                let next = match query.from {
                    LogFrom::After(cursor) => cursor,
                    LogFrom::Start | LogFrom::Tail(_) => LogCursor::default(),
                };
                Ok(backends::log::LogPage { next, at_end: true, ..Default::default() })
            }
            Err(error) => Err(unreadable(&error)),
        }
    }

    fn entry(&self, item: &LogItem) -> LogEntry {
        match item {
            LogItem::Entry(entry) => LogEntry {
                cursor: self.place(entry.cursor),
                attempt: self.number,
                at: Some(entry.time.to_string()),
                stream: Some(match entry.stream {
                    Stream::Stdout => LogStream::Stdout,
                    Stream::Stderr => LogStream::Stderr,
                }),
                text: entry.text.clone(),
                partial: entry.partial,
                dropped_bytes: None,
            },
            LogItem::Gap(gap) => LogEntry {
                cursor: self.place(gap.cursor),
                attempt: self.number,
                at: None,
                stream: None,
                text: gap.to_string(),
                partial: false,
                dropped_bytes: Some(gap.bytes),
            },
        }
    }

    fn place(&self, cursor: LogCursor) -> String {
        Place { attempt: self.number, cursor }.to_string()
    }
}

fn unreadable(error: &LogError) -> Failure {
    tracing::warn!(error = error as &dyn std::error::Error, "read a log");
    Failure::new(ProblemCode::Unavailable).detail("the log can't be read now")
}

async fn page(app: &App, application: &Application, wanted: &Wanted) -> Result<LogPage, Failure> {
    let Some(log) = AttemptLog::of(app, application, wanted.attempt.or(wanted.cursor_attempt)) else {
        return Ok(LogPage { attempt: 0, items: Vec::new(), next_cursor: None });
    };
    let query = LogQuery { from: wanted.from, stream: wanted.stream, entries_max: wanted.limit, ..LogQuery::default() };
    let page = log.read(&query).await?;
    Ok(LogPage {
        attempt: log.number,
        items: page.items.iter().map(|item| log.entry(item)).collect(),
        next_cursor: (!page.complete).then(|| log.place(page.next)),
    })
}

/// The bare text from where it was asked for to where the log ends now, read bit by bit as the client takes it.
fn text(app: &App, application: &Application, wanted: &Wanted) -> Response {
    let content_type = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    let Some(log) = AttemptLog::of(app, application, wanted.attempt.or(wanted.cursor_attempt)) else {
        return (content_type, Body::empty()).into_response();
    };
    let query = LogQuery { from: wanted.from, stream: wanted.stream, ..LogQuery::default() };
    let pieces = futures::stream::unfold(Some((log, query, PlainText::default())), |state| async move {
        let (log, mut query, mut text) = state?;
        let page = match log.read(&query).await {
            Ok(page) => page,
            // The answer has begun, so breaking it off is the only way to say that it isn't whole.
            Err(_) => return Some((Err(std::io::Error::other("the log can't be read now")), None)),
        };
        query.from = LogFrom::After(page.next);
        let piece = text.of(&page.items);
        Some((Ok::<Bytes, std::io::Error>(piece), (!page.at_end).then_some((log, query, text))))
    });
    (content_type, Body::from_stream(pieces)).into_response()
}

/// Makes bare text of a log, page by page.
#[derive(Default)]
struct PlainText {
    /// The stream whose line is still open.
    open: Option<Stream>,
}

impl PlainText {
    fn of(&mut self, items: &[LogItem]) -> Bytes {
        let mut text = String::new();
        for item in items {
            match item {
                LogItem::Entry(entry) => {
                    self.leave_line_of_other(Some(entry.stream), &mut text);
                    text.push_str(&entry.text);
                    if !entry.partial {
                        text.push('\n');
                    }
                    self.open = entry.partial.then_some(entry.stream);
                }
                LogItem::Gap(gap) => {
                    self.leave_line_of_other(None, &mut text);
                    text.push_str(&gap.to_string());
                    text.push('\n');
                }
            }
        }
        text.into()
    }

    /// Ends the open line unless what comes goes on with it.
    fn leave_line_of_other(&mut self, coming: Option<Stream>, text: &mut String) {
        if self.open.is_some() && self.open != coming {
            text.push('\n');
            self.open = None;
        }
    }
}

/// A place in the log of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    attempt: u32,
    cursor: LogCursor,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.attempt, self.cursor)
    }
}

/// Text that no log of ours gave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a cursor of a log; take one as it was given out")]
struct InvalidPlace;

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let (attempt, cursor) = text.split_once('.').ok_or(InvalidPlace)?;
        let place = Self {
            attempt: attempt.parse().map_err(|_| InvalidPlace)?,
            cursor: cursor.parse().map_err(|_| InvalidPlace)?,
        };
        if place.to_string() == text { Ok(place) } else { Err(InvalidPlace) }
    }
}
