//! What the gateway can be told, and where from: flags before environment before file before defaults.
//!
//! Everything is read once, at the start; what is wrong is reported together, and nothing unknown is ignored.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::duration::{SparkDuration, TimeUnit};
use model::id::SparkName;
use serde::Deserialize;

use crate::cli::ServeArgs;

/// Where the gateway listens when nothing else is said: Livy's port, on loopback.
pub(crate) const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8998);

/// Lines of a log that clients of the Livy doors can be given to page through.
const LIVY_LOG_LINES_MAX: usize = 100_000;

/// Everything the gateway is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) store: StoreConfig,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) sparks: Vec<(SparkName, PathBuf)>,
    pub(crate) local: LocalSettings,
    pub(crate) retention: engine::runtime::Retention,
    pub(crate) livy: LivyFile,
    pub(crate) log_format: LogFormat,
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
    pub(crate) places: usize,
    pub(crate) queue_max: u64,
    pub(crate) stop_grace: Duration,
    pub(crate) environment: Vec<String>,
    pub(crate) log_bytes_max: u64,
    pub(crate) work: WorkFile,
}

/// The file, as people write it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    listen: Option<String>,
    data_dir: Option<PathBuf>,
    store: Option<String>,
    allowed_hosts: Vec<String>,
    sparks: indexmap::IndexMap<String, PathBuf>,
    local: LocalFile,
    retention: RetentionFile,
    livy: LivyFile,
    log_format: LogFormat,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LocalFile {
    places: Option<usize>,
    queue_max: Option<u64>,
    stop_grace: Option<String>,
    environment: Vec<String>,
    log_bytes_max: Option<u64>,
    work: WorkFile,
}

/// When an attempt's working folder is removed.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorkFile {
    /// When its driver ended.
    Always,
    /// When its driver ended well.
    #[default]
    OnSuccess,
    /// When the application is removed.
    Never,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RetentionFile {
    age: Option<String>,
    count: Option<u64>,
    events: Option<u64>,
}

/// How the Livy doors behave.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LivyFile {
    pub(crate) local_dir_allow_list: Option<Vec<PathBuf>>,
    pub(crate) conf_deny_list: Vec<String>,
    pub(crate) log_lines: Option<usize>,
}

/// How the gateway's own log is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// A JSON object a line.
    Json,
}

/// Everything that is wrong with the configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigProblems(Vec<String>);

impl ConfigProblems {
    /// What is wrong, a sentence each.
    pub(crate) const fn new(problems: Vec<String>) -> Self {
        Self(problems)
    }
}

impl std::error::Error for ConfigProblems {}

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "error: " } else { "\nerror: " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

/// A look at the environment.
pub(crate) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads the configuration.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn load(args: &ServeArgs, variables: Variables<'_>) -> Result<Config, ConfigProblems> {
    let path = args.config.clone().or_else(|| variables("LAMPLIGHTER_CONFIG").map(PathBuf::from));
    let file = match path {
        Some(path) => read_file(&path).map_err(|problem| ConfigProblems(vec![problem]))?,
        None => File::default(),
    };
    Reader { problems: Vec::new(), variables }.read(args, file)
}

fn read_file(path: &Path) -> Result<File, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("read {}: {error}", path.display()))?;
    if text.trim().is_empty() {
        return Ok(File::default());
    }
    serde_saphyr::from_str(&text).map_err(|error| {
        let error = error.to_string();
        format!("{}: {}", path.display(), error.strip_prefix("error: ").unwrap_or(&error))
    })
}

struct Reader<'a> {
    problems: Vec<String>,
    variables: Variables<'a>,
}

