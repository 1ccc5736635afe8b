//! Starts an attempt exactly once, and ends it, or makes sure that it never starts.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use engine::backend::{AttemptRef, BackendError, LaunchOrder, Observation};
use model::id::{ApplicationId, AttemptId};
use rustix::process::{Pid, Signal};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;

use super::attempt_dir::{AttemptDir, Place, StopRequest};
use super::installation::DefaultsError;
use super::look::Supervisor;
use super::open_files;
use super::plan::{ATTEMPT_VARIABLE, LaunchPlan, PROPERTIES_FILE, PlanInput, plan};
use super::process::ProcessId;
use super::supervisor::{answer, current_time};
use super::watch::{observe, observe_started, reap_child, sight, watch};
use super::{Shared, blocking, problems};
use crate::causes::with_causes;

/// How long a supervisor may take to answer; a machine in need of memory can be slow.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 4_096;
/// How long, and how often, the lock of an attempt is tried that a supervisor has which is just starting.
const FENCE_TRIES_MAX: u32 = 5_000;
const FENCE_PAUSE: Duration = Duration::from_millis(2);
/// How often the lock of an attempt is tried that is to be discarded.
const BURY_TRIES: u32 = 100;

/// Makes sure that the attempt was started once.
pub(super) async fn launch(shared: &Arc<Shared>, order: LaunchOrder) -> Result<Observation, BackendError> {
    let attempt = order.attempt.clone();
    if attempt.binding != shared.boot {
        // Planned before the machine was restarted: it may have run then, so it must not now.
        return observe(shared, &attempt).await;
    }
    let prepare = Arc::clone(shared);
    let started = blocking_refusable("start the supervisor", move || prepare_and_start(&prepare, &order)).await?;
    let Some(Started { stdout, supervisor }) = started else { return observe(shared, &attempt).await };
    let said = hear(stdout).await?;
    let (word, rest) = said.split_once(' ').unwrap_or((said.as_str(), ""));
    match word {
        answer::STARTED => observe_started(shared, &attempt, Some(supervisor)).await,
        answer::TAKEN | answer::FENCED => observe(shared, &attempt).await,
        answer::FAILED => Err(BackendError::unavailable("start the supervisor", rest.to_owned())),
        // It died before it could say anything; what it did can be seen.
        _ => match observe(shared, &attempt).await? {
            Observation::Absent => Err(BackendError::unavailable("start the supervisor", "it ended without a word")),
            known => Ok(known),
        },
    }
}

/// Writes the order down and starts a supervisor for it; `None` when the attempt was started or fenced already.
fn prepare_and_start(shared: &Arc<Shared>, order: &LaunchOrder) -> Result<Option<Started>, BackendError> {
    let dir = shared.dir(order.attempt.id);
    let unavailable = |error: io::Error| BackendError::unavailable("write the order", error);
    let may_not_start = || Ok(dir.place()? == Place::Tombstone || dir.is_fenced()? || dir.has_begun()?);
    if dir.mending(may_not_start).map_err(unavailable)? {
        return Ok(None);
    }
    let plan = shared.plan(order)?;
    shared.create(&dir).and_then(|()| write_order(&dir, &plan)).map_err(unavailable)?;
    let started = Started::start(shared, order.attempt.id, &dir);
    started.map(Some).map_err(|error| BackendError::unavailable("start the supervisor", error))
}

fn write_order(dir: &AttemptDir, plan: &LaunchPlan) -> io::Result<()> {
    dir.replace(PROPERTIES_FILE, plan.properties().as_bytes())?;
    // Last, because a supervisor that finds an order expects everything else to be there.
    dir.write(&plan.order)
}

impl Shared {
    /// Creates the attempt's folder, but not while a tombstone is taking its place.
    fn create(&self, dir: &AttemptDir) -> io::Result<()> {
        let _burying = self.burying.lock().unwrap_or_else(PoisonError::into_inner);
        dir.create()
    }

    /// Removes every trace of an attempt that has ended or never ran, but that it must not start any more.
    pub(super) fn discard(&self, attempt: AttemptId) -> io::Result<()> {
        let dir = self.dir(attempt);
        let running = || io::Error::other("the attempt is still running");
        if let Some(known) = self.watches.supervisor(attempt)
            && known.process.is_alive()?
        {
            return Err(running());
        }
        for _ in 0..BURY_TRIES {
            if dir.mending(|| self.try_bury(&dir))? {
                return dir.remove_buried();
            }
            // Whoever looks at it has the lock too, for a moment.
            std::thread::sleep(FENCE_PAUSE);
        }
        Err(running())
    }

