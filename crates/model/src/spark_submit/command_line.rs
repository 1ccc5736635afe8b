//! From a program back to the arguments that make spark-submit run it.

use super::{Action, SparkSubmit, keys};
use std::ffi::OsString;
use std::path::Path;

/// What the arguments of spark-submit are made of.
///
/// The configuration travels in a properties file, so that no value of it stands in the list of processes.
#[derive(Debug, Clone, Copy)]
pub struct CommandLine<'a> {
    /// Path of `spark-submit`.
    pub spark_submit: &'a Path,
    /// The file with the whole configuration.
    pub properties_file: &'a Path,
    /// Main class.
    pub class_name: Option<&'a str>,
    /// Whom to impersonate.
    pub proxy_user: Option<&'a str>,
    /// Restart the driver when it fails; Spark takes this from the option alone, not from the configuration.
    pub supervise: bool,
    /// Print the configuration first.
    pub verbose: bool,
    /// The JAR, Python or R file.
    pub resource: &'a str,
    /// The program's own arguments.
    pub args: &'a [String],
}

/// Why there is no command line for a program. Messages are for whoever asked for it to be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandLineError {
    /// [`Action::Submit`] is the only action with a program.
    #[error("there is no program to run")]
    NoProgram,
    /// The path or URI of the program is empty.
    #[error("the program's name is empty")]
    EmptyResource,
    /// spark-submit would take the program for one of its own options.
    #[error("`{0}` begins with a dash, so spark-submit takes it for an option; write ./{0} for a file of that name")]
    ResourceIsOption(String),
    /// One of the words by which Spark's scripts start a shell.
    #[error("`{0}` is a shell, not a program to run to its end")]
    ShellResource(String),
    /// A class for which spark-submit reads options among the program's arguments too.
    #[error("`{0}` is a shell or server of Spark's own, which mixes its arguments with spark-submit's options")]
    ShellClass(String),
    /// No argument of a process can contain this character.
    #[error("{0} contains a NUL character")]
    Nul(&'static str),
}

/// Names that Spark's scripts pass in place of a program; some count as the first argument only.
const SHELL_RESOURCES: [&str; 7] = [
    "spark-shell",
    "connect-shell",
    "pyspark-shell",
    "pyspark-shell-main",
    "sparkr-shell",
    "sparkr-shell-main",
    "run-example",
];

/// Classes after which spark-submit's launcher no longer stops at the program. Options in the program's
/// arguments would reach Spark, past every check of the configuration.
const SHELL_CLASSES: [&str; 5] = [
    "org.apache.spark.repl.Main",
    "org.apache.spark.sql.application.ConnectRepl",
    "org.apache.spark.sql.connect.service.SparkConnectServer",
    "org.apache.spark.sql.hive.thriftserver.HiveThriftServer2",
    "org.apache.spark.sql.hive.thriftserver.SparkSQLCLIDriver",
];

impl CommandLine<'_> {
    /// The arguments, the program `spark-submit` first.
    ///
    /// # Errors
    /// [`CommandLineError`] when spark-submit would read them as something other than what they say.
    pub fn arguments(&self) -> Result<Vec<OsString>, CommandLineError> {
        check_resource(self.resource)?;
        self.class_name.map_or(Ok(()), check_class_name)?;
        self.proxy_user.map_or(Ok(()), |user| check_nul("the proxy user", user))?;
        self.args.iter().try_for_each(|argument| check_nul("an argument", argument))?;

        let mut arguments: Vec<OsString> =
            vec![self.spark_submit.into(), "--properties-file".into(), self.properties_file.into()];
        for (option, value) in [("--class", self.class_name), ("--proxy-user", self.proxy_user)] {
            if let Some(value) = value {
                arguments.extend([option.into(), value.into()]);
            }
        }
        for (switch, wanted) in [("--supervise", self.supervise), ("--verbose", self.verbose)] {
            arguments.extend(wanted.then(|| OsString::from(switch)));
        }
        arguments.push(self.resource.into());
        arguments.extend(self.args.iter().map(OsString::from));
        Ok(arguments)
    }
}

impl SparkSubmit {
    /// The arguments that run this submission with the configuration in `properties_file`, the program
    /// `spark-submit` first. The file must hold [`SparkSubmit::conf`], filled in and with paths resolved.
    ///
    /// # Errors
    /// [`CommandLineError`] when the action isn't to submit, or spark-submit would misread the arguments.
    pub fn to_command_line(
        &self,
        spark_submit: &Path,
        properties_file: &Path,
    ) -> Result<Vec<OsString>, CommandLineError> {
        let Action::Submit(program) = &self.action else {
            return Err(CommandLineError::NoProgram);
        };
        CommandLine {
            spark_submit,
            properties_file,
            class_name: program.class_name.as_deref(),
            proxy_user: self.proxy_user.as_deref(),
            supervise: self.conf.get(keys::SUPERVISE) == Some("true"),
            verbose: self.verbose,
            resource: &program.resource,
            args: &program.args,
        }
        .arguments()
    }
}

/// Whether spark-submit takes `resource` for the program to run.
pub(super) fn check_resource(resource: &str) -> Result<(), CommandLineError> {
    check_nul("the program's name", resource)?;
    if resource.is_empty() {
        Err(CommandLineError::EmptyResource)
    } else if resource.starts_with('-') {
        Err(CommandLineError::ResourceIsOption(resource.to_owned()))
    } else if SHELL_RESOURCES.contains(&resource) {
        Err(CommandLineError::ShellResource(resource.to_owned()))
    } else {
        Ok(())
    }
}

/// Whether spark-submit stops reading options at the program when `class_name` is its main class.
pub(super) fn check_class_name(class_name: &str) -> Result<(), CommandLineError> {
    check_nul("the class name", class_name)?;
    if SHELL_CLASSES.contains(&class_name) {
        return Err(CommandLineError::ShellClass(class_name.to_owned()));
    }
    Ok(())
}

fn check_nul(what: &'static str, text: &str) -> Result<(), CommandLineError> {
    if text.contains('\0') { Err(CommandLineError::Nul(what)) } else { Ok(()) }
}
