//! Runs drivers on this machine, each under a small supervisor process that survives the gateway.
//!
//! Start with [`LocalBackend`], then `attempt_dir`, which lists the files through which gateway and supervisor
//! understand each other. `plan` decides how a driver is started, `supervisor` is the other process, `look` tells
//! from an attempt's lock and folder where it stands, `watch` waits for its end.
//!
//! A gateway needs file descriptors for every driver it watches: call [`raise_open_files_limit`] before anything.
//!
//! Supervisors leave the gateway's session but not its control group: a service manager that ends the gateway must
//! be told to end that process alone (systemd: `KillMode=process`), or it ends the drivers too.

mod attempt_dir;
mod installation;
mod launch;
mod logs;
mod look;
mod open_files;
mod plan;
mod problems;
mod process;
mod supervisor;
mod watch;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use engine::backend::{AttemptRef, Backend, BackendError, LaunchOrder, Observation, Owned, Problem};
use model::id::{AttemptId, BackendName, Shard};
use model::spec::ApplicationSpec;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use self::attempt_dir::AttemptDir;
pub use self::installation::{DefaultsError, Installation, Installations, NoSparkThere};
pub use self::open_files::raise_open_files_limit;
pub use self::plan::{
    ENVIRONMENT_ALLOWED, LaunchPlan, OWN_CONF_PREFIX, Order, PlanError, PlanInput, WORK_DIR_KEY, WorkPolicy, plan,
};
pub use self::problems::{missing_files, notation_problems};
pub use self::supervisor::supervise;
use self::watch::Watches;
use crate::log::{Follower, LogLimits};

/// Changes that may wait for the engine before watching waits for it.
const CHANGES_WAITING_MAX: usize = 1_024;

/// How often tombstones of discarded attempts are purged.
const PURGE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// What a local backend is told.
#[derive(Clone, Debug)]
pub struct LocalConfig {
    /// Its name.
    pub name: BackendName,
    /// The lease that covers its work. Attempts live in `data_dir`, so it must be one that means that folder.
    pub shard: Shard,
    /// Where it keeps everything, in `attempts/`; absolute and valid UTF-8.
    pub data_dir: PathBuf,
    /// The Sparks that applications can choose from.
    pub installations: Installations,
    /// How to start a supervisor.
    pub supervisor: SupervisorCommand,
    /// Variables that drivers get beside [`ENVIRONMENT_ALLOWED`].
    pub environment_added: Vec<String>,
    /// How large an attempt's log may become.
    pub log: LogLimits,
    /// When an attempt's working folder is removed.
    pub work: WorkPolicy,
}

/// The command that runs [`supervise`] on the folder given as its last argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupervisorCommand {
    /// The program.
    pub program: PathBuf,
    /// What comes before the folder.
    pub args: Vec<OsString>,
}

impl Default for SupervisorCommand {
    /// This very program, even if its file was replaced meanwhile, with the argument `supervise`.
    fn default() -> Self {
        Self { program: PathBuf::from("/proc/self/exe"), args: vec![OsString::from("supervise")] }
    }
}

