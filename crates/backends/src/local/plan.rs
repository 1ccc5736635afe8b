//! Decides how a driver is started on this machine: pure, so that it can be printed and tested.
//!
//! Start with [`plan`]. Conf goes into a file, never into arguments, because everyone can read the arguments of
//! every process. Who wins, from the weakest: what keeps a driver on this machine's loopback, the
//! installation's `spark-defaults.conf`, the user, and last what makes it local at all.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use model::id::{ApplicationId, AttemptId};
use model::properties;
use model::spark_conf::{ConfError, REDACTED, SparkConf, is_secret};
use model::spark_submit::{CommandLine, CommandLineError, Master};
use model::spec::ApplicationSpec;
use serde::{Deserialize, Serialize};

use super::installation::Installation;
use crate::log::LogLimits;

/// Variables of the gateway that a driver gets, beside those whose name begins with `LC_`. Nothing else of the
/// gateway's environment reaches it, unless the configuration adds the name.
pub const ENVIRONMENT_ALLOWED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "JAVA_HOME",
    "HADOOP_HOME",
    "HADOOP_CONF_DIR",
    "YARN_CONF_DIR",
    "SPARK_CONF_DIR",
    "SPARK_DIST_CLASSPATH",
    "PYSPARK_PYTHON",
    "PYSPARK_DRIVER_PYTHON",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// The variable by which processes of an attempt are recognised.
pub(super) const ATTEMPT_VARIABLE: &str = "LAMPLIGHTER_ATTEMPT";

/// The name of the file with a driver's conf, in the attempt's folder.
pub(super) const PROPERTIES_FILE: &str = "spark.properties";

/// Conf keys that are for the gateway; Spark never sees them.
pub const OWN_CONF_PREFIX: &str = "spark.lamplighter.";

/// What keeps a driver from being reachable beyond this machine, and several drivers from quarrelling about
/// ports, unless somebody wants it otherwise.
const WEAKEST: &[(&str, &str)] =
    &[("spark.driver.bindAddress", "127.0.0.1"), ("spark.driver.host", "127.0.0.1"), ("spark.ui.port", "0")];

/// When the working folder of an ended driver is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkPolicy {
    /// Whatever its end was.
    Always,
    /// When it succeeded; otherwise it stays until the application is deleted.
    #[default]
    OnSuccess,
    /// Only with the application.
    Never,
}

/// What the plan is made of. Nothing else decides it.
pub struct PlanInput<'a> {
    /// Which attempt.
    pub attempt: AttemptId,
    /// Of which application.
    pub application: ApplicationId,
    /// What to run.
    pub spec: &'a ApplicationSpec,
    /// The Spark that runs it.
    pub installation: &'a Installation,
    /// The installation's `spark-defaults.conf`.
    pub installation_defaults: &'a SparkConf,
    /// The attempt's folder.
    pub dir: &'a Path,
    /// Variables to pass on beside [`ENVIRONMENT_ALLOWED`].
    pub environment_added: &'a [String],
    /// The gateway's own environment.
    pub environment: &'a [(String, String)],
    /// How large the log may become.
    pub log: LogLimits,
    /// When the working folder goes.
    pub work: WorkPolicy,
}

/// How an attempt is started. Displayed without secrets, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchPlan {
    /// What the supervisor is told.
    pub order: Order,
    /// The conf that the driver gets.
    pub conf: SparkConf,
}

/// Conf key that names the folder in which the driver works, absolute, instead of a folder of the attempt's own. The
/// command line sends the folder it was typed in, so that relative paths mean there what they meant to spark-submit.
pub const WORK_DIR_KEY: &str = "spark.lamplighter.work-dir";

/// What a supervisor is told to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The attempt's id.
    pub attempt: String,
    /// The application's id.
    pub application: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
    /// The folder in which it works; the attempt's own when absent.
    #[serde(default)]
    pub work_dir: Option<PathBuf>,
    /// How large the log may become.
    pub log: LogLimits,
    /// When the working folder goes.
    pub work: WorkPolicy,
}

