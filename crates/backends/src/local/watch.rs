//! Waits for the ends of attempts: one task and one pidfd for each, no thread.
//!
//! A pidfd tells the end of any process, whether this gateway started it or one before it.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::backend::{AttemptRef, BackendError, Observation};
use model::id::AttemptId;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use tokio::sync::mpsc;

use super::look::{Sight, look};
use super::process::ProcessId;
use super::{Shared, blocking};
use crate::readiness;

/// The wait before an attempt that couldn't be looked at is looked at again.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The wait before a process is asked again that is ending.
const REAP_AGAIN_AFTER: Duration = Duration::from_millis(1);

/// Which attempts are watched, and where their changes go.
pub(super) struct Watches {
    changes: mpsc::Sender<(AttemptId, Observation)>,
    watched: Mutex<HashSet<AttemptId>>,
}

impl Watches {
    pub(super) fn new(changes: mpsc::Sender<(AttemptId, Observation)>) -> Self {
        Self { changes, watched: Mutex::default() }
    }

    fn watched(&self) -> MutexGuard<'_, HashSet<AttemptId>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the attempt, and watches it if it runs.
pub(super) async fn observe(shared: &Arc<Shared>, attempt: &AttemptRef) -> Result<Observation, BackendError> {
    let sight = sight(shared, attempt).await?;
    if let Some(supervisor) = sight.supervisor {
        watch(shared, attempt, supervisor);
    }
    Ok(sight.observation)
}

/// Looks at the attempt.
pub(super) async fn sight(shared: &Arc<Shared>, attempt: &AttemptRef) -> Result<Sight, BackendError> {
    let (dir, attempt, boot) = (shared.dir(attempt.id), attempt.clone(), shared.boot.clone());
    blocking("look at the attempt", move || look(&dir, attempt.id, &attempt.binding, &boot)).await
}

/// Tells the attempt's end to the engine when it comes. Watching what is watched changes nothing.
fn watch(shared: &Arc<Shared>, attempt: &AttemptRef, supervisor: ProcessId) {
    if shared.watches.watched().insert(attempt.id) {
        tokio::spawn(tell_end(Arc::clone(shared), attempt.clone(), supervisor));
    }
}

async fn tell_end(shared: Arc<Shared>, attempt: AttemptRef, mut supervisor: ProcessId) {
    loop {
        // Without a handle it is gone already.
        if let Some(handle) = supervisor.open() {
            ended(handle).await;
        }
        match sight(&shared, &attempt).await {
            Ok(Sight { supervisor: Some(other), .. }) => supervisor = other,
            Ok(Sight { observation, .. }) => {
                shared.watches.watched().remove(&attempt.id);
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
pub(super) async fn ended(handle: OwnedFd) {
    let handle = match readiness::register(handle) {
        Ok(handle) => handle,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "can't wait for a process");
            return tokio::time::sleep(LOOK_AGAIN_AFTER).await;
        }
    };
    let _ = handle.readable().await;
    // Readiness is told once; if the process can't be reaped at that very moment, asking again is all there is.
    while !has_ended(handle.get_ref()).unwrap_or(true) {
        tokio::time::sleep(REAP_AGAIN_AFTER).await;
    }
}

/// Whether the process behind a readable pidfd has ended; reaps it on the way.
fn has_ended(handle: &OwnedFd) -> io::Result<bool> {
    match waitid(WaitId::PidFd(handle.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
        Ok(status) => Ok(status.is_some()),
        // Not our child, or reaped already: being readable says it all.
        Err(rustix::io::Errno::CHILD) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
