//! An application as clients see it.

use std::collections::BTreeMap;
use std::time::Duration;

use model::duration::SparkDuration;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::redaction;

/// Where an application stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Stored; waits for its turn, or for the next attempt.
    Accepted,
    /// Its driver is being launched.
    Starting,
    /// Its driver runs.
    Running,
    /// Its driver was told to end.
    Stopping,
    /// Ended with exit code 0.
    Succeeded,
    /// Ended otherwise, or was lost, or never ran.
    Failed,
    /// Ended because a person wanted it.
    Cancelled,
}

impl From<model::state::State> for State {
    fn from(state: model::state::State) -> Self {
        use model::state::State as Model;
        match state {
            Model::Accepted => Self::Accepted,
            Model::Starting => Self::Starting,
            Model::Running => Self::Running,
            Model::Stopping => Self::Stopping,
            Model::Succeeded => Self::Succeeded,
            Model::Failed => Self::Failed,
            Model::Cancelled => Self::Cancelled,
        }
    }
}

impl State {
    /// Whether it is final: succeeded, failed or cancelled.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// Why an application is in its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// For machines. Known: `completed`, `exit_code`, `killed_by_signal`, `supervisor_lost`, `host_rebooted`,
    /// `driver_lost`, `out_of_memory`, `evicted`, `preempted`, `node_lost`, `pod_deleted`, `launch_refused`,
    /// `run_timeout`, `queue_timeout`, `cancelled_by_user`, `deleted_by_user`; and while it is starting
    /// `unschedulable`, `image_unavailable`, `quota_exceeded`, `container_not_ready`.
    #[schema(example = "exit_code")]
    pub code: String,
    /// What happened and what to do, in a sentence.
    #[schema(example = "the program failed; its log tells why")]
    pub message: String,
    /// A line that shows it, usually the driver's own last error line.
    pub evidence: Option<String>,
}

impl From<&model::state::Reason> for Reason {
    fn from(reason: &model::state::Reason) -> Self {
        Self {
            code: reason.code.as_str().to_owned(),
            message: reason.code.explanation().to_owned(),
            evidence: reason.evidence.clone(),
        }
    }
}

/// One try to run an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Attempt {
    /// Its id, a UUID of version 7.
    #[schema(format = "uuid")]
    pub id: String,
    /// Counted from 1.
    pub number: u32,
    /// When it was begun, RFC 3339 in UTC.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When its driver was first seen running.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it ended.
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    /// How its driver ended: the exit code, 128 + n for signal n; null while unknown.
    pub exit_code: Option<i32>,
    /// Why it ended.
    pub reason: Option<Reason>,
}

impl From<&model::application::Attempt> for Attempt {
    fn from(attempt: &model::application::Attempt) -> Self {
        Self {
            id: attempt.id.to_string(),
            number: attempt.number,
            created_at: attempt.created_at.to_string(),
            started_at: attempt.started_at.map(|at| at.to_string()),
            ended_at: attempt.ended_at.map(|at| at.to_string()),
            exit_code: attempt.exit.map(model::state::Exit::code),
            reason: attempt.reason.as_ref().map(Reason::from),
        }
    }
}

/// One Spark driver with its executors, from acceptance to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Application {
    /// Its id: kind and number.
    #[schema(example = "batch-12")]
    pub id: String,
    /// `batch` or `server`.
    #[schema(example = "batch")]
    pub kind: String,
    /// The name it was given.
    pub name: Option<String>,
    /// Where it stands.
    pub state: State,
    /// Why; always there when the state is final.
    pub reason: Option<Reason>,
    /// What its user wants: `run`, `cancel` or `delete`. It shows a request that isn't fulfilled yet.
    #[schema(example = "run")]
    pub wish: String,
    /// How its last driver ended: the exit code, 128 + n for signal n; null while unknown.
    pub exit_code: Option<i32>,
    /// When it was accepted, RFC 3339 in UTC.
    #[schema(format = DateTime)]
    pub accepted_at: String,
    /// When the driver of its last attempt was first seen running.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When its state became final.
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
    /// The user it belongs to.
    pub owner: String,
    /// The tenant it belongs to.
    pub tenant: String,
    /// The backend it runs on.
    #[schema(example = "local")]
    pub backend: String,
    /// The Spark it runs with; null for the backend's default.
    pub spark: Option<String>,
    /// Path or URI of the program: a Python file or a jar. Passwords are replaced by stars.
    pub resource: String,
    /// Main class of a Java or Scala program.
    pub class_name: Option<String>,
    /// Arguments of the program; values of those named as secrets, and passwords in URIs, are replaced by stars.
    pub args: Vec<String>,
    /// Spark's configuration, what the client gave as fields included; secrets are replaced by stars.
    pub conf: BTreeMap<String, String>,
    /// User that the driver impersonates towards Hadoop.
    pub proxy_user: Option<String>,
    /// Labels to find it by.
    pub labels: BTreeMap<String, String>,
    /// The submitter's own identifier for it.
    pub external_id: Option<String>,
    /// Attempts in all that may be made.
    pub max_attempts: u32,
    /// Longest time one attempt may run, as Spark writes spans of time.
    #[schema(example = "2h")]
    pub run_timeout: Option<String>,
    /// Longest time it may wait for its first start, as Spark writes spans of time.
    pub queue_timeout: Option<String>,
    /// The application that it repeats.
    pub retry_of: Option<String>,
    /// All attempts so far, oldest first.
    pub attempts: Vec<Attempt>,
}

impl From<&model::application::Application> for Application {
    fn from(application: &model::application::Application) -> Self {
        let spec = &*application.spec;
        Self {
            id: application.id.to_string(),
            kind: application.id.kind().as_str().to_owned(),
            name: spec.name.clone(),
            state: application.state.into(),
            reason: application.reason.as_ref().map(Reason::from),
            wish: application.wish.as_str().to_owned(),
            exit_code: application.exit_code(),
            accepted_at: application.accepted_at.to_string(),
            started_at: application.started_at().map(|at| at.to_string()),
            ended_at: application.ended_at.map(|at| at.to_string()),
            owner: application.owner.user.to_string(),
            tenant: application.owner.tenant.to_string(),
            backend: application.backend.to_string(),
            spark: spec.spark.as_ref().map(ToString::to_string),
            resource: redaction::uris(&spec.resource),
            class_name: spec.class_name.clone(),
            args: redaction::args(&spec.args),
            conf: spec
                .conf
                .redacted()
                .into_iter()
                .map(|(key, value)| (key.to_owned(), redaction::uris(value)))
                .collect(),
            proxy_user: spec.proxy_user.clone(),
            labels: owned_pairs(spec.labels.iter()),
            external_id: spec.external_id.clone(),
            max_attempts: spec.limits.max_attempts,
            run_timeout: spec.limits.run_timeout.map(spark_notation),
            queue_timeout: spec.limits.queue_timeout.map(spark_notation),
            retry_of: application.retry_of.map(|id| id.to_string()),
            attempts: application.attempts.iter().map(Attempt::from).collect(),
        }
    }
}

fn owned_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn spark_notation(span: Duration) -> String {
    let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    SparkDuration::from_micros(micros).unwrap_or(SparkDuration::MAX).to_string()
}
