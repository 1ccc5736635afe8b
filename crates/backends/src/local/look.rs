//! Tells from an attempt's lock, its folder and the processes of this machine where the attempt stands.
//!
//! Start with [`look`]. Two things are believed about a running attempt: a supervisor that this gateway watches is
//! alive, or somebody holds the lock. Records are believed once neither is so, and what may still run of the
//! attempt was killed, so that a driver gains nothing by writing one.
//!
//! The hole that is left: a driver runs as the gateway's user. One that kills its supervisor can leave a record of
//! its own making, and a process that dropped the marker from its environment and left the session may survive
//! it. Principals who don't trust each other need users of their own.

use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use engine::backend::{Ended, Observation, Owned};
use model::id::AttemptId;
use model::state::{Exit, ReasonCode};
use model::time::Timestamp;
use rustix::io::Errno;
use rustix::process::{Signal, getpid};

use super::attempt_dir::{AttemptDir, AttemptLock, ExitRecord, Identity, LostRecord, Place};
use super::plan::ATTEMPT_VARIABLE;
use super::process::{self, Carries, ProcessId};

/// How often leftovers are looked for before the rest is left to the next observation.
const KILL_ROUNDS_MAX: u32 = 200;
const KILL_PAUSE: Duration = Duration::from_millis(5);
/// How long a lock may be held without an identity to go with it: by a supervisor that is starting, or by somebody
/// who looks.
const STARTING_MAX: Duration = Duration::from_secs(10);
const STARTING_PAUSE: Duration = Duration::from_millis(2);
/// How often the lock is tried when nothing that is left of the attempt can hold it.
const LOCK_TRIES: u32 = 1_000;

/// A supervisor that this gateway started, or found holding the lock; whatever the folder says later, it is the one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Supervisor {
    pub(super) process: ProcessId,
    /// When it began.
    pub(super) since: Timestamp,
}

/// Whose standing is asked for, and what is known about it.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) attempt: AttemptId,
    /// Where it was planned to run, and where we are.
    pub(super) planned_boot: String,
    pub(super) boot: String,
    /// The supervisor, if this gateway knows it.
    pub(super) supervisor: Option<Supervisor>,
    /// Whether that supervisor told us, by its exit code, that nothing is left and its record is true.
    pub(super) ended_well: bool,
}

impl Question {
    fn marker(&self) -> String {
        format!("{ATTEMPT_VARIABLE}={}", self.attempt)
    }
}

/// Where an attempt stands, with what is needed to watch it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) observation: Observation,
    /// The supervisor, while the attempt runs.
    pub(super) supervisor: Option<Supervisor>,
}

impl From<Observation> for Sight {
    fn from(observation: Observation) -> Self {
        Self { observation, supervisor: None }
    }
}

impl From<Supervisor> for Sight {
    fn from(supervisor: Supervisor) -> Self {
        Self { observation: Observation::Running { since: supervisor.since }, supervisor: Some(supervisor) }
    }
}

/// Looks at the attempt. If its supervisor died, ends what is left of it first, so that [`Observation::Lost`] is
/// true when it is told.
pub(super) fn look(dir: &AttemptDir, question: &Question) -> io::Result<Sight> {
    if let Some(known) = question.supervisor
        && known.process.is_alive()?
    {
        let named = dir.mending(|| dir.read::<Identity>()).ok().flatten();
        let since =
            named.filter(|named| named.supervisor == known.process).map_or(known.since, |named| named.started_at);
        return Ok(Supervisor { since, ..known }.into());
    }
    dir.mending(|| match dir.place()? {
        Place::Tombstone => Ok(Observation::NeverRan.into()),
        Place::Empty => Ok(settle(dir, question)?.into()),
        Place::Folder => match lock_or_supervisor(dir, question)? {
            Holder::Us(_lock) => Ok(settle(dir, question)?.into()),
            Holder::Supervisor(supervisor) => Ok(supervisor.into()),
        },
    })
}

/// Who has the lock of an attempt.
enum Holder {
    Us(AttemptLock),
    Supervisor(Supervisor),
}

fn lock_or_supervisor(dir: &AttemptDir, question: &Question) -> io::Result<Holder> {
    let patient_until = Instant::now() + STARTING_MAX;
    loop {
        if let Some(lock) = dir.try_lock()? {
            return Ok(Holder::Us(lock));
        }
        // One that we watched is dead; whoever has the lock now, it isn't the supervisor.
        if question.supervisor.is_none()
            && let Some(supervisor) = named_supervisor(dir, question)?
        {
            return Ok(Holder::Supervisor(supervisor));
        }
        if Instant::now() > patient_until {
            break;
        }
        std::thread::sleep(STARTING_PAUSE);
    }
    // It runs, and there is no telling by whom: it can't be watched, only ended.
    kill_leftovers(question)?;
    // Others may look at this very moment.
    for _ in 0..LOCK_TRIES {
        if let Some(lock) = dir.try_lock()? {
            return Ok(Holder::Us(lock));
        }
        std::thread::sleep(STARTING_PAUSE);
    }
    Err(io::Error::other("the attempt runs where its processes can't be seen, in another container or as another user"))
}

/// The supervisor that the folder names, if that is a living process which belongs to the attempt.
fn named_supervisor(dir: &AttemptDir, question: &Question) -> io::Result<Option<Supervisor>> {
    let Some(identity) = dir.read::<Identity>()?.filter(|identity| identity.boot == question.boot) else {
        return Ok(None);
    };
    let process = identity.supervisor;
    // The driver can write any number there: ours, or that of another attempt's supervisor.
    let belongs = match process::carries(process.pid, &question.marker())? {
        Carries::Yes => true,
        Carries::Hidden => process.pid != getpid().as_raw_nonzero().get(),
        Carries::No => false,
    };
    Ok((belongs && process.is_alive()?).then_some(Supervisor { process, since: identity.started_at }))
}

