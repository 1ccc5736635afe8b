//! Attempts that were discarded a while ago: what is still under way about them leaves no trace any more.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use model::id::AttemptId;

use super::lock;

/// How long something may be under way about an attempt that was discarded.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// Which attempts were discarded, and when. Whoever writes into an attempt's folder holds it meanwhile.
#[derive(Default)]
pub(super) struct Discarded {
    at: Mutex<HashMap<AttemptId, Instant>>,
}

impl Discarded {
    /// Notes that an attempt is discarded.
    pub(super) fn add(&self, attempt: AttemptId) {
        let mut at = lock(&self.at);
        at.retain(|_, discarded_at| discarded_at.elapsed() < REMEMBERED_FOR);
        at.insert(attempt, Instant::now());
    }

    pub(super) fn contains(&self, attempt: AttemptId) -> bool {
        lock(&self.at).contains_key(&attempt)
    }

    /// Keeps discarding off as long as the answer lives; `None` when the attempt was discarded already.
    pub(super) fn hold_off(&self, attempt: AttemptId) -> Option<impl Drop + use<'_>> {
        let at: MutexGuard<'_, _> = lock(&self.at);
        (!at.contains_key(&attempt)).then_some(at)
    }

    /// Does something while nobody writes into an attempt's folder.
    pub(super) fn alone<T>(&self, work: impl FnOnce() -> T) -> T {
        let _held = lock(&self.at);
        work()
    }
}
