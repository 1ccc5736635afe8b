//! Tells from an attempt's folder and the processes of this machine where the attempt stands.

use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use engine::backend::{Ended, Observation, Owned};
use model::id::AttemptId;
use model::state::{Exit, ReasonCode};
use rustix::process::Signal;

use super::attempt_dir::{AttemptDir, ExitRecord, Identity, LostRecord};
use super::plan::ATTEMPT_VARIABLE;
use super::process::{self, ProcessId};

/// How often leftovers are looked for before the rest is left to the next observation.
const KILL_ROUNDS_MAX: u32 = 200;
const KILL_PAUSE: Duration = Duration::from_millis(5);

/// Where an attempt stands, with what is needed to watch it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) observation: Observation,
    /// The supervisor, while the attempt runs.
    pub(super) supervisor: Option<ProcessId>,
}

impl From<Observation> for Sight {
    fn from(observation: Observation) -> Self {
        Self { observation, supervisor: None }
    }
}

/// Looks at the attempt. If its supervisor died, ends what is left of it first, so that [`Observation::Lost`] is
/// true when it is told.
///
/// `planned_boot` is where it was planned to run; `boot` is where we are.
pub(super) fn look(dir: &AttemptDir, attempt: AttemptId, planned_boot: &str, boot: &str) -> io::Result<Sight> {
    let identity: Option<Identity> = dir.read()?;
    let here = identity.filter(|identity| identity.boot == boot);
    if let Some(identity) = here.as_ref().filter(|identity| identity.supervisor.is_alive()) {
        let observation = Observation::Running { since: identity.started_at };
        return Ok(Sight { observation, supervisor: Some(identity.supervisor) });
    }
    // Only now: a record counts when nobody is left to write another, and the driver can't end by forging one.
    if let Some(known) = recorded_end(dir)? {
        return Ok(known.into());
    }
    match here {
        Some(identity) => supervisor_died(dir, attempt, &identity),
        None if planned_boot == boot => Ok(Observation::Absent.into()),
        // It may have been launched, and what was written last may not have reached the disk.
        None => rebooted(dir),
    }
}

fn supervisor_died(dir: &AttemptDir, attempt: AttemptId, identity: &Identity) -> io::Result<Sight> {
    kill_leftovers(attempt, identity)?;
    let lost = LostRecord {
        evidence: format!(
            "supervisor process {} is gone and left no record of the driver's end",
            identity.supervisor.pid
        ),
    };
    dir.write(&lost)?;
    Ok(supervisor_lost(lost).into())
}

fn recorded_end(dir: &AttemptDir) -> io::Result<Option<Observation>> {
    if let Some(record) = dir.read::<ExitRecord>()? {
        return Ok(Some(Observation::Exited(record.into())));
    }
    if dir.is_fenced() {
        return Ok(Some(Observation::NeverRan));
    }
    Ok(dir.read::<LostRecord>()?.map(supervisor_lost))
}

impl From<ExitRecord> for Ended {
    fn from(record: ExitRecord) -> Self {
        Self {
            exit: Exit::from(record.exit),
            started_at: record.started_at,
            at: record.ended_at,
            stopped: record.stopped,
            evidence: record.evidence,
        }
    }
}

fn supervisor_lost(lost: LostRecord) -> Observation {
    Observation::Lost { reason: ReasonCode::SupervisorLost, evidence: Some(lost.evidence) }
}

fn rebooted(dir: &AttemptDir) -> io::Result<Sight> {
    // A lock is held by a living process: in a container whose processes we can't see, then.
    if dir.exists() && dir.try_lock()?.is_none() {
        return Err(io::Error::other("the attempt runs where its processes can't be seen, in another container"));
    }
    Ok(Observation::Lost { reason: ReasonCode::HostRebooted, evidence: None }.into())
}

/// Whether the attempt's log can't grow any more.
pub(super) fn log_is_over(dir: &AttemptDir) -> io::Result<bool> {
    Ok(recorded_end(dir)?.is_some())
}

/// Whether a supervisor has the attempt.
pub(super) fn supervisor_is_alive(dir: &AttemptDir) -> io::Result<bool> {
    Ok(dir.read::<Identity>()?.is_some_and(|identity| identity.supervisor.is_alive()))
}

/// Everything below `attempts` that an attempt may have left.
pub(super) fn list_owned(attempts: &Path) -> io::Result<Vec<Owned>> {
    let mut owned = Vec::new();
    for entry in fs::read_dir(attempts)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Ok(attempt) = AttemptId::from_str(name) else { continue };
        let dir = AttemptDir::at(&path);
        owned.push(Owned {
            attempt,
            application: dir.application()?,
            running: supervisor_is_alive(&dir)?,
            place: path.display().to_string(),
        });
    }
    Ok(owned)
}

/// Kills what a dead supervisor left, and returns when nothing of it can be found.
fn kill_leftovers(attempt: AttemptId, identity: &Identity) -> io::Result<()> {
    let marker = format!("{ATTEMPT_VARIABLE}={attempt}");
    for _ in 0..KILL_ROUNDS_MAX {
        let left = leftovers(&marker, identity);
        if left.is_empty() {
            return Ok(());
        }
        for process in left {
            process.signal(Signal::KILL);
        }
        std::thread::sleep(KILL_PAUSE);
    }
    Err(io::Error::other("processes of the attempt don't die"))
}

/// The attempt's processes: the driver, its descendants, whoever carries the marker, and the supervisor's session.
fn leftovers(marker: &str, identity: &Identity) -> Vec<ProcessId> {
    let processes: Vec<_> = process::list().into_iter().filter(|process| !process.is_dead()).collect();
    // A session keeps its number from being used again; when another process has it, the session is gone.
    let session = identity.supervisor.pid;
    let session_is_gone = processes.iter().any(|process| process.pid == session && process.id() != identity.supervisor);
    let mut left: Vec<ProcessId> = Vec::new();
    for process in &processes {
        let in_session = process.session == session && !session_is_gone;
        if in_session || Some(process.id()) == identity.driver || process::has_environment(process.pid, marker) {
            left.push(process.id());
            left.extend(process::descendants(process.pid, &processes));
        }
    }
    left
}
