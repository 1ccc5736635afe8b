//! What must always hold, and what must hold when everything has come to rest.

use std::collections::BTreeMap;

use engine::store::Store;
use model::application::{Application, Wish};
use model::event::{Event, EventKind};
use model::id::{ApplicationId, EventId, Shard};
use model::state::{Exit, ReasonCode, State};
use store::memory::MemoryStore;

use super::Faults;
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
        if events.is_empty() {
            return None;
        }
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
            let checked = check_application(id, application.as_ref(), client, wanted, &drivers);
            let undisturbed = world.run.faults == Faults::None;
            let expected = || if undisturbed { check_plan(id, application.as_ref(), wanted, &drivers) } else { Ok(()) };
            if let Err(broken) = checked.and_then(|()| expected()) {
                return Some(broken);
            }
        }
        if world.run.faults == Faults::None && world.run.scenario.gateways == 1 { check_order(&drivers) } else { None }
    }
}

fn check_application(
    id: ApplicationId,
    application: Option<&Application>,
    client: &Client,
    wanted: &Wanted,
    drivers: &Drivers,
) -> Result<(), String> {
    check_retries(id, drivers)?;
    let starts = drivers.starts_of(id).count();
    ensure(starts <= wanted.max_attempts as usize, || format!("{id} was started {starts} times"))?;
    let Some(application) = application else {
        ensure(client.wished == Some(Wish::Delete), || format!("{id} is lost"))?;
        let traces = drivers.attempts.values().filter(|it| it.application == id && !it.discarded);
        return ensure(traces.count() == 0, || format!("something of the deleted {id} was left behind"));
    };
    ensure(application.state.is_terminal(), || format!("{id} never ended"))?;
    ensure(client.wished != Some(Wish::Delete), || format!("{id} was not deleted"))?;
    for attempt in drivers.starts_of(id) {
        let recorded = application.attempts.iter().any(|it| it.id == attempt);
        ensure(recorded, || format!("{id} ran as attempt {attempt}, which is not recorded"))?;
    }
    check_truth(application, client, wanted, drivers)
}

/// Undisturbed, it ends as it was meant to.
fn check_plan(
    id: ApplicationId,
    application: Option<&Application>,
    wanted: &Wanted,
    drivers: &Drivers,
) -> Result<(), String> {
    let (Some((code, starts)), Some(application)) = (wanted.ends, application) else { return Ok(()) };
    let found = (application.reason.as_ref().map(|reason| reason.code), drivers.starts_of(id).count());
    ensure(found == (Some(code), starts), || format!("{id} ended {found:?} and not {:?}", (code, starts)))
}

/// Undisturbed, first starts are in the order of acceptance.
fn check_order(drivers: &Drivers) -> Option<String> {
    let mut first = Vec::new();
    for (id, _) in &drivers.starts {
        if !first.contains(id) {
            first.push(*id);
        }
    }
    (!first.is_sorted()).then(|| format!("they were started in the order {first:?}"))
}

/// Only a driver that was lost or killed is followed by another.
fn check_retries(id: ApplicationId, drivers: &Drivers) -> Result<(), String> {
    let starts: Vec<_> = drivers.starts_of(id).collect();
    for earlier in starts.iter().rev().skip(1) {
        let phase = drivers.attempts.get(earlier).map(|attempt| &attempt.phase);
        let may_repeat = match phase {
            Some(Phase::Lost(_)) => true,
            Some(Phase::Ended(ended)) => matches!(ended.exit, Exit::Signal(_)) && !ended.stopped,
            _ => false,
        };
        ensure(may_repeat, || format!("{id} was started again although its driver is {phase:?}"))?;
    }
    Ok(())
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
        (State::Failed, Some(ReasonCode::LaunchRefused)) => {
            wanted.drivers.iter().any(|driver| driver.refused) && !matches!(last, Some(Phase::Running { .. }))
        }
        (State::Failed, Some(ReasonCode::RunTimeout)) => wanted.run_timeout_ms.is_some() && last.is_some(),
        (State::Failed, Some(ReasonCode::QueueTimeout)) => {
            wanted.queue_timeout_ms.is_some() && application.attempts.is_empty()
        }
        (State::Cancelled, Some(ReasonCode::CancelledByUser)) => client.wished >= Some(Wish::Cancel),
        (State::Cancelled, Some(ReasonCode::DeletedByUser)) => client.wished == Some(Wish::Delete),
        _ => false,
    };
    ensure(truth, || {
        format!("{id} ended as {} because of {code:?}, but its last driver is {last:?}", application.state)
    })
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
