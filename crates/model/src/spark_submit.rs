//! The command line of `spark-submit`, read the way Spark reads it.
//!
//! Start with [`parse`]: arguments in, a [`SparkSubmit`] out, or every [`Problem`] at once. What happens to it next:
//! [`SparkSubmit::fill_in`] adds the properties files it names, [`SparkSubmit::resolve_paths`] makes its paths
//! independent of where it was typed, and [`CommandLine`] goes the other way, to the arguments that run a program.
//!
//! Options that stand for a configuration key end up in [`SparkSubmit::conf`] and nowhere else, so there is one
//! place to look. Where Spark shrugs and goes on (`--supervise=false` turns supervision *on*), this parser objects.

mod check;
mod command_line;
mod master;
mod options;
mod paths;

pub use command_line::{CommandLine, CommandLineError};
pub use master::{LocalThreads, Master, MasterError};
pub use paths::ResolvePathsError;

use crate::spark_conf::{self, ConfError, SparkConf};
use options::{Recipient, Takes};
use std::fmt;

/// One invocation of `spark-submit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparkSubmit {
    /// What to do.
    pub action: Action,
    /// `--conf` and, over it, the options that stand for a key: `--master` is `spark.master`.
    pub conf: SparkConf,
    /// `--properties-file`: the next to look for a key in. Not read here.
    pub properties_file: Option<String>,
    /// `--extra-properties-file` in the order given: each wins over those before it and over
    /// `properties_file`, but not over `conf`. Not read here.
    pub extra_properties_files: Vec<String>,
    /// `--load-spark-defaults`: `spark-defaults.conf` counts even beside a properties file.
    pub load_spark_defaults: bool,
    /// `--proxy-user`: whom to impersonate.
    pub proxy_user: Option<String>,
    /// `--verbose`: print the configuration before running.
    pub verbose: bool,
}

/// What an invocation asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Run a program.
    Submit(Program),
    /// `--kill`: end the submission with this id, on the cluster of `spark.master`.
    Kill(String),
    /// `--status`: show the submission with this id, on the cluster of `spark.master`.
    Status(String),
    /// `--version`.
    Version,
    /// `--help`.
    Help,
}

/// The program of a submission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The JAR, Python or R file: a path or a URI.
    pub resource: String,
    /// `--class`; a JAR may name its main class itself.
    pub class_name: Option<String>,
    /// Everything behind the resource, untouched.
    pub args: Vec<String>,
}

/// Where the driver runs, `spark.submit.deployMode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeployMode {
    /// Beside `spark-submit`.
    Client,
    /// On the cluster.
    Cluster,
}

/// Something wrong with a command line: where, what, and how to put it right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The option, with its key where it has one, or another part of the command line.
    pub option: String,
    /// What is wrong with it. Never contains the value of a key.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

impl Problem {
    fn new(option: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { option: option.into(), what: what.into(), fix: fix.into() }
    }

    fn from_conf_error(option: &str, error: &ConfError) -> Self {
        let fix = match error {
            ConfError::NoEquals(_) | ConfError::EmptyKey => "write --conf key=value",
            _ => "shorten or remove it",
        };
        Self::new(option, error.to_string(), fix)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.option, self.what, self.fix)
    }
}

/// Reads the arguments behind `spark-submit`.
///
/// Options count until the first argument that isn't one: that is the program, and all behind it is the
/// program's. `--help` and `--version` end the reading.
///
/// # Errors
/// Every problem found, in the order of the command line, then those of the whole. The checks of
/// [`SparkSubmit::check`] are part of it.
pub fn parse(args: &[String]) -> Result<SparkSubmit, Vec<Problem>> {
    let mut reader = Reader::default();
    reader.read(args);
    reader.finish()
}

impl SparkSubmit {
    /// Adds what properties files say: keys that are already set keep their value.
    ///
    /// The order is `extra_properties_files` from the last to the first, `properties_file`, and, if
    /// [`SparkSubmit::uses_installation_defaults`], the installation's `spark-defaults.conf`.
    ///
    /// # Errors
    /// [`ConfError`] when the two don't fit together into the limits.
    pub fn fill_in(&mut self, properties: &SparkConf) -> Result<(), ConfError> {
        self.conf = properties.overlay(&self.conf)?;
        Ok(())
    }

    /// Whether `spark-defaults.conf` of the installation is to be read: without a properties file, or when
    /// `--load-spark-defaults` asks for it.
    pub fn uses_installation_defaults(&self) -> bool {
        self.properties_file.is_none() || self.load_spark_defaults
    }

