//! Which applications get the attention of the engine, and which get a place.
//!
//! Active applications are all in memory; their number is bounded by the places. The queue isn't: its head is read
//! when a place is free. What must be looked at because of a time is found in the store by that time.

use std::collections::BTreeSet;
use std::time::Duration;

use model::application::Application;
use model::id::ApplicationId;
use model::state::State;
use model::time::Timestamp;

use super::task::Task;
use super::timers::Timer;
use super::{Action, Outcome, Purpose, Reconciler};

/// Applications read at once.
const PAGE: u32 = 200;
/// Applications in hand that aren't active: those that are to be cancelled, timed out or removed.
const DUE_MAX: usize = 256;

/// What is known about the applications that aren't in memory.
#[derive(Debug, Default)]
pub(super) struct Queue {
    actives: Actives,
    /// Whether the store may hold applications that could start now.
    unread: bool,
    /// Whether the store may hold applications that are due now.
    due_unread: bool,
    next_due: NextDue,
    /// When to read again after the store failed.
    retry_at: Option<Timestamp>,
    /// Applications that others changed and that are to be read.
    pub(super) to_peek: BTreeSet<ApplicationId>,
}

/// The wait after the store failed to answer.
const RETRY: Duration = Duration::from_millis(500);

#[derive(Debug, Default, PartialEq)]
enum Actives {
    #[default]
    Unknown,
    ReadUpTo(ApplicationId),
    Known,
}

/// The earliest instant at which the store will have something for us, as far as it is known.
#[derive(Debug, Default, PartialEq)]
struct NextDue {
    at: Option<Timestamp>,
    /// Whether the store was asked since something last became due.
    asked: bool,
}

impl NextDue {
    fn at_most(&mut self, at: Timestamp) {
        self.at = Some(self.at.map_or(at, |known| known.min(at)));
    }
}

impl Queue {
    pub(super) fn actives_known(&self) -> bool {
        self.actives == Actives::Known
    }

    fn failed(&mut self, now: Timestamp) {
        self.retry_at = Some(now.after(RETRY));
    }

    /// Something may have changed in the store that nobody told of.
    pub(super) fn look_again(&mut self) {
        self.unread = true;
        self.due_unread = true;
    }

    /// A place became free: someone may be waiting for it.
    pub(super) fn place_freed(&mut self) {
        self.unread = true;
    }
}

impl Reconciler {
    /// Reads what is missing and possible.
    pub(super) fn pursue_queue(&mut self, now: Timestamp) {
        if self.lease.fence().is_none() {
            return;
        }
        if let Some(at) = self.queue.retry_at.filter(|at| *at > now) {
            return self.timers.set(Timer::Queue, at);
        }
        self.queue.retry_at = None;
        if !self.queue.actives_known() {
            return self.load_actives(now);
        }
        if self.queue.next_due.at.is_some_and(|at| at <= now) {
            self.queue.next_due = NextDue::default();
            self.queue.unread = true;
            self.queue.due_unread = true;
        }
        self.load_due(now);
        self.load_queue(now);
        self.ask_next_due(now);
    }

    fn load_actives(&mut self, now: Timestamp) {
        if self.is_under_way(|purpose| *purpose == Purpose::LoadActive) {
            return;
        }
        let after = match self.queue.actives {
            Actives::ReadUpTo(id) => Some(id),
            Actives::Unknown | Actives::Known => None,
        };
        self.emit(Purpose::LoadActive, Action::LoadActive { after }, now);
    }

    pub(super) fn actives_loaded(&mut self, outcome: Outcome, now: Timestamp) {
        let Outcome::Loaded(applications) = outcome else { return self.queue.failed(now) };
        match applications.last() {
            Some(last) => self.queue.actives = Actives::ReadUpTo(last.id),
            None => {
                self.queue.actives = Actives::Known;
                self.queue.unread = true;
                self.queue.due_unread = true;
            }
        }
        for application in applications {
            self.adopt(application, true, now);
        }
    }

    fn load_queue(&mut self, now: Timestamp) {
        let free = self.places_free();
        if !self.queue.unread || free == 0 || self.is_under_way(|purpose| *purpose == Purpose::LoadQueue) {
            return;
        }
        self.queue.unread = false;
        let limit = u32::try_from(free).unwrap_or(PAGE).min(PAGE);
        self.emit(Purpose::LoadQueue, Action::LoadQueue { now, exclude: self.in_hand(), limit }, now);
    }

