//! What must always hold, and what must hold when everything has come to rest.

use std::collections::BTreeMap;

use engine::store::Store;
use model::application::{Application, Wish};
use model::event::{Event, EventKind};
use model::id::{ApplicationId, EventId, Shard};
use model::state::{Exit, ReasonCode, State};
use store::memory::MemoryStore;

use super::backend::{Drivers, Phase};
use super::scenario::Wanted;
use super::world::{Client, World, now};

/// Follows the store's log and holds the laws against it.
#[derive(Default)]
pub(super) struct Laws {
    last_event: EventId,
    states: BTreeMap<ApplicationId, State>,
    news: Vec<Event>,
}

impl Laws {
    /// Laws of every instant: legal transitions, final ends with reasons, no more active than places.
    pub(super) fn check_step(&mut self, store: &MemoryStore, shard: &Shard, places: usize) -> Option<String> {
        let events = now(store.events(self.last_event, 1_000)).unwrap_or_default();
        for event in events {
            if let Some(broken) = self.check_event(&event) {
                return Some(broken);
            }
            self.news.push(event);
        }
        let active = now(store.active(shard, None, 1_000)).map_or(0, |active| active.len());
        (active > places).then(|| format!("{active} applications are active on {places} places"))
    }

    fn check_event(&mut self, event: &Event) -> Option<String> {
        let id = event.application;
        if event.id <= self.last_event {
            return Some(format!("event {} came after {}", event.id, self.last_event));
        }
        self.last_event = event.id;
        if event.kind == EventKind::Removed {
            self.states.remove(&id);
            return None;
        }
        let before = self.states.insert(id, event.state);
        let legal = match (before, event.kind) {
            (None, kind) => kind == EventKind::Accepted && event.state == State::Accepted,
            (Some(before), EventKind::State) => before.may_become(event.state),
            (Some(before), _) => before == event.state,
        };
        if !legal {
            return Some(format!("{id} went from {before:?} to {:?} by {:?}", event.state, event.kind));
        }
        (event.state.is_terminal() && event.reason.is_none()).then(|| format!("{id} ended without a reason"))
    }

    /// The events since the last call.
    pub(super) fn take_news(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.news)
    }

    /// Laws of rest: nothing lost, nothing run twice, nothing left running, every state true.
    pub(super) fn check_rest(world: &World) -> Option<String> {
        let drivers = world.lock_drivers();
        for (client, wanted) in world.clients.iter().zip(world.run.scenario.applications) {
            let Some(id) = client.id else { return Some("a client was never answered".into()) };
            let application = match now(world.store.get(id)) {
                Ok(application) => application,
                Err(error) => return Some(format!("reading {id}: {error}")),
            };
            if let Err(broken) = check_application(id, application.as_ref(), client, wanted, &drivers) {
                return Some(broken);
            }
        }
        None
    }
}

fn check_application(
    id: ApplicationId,
    application: Option<&Application>,
    client: &Client,
    wanted: &Wanted,
    drivers: &Drivers,
) -> Result<(), String> {
    let starts = drivers.starts.iter().filter(|(of, _)| *of == id).count();
    ensure(starts <= wanted.max_attempts as usize, || format!("{id} was started {starts} times"))?;
    let Some(application) = application else {
        ensure(client.wished == Some(Wish::Delete), || format!("{id} is lost"))?;
        let traces = drivers.attempts.values().filter(|it| it.application == id && !it.discarded);
        return ensure(traces.count() == 0, || format!("something of the deleted {id} was left behind"));
    };
    ensure(application.state.is_terminal(), || format!("{id} never ended"))?;
    ensure(client.wished != Some(Wish::Delete), || format!("{id} was not deleted"))?;
    for (_, attempt) in drivers.starts.iter().filter(|(of, _)| *of == id) {
        let recorded = application.attempts.iter().any(|it| it.id == *attempt);
        ensure(recorded, || format!("{id} ran as attempt {attempt}, which is not recorded"))?;
    }
    check_truth(application, client, wanted, drivers)
}

/// The stored end is what happened to the last driver.
fn check_truth(application: &Application, client: &Client, wanted: &Wanted, drivers: &Drivers) -> Result<(), String> {
    let id = application.id;
    let code = application.reason.as_ref().map(|reason| reason.code);
    let last = application.attempts.last().and_then(|attempt| drivers.attempts.get(&attempt.id)).map(|it| &it.phase);
    let exit = match last {
        Some(Phase::Ended(ended)) => Some(ended.exit),
        _ => None,
    };
    let recorded = application.attempts.last().and_then(|attempt| attempt.exit);
    let truth = match (application.state, code) {
        (State::Succeeded, Some(ReasonCode::Completed)) => exit == Some(Exit::Code(0)) && recorded == exit,
        (State::Failed, Some(ReasonCode::ExitCode)) => {
            matches!(exit, Some(Exit::Code(code)) if code != 0) && recorded == exit
        }
        (State::Failed, Some(ReasonCode::KilledBySignal)) => matches!(exit, Some(Exit::Signal(_))) && recorded == exit,
        (State::Failed, Some(ReasonCode::SupervisorLost)) => {
            // Nothing is tried again for somebody who wants it ended.
            let exhausted = application.attempts.len() == wanted.max_attempts as usize || client.wished.is_some();
            matches!(last, Some(Phase::Lost(_))) && exhausted
        }
        (State::Failed, Some(ReasonCode::RunTimeout)) => wanted.run_timeout_ms.is_some() && last.is_some(),
        (State::Failed, Some(ReasonCode::QueueTimeout)) => {
            wanted.queue_timeout_ms.is_some() && application.attempts.is_empty()
        }
        (State::Cancelled, Some(ReasonCode::CancelledByUser)) => client.wished >= Some(Wish::Cancel),
        (State::Cancelled, Some(ReasonCode::DeletedByUser)) => client.wished == Some(Wish::Delete),
        _ => false,
    };
    ensure(truth, || format!("{id} ended as {} because of {code:?}, but its last driver is {last:?}", application.state))
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
