//! The stored form of what isn't a column: JSON texts with a format number, apart from the model's own types.
//!
//! A field is added with a default; any other change takes a new number and a reader for the old one.
//! The texts in `fixtures/` were written by format 1 and must stay readable.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::store::StoreError;
use model::application::{Application, Attempt, Wish};
use model::audit::{AuditEntry, AuditId, AuditRecord};
use model::event::{Event, EventKind};
use model::id::{ApplicationId, AttemptId, EventId};
use model::label::Labels;
use model::principal::Owner;
use model::spark_conf::SparkConf;
use model::spec::{ApplicationSpec, Limits};
use model::state::{Exit, Reason, State};
use model::time::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The format that is written.
const FORMAT: u32 = 1;

/// Something that can't be read back, as the store tells it.
fn unreadable(what: &str, why: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("{what}: {why}"))
}

/// Parses a word or a name that was checked when it was stored.
pub(crate) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(what: &str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|error| unreadable(what, error))
}

/// The wish that a stored word stands for.
pub(crate) fn parse_wish(word: &str) -> Result<Wish, StoreError> {
    let all = [Wish::Run, Wish::Cancel, Wish::Delete];
    all.into_iter().find(|wish| wish.as_str() == word).ok_or_else(|| unreadable("wish", word))
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

fn write(record: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(record).map_err(|error| unreadable("writing a record", error))
}

fn read<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    // A newer format may still parse as this one, so its number is looked at first.
    let Format { format } = serde_json::from_str(text).map_err(|error| unreadable(what, error))?;
    if format > FORMAT {
        return Err(unreadable(
            what,
            format_args!("format {format} was written by a newer version; this one knows {FORMAT}"),
        ));
    }
    serde_json::from_str(text).map_err(|error| unreadable(what, error))
}

/// What never changes: the specification.
#[derive(Serialize, Deserialize)]
struct SpecRecord<'a> {
    format: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    resource: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class_name: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    args: Cow<'a, [String]>,
    conf: Cow<'a, SparkConf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proxy_user: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spark: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    external_id: Option<Cow<'a, str>>,
    max_attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run_timeout: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queue_timeout: Option<Duration>,
}

/// The text of a specification.
pub(crate) fn write_spec(spec: &ApplicationSpec) -> Result<String, StoreError> {
    write(&SpecRecord {
        format: FORMAT,
        name: borrowed(spec.name.as_deref()),
        resource: Cow::Borrowed(&spec.resource),
        class_name: borrowed(spec.class_name.as_deref()),
        args: Cow::Borrowed(&spec.args),
        conf: Cow::Borrowed(&spec.conf),
        proxy_user: borrowed(spec.proxy_user.as_deref()),
        spark: borrowed(spec.spark.as_ref().map(|name| name.as_str())),
        labels: spec.labels.iter().map(|(key, value)| (Cow::Borrowed(key), Cow::Borrowed(value))).collect(),
        external_id: borrowed(spec.external_id.as_deref()),
        max_attempts: spec.limits.max_attempts,
        run_timeout: spec.limits.run_timeout,
        queue_timeout: spec.limits.queue_timeout,
    })
}

fn borrowed(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.map(Cow::Borrowed)
}

/// The specification in a text.
pub(crate) fn read_spec(text: &str) -> Result<Arc<ApplicationSpec>, StoreError> {
    let record: SpecRecord<'_> = read("specification", text)?;
    let mut labels = Labels::default();
    for (key, value) in &record.labels {
        labels.insert(key, value).map_err(|error| unreadable("label", error))?;
    }
    Ok(Arc::new(ApplicationSpec {
        name: record.name.map(Cow::into_owned),
        resource: record.resource.into_owned(),
        class_name: record.class_name.map(Cow::into_owned),
        args: record.args.into_owned(),
        conf: record.conf.into_owned(),
        proxy_user: record.proxy_user.map(Cow::into_owned),
        spark: record.spark.map(|name| parse("Spark name", &name)).transpose()?,
        labels,
        external_id: record.external_id.map(Cow::into_owned),
        limits: Limits {
            max_attempts: record.max_attempts,
            run_timeout: record.run_timeout,
            queue_timeout: record.queue_timeout,
        },
    }))
}

/// What changes and isn't a column.
#[derive(Serialize, Deserialize)]
struct StatusRecord {
    format: u32,
    ready_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<AttemptRecord>,
}

#[derive(Serialize, Deserialize)]
struct ReasonRecord {
    code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evidence: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct AttemptRecord {
    id: String,
    number: u32,
    binding: String,
    created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit: Option<ExitRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ExitRecord {
    Code(i32),
    Signal(i32),
}

/// The mutable part of an application that no query looks into.
pub(crate) struct Status {
    pub(crate) ready_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) reason: Option<Reason>,
    pub(crate) attempts: Vec<Attempt>,
}

/// The text of an application's status.
pub(crate) fn write_status(application: &Application) -> Result<String, StoreError> {
    write(&StatusRecord {
        format: FORMAT,
        ready_at: application.ready_at,
        ended_at: application.ended_at,
        reason: application.reason.as_ref().map(Into::into),
        attempts: application.attempts.iter().map(Into::into).collect(),
    })
}

/// The status in a text.
pub(crate) fn read_status(text: &str) -> Result<Status, StoreError> {
    let record: StatusRecord = read("status", text)?;
    Ok(Status {
        ready_at: record.ready_at,
        ended_at: record.ended_at,
        reason: record.reason.map(TryInto::try_into).transpose()?,
        attempts: record.attempts.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
    })
}

impl From<&Reason> for ReasonRecord {
    fn from(reason: &Reason) -> Self {
        Self { code: reason.code.as_str().to_owned(), evidence: reason.evidence.clone() }
    }
}

impl TryFrom<ReasonRecord> for Reason {
    type Error = StoreError;