    pub(super) fn queue_loaded(&mut self, outcome: Outcome, now: Timestamp) {
        match outcome {
            Outcome::Loaded(applications) => {
                // An empty answer says that nobody waits; any other may have left some behind.
                self.queue.unread |= !applications.is_empty();
                for application in applications {
                    self.adopt(application, false, now);
                }
            }
            _ => {
                self.queue.unread = true;
                self.queue.failed(now);
            }
        }
    }

    fn load_due(&mut self, now: Timestamp) {
        if !self.queue.due_unread || self.is_under_way(|purpose| *purpose == Purpose::LoadDue) {
            return;
        }
        let exclude = self.in_hand();
        let room = u32::try_from(DUE_MAX.saturating_sub(exclude.len())).unwrap_or(PAGE).min(PAGE);
        // However many are due, a bounded number is worked on; the rest is read when some of them are done.
        if room == 0 {
            return;
        }
        self.queue.due_unread = false;
        self.emit(Purpose::LoadDue, Action::LoadDue { now, exclude, limit: room }, now);
    }

    pub(super) fn due_loaded(&mut self, outcome: Outcome, now: Timestamp) {
        match outcome {
            Outcome::Loaded(applications) => {
                self.queue.due_unread |= !applications.is_empty();
                for application in applications {
                    self.adopt(application, false, now);
                }
            }
            _ => {
                self.queue.due_unread = true;
                self.queue.failed(now);
            }
        }
    }

    fn ask_next_due(&mut self, now: Timestamp) {
        if let Some(at) = self.queue.next_due.at {
            self.timers.set(Timer::Queue, at);
        }
        if !self.queue.next_due.asked && !self.is_under_way(|purpose| *purpose == Purpose::NextDue) {
            self.emit(Purpose::NextDue, Action::NextDue { now }, now);
        }
    }

    pub(super) fn next_due_known(&mut self, outcome: &Outcome, now: Timestamp) {
        let Outcome::NextDue(at) = outcome else { return self.queue.failed(now) };
        self.queue.next_due.asked = true;
        // An application whose acceptance nobody heard of, because the answer was lost, is found by looking.
        self.queue.next_due.at_most(now.after(self.settings.policy.resync));
        if let Some(at) = at {
            self.queue.next_due.at_most(*at);
        }
    }

    /// An application that isn't in memory is stored like this: take it in hand, or note that it waits.
    pub(super) fn notice(&mut self, application: Application, now: Timestamp) {
        if !self.queue.actives_known() {
            return;
        }
        self.note_time(&application, now);
        if application.state.is_terminal() && application.wake_at().is_none() {
            return;
        }
        if application.state == State::Accepted && !is_due(&application, now) {
            if application.ready_at > now {
                return;
            }
            // Nobody may overtake those who wait longer.
            let reading = self.is_under_way(|purpose| *purpose == Purpose::LoadQueue);
            if self.queue.unread || reading || self.places_free() == 0 {
                self.queue.unread = true;
                return;
            }
        }
        if !application.state.is_active() && self.in_hand().len() >= DUE_MAX {
            return self.queue.look_again();
        }
        self.adopt(application, false, now);
    }

    /// Remembers the instants at which the application will want attention.
    pub(super) fn note_time(&mut self, application: &Application, now: Timestamp) {
        let ready = (application.state == State::Accepted).then_some(application.ready_at);
        for at in [ready, application.wake_at()].into_iter().flatten().filter(|at| *at > now) {
            self.queue.next_due.at_most(at);
        }
    }

    pub(super) fn places_free(&self) -> usize {
        self.settings.places.saturating_sub(self.places_taken())
    }

    fn in_hand(&self) -> Vec<ApplicationId> {
        self.tasks.iter().filter(|(_, task)| !task.application.state.is_active()).map(|(id, _)| *id).collect()
    }

    /// Takes an application in hand; one that could start gets a place if there is one.
    fn adopt(&mut self, application: Application, reload: bool, now: Timestamp) {
        let id = application.id;
        if self.tasks.contains_key(&id) {
            return;
        }
        if let Some(attempt) = application.current_attempt() {
            self.by_attempt.insert(attempt.id, id);
        }
        let could_start =
            application.state == State::Accepted && !is_due(&application, now) && application.ready_at <= now;
        let has_place = could_start && self.places_free() > 0;
        self.tasks.insert(id, Task::new(application, has_place, reload));
        self.advance(id, now);
    }
}

fn is_due(application: &Application, now: Timestamp) -> bool {
    application.wake_at().is_some_and(|at| at <= now)
}