    /// Whether there is a tombstone now; if not, somebody has the lock.
    fn try_bury(&self, dir: &AttemptDir) -> io::Result<bool> {
        let _burying = self.burying.lock().unwrap_or_else(PoisonError::into_inner);
        let _lock = match dir.place()? {
            Place::Empty | Place::Tombstone => None,
            Place::Folder => match dir.try_lock()? {
                None => return Ok(false),
                lock => lock,
            },
        };
        dir.bury().map(|()| true)
    }

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
            installation.defaults(conf_dir.map(AsRef::as_ref)).map_err(|error| match error {
                DefaultsError::Read { .. } => BackendError::unavailable("read the defaults of Spark", error),
                DefaultsError::Parse { .. } => refused(&error),
            })?;
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

/// A supervisor that was just started. It is reaped when it ends, whether anybody waits for it by then or not.
struct Started {
    stdout: OwnedFd,
    supervisor: Supervisor,
}

impl Started {
    /// Starts a supervisor with nothing of ours: no files but its answer, no folder, and no environment but the
    /// marker by which it is known to belong to the attempt, and what drivers may have of open files.
    fn start(shared: &Arc<Shared>, attempt: AttemptId, dir: &AttemptDir) -> io::Result<Self> {
        let command = &shared.config.supervisor;
        let mut child = Command::new(&command.program)
            .arg0("lamplighter")
            .args(&command.args)
            .arg(dir.path())
            .env_clear()
            .env(ATTEMPT_VARIABLE, attempt.to_string())
            .envs(open_files::original().map(|limit| (open_files::VARIABLE, limit)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(dir.open_complaints().map_or_else(Stdio::null, Stdio::from))
            .spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(rustix::io::Errno::SRCH)?;
        let process = match ProcessId::of(pid) {
            Ok(process) => process,
            Err(error) => {
                // What can't be named can't be watched.
                let _ = child.kill().and_then(|()| child.wait());
                return Err(error);
            }
        };
        tokio::spawn(reap_child(Arc::clone(shared), pid, process));
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("the supervisor has no output"))?;
        Ok(Self { stdout: stdout.into(), supervisor: Supervisor { process, since: current_time() } })
    }
}

/// What the supervisor says about the attempt.
async fn hear(stdout: OwnedFd) -> Result<String, BackendError> {
    let read = async {
        let mut line = Vec::new();
        let mut stdout = pipe::Receiver::from_owned_fd(stdout)?.take(ANSWER_BYTES_MAX);
        while !line.ends_with(b"\n") && stdout.read_buf(&mut line).await? > 0 {}
        Ok::<_, io::Error>(String::from_utf8_lossy(&line).trim().to_owned())
    };
    match tokio::time::timeout(ANSWER_TIMEOUT, read).await {
        Ok(line) => line.map_err(|error| BackendError::unavailable("hear the supervisor", error)),
        Err(elapsed) => Err(BackendError::unavailable("hear the supervisor", elapsed)),
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
            watch(shared, attempt, supervisor);
            let stuck = shared.watches.is_stuck(attempt.id, Instant::now(), grace);
            let dir = shared.dir(attempt.id);
            blocking("tell the supervisor to stop", move || tell(&dir, supervisor, grace, stuck)).await?;
            return observe(shared, attempt).await;
        }
        if seen.observation != Observation::Absent {
            return Ok(seen.observation);
        }
        let (fencing, attempt) = (Arc::clone(shared), attempt.clone());
        if blocking("fence the attempt", move || fence(&fencing, &attempt)).await? {
            return Ok(Observation::NeverRan);
        }
        // A supervisor is about to write its identity, or to find that it was too late.
        tokio::time::sleep(FENCE_PAUSE).await;
    }
    Err(BackendError::unavailable("fence the attempt", "its lock is held by somebody who does nothing"))
}

/// Signals the supervisor. What it may take is written down first, but the signal is what counts.
fn tell(dir: &AttemptDir, supervisor: Supervisor, grace: Duration, stuck: bool) -> io::Result<()> {
    if stuck {
        // Its driver dies with it; whatever is left is ended when its death is seen.
        supervisor.process.signal(Signal::KILL)?;
        return Ok(());
    }
    let request = StopRequest { grace_ms: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX) };
    if let Err(error) = dir.mending(|| dir.write(&request)) {
        tracing::warn!(dir = %dir.path().display(), error = &error as &dyn std::error::Error, "can't write down how long a driver may take to end");
    }
    supervisor.process.signal(Signal::TERM)?;
    Ok(())
}

/// Whether the attempt is fenced now. Whoever holds the lock decides: we, or a supervisor that is starting.
fn fence(shared: &Shared, attempt: &AttemptRef) -> io::Result<bool> {
    let (dir, application): (_, ApplicationId) = (shared.dir(attempt.id), attempt.application);
    dir.mending(|| {
        if dir.place()? == Place::Tombstone {
            return Ok(true);
        }
        shared.create(&dir)?;
        let Some(lock) = dir.try_lock()? else { return Ok(false) };
        if dir.has_begun()? {
            return Ok(false);
        }
        dir.fence(&lock, application)?;
        Ok(true)
    })
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
