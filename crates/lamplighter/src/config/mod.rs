//! What the gateway can be told, and where from: flags before environment before file before defaults.
//!
//! Start with [`settings`], where each setting is declared once, and [`load`]. Everything is read once, at the
//! start; what is wrong is reported together, and nothing unknown is ignored. [`reader`] puts the sources together,
//! [`notation`] knows how values are written, [`yaml`] is the file as a tree with places, [`subtree`] reads what
//! belongs to other crates, [`flags`] and [`reference`] are made from the declarations.

mod clusters;
mod flags;
mod notation;
mod problem;
mod reader;
mod reference;
mod settings;
mod subtree;
mod yaml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::id::{BackendName, SparkName};
use policy::config::{AuthConfig, PolicyConfig};

use crate::server::{ConnectionLimits, RequestLimits};
use problem::Problem;
use reader::{Declared, Effective, Reader, place_of};
use yaml::Node;

pub(crate) use clusters::{ClusterConfig, Clusters};
pub(crate) use flags::ServeArgs;
pub(crate) use problem::ConfigProblems;
pub(crate) use reference::{effective, reference, sample};

/// The backend that runs drivers on the gateway's own machine.
pub(crate) const LOCAL: &str = "local";

/// Everything the gateway is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) exposure: Exposure,
    pub(crate) auth: AuthConfig,
    pub(crate) policy: PolicyConfig,
    pub(crate) data_dir: PathBuf,
    pub(crate) store: StoreConfig,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) sparks: Vec<(SparkName, PathBuf)>,
    pub(crate) local: LocalSettings,
    pub(crate) kubernetes: Clusters,
    pub(crate) instance: Option<String>,
    pub(crate) default_backend: Option<BackendName>,
    pub(crate) retention: engine::runtime::Retention,
    pub(crate) livy: LivyConfig,
    pub(crate) limits: Limits,
    pub(crate) log: LogConfig,
    effective: Vec<Effective>,
}

impl Config {
    /// Problems of a setting that are found only when it is put to use, such as a folder that isn't there.
    pub(crate) fn problems(&self, key: &str, messages: impl IntoIterator<Item = String>) -> ConfigProblems {
        let place = place_of(&self.effective, key);
        let problem = |message| Problem::of(key, &place, message);
        ConfigProblems::new(messages.into_iter().map(problem).collect())
    }
}

/// What was said aloud about being reached from other machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exposure {
    /// Without authentication.
    pub(crate) to_strangers: bool,
    /// With tokens that everybody on the way can read.
    pub(crate) in_cleartext: bool,
}

/// Certificate chain and private key of the listener, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Where applications are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreConfig {
    /// In a file of the data folder.
    Sqlite,
    /// In a PostgreSQL database.
    Postgres(SecretUrl),
}

/// A URL that may hold a password: it prints as stars.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SecretUrl(String);

impl SecretUrl {
    /// The URL itself, for connecting.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How the local backend runs drivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalSettings {
    pub(crate) enabled: bool,
    pub(crate) places: usize,
    pub(crate) queue_max: u64,
    pub(crate) stop_grace: Duration,
    pub(crate) environment: Vec<String>,
    pub(crate) log_bytes_max: u64,
    pub(crate) work: WorkFolder,
}

/// When an attempt's working folder is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WorkFolder {
    /// When its driver ended.
    Always,
    /// When its driver ended well.
    OnSuccess,
    /// When the application is removed.
    Never,
}

/// How the Livy doors behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LivyConfig {
    pub(crate) local_dir_allow_list: Option<Vec<PathBuf>>,
    pub(crate) conf_deny_list: Vec<String>,
    pub(crate) log_lines: usize,
}

/// What clients are limited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) requests: RequestLimits,
    pub(crate) connections: ConnectionLimits,
    /// Streams of events and logs at once.
    pub(crate) streams_max: usize,
}

/// How the gateway's own log is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogConfig {
    /// What is written, as `tracing` filters it.
    pub(crate) filter: String,
    pub(crate) format: LogFormat,
}

/// The form of a line of the gateway's own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Pretty,
    /// A JSON object.
    Json,
}

/// A look at the environment.
pub(crate) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads the configuration.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn load(args: &ServeArgs, variables: Variables<'_>) -> Result<Config, ConfigProblems> {
    let named = variables("LAMPLIGHTER_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let file = match args.config.clone().or(named) {
        Some(path) => read_file(&path).map_err(ConfigProblems::new)?,
        None => Node::empty(),
    };
    let mut reader = Reader::new(&args.settings, variables, file);
    let config = settings::read(&mut reader, variables);
    let (_, effective, problems) = reader.finish();
    if problems.is_empty() { Ok(Config { effective, ..config }) } else { Err(ConfigProblems::new(problems)) }
}

fn read_file(path: &Path) -> Result<Node, Vec<Problem>> {
    let name = path.display().to_string();
    let unreadable = |error: std::io::Error| {
        vec![Problem::new(&problem::Place::Default, format!("read the configuration file {name}: {error}"))]
    };
    yaml::parse(&name, &std::fs::read_to_string(path).map_err(unreadable)?)
}

/// Every setting, in the order of the reference.
fn declarations() -> Vec<Declared> {
    let mut reader = Reader::new(const { &BTreeMap::new() }, &|_| None, Node::empty());
    settings::read(&mut reader, &|_| None);
    reader.finish().0
}

/// The environment of this process, for [`load`].
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