/// Tells where an attempt stands that nobody supervises.
fn settle(dir: &AttemptDir, question: &Question) -> io::Result<Observation> {
    let elsewhere = question.planned_boot != question.boot;
    let rebooted = Observation::Lost { reason: ReasonCode::HostRebooted, evidence: None };
    if question.supervisor.is_none() && !dir.has_begun()? {
        return Ok(if dir.is_fenced()? {
            Observation::NeverRan
        } else if elsewhere {
            // It may have been launched, and what was written last may not have reached the disk.
            rebooted
        } else {
            Observation::Absent
        });
    }
    if !question.ended_well {
        kill_leftovers(question)?;
    }
    match recorded_end(dir)? {
        Some(known) if known != Observation::NeverRan => Ok(known),
        _ if elsewhere => Ok(rebooted),
        _ => supervisor_died(dir, question),
    }
}

fn supervisor_died(dir: &AttemptDir, question: &Question) -> io::Result<Observation> {
    let who =
        match question.supervisor.map(|known| known.process).or(dir.read::<Identity>()?.map(|told| told.supervisor)) {
            Some(process) => format!("supervisor process {}", process.pid),
            None => "the supervisor".to_owned(),
        };
    let lost = LostRecord { evidence: format!("{who} is gone and left no record of the driver's end") };
    // It only keeps the sentence; that the attempt began is known without it, unless the folder is gone.
    if let Err(error) = dir.create().and_then(|()| dir.write(&lost)) {
        tracing::warn!(attempt = %question.attempt, error = &error as &dyn std::error::Error, "can't record a lost supervisor");
    }
    Ok(supervisor_lost(lost))
}

fn recorded_end(dir: &AttemptDir) -> io::Result<Option<Observation>> {
    if let Some(record) = dir.read::<ExitRecord>()? {
        return Ok(Some(Observation::Exited(record.into())));
    }
    if let Some(record) = dir.read::<LostRecord>()? {
        return Ok(Some(supervisor_lost(record)));
    }
    Ok(dir.is_fenced()?.then_some(Observation::NeverRan))
}

impl From<ExitRecord> for Ended {
    fn from(record: ExitRecord) -> Self {
        Self {
            exit: Exit::from(record.exit),
            started_at: record.started_at,
            at: record.ended_at,
            stopped: record.stopped,
            cause: None,
            evidence: record.evidence,
        }
    }
}

fn supervisor_lost(lost: LostRecord) -> Observation {
    Observation::Lost { reason: ReasonCode::SupervisorLost, evidence: Some(lost.evidence) }
}

/// Whether the attempt's log can't grow any more.
pub(super) fn log_is_over(dir: &AttemptDir) -> io::Result<bool> {
    Ok(recorded_end(dir)?.is_some())
}

/// Everything below `attempts` that an attempt may have left; tombstones are nothing.
pub(super) fn list_owned(attempts: &Path) -> io::Result<Vec<Owned>> {
    let mut owned = Vec::new();
    for entry in fs::read_dir(attempts)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Ok(attempt) = AttemptId::from_str(name) else { continue };
        let dir = AttemptDir::at(&path);
        if dir.place()? == Place::Folder {
            owned.push(owned_in(&dir, attempt)?);
        }
    }
    Ok(owned)
}

/// What a driver made unreadable is listed as well.
fn owned_in(dir: &AttemptDir, attempt: AttemptId) -> io::Result<Owned> {
    Ok(Owned {
        attempt,
        application: unless_exhausted(dir.mending(|| dir.application()))?.flatten(),
        running: unless_exhausted(dir.mending(|| dir.try_lock()))?.is_none_or(|lock| lock.is_none()),
        place: dir.path().display().to_string(),
    })
}

/// `None` for what this folder's content makes impossible. That file descriptors are used up says nothing about it.
fn unless_exhausted<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error)
            if matches!(error.raw_os_error().map(Errno::from_raw_os_error), Some(Errno::MFILE | Errno::NFILE)) =>
        {
            Err(error)
        }
        other => Ok(other.ok()),
    }
}

/// Kills what a dead supervisor left, and returns when nothing of it can be found.
fn kill_leftovers(question: &Question) -> io::Result<()> {
    for _ in 0..KILL_ROUNDS_MAX {
        let left = leftovers(question)?;
        if left.is_empty() {
            return Ok(());
        }
        for process in left {
            process.signal(Signal::KILL)?;
        }
        std::thread::sleep(KILL_PAUSE);
    }
    Err(io::Error::other("processes of the attempt don't die"))
}

/// The attempt's processes: whoever carries the marker, the supervisor's session, and the descendants of both.
fn leftovers(question: &Question) -> io::Result<Vec<ProcessId>> {
    let marker = question.marker();
    let processes: Vec<_> = process::list()?.into_iter().filter(|process| !process.is_dead()).collect();
    // Only of a supervisor whose death we saw: the number of a session may have been used again long after.
    // A session keeps its number from being used; when another process has it, the session is gone.
    let supervisor = question.supervisor.map(|known| known.process);
    let session = supervisor
        .filter(|leader| !processes.iter().any(|process| process.pid == leader.pid && process.id() != *leader));
    let own = getpid().as_raw_nonzero().get();
    let mut left: Vec<ProcessId> = Vec::new();
    for process in &processes {
        let in_session = session.is_some_and(|leader| leader.pid == process.session);
        if in_session || process::carries(process.pid, &marker)? == Carries::Yes {
            left.push(process.id());
            left.extend(process::descendants(process.pid, &processes).iter().map(process::Status::id));
        }
    }
    left.retain(|process| process.pid != own);
    Ok(left)
}
