//! What goes wrong on demand.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// What is asked of the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// POST.
    Create,
    /// GET of one object.
    Get,
    /// GET of many.
    List,
    /// GET of many with `watch`.
    Watch,
    /// PATCH.
    Patch,
    /// PUT.
    Replace,
    /// DELETE.
    Delete,
    /// GET of a pod's log.
    Log,
}

/// One kind of call: a verb and the plural of what it is about, for instance `pods`.
pub type Call = (Verb, &'static str);

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status and not done.
    Status {
        /// The HTTP status.
        code: u16,
        /// The header of the same name.
        retry_after_seconds: Option<u32>,
    },
    /// It is done and answered with this status all the same.
    DoneButStatus(u16),
    /// The connection is closed before it is done.
    DropBefore,
    /// It is done, and the connection is closed instead of an answer.
    DropAfter,
    /// It is done after a while.
    Delay(Duration),
}

/// The faults that are to come, and the calls that came.
#[derive(Default)]
pub(super) struct Faults {
    state: Mutex<State>,
    /// Changes when every stream under way is to be closed.
    cut: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    planned: Vec<(Call, usize, Fault)>,
    calls: BTreeMap<Call, usize>,
    down: bool,
}

impl Faults {
    /// Lets the next `times` calls of a kind go wrong, after those that were planned for it already.
    pub(super) fn plan(&self, call: Call, times: usize, fault: Fault) {
        self.lock().planned.push((call, times, fault));
    }

    /// Forgets what was planned and counted.
    pub(super) fn clear(&self) {
        let mut state = self.lock();
        state.planned.clear();
        state.calls.clear();
    }

    /// Whether the API server can't be reached at all.
    pub(super) fn set_down(&self, down: bool) {
        self.lock().down = down;
        if down {
            self.cut_streams();
        }
    }

    pub(super) fn cut_streams(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Changes when streams are to be closed.
    pub(super) fn cuts(&self) -> watch::Receiver<u64> {
        self.cut.subscribe()
    }

    pub(super) fn is_down(&self) -> bool {
        self.lock().down
    }

    /// Counts a call and tells what goes wrong with it.
    pub(super) fn of(&self, call: Call) -> Option<Fault> {
        let mut state = self.lock();
        *state.calls.entry(call).or_default() += 1;
        if state.down {
            return Some(Fault::DropBefore);
        }
        let planned = state.planned.iter_mut().find(|(of, times, _)| *of == call && *times > 0)?;
        planned.1 -= 1;
        Some(planned.2)
    }

    /// How often a kind of call was made.
    pub(super) fn count(&self, call: Call) -> usize {
        self.lock().calls.get(&call).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
