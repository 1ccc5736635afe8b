//! Starts an attempt exactly once, and ends it, or makes sure that it never starts.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use engine::backend::{AttemptRef, BackendError, LaunchOrder, Observation};
use model::id::ApplicationId;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

use super::attempt_dir::{AttemptDir, Identity, StopRequest};
use super::plan::{LaunchPlan, PROPERTIES_FILE, PlanInput, plan};
use super::supervisor::answer;
use super::watch::{ended, observe, sight};
use super::{Shared, SupervisorCommand, blocking, problems};

/// How long a supervisor may take to answer; a machine in need of memory can be slow.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 4_096;
/// How long, and how often, the lock of an attempt is tried that a supervisor has which is just starting.
const FENCE_TRIES_MAX: u32 = 5_000;
const FENCE_PAUSE: Duration = Duration::from_millis(2);

/// Makes sure that the attempt was started once.
pub(super) async fn launch(shared: &Arc<Shared>, order: LaunchOrder) -> Result<Observation, BackendError> {
    let attempt = order.attempt.clone();
    if attempt.binding != shared.boot {
        // Planned before the machine was restarted: it may have run then, so it must not now.
        return observe(shared, &attempt).await;
    }
    let prepare = Arc::clone(shared);
    let started = blocking_refusable("start the supervisor", move || prepare_and_start(&prepare, &order)).await?;
    let Some(started) = started else { return observe(shared, &attempt).await };
    let said = started.answer().await?;
    let (word, rest) = said.split_once(' ').unwrap_or((said.as_str(), ""));
    match word {
        answer::STARTED | answer::TAKEN | answer::FENCED => observe(shared, &attempt).await,
        answer::FAILED => Err(BackendError::unavailable("start the supervisor", rest.to_owned())),
        // It died before it could say anything; what it did can be seen.
        _ => match observe(shared, &attempt).await? {
            Observation::Absent => Err(BackendError::unavailable("start the supervisor", "it ended without a word")),
            known => Ok(known),
        },
    }
}

/// Writes the order down and starts a supervisor for it; `None` when the attempt was started or fenced already.
fn prepare_and_start(shared: &Shared, order: &LaunchOrder) -> Result<Option<Started>, BackendError> {
    let dir = shared.dir(order.attempt.id);
    let unavailable = |error: io::Error| BackendError::unavailable("write the order", error);
    if dir.is_fenced() || dir.read::<Identity>().map_err(unavailable)?.is_some() {
        return Ok(None);
    }
    let plan = shared.plan(order)?;
    write_order(&dir, &plan).map_err(unavailable)?;
    let started = Started::start(&shared.config.supervisor, dir.path());
    started.map(Some).map_err(|error| BackendError::unavailable("start the supervisor", error))
}

fn write_order(dir: &AttemptDir, plan: &LaunchPlan) -> io::Result<()> {
    dir.create()?;
    dir.replace(PROPERTIES_FILE, plan.properties().as_bytes())?;
    // Last, because a supervisor that finds an order expects everything else to be there.
    dir.write(&plan.order)
}

impl Shared {
    pub(super) fn plan(&self, order: &LaunchOrder) -> Result<LaunchPlan, BackendError> {
        let installations = &self.config.installations;
        let problems = problems::problems(&order.spec, installations);
        let installation = installations.get(order.spec.spark.as_ref()).filter(|_| problems.is_empty());
        let Some(installation) = installation else {
            let told: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
            return Err(BackendError::Refused(told.join("; ")));
        };
        let conf_dir = self.environment.iter().find(|(name, _)| name == "SPARK_CONF_DIR").map(|(_, value)| value);
        let refused = |error: &dyn std::error::Error| BackendError::Refused(with_causes(error));
        let installation_defaults =
            installation.defaults(conf_dir.map(AsRef::as_ref)).map_err(|error| refused(&error))?;
        let dir = self.dir(order.attempt.id);
        plan(&PlanInput {
            attempt: order.attempt.id,
            application: order.attempt.application,
            spec: &order.spec,
            installation,
            installation_defaults: &installation_defaults,
            dir: dir.path(),
            environment_added: &self.config.environment_added,
            environment: &self.environment,
            log: self.config.log,
            work: self.config.work,
        })
        .map_err(|error| refused(&error))
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A supervisor that was just started.
struct Started {
    stdout: OwnedFd,
    process: OwnedFd,
}

impl Started {
    /// Starts a supervisor with nothing of ours: no environment, no files but its answer, no folder.
    fn start(command: &SupervisorCommand, dir: &Path) -> io::Result<Self> {
        let errors = std::fs::File::options().append(true).create(true).open(dir.join("supervisor.log"))?;
        let mut child = Command::new(&command.program)
            .args(&command.args)
            .arg(dir)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let process = pidfd_open(pid.ok_or(rustix::io::Errno::SRCH)?, PidfdFlags::empty())?;
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("the supervisor has no output"))?;
        Ok(Self { stdout: stdout.into(), process })
    }

    /// What the supervisor says about the attempt. It is reaped when it ends, whoever waits for it by then.
    async fn answer(self) -> Result<String, BackendError> {
        tokio::spawn(ended(self.process));
        let read = async {
            let mut line = Vec::new();
            let stdout = pipe::Receiver::from_owned_fd(self.stdout)?;
            let mut stdout = stdout.take(ANSWER_BYTES_MAX);
            while !line.ends_with(b"\n") && stdout.read_buf(&mut line).await? > 0 {}
            Ok::<_, io::Error>(String::from_utf8_lossy(&line).trim().to_owned())
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, read).await {
            Ok(line) => line.map_err(|error| BackendError::unavailable("hear the supervisor", error)),
            Err(elapsed) => Err(BackendError::unavailable("hear the supervisor", elapsed)),
        }
    }
}

/// Tells the attempt to end; if it hasn't started, makes sure that it never does.
pub(super) async fn stop(
    shared: &Arc<Shared>,
    attempt: &AttemptRef,
    grace: Duration,
) -> Result<Observation, BackendError> {
    for _ in 0..FENCE_TRIES_MAX {
        let seen = sight(shared, attempt).await?;
        if let Some(supervisor) = seen.supervisor {
            let dir = shared.dir(attempt.id);
            let request = StopRequest { grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX) };
            blocking("tell the supervisor to stop", move || {
                dir.write(&request)?;
                supervisor.signal(Signal::TERM);
                Ok(())
            })
            .await?;
            return observe(shared, attempt).await;
        }
        if seen.observation != Observation::Absent {
            return Ok(seen.observation);
        }
        let (dir, application) = (shared.dir(attempt.id), attempt.application);
        if blocking("fence the attempt", move || fence(&dir, application)).await? {
            return Ok(Observation::NeverRan);
        }
        // A supervisor is about to write its identity, or to find that it was too late.
        tokio::time::sleep(FENCE_PAUSE).await;
    }
    Err(BackendError::unavailable("fence the attempt", "its lock is held by somebody who does nothing"))
}

/// Whether the attempt is fenced now. Whoever holds the lock decides: we, or a supervisor that is starting.
fn fence(dir: &AttemptDir, application: ApplicationId) -> io::Result<bool> {
    dir.create()?;
    let Some(lock) = dir.try_lock()? else { return Ok(false) };
    if dir.read::<Identity>()?.is_some() {
        return Ok(false);
    }
    dir.fence(&lock, application)?;
    Ok(true)
}

async fn blocking_refusable<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, BackendError> + Send + 'static,
) -> Result<T, BackendError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(BackendError::unavailable(what, error)),
    }
}
