//! What a user wants to run, in one form whichever door it came through.

use std::time::Duration;

use crate::id::SparkName;
use crate::label::Labels;
use crate::spark_conf::SparkConf;

/// At most this many attempts can be asked for.
pub const ATTEMPTS_MAX: u32 = 20;

/// A program with its configuration.
///
/// Everything that spark-submit takes as a flag and also as a conf key (memory, executors, jars, master …)
/// stands in `conf` alone, so that two ways of saying the same thing can't disagree.
#[derive(Clone, Debug, PartialEq)]
pub struct ApplicationSpec {
    /// The name shown to people; unique among the batches that Livy's clients see.
    pub name: Option<String>,
    /// The primary resource: path or URI of a Python file or a jar.
    pub resource: String,
    /// Main class of a Java or Scala program.
    pub class_name: Option<String>,
    /// Arguments of the program, verbatim.
    pub args: Vec<String>,
    /// Spark's configuration.
    pub conf: SparkConf,
    /// User that the driver should impersonate towards Hadoop (spark-submit's `--proxy-user`).
    pub proxy_user: Option<String>,
    /// Which of the configured Spark installations runs it; the backend's default when absent.
    pub spark: Option<SparkName>,
    /// Labels to find it by.
    pub labels: Labels,
    /// The submitter's own identifier for it, for instance a workflow's run id.
    pub external_id: Option<String>,
    /// How often, how long.
    pub limits: Limits,
}

/// How often an application may be tried and how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Attempts in all, from 1 to [`ATTEMPTS_MAX`]. Only a lost driver is tried again.
    pub max_attempts: u32,
    /// Longest time one attempt may run.
    pub run_timeout: Option<Duration>,
    /// Longest time it may wait for its first start.
    pub queue_timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_attempts: 1, run_timeout: None, queue_timeout: None }
    }
}