    /// The master, `--master` or `spark.master`; `None` leaves it to the installation and the gateway.
    ///
    /// # Errors
    /// [`MasterError`] when it is no master URL. [`parse`] lets none through, a properties file may bring one.
    pub fn master(&self) -> Result<Option<Master>, MasterError> {
        self.conf.get(keys::MASTER).map(str::parse).transpose()
    }

    /// Where the driver shall run, [`DeployMode::Client`] unless said otherwise; `None` if the word is unknown.
    pub fn deploy_mode(&self) -> Option<DeployMode> {
        match self.conf.get(keys::DEPLOY_MODE) {
            None | Some("client") => Some(DeployMode::Client),
            Some("cluster") => Some(DeployMode::Cluster),
            Some(_) => None,
        }
    }

    /// The application's name as Spark picks it: `--name`, the main class, or the file name of the program.
    pub fn name(&self) -> Option<&str> {
        let given = self.conf.get(keys::APP_NAME);
        let Action::Submit(program) = &self.action else {
            return given;
        };
        given.or(program.class_name.as_deref()).or_else(|| program.resource.trim_end_matches('/').rsplit('/').next())
    }

    /// What can be known to be wrong without reading a file.
    ///
    /// [`parse`] includes it. Ask again after [`SparkSubmit::fill_in`], which may bring new values.
    pub fn check(&self) -> Vec<Problem> {
        check::problems(Some(&self.action), &self.conf, self.proxy_user.as_deref())
    }
}

/// Keys of Spark that more than one part of this module means.
mod keys {
    pub(super) const APP_NAME: &str = "spark.app.name";
    pub(super) const ARCHIVES: &str = "spark.archives";
    pub(super) const DEPLOY_MODE: &str = "spark.submit.deployMode";
    pub(super) const DRIVER_CORES: &str = "spark.driver.cores";
    pub(super) const DRIVER_JAVA_OPTIONS: &str = "spark.driver.extraJavaOptions";
    pub(super) const DRIVER_MEMORY: &str = "spark.driver.memory";
    pub(super) const EXECUTOR_CORES: &str = "spark.executor.cores";
    pub(super) const EXECUTOR_INSTANCES: &str = "spark.executor.instances";
    pub(super) const EXECUTOR_MEMORY: &str = "spark.executor.memory";
    pub(super) const FILES: &str = "spark.files";
    pub(super) const JARS: &str = "spark.jars";
    pub(super) const KEYTAB: &str = "spark.kerberos.keytab";
    pub(super) const MASTER: &str = "spark.master";
    pub(super) const PRINCIPAL: &str = "spark.kerberos.principal";
    pub(super) const PY_FILES: &str = "spark.submit.pyFiles";
    pub(super) const REMOTE: &str = "spark.remote";
    pub(super) const SUPERVISE: &str = "spark.driver.supervise";
    pub(super) const TOTAL_EXECUTOR_CORES: &str = "spark.cores.max";
}

/// What has been read so far.
#[derive(Default)]
struct Reader {
    flags: SparkConf,
    assignments: SparkConf,
    class_name: Option<String>,
    properties_file: Option<String>,
    extra_properties_files: Vec<String>,
    load_spark_defaults: bool,
    proxy_user: Option<String>,
    verbose: bool,
    resource: Option<String>,
    args: Vec<String>,
    /// Set by an option; without one the action is to submit.
    action: Option<Action>,
    problems: Vec<Problem>,
}

impl Reader {
    fn read(&mut self, args: &[String]) {
        let mut rest = args.iter();
        while let Some(argument) = rest.next() {
            let (name, inline_value) = split_inline_value(argument);
            let Some(option) = options::find(name) else {
                if argument.starts_with('-') {
                    self.unknown_option(argument, &mut rest);
                    continue;
                }
                self.resource = Some(argument.clone());
                self.args = rest.cloned().collect();
                return;
            };
            match option.takes {
                Takes::Value(recipient) => match inline_value.or_else(|| rest.next().map(String::as_str)) {
                    Some(value) => self.value(option.name, recipient, value),
                    None => self.problem(option.name, "has no value", format!("write {} VALUE", option.name)),
                },
                Takes::Nothing if inline_value.is_some() => {
                    self.problem(
                        option.name,
                        "takes no value",
                        format!("write {} alone, or leave it out", option.name),
                    );
                }
                Takes::Nothing => self.switch(option.name),
            }
            if matches!(self.action, Some(Action::Help | Action::Version)) {
                return;
            }
        }
    }