impl Reader<'_> {
    fn read(mut self, args: &ServeArgs, file: File) -> Result<Config, ConfigProblems> {
        let listen = self.listen(args, file.listen);
        let data_dir = self.data_dir(args, file.data_dir);
        let store = self.store(file.store);
        let sparks = self.sparks(file.sparks);
        let local = self.local(file.local);
        let retention = self.retention(&file.retention);
        self.livy(&file.livy);
        let config = Config {
            listen,
            data_dir,
            store,
            allowed_hosts: file.allowed_hosts,
            sparks,
            local,
            retention,
            livy: file.livy,
            log_format: file.log_format,
        };
        if self.problems.is_empty() { Ok(config) } else { Err(ConfigProblems(self.problems)) }
    }

    fn problem(&mut self, text: String) {
        self.problems.push(text);
    }

    fn listen(&mut self, args: &ServeArgs, file: Option<String>) -> SocketAddr {
        let text = (self.variables)("LAMPLIGHTER_LISTEN").or(file);
        let listen = match (args.listen, text) {
            (Some(listen), _) => listen,
            (None, Some(text)) => text.parse().unwrap_or_else(|_| {
                self.problem(format!("listen: `{text}` is not ADDRESS:PORT, as in 127.0.0.1:8998"));
                DEFAULT_LISTEN
            }),
            (None, None) => DEFAULT_LISTEN,
        };
        if !listen.ip().is_loopback() {
            self.problem(format!(
                "listen: {listen} can be reached from other machines, and whoever reaches the gateway runs code as its \
                 user; listen on a loopback address such as 127.0.0.1:{}",
                listen.port()
            ));
        }
        listen
    }

    fn data_dir(&mut self, args: &ServeArgs, file: Option<PathBuf>) -> PathBuf {
        let variable = |name: &str| (self.variables)(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let chosen = args.data_dir.clone().or_else(|| variable("LAMPLIGHTER_DATA_DIR")).or(file);
        let default = || {
            let base = variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")))?;
            Some(base.join("lamplighter"))
        };
        let Some(dir) = chosen.or_else(default) else {
            self.problem("data_dir: neither it nor HOME is set; say where to keep data with --data-dir".into());
            return PathBuf::new();
        };
        std::path::absolute(&dir).unwrap_or(dir)
    }

    fn store(&mut self, file: Option<String>) -> StoreConfig {
        match (self.variables)("LAMPLIGHTER_STORE").or(file).as_deref() {
            None | Some("sqlite") => StoreConfig::Sqlite,
            Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                StoreConfig::Postgres(SecretUrl(url.to_owned()))
            }
            // The text may hold a password, so it isn't repeated.
            Some(_) => {
                self.problem("store: must be `sqlite` or a URL like postgres://user@host:5432/database".into());
                StoreConfig::Sqlite
            }
        }
    }

    fn sparks(&mut self, file: indexmap::IndexMap<String, PathBuf>) -> Vec<(SparkName, PathBuf)> {
        let mut sparks = Vec::with_capacity(file.len());
        for (name, path) in file {
            match SparkName::new(&name) {
                Ok(_) if !path.is_absolute() => {
                    self.problem(format!("sparks.{name}: {} must be an absolute path", path.display()));
                }
                Ok(name) => sparks.push((name, path)),
                Err(error) => self.problem(format!("sparks: {error}")),
            }
        }
        sparks
    }

    fn local(&mut self, file: LocalFile) -> LocalSettings {
        let places = file.places.unwrap_or_else(default_places);
        let stop_grace =
            self.duration("local.stop_grace", file.stop_grace.as_deref()).unwrap_or(Duration::from_secs(10));
        LocalSettings {
            places,
            queue_max: file.queue_max.unwrap_or(100_000),
            stop_grace,
            environment: file.environment,
            log_bytes_max: file.log_bytes_max.unwrap_or(64 << 20),
            work: file.work,
        }
    }

    fn retention(&mut self, file: &RetentionFile) -> engine::runtime::Retention {
        let default = engine::runtime::Retention::default();
        let age_max = match file.age.as_deref() {
            Some("forever") => None,
            text => self.duration("retention.age", text).or(default.age_max),
        };
        engine::runtime::Retention {
            age_max,
            count_max: file.count.or(default.count_max),
            events_max: file.events.unwrap_or(default.events_max),
        }
    }

    fn livy(&mut self, file: &LivyFile) {
        if file.log_lines.is_some_and(|lines| !(1..=LIVY_LOG_LINES_MAX).contains(&lines)) {
            self.problem(format!("livy.log_lines: must be 1 to {LIVY_LOG_LINES_MAX}"));
        }
    }

    fn duration(&mut self, key: &str, text: Option<&str>) -> Option<Duration> {
        match SparkDuration::parse(text?, TimeUnit::Second) {
            Ok(duration) => Some(duration.into()),
            Err(error) => {
                self.problem(format!("{key}: {error}"));
                None
            }
        }
    }
}

/// As many drivers as the machine's memory holds at about 2 GiB each.
fn default_places() -> usize {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib =
        info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    (kib.unwrap_or(0) / (2 << 20)).clamp(2, 64)
}

/// The environment of this process, for [`load`].
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn check(yaml: &str, variables: &[(&str, &str)], expected: &expect_test::Expect) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lamplighter.yaml");
        std::fs::write(&path, yaml).unwrap();
        let args = ServeArgs { listen: None, data_dir: Some("/data".into()), config: Some(path.clone()) };
        let look =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let shown = match load(&args, &look) {
            Ok(config) => {
                format!("{} {:?} {:?} {:?}", config.listen, config.store, config.local.stop_grace, config.sparks)
            }
            Err(problems) => problems.to_string().replace(&path.display().to_string(), "FILE"),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn files_variables_and_defaults() {
        check("", &[], &expect_test::expect!["127.0.0.1:8998 Sqlite 10s []"]);
        check(
            "listen: 127.0.0.1:1\nlocal:\n  stop_grace: 2m\n",
            &[("LAMPLIGHTER_LISTEN", "127.0.0.1:2")],
            &expect_test::expect!["127.0.0.1:2 Sqlite 120s []"],
        );
        check(
            "sparks:\n  '4': /opt/spark-4\n  '3.5': /opt/spark-3.5\n",
            &[("LAMPLIGHTER_STORE", "postgres://u@h/d")],
            &expect_test::expect![[
                r#"127.0.0.1:8998 Postgres(***) 10s [(SparkName("4"), "/opt/spark-4"), (SparkName("3.5"), "/opt/spark-3.5")]"#
            ]],
        );
    }

    #[test]
    fn all_problems_are_told_together() {
        check(
            "listen: 0.0.0.0:8998\nstore: mysql://secret\nsparks:\n  x: relative\nlocal:\n  stop_grace: soon\nlivy:\n  log_lines: 0\n",
            &[],
            &expect_test::expect![[r#"
                error: listen: 0.0.0.0:8998 can be reached from other machines, and whoever reaches the gateway runs code as its user; listen on a loopback address such as 127.0.0.1:8998
                error: store: must be `sqlite` or a URL like postgres://user@host:5432/database
                error: sparks.x: relative must be an absolute path
                error: local.stop_grace: time `soon` is not a whole number with a unit, such as 30s or 2h
                error: livy.log_lines: must be 1 to 100000"#]],
        );
        check(
            "lisen: x\n",
            &[],
            &expect_test::expect![[r#"
                error: FILE: line 1 column 1: unknown field `lisen`, expected one of listen, data_dir, store, allowed_hosts, sparks, local, retention, livy, log_format
                 --> <input>:1:1
                  |
                1 | lisen: x
                  | ^ unknown field `lisen`, expected one of listen, data_dir, store, allowed_hosts, sparks, local, retention, livy, log_format"#]],
        );
    }
}
