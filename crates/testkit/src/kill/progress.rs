//! What clients and killer know of each other, so that they keep pace: each waits for the other to get on.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::gateway::PATIENCE;

/// Counts of both sides.
#[derive(Debug)]
pub(super) struct Progress {
    counts: Mutex<Counts>,
    changed: Condvar,
    kills_planned: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    kills: u32,
    acknowledged: u32,
    over: bool,
}

impl Progress {
    pub(super) fn new(kills_planned: u32) -> Self {
        Self { counts: Mutex::default(), changed: Condvar::new(), kills_planned }
    }

    pub(super) fn killed(&self) {
        self.change(|counts| counts.kills += 1);
    }

    pub(super) fn acknowledged(&self) {
        self.change(|counts| counts.acknowledged += 1);
    }

    /// Nobody need wait for a kill any more.
    pub(super) fn no_more_kills(&self) {
        self.change(|counts| counts.over = true);
    }

    /// Waits for job `number` of `count` to be its kill's turn, so that jobs are spread over all kills.
    pub(super) fn wait_for_turn(&self, number: u32, count: u32) {
        let kills = u64::from(number) * u64::from(self.kills_planned) / u64::from(count.max(1));
        self.wait(PATIENCE, |counts| counts.over || u64::from(counts.kills) >= kills);
    }

    /// Waits for a client to be told that its job was accepted, at most for `limit`.
    pub(super) fn wait_for_acknowledgement(&self, limit: Duration) {
        let before = self.counts().acknowledged;
        self.wait(limit, |counts| counts.acknowledged > before);
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts());
        self.changed.notify_all();
    }

    fn wait(&self, limit: Duration, until: impl Fn(&Counts) -> bool) {
        drop(self.changed.wait_timeout_while(self.counts(), limit, |counts| !until(counts)));
    }
}