    fn value(&mut self, name: &'static str, recipient: Recipient, value: &str) {
        let value = value.to_owned();
        match recipient {
            Recipient::Key(key) => {
                if let Err(error) = self.flags.set(key, value) {
                    self.problems.push(Problem::from_conf_error(name, &error));
                }
            }
            Recipient::Assignment => {
                let set =
                    spark_conf::parse_assignment(&value).and_then(|(key, value)| self.assignments.set(key, value));
                if let Err(error) = set {
                    self.problems.push(Problem::from_conf_error(name, &error));
                }
            }
            Recipient::ClassName => self.class_name = Some(value),
            Recipient::PropertiesFile => self.properties_file = Some(value),
            Recipient::ExtraPropertiesFile => self.extra_properties_files.push(value),
            Recipient::ProxyUser => self.proxy_user = Some(value),
            Recipient::Kill => self.administer(name, Action::Kill(value)),
            Recipient::Status => self.administer(name, Action::Status(value)),
        }
    }

    fn switch(&mut self, name: &'static str) {
        match name {
            options::HELP => self.action = Some(Action::Help),
            options::VERSION => self.action = Some(Action::Version),
            options::VERBOSE => self.verbose = true,
            options::LOAD_SPARK_DEFAULTS => self.load_spark_defaults = true,
            options::SUPERVISE => self.value(name, Recipient::Key(keys::SUPERVISE), "true"),
            _ => self.problem(name, "is what Spark's own scripts pass to end with the usage", "use --help"),
        }
    }

    fn administer(&mut self, name: &'static str, action: Action) {
        if self.action.is_some() {
            self.problem(name, "comes after another --kill or --status", "ask for one submission at a time");
        }
        self.action = Some(action);
    }

    /// Reports an option nobody knows, and skips its value if the option probably meant has one, so that the rest
    /// of the line is still read as it was meant.
    fn unknown_option(&mut self, argument: &str, rest: &mut std::slice::Iter<'_, String>) {
        let (name, has_equals) = match argument.split_once('=') {
            Some((name, _)) => (name, true),
            None => (argument, false),
        };
        if options::find(name).is_some() {
            let fix = format!("write the value as an argument of its own, {name} VALUE");
            return self.problem(name, "has nothing behind its `=`, or more than one line", fix);
        }
        let nearest = options::nearest(name);
        let fix = match nearest {
            Some(option) => format!("did you mean {}?", option.name),
            None => "see --help; the program's own options come behind the program".to_owned(),
        };
        self.problem(name, "is no option of spark-submit", fix);
        let expects_value = nearest.is_some_and(|option| matches!(option.takes, Takes::Value(_)));
        let next_is_value = rest.as_slice().first().is_some_and(|next| !next.starts_with('-'));
        if expects_value && !has_equals && next_is_value {
            rest.next();
        }
    }

    fn problem(&mut self, option: &str, what: &str, fix: impl Into<String>) {
        self.problems.push(Problem::new(option, what, fix));
    }

    fn finish(mut self) -> Result<SparkSubmit, Vec<Problem>> {
        let action = self.take_action();
        let conf = self.assignments.overlay(&self.flags).unwrap_or_else(|error| {
            self.problems.push(Problem::from_conf_error("--conf", &error));
            SparkConf::new()
        });
        self.problems.extend(check::problems(action.as_ref(), &conf, self.proxy_user.as_deref()));
        match action {
            Some(action) if self.problems.is_empty() => Ok(SparkSubmit {
                action,
                conf,
                properties_file: self.properties_file,
                extra_properties_files: self.extra_properties_files,
                load_spark_defaults: self.load_spark_defaults,
                proxy_user: self.proxy_user,
                verbose: self.verbose,
            }),
            _ => Err(self.problems),
        }
    }

    /// What the line asks for; `None`, and a problem, if there is no program to submit.
    fn take_action(&mut self) -> Option<Action> {
        if let Some(action) = self.action.take() {
            return Some(action);
        }
        let Some(resource) = self.resource.take() else {
            self.problem(check::PROGRAM, "is missing", "name a JAR, Python or R file behind the options");
            return None;
        };
        let args = std::mem::take(&mut self.args);
        Some(Action::Submit(Program { resource, class_name: self.class_name.take(), args }))
    }
}

/// Splits `--option=value`; as in Spark the value must not be empty and must stand on one line.
fn split_inline_value(argument: &str) -> (&str, Option<&str>) {
    const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
    match argument.split_once('=') {
        Some((name, value))
            if name.len() > 2 && name.starts_with("--") && !value.is_empty() && !value.contains(LINE_ENDS) =>
        {
            (name, Some(value))
        }
        _ => (argument, None),
    }
}
