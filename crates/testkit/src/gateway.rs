//! The real gateway as a process: started with a data folder of its own, asked over HTTP, killed and started again.
//!
//! [`Gateway::start`] is where to start. Everything that it starts is gone when it is dropped, drivers and their
//! supervisors included, however the test ended.

mod http;
mod processes;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use self::http::{Answer, Client};
use crate::chance::Chance;

/// Longer than anything here takes, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
pub const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// Below the ports that the kernel gives to clients: while the gateway is down, one that tries to connect could
/// otherwise be given the gateway's own port and meet itself.
const PORTS: (u64, u64) = (20_000, 32_000);

/// The folders of all gateways of this process, for [`clean_up`].
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// How to start a gateway.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program `lamplighter`.
    pub binary: PathBuf,
    /// The Spark that it finds.
    pub spark_home: PathBuf,
    /// Its configuration file; may be empty.
    pub config: String,
    /// Added to its environment, which otherwise is `PATH` and `HOME` alone.
    pub environment: Vec<(String, String)>,
}

impl Options {
    /// A gateway without configuration.
    pub fn new(binary: impl Into<PathBuf>, spark_home: impl Into<PathBuf>) -> Self {
        Self { binary: binary.into(), spark_home: spark_home.into(), config: String::new(), environment: Vec::new() }
    }
}

/// A gateway on loopback, with a data folder that lasts as long as this.
#[derive(Debug)]
pub struct Gateway {
    options: Options,
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Gateway {
    /// Starts a gateway and waits until it takes work.
    ///
    /// # Errors
    /// When it doesn't come up; what it said is in the message.
    pub fn start(options: Options) -> Result<Self> {
        let mut gateway = Self::prepare(options)?;
        gateway.spawn()?;
        gateway.wait_ready()?;
        Ok(gateway)
    }

    /// Makes the folders and chooses the port, but starts nothing.
    ///
    /// # Errors
    /// When the folders can't be made or no port is free.
    pub fn prepare(options: Options) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("lamplighter-").tempdir()?;
        fs::create_dir(folder.path().join("data"))?;
        fs::write(folder.path().join("lamplighter.yaml"), &options.config)?;
        folders().push(folder.path().to_owned());
        Ok(Self { options, folder, port: free_port()?, child: None })
    }

    /// Its data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder beside the data folder, for what a test leaves; as long-lived as the gateway.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// Where it is reached, without a slash at the end. It stays the same over restarts.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A client with a connection of its own.
    pub fn client(&self) -> Client {
        Client::new(&self.url())
    }

    /// The gateway's process; `None` while it is down.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts the process, and returns at once.
    ///
    /// # Errors
    /// When it can't be started, or runs already.
    pub fn spawn(&mut self) -> Result<()> {
        if self.child.is_some() {
            bail!("the gateway runs already");
        }
        let output = self.log_file()?;
        let mut command = Command::new(&self.options.binary);
        command.args(["serve", "--listen", &format!("127.0.0.1:{}", self.port), "--data-dir"]);
        command.arg(self.data_dir()).arg("--config").arg(self.folder.path().join("lamplighter.yaml"));
        command.env_clear().env("SPARK_HOME", &self.options.spark_home);
        for name in ["PATH", "HOME", "JAVA_HOME", "TMPDIR"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.envs(self.options.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let binary = self.options.binary.display();
        self.child = Some(command.spawn().with_context(|| format!("start {binary}"))?);
        Ok(())
    }

    /// Waits until it takes work; for how long.
    ///
    /// # Errors
    /// When it ended, or took longer than [`PATIENCE`].
    pub fn wait_ready(&mut self) -> Result<Duration> {
        let started = Instant::now();
        let client = self.client();
        loop {
            if client.get("/readyz").is_ok_and(|answer| answer.status == 200) {
                return Ok(started.elapsed());
            }
            if let Some(status) = self.child.as_mut().context("the gateway is down")?.try_wait()? {
                self.child = None;
                bail!("the gateway ended with {status}:\n{}", self.log());
            }
            if started.elapsed() > PATIENCE {
                bail!("the gateway isn't ready after {} s:\n{}", PATIENCE.as_secs(), self.log());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Kills the process with SIGKILL. What it started goes on.
    ///
    /// # Errors
    /// When it can't be waited for.
    pub fn kill9(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Starts it again on the same data, and waits until it takes work; for how long.
    ///
    /// # Errors
    /// When it doesn't come up.
    pub fn restart(&mut self) -> Result<Duration> {
        self.kill9()?;
        self.spawn()?;
        self.wait_ready()
    }

    /// Tells it to end, without waiting for it.
    ///
    /// # Errors
    /// When it isn't there.
    pub fn terminate(&self) -> Result<()> {
        let child = self.child.as_ref().context("the gateway is down")?;
        Ok(kill_process(Pid::from_child(child), Signal::TERM)?)
    }

    /// Ends it as a service manager does, and waits until it is gone.
    ///
    /// # Errors
    /// When it doesn't end in time.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.terminate()?;
        let child = self.child.as_mut().context("the gateway is down")?;
        let mut ended = None;
        wait_until("the gateway to end", || {
            ended = child.try_wait()?;
            Ok(ended.is_some())
        })?;
        self.child = None;
        ended.context("the gateway's exit status")
    }

    /// The processes that it and its predecessors on this data folder started and that are still there.
    pub fn processes_left(&self) -> Vec<i32> {
        let own = self.pid().and_then(|pid| i32::try_from(pid).ok());
        processes::of(&self.data_dir()).into_iter().filter(|pid| Some(*pid) != own).collect()
    }

    /// The end of what it logged so far, for messages.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("gateway.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn log_file(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(self.folder.path().join("gateway.log"))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Err(error) = self.kill9() {
            eprintln!("the gateway could not be killed: {error}");
        }
        processes::end_all(&self.data_dir());
        folders().retain(|folder| folder != self.folder.path());
    }
}

/// Ends everything that this process's gateways are and started, and removes their folders: for a process that is
/// told to end before it could drop them.
pub fn clean_up() {
    for folder in folders().drain(..) {
        processes::end_all(&folder);
        if let Err(error) = fs::remove_dir_all(&folder) {
            eprintln!("{} could not be removed: {error}", folder.display());
        }
    }
}

fn folders() -> MutexGuard<'static, Vec<PathBuf>> {
    FOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at a condition until it is met.
///
/// # Errors
/// The condition's own, or that it wasn't met within [`PATIENCE`].
pub fn wait_until(what: &str, mut is_met: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !is_met()? {
        if start.elapsed() > PATIENCE {
            bail!("waited {} s for {what} in vain", PATIENCE.as_secs());
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

fn free_port() -> Result<u16> {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    let mut chance = Chance(high ^ low);
    for _ in 0..1_000 {
        let port = u16::try_from(chance.between(PORTS.0, PORTS.1))?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port between {} and {} is free", PORTS.0, PORTS.1)
}
