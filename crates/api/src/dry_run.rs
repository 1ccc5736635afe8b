//! What would come of an application, without running it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::FieldProblem;

/// What would come of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DryRun {
    /// Whether it would be accepted.
    pub allowed: bool,
    /// Where it would run.
    #[schema(example = "local")]
    pub backend: String,
    /// Spark's configuration as it would run, without secrets.
    pub conf: std::collections::BTreeMap<String, String>,
    /// Which of the backend's Spark installations would run it; null for its default.
    pub spark: Option<String>,
    /// What the policy sets.
    pub changes: Vec<PolicyChange>,
    /// Everything that forbids it.
    pub errors: Vec<FieldProblem>,
    /// What would be made outside, without secrets: the objects on a cluster.
    pub objects: Vec<serde_json::Value>,
}

/// A value that the policy sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyChange {
    /// The conf key, or `spark`.
    #[schema(example = "spark.executor.instances")]
    pub key: String,
    /// What was submitted, without secrets; null when nothing was.
    pub from: Option<String>,
    /// What it becomes, without secrets.
    pub to: String,
    /// `defaulted` when nothing was submitted, `forced` when what was submitted doesn't count.
    pub kind: String,
    /// Which rule says so, as a path in the configuration.
    #[schema(example = "tenants.research.conf.force")]
    pub rule: String,
}