    fn try_from(record: ReasonRecord) -> Result<Self, StoreError> {
        Ok(Self { code: parse("reason", &record.code)?, evidence: record.evidence })
    }
}

impl From<&Attempt> for AttemptRecord {
    fn from(attempt: &Attempt) -> Self {
        Self {
            id: attempt.id.to_string(),
            number: attempt.number,
            binding: attempt.binding.clone(),
            created_at: attempt.created_at,
            started_at: attempt.started_at,
            ended_at: attempt.ended_at,
            exit: attempt.exit.map(|exit| match exit {
                Exit::Code(code) => ExitRecord::Code(code),
                Exit::Signal(signal) => ExitRecord::Signal(signal),
            }),
            reason: attempt.reason.as_ref().map(Into::into),
        }
    }
}

impl TryFrom<AttemptRecord> for Attempt {
    type Error = StoreError;

    fn try_from(record: AttemptRecord) -> Result<Self, StoreError> {
        Ok(Self {
            id: parse::<AttemptId>("attempt", &record.id)?,
            number: record.number,
            binding: record.binding,
            created_at: record.created_at,
            started_at: record.started_at,
            ended_at: record.ended_at,
            exit: record.exit.map(|exit| match exit {
                ExitRecord::Code(code) => Exit::Code(code),
                ExitRecord::Signal(signal) => Exit::Signal(signal),
            }),
            reason: record.reason.map(TryInto::try_into).transpose()?,
        })
    }
}

/// An entry of the log; its id is a column.
#[derive(Serialize, Deserialize)]
struct EventRecord {
    format: u32,
    at: Timestamp,
    application: String,
    user: String,
    tenant: String,
    kind: String,
    state: String,
    attempt: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
}

/// The text of an event.
pub(crate) fn write_event(event: &Event) -> Result<String, StoreError> {
    write(&EventRecord {
        format: FORMAT,
        at: event.at,
        application: event.application.to_string(),
        user: event.owner.user.as_str().to_owned(),
        tenant: event.owner.tenant.as_str().to_owned(),
        kind: event.kind.as_str().to_owned(),
        state: event.state.as_str().to_owned(),
        attempt: event.attempt,
        reason: event.reason.as_ref().map(Into::into),
        exit_code: event.exit_code,
    })
}

/// The event in a text.
pub(crate) fn read_event(id: EventId, text: &str) -> Result<Event, StoreError> {
    let record: EventRecord = read("event", text)?;
    Ok(Event {
        id,
        at: record.at,
        application: parse::<ApplicationId>("event's application", &record.application)?,
        owner: Owner { user: parse("user", &record.user)?, tenant: parse("tenant", &record.tenant)? },
        kind: parse_event_kind(&record.kind)?,
        state: parse::<State>("event's state", &record.state)?,
        attempt: record.attempt,
        reason: record.reason.map(TryInto::try_into).transpose()?,
        exit_code: record.exit_code,
    })
}

fn parse_event_kind(word: &str) -> Result<EventKind, StoreError> {
    let wishes = [Wish::Run, Wish::Cancel, Wish::Delete].map(EventKind::Wish);
    let all = [EventKind::Accepted, EventKind::State, EventKind::Removed].into_iter().chain(wishes);
    all.into_iter().find(|kind| kind.as_str() == word).ok_or_else(|| unreadable("event", word))
}

/// A decision of audit.
#[derive(Serialize, Deserialize)]
struct AuditText {
    format: u32,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    action: String,
    object: String,
    decision: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rules: Vec<String>,
    request_id: String,
}

/// The text of a decision.
pub(crate) fn write_audit(entry: &AuditEntry) -> Result<String, StoreError> {
    write(&AuditText {
        format: FORMAT,
        at: entry.at,
        user: entry.user.as_ref().map(ToString::to_string),
        tenant: entry.tenant.as_ref().map(ToString::to_string),
        action: entry.action.clone(),
        object: entry.object.clone(),
        decision: entry.decision.as_str().to_owned(),
        rules: entry.rules.clone(),
        request_id: entry.request_id.clone(),
    })
}

/// The decision in a text.
pub(crate) fn read_audit(id: AuditId, text: &str) -> Result<AuditRecord, StoreError> {
    let text: AuditText = read("record of audit", text)?;
    let entry = AuditEntry {
        at: text.at,
        user: text.user.map(|user| parse("user", &user)).transpose()?,
        tenant: text.tenant.map(|tenant| parse("tenant", &tenant)).transpose()?,
        action: text.action,
        object: text.object,
        decision: parse("decision", &text.decision)?,
        rules: text.rules,
        request_id: text.request_id,
    };
    Ok(AuditRecord { id, entry })
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
