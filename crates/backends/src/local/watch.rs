//! Waits for the ends of attempts: one task and one pidfd for each, no thread.
//!
//! A pidfd tells the end of any process, whether this gateway started it or one before it. Once a supervisor is
//! watched, it is the one that counts: nothing written into the attempt's folder makes us take another for it.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::backend::{AttemptRef, BackendError, Observation};
use model::id::AttemptId;
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, waitid};
use tokio::sync::mpsc;

use super::look::{Question, Sight, Supervisor, look};
use super::process::ProcessId;
use super::{Shared, blocking};
use crate::readiness;

/// The wait before an attempt that couldn't be looked at is looked at again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The wait before a process is asked again that is ending.
const REAP_AGAIN_AFTER: Duration = Duration::from_millis(1);

/// The wait before a process is asked again for which there is no file descriptor.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How long after the grace a supervisor may still be busy with the end, before it counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// Which attempts are watched, and where their changes go.
pub(super) struct Watches {
    changes: mpsc::Sender<(AttemptId, Observation)>,
    watched: Mutex<HashMap<AttemptId, Watched>>,
    /// Supervisors of ours that were reaped with exit code 0, until somebody looked.
    ended_well: Mutex<HashSet<ProcessId>>,
}

struct Watched {
    supervisor: Supervisor,
    /// When it should have ended, if it was told to.
    ends_by: Option<Instant>,
}

impl Watches {
    pub(super) fn new(changes: mpsc::Sender<(AttemptId, Observation)>) -> Self {
        Self { changes, watched: Mutex::default(), ended_well: Mutex::default() }
    }

    /// The supervisor of an attempt that is watched.
    pub(super) fn supervisor(&self, attempt: AttemptId) -> Option<Supervisor> {
        lock(&self.watched).get(&attempt).map(|watched| watched.supervisor)
    }

    /// Notes that the attempt was told to end; `true` when it was told before and should have ended long ago.
    pub(super) fn is_stuck(&self, attempt: AttemptId, now: Instant, grace: Duration) -> bool {
        let mut watched = lock(&self.watched);
        let Some(watched) = watched.get_mut(&attempt) else { return false };
        let stuck = watched.ends_by.is_some_and(|ends_by| now > ends_by + STUCK_AFTER);
        let ends_by = now.checked_add(grace);
        watched.ends_by = watched.ends_by.map_or(ends_by, |known| Some(ends_by.map_or(known, |new| new.min(known))));
        stuck
    }

    /// Reaps a process if it has ended; `None` while it runs.
    fn reap(&self, id: WaitId<'_>, process: ProcessId) -> io::Result<Option<()>> {
        // Held all the while, so that whoever finds it reaped also finds how it ended.
        let mut ended_well = lock(&self.ended_well);
        match waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(None) => Ok(None),
            Ok(Some(status)) => {
                if is_success(&status) {
                    ended_well.insert(process);
                }
                Ok(Some(()))
            }
            // Not our child, or reaped already.
            Err(rustix::io::Errno::CHILD) => Ok(Some(())),
            Err(error) => Err(error.into()),
        }
    }
}