/// Why a local backend can't be made.
#[derive(Debug, thiserror::Error)]
pub enum LocalBackendError {
    /// Paths in it couldn't be told to Spark.
    #[error("data folder {} is not an absolute path in UTF-8", .0.display())]
    DataDir(PathBuf),
    /// Its folder can't be made.
    #[error("create {}", .path.display())]
    CreateFolder {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel doesn't tell which boot this is.
    #[error("tell this boot of the machine from others")]
    Boot(#[source] io::Error),
}

/// Runs drivers on this machine.
pub struct LocalBackend {
    shared: Arc<Shared>,
    changes: Mutex<Option<mpsc::Receiver<(AttemptId, Observation)>>>,
    purging: AbortHandle,
}

impl Drop for LocalBackend {
    fn drop(&mut self) {
        self.purging.abort();
    }
}

struct Shared {
    config: LocalConfig,
    attempts: PathBuf,
    /// Where process ids are valid, see [`process::boot`].
    boot: String,
    environment: Vec<(String, String)>,
    watches: Watches,
    follower: Follower,
    /// Held while a folder is created, and while it is replaced by a tombstone.
    burying: Mutex<()>,
}

impl LocalBackend {
    /// Makes the backend and its folder. Call it within a Tokio runtime.
    ///
    /// # Errors
    /// When the folder can't be used, or the kernel doesn't tell which boot this is.
    pub fn new(config: LocalConfig) -> Result<Self, LocalBackendError> {
        if !config.data_dir.is_absolute() || config.data_dir.to_str().is_none() {
            return Err(LocalBackendError::DataDir(config.data_dir));
        }
        let attempts = config.data_dir.join("attempts");
        create_private_folder(&attempts)
            .map_err(|source| LocalBackendError::CreateFolder { path: attempts.clone(), source })?;
        let (sender, receiver) = mpsc::channel(CHANGES_WAITING_MAX);
        let shared = Shared {
            attempts,
            boot: process::boot().map_err(LocalBackendError::Boot)?,
            environment: own_environment(),
            watches: Watches::new(sender),
            follower: Follower::start(),
            burying: Mutex::default(),
            config,
        };
        let purging = tokio::spawn(purge_daily(shared.attempts.clone())).abort_handle();
        Ok(Self { shared: Arc::new(shared), changes: Mutex::new(Some(receiver)), purging })
    }

    /// The Sparks that applications can choose from.
    pub fn installations(&self) -> &Installations {
        &self.shared.config.installations
    }

    /// How an order would be run, without running it.
    ///
    /// # Errors
    /// [`BackendError::Refused`] tells what [`Backend::check`] finds, and what is wrong with the installation.
    pub fn plan(&self, order: &LaunchOrder) -> Result<LaunchPlan, BackendError> {
        self.shared.plan(order)
    }
}

impl Shared {
    fn dir(&self, attempt: AttemptId) -> AttemptDir {
        AttemptDir::of(&self.attempts, attempt)
    }
}

#[async_trait]
impl Backend for LocalBackend {
    fn name(&self) -> &BackendName {
        &self.shared.config.name
    }

    fn not_ready(&self) -> Option<String> {
        let found = self.installations().default_name().is_some();
        (!found).then(|| format!("backend {}: no Spark was found; set SPARK_HOME or configure `sparks`", self.name()))
    }

    fn shard(&self) -> &Shard {
        &self.shared.config.shard
    }

    fn binding(&self) -> String {
        self.shared.boot.clone()
    }

    fn check(&self, spec: &ApplicationSpec) -> Vec<Problem> {
        problems::problems(spec, &self.shared.config.installations)
    }

    async fn launch(&self, order: LaunchOrder) -> Result<Observation, BackendError> {
        launch::launch(&self.shared, order).await
    }

    async fn observe(&self, attempt: &AttemptRef) -> Result<Observation, BackendError> {
        watch::observe(&self.shared, attempt).await
    }

    async fn stop(&self, attempt: &AttemptRef, grace: Duration) -> Result<Observation, BackendError> {
        launch::stop(&self.shared, attempt, grace).await
    }

    async fn discard(&self, attempt: &AttemptRef) -> Result<(), BackendError> {
        let (shared, attempt) = (Arc::clone(&self.shared), attempt.id);
        blocking("remove the attempt's folder", move || shared.discard(attempt)).await
    }

    async fn list_owned(&self) -> Result<Vec<Owned>, BackendError> {
        let attempts = self.shared.attempts.clone();
        blocking("list attempts", move || look::list_owned(&attempts)).await
    }

    fn take_changes(&self) -> Option<mpsc::Receiver<(AttemptId, Observation)>> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn create_private_folder(path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes tombstones that nobody needs any more, now and then daily.
async fn purge_daily(attempts: PathBuf) {
    let mut days = tokio::time::interval(PURGE_INTERVAL);
    loop {
        days.tick().await;
        let attempts = attempts.clone();
        let purged = blocking("purge tombstones", move || attempt_dir::purge(&attempts, SystemTime::now())).await;
        if let Err(error) = purged {
            tracing::warn!(error = &error as &dyn std::error::Error, "can't purge what is left of discarded attempts");
        }
    }
}

/// The gateway's own environment, as far as it is text.
fn own_environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Does file work away from the runtime's threads.
async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, BackendError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(BackendError::unavailable(what, error)),
        Err(error) => Err(BackendError::unavailable(what, error)),
    }
}