impl LaunchPlan {
    /// The text of the driver's properties file.
    pub fn properties(&self) -> String {
        properties::serialize(self.conf.iter())
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The program or its arguments can't be told to spark-submit.
    #[error(transparent)]
    CommandLine(#[from] CommandLineError),
    /// The conf that comes together is too large.
    #[error(transparent)]
    Conf(#[from] ConfError),
}

/// Plans an attempt.
///
/// # Errors
/// [`PlanError`] when spark-submit can't be told what is wanted.
pub fn plan(input: &PlanInput<'_>) -> Result<LaunchPlan, PlanError> {
    let program = input.installation.spark_submit();
    let properties_file = input.dir.join(PROPERTIES_FILE);
    let command_line = command_line(input.spec, &program, &properties_file).arguments()?;
    let args = command_line.into_iter().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let order = Order {
        attempt: input.attempt.to_string(),
        application: input.application.to_string(),
        program,
        args,
        environment: environment(input),
        work_dir: input.spec.conf.get(WORK_DIR_KEY).map(PathBuf::from),
        log: input.log,
        work: input.work,
    };
    Ok(LaunchPlan { order, conf: conf(input.spec, input.installation_defaults)? })
}

pub(super) fn command_line<'a>(
    spec: &'a ApplicationSpec,
    program: &'a Path,
    properties_file: &'a Path,
) -> CommandLine<'a> {
    CommandLine {
        spark_submit: program,
        properties_file,
        class_name: spec.class_name.as_deref(),
        proxy_user: spec.proxy_user.as_deref(),
        supervise: false,
        verbose: false,
        resource: &spec.resource,
        args: &spec.args,
    }
}

fn conf(spec: &ApplicationSpec, installation_defaults: &SparkConf) -> Result<SparkConf, ConfError> {
    let weakest = SparkConf::from_entries(WEAKEST.iter().copied())?;
    let mut conf = weakest.overlay(installation_defaults)?.overlay(&spec.conf)?;
    let own: Vec<String> =
        conf.iter().filter(|(key, _)| key.starts_with(OWN_CONF_PREFIX)).map(|(key, _)| key.to_owned()).collect();
    for key in own {
        conf.remove(&key);
    }
    if !conf.get("spark.master").is_some_and(is_local) {
        conf.set("spark.master", "local[*]")?;
    }
    conf.set("spark.submit.deployMode", "client")?;
    if let Some(name) = &spec.name {
        conf.set("spark.app.name", properties::as_spark_reads(name))?;
    }
    Ok(conf)
}

/// Whether a master URL means this machine and the driver's own process.
pub(super) fn is_local(master: &str) -> bool {
    matches!(master.parse(), Ok(Master::Local { .. }))
}

fn environment(input: &PlanInput<'_>) -> BTreeMap<String, String> {
    let allowed = |name: &str| {
        ENVIRONMENT_ALLOWED.contains(&name)
            || name.starts_with("LC_")
            || input.environment_added.iter().any(|added| added == name)
    };
    let mut environment: BTreeMap<String, String> =
        input.environment.iter().filter(|(name, _)| allowed(name)).cloned().collect();
    // Without a locale the JVM takes everything for ASCII, and mangles arguments and output that aren't.
    if !environment.keys().any(|name| name == "LANG" || name.starts_with("LC_")) {
        environment.insert("LANG".to_owned(), "C.UTF-8".to_owned());
    }
    if let Some(python) = &input.installation.python {
        let python = python.to_string_lossy().into_owned();
        environment.entry("PYSPARK_PYTHON".to_owned()).or_insert(python);
    }
    let own = [
        ("SPARK_HOME", input.installation.home.to_string_lossy().into_owned()),
        ("SPARK_LOCAL_IP", "127.0.0.1".to_owned()),
        (ATTEMPT_VARIABLE, input.attempt.to_string()),
        ("LAMPLIGHTER_APPLICATION", input.application.to_string()),
    ];
    environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
    environment
}

impl fmt::Display for LaunchPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "run {}", self.order.program.display())?;
        for arg in &self.order.args {
            writeln!(f, "  {arg:?}")?;
        }
        writeln!(f, "environment")?;
        for (name, value) in &self.order.environment {
            let shown = if is_secret(name) { REDACTED } else { value };
            writeln!(f, "  {name}={shown}")?;
        }
        writeln!(f, "conf")?;
        for (key, value) in self.conf.redacted() {
            writeln!(f, "  {key}={value}")?;
        }
        Ok(())
    }
}