fn is_success(status: &WaitIdStatus) -> bool {
    status.exit_status() == Some(0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at the attempt, and watches it if it runs.
pub(super) async fn observe(shared: &Arc<Shared>, attempt: &AttemptRef) -> Result<Observation, BackendError> {
    observe_started(shared, attempt, None).await
}

/// [`observe`], knowing the supervisor that was just started.
pub(super) async fn observe_started(
    shared: &Arc<Shared>,
    attempt: &AttemptRef,
    started: Option<Supervisor>,
) -> Result<Observation, BackendError> {
    let supervisor = shared.watches.supervisor(attempt.id).or(started);
    let sight = sight_of(shared, attempt, supervisor).await?;
    if let Some(supervisor) = sight.supervisor {
        watch(shared, attempt, supervisor);
    }
    Ok(sight.observation)
}

/// Looks at the attempt.
pub(super) async fn sight(shared: &Arc<Shared>, attempt: &AttemptRef) -> Result<Sight, BackendError> {
    sight_of(shared, attempt, shared.watches.supervisor(attempt.id)).await
}

async fn sight_of(
    shared: &Arc<Shared>,
    attempt: &AttemptRef,
    supervisor: Option<Supervisor>,
) -> Result<Sight, BackendError> {
    let question = Question {
        attempt: attempt.id,
        planned_boot: attempt.binding.clone(),
        boot: shared.boot.clone(),
        supervisor,
        ended_well: supervisor.is_some_and(|known| lock(&shared.watches.ended_well).remove(&known.process)),
    };
    let dir = shared.dir(attempt.id);
    blocking("look at the attempt", move || look(&dir, &question)).await
}

/// Tells the attempt's end to the engine when it comes. Watching what is watched changes nothing.
pub(super) fn watch(shared: &Arc<Shared>, attempt: &AttemptRef, supervisor: Supervisor) {
    let mut watched = lock(&shared.watches.watched);
    watched.entry(attempt.id).or_insert_with(|| {
        tokio::spawn(tell_end(Arc::clone(shared), attempt.clone(), supervisor));
        Watched { supervisor, ends_by: None }
    });
}

async fn tell_end(shared: Arc<Shared>, attempt: AttemptRef, supervisor: Supervisor) {
    loop {
        ended(&shared, supervisor.process).await;
        match sight_of(&shared, &attempt, Some(supervisor)).await {
            // Its threads may outlive its first one for a moment.
            Ok(Sight { supervisor: Some(_), .. }) => tokio::time::sleep(REAP_AGAIN_AFTER).await,
            Ok(Sight { observation, .. }) => {
                lock(&shared.watches.watched).remove(&attempt.id);
                // The engine is gone when nobody receives; then nobody needs to know.
                let _ = shared.watches.changes.send((attempt.id, observation)).await;
                return;
            }
            Err(error) => {
                tracing::warn!(attempt = %attempt.id, error = &error as &dyn std::error::Error, "can't look at an attempt that ended");
                tokio::time::sleep(LOOK_AGAIN_AFTER).await;
            }
        }
    }
}

/// Returns when the process has ended, and reaps it if it is a child of ours.
async fn ended(shared: &Shared, process: ProcessId) {
    loop {
        let handle = match process.open() {
            Ok(Some(handle)) => handle,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "can't wait for a process");
                tokio::time::sleep(LOOK_AGAIN_AFTER).await;
                continue;
            }
        };
        match ended_handle(shared, process, handle).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "can't wait for a process");
                tokio::time::sleep(LOOK_AGAIN_AFTER).await;
            }
        }
    }
}

async fn ended_handle(shared: &Shared, process: ProcessId, handle: OwnedFd) -> io::Result<()> {
    let handle = readiness::register(handle)?;
    let _ = handle.readable().await?;
    // Readiness is told once; if the process can't be reaped at that very moment, asking again is all there is.
    while shared.watches.reap(WaitId::PidFd(handle.get_ref().as_fd()), process)?.is_none() {
        tokio::time::sleep(REAP_AGAIN_AFTER).await;
    }
    Ok(())
}

/// Reaps a child of ours when it ends, whoever else waits for it, even while there are no file descriptors.
pub(super) async fn reap_child(shared: Arc<Shared>, pid: Pid, process: ProcessId) {
    if let Ok(Some(handle)) = process.open()
        && ended_handle(&shared, process, handle).await.is_ok()
    {
        return;
    }
    // Its number stays its own until it is reaped.
    while let Ok(None) = shared.watches.reap(WaitId::Pid(pid), process) {
        tokio::time::sleep(ASK_AGAIN_AFTER).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::time::Timestamp;
    use uuid::Uuid;

    #[test]
    fn a_supervisor_is_stuck_when_it_is_told_again_long_after_the_grace() {
        let watches = Watches::new(mpsc::channel(1).0);
        let attempt = AttemptId::new(Uuid::now_v7());
        let (start, grace) = (Instant::now(), Duration::from_secs(5));
        assert!(!watches.is_stuck(attempt, start, grace), "nobody watches it");
        let supervisor = Supervisor { process: ProcessId { pid: 1, start_time: 1 }, since: Timestamp::from_millis(0) };
        lock(&watches.watched).insert(attempt, Watched { supervisor, ends_by: None });
        let due = start + grace + STUCK_AFTER;
        for (now, stuck) in [(start, false), (start + grace, false), (due, false), (due + grace, true)] {
            assert_eq!(watches.is_stuck(attempt, now, grace), stuck);
        }
    }
}
