//! Laws of many at once: whatever they do to each other, what is stored stays coherent, and stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::store::{DynStore, Fence, ListQuery, NewApplication, Save, StoreError};
use futures::future::join_all;
use model::application::{Application, Wish};
use model::event::{Event, EventKind};
use model::id::{ApplicationId, EventId};
use model::principal::Scope;
use model::state::{State, TRANSITIONS};

use super::{Lab, at, batch, named, shard, step_to};

const TASKS: usize = 12;
const ROUNDS: usize = 40;

/// A client and an engine at once: accepts, wishes, saves and removes what it meets. Losing a race is all right.
async fn act(store: DynStore, fence: Fence, task: usize) {
    for round in 0..ROUNDS {
        // A fixed, uneven walk: repeatable, and different for each task.
        let dice = (task * 31 + round * 17 + task * round) % 97;
        match dice % 4 {
            0 => check(store.accept(NewApplication { at: at(1), ..named(&format!("name {}", dice % 5)) }).await),
            1 => check(store.accept(batch()).await),
            _ => {
                let newest = store.list(&ListQuery { limit: 8, ..ListQuery::default() }).await.unwrap();
                let Some(application) = newest.get(dice % 8) else { continue };
                change(&store, &fence, application, dice).await;
            }
        }
    }
}

async fn change(store: &DynStore, fence: &Fence, application: &Application, dice: usize) {
    if dice.is_multiple_of(5) {
        let wish = [Wish::Cancel, Wish::Delete][dice % 2];
        check(store.wish(application.id, wish, at(2)).await);
    } else if application.state.is_terminal() {
        check(store.remove(fence, application.id, at(3)).await);
    } else {
        let ways: Vec<_> = TRANSITIONS.iter().filter(|(from, _)| *from == application.state).collect();
        let mut next = Application { version: application.version + 1, ..application.clone() };
        step_to(&mut next, ways[dice % ways.len()].1);
        check(store.save(fence, Save { next, at: at(4), event: Some(EventKind::State) }).await);
    }
}

fn check<T>(result: Result<T, StoreError>) {
    match result {
        Ok(_) | Err(StoreError::Conflict(_) | StoreError::NameTaken { .. }) => {}
        Err(error) => panic!("{error:?}"),
    }
}

/// The log tells each life in legal steps, and its end is what is stored.
fn check_lives(events: &[Event], stored: &BTreeMap<ApplicationId, Application>) {
    let mut lives = BTreeMap::<ApplicationId, Vec<&Event>>::new();
    events.iter().for_each(|event| lives.entry(event.application).or_default().push(event));
    for (id, life) in &lives {
        assert_eq!(life[0].kind, EventKind::Accepted);
        for pair in life.windows(2) {
            let (from, to) = (pair[0].state, pair[1].state);
            let legal = if pair[1].kind == EventKind::State { from.may_become(to) } else { from == to };
            assert!(legal, "{id} went from {from} to {to}");
        }
        let last = life[life.len() - 1];
        match stored.get(id) {
            Some(application) => {
                assert_eq!((last.state, life.len() as u64), (application.state, application.version), "{id}");
            }
            None => assert_eq!(last.kind, EventKind::Removed, "{id} vanished"),
        }
    }
    assert!(stored.keys().all(|id| lives.contains_key(id)));
}

/// Two gateways with many clients: no gap in numbers and events, no illegal life, no name twice, tallies right.
pub async fn many_gateways_keep_the_invariants(lab: Lab) {
    let (fence, other) = (lab.fence().await, lab.another().await);
    let actors = (0..TASKS).map(|task| {
        let store = Arc::clone(if task % 2 == 0 { &lab.store } else { &other });
        tokio::spawn(act(store, fence.clone(), task))
    });
    join_all(actors).await.into_iter().for_each(|joined| joined.unwrap());

    let events = lab.store.events(EventId(0), 100_000).await.unwrap();
    assert!(events.iter().zip(1..).all(|(event, id)| event.id == EventId(id)), "the log has no gaps");
    let accepted = events.iter().filter(|event| event.kind == EventKind::Accepted);
    assert!(accepted.zip(0..).all(|(event, number)| event.application.number() == number), "nor have the numbers");

    let all = lab.store.list(&ListQuery { limit: 100_000, ..ListQuery::default() }).await.unwrap();
    let stored: BTreeMap<_, _> = all.into_iter().map(|application| (application.id, application)).collect();
    check_lives(&events, &stored);
    let waiting = stored.values().filter(|a| a.state == State::Accepted).count() as u64;
    assert_eq!(lab.store.queue_length(&shard()).await.unwrap(), waiting);
    let kind = model::id::ApplicationKind::Batch;
    assert_eq!(lab.store.list_by_position(&Scope::Everything, kind, 0, 1).await.unwrap().total, stored.len() as u64);
    let retained = stored.values().filter(|a| a.state.is_terminal() && a.wish < Wish::Delete).count();
    assert_eq!(lab.store.expired(&shard(), None, Some(0), 100_000).await.unwrap().len(), retained);
    let mut names = BTreeMap::new();
    for holder in stored.values().filter(|a| !(a.state.is_terminal() && a.wish == Wish::Delete)) {
        if let Some(name) = &holder.spec.name {
            assert_eq!(names.insert((&holder.owner.user, name), holder.id), None, "`{name}` is held twice");
        }
    }
}

/// Whatever was answered is there when the data is opened again: applications, leases, numbers, events.
pub async fn what_was_answered_survives_reopening(lab: Lab) {
    let fence = lab.fence().await;
    let id = lab.accept(named("daily")).await.id;
    let running = lab.bring(&fence, id, State::Running).await;
    let events = lab.store.events(EventId(0), 99).await.unwrap();
    let reopened = Lab { store: lab.another().await, bed: lab.bed };
    drop(lab.store);
    assert_eq!(reopened.get(id).await, running);
    assert_eq!(reopened.store.events(EventId(0), 99).await.unwrap(), events);
    assert_eq!(reopened.store.queue_length(&shard()).await.unwrap(), 0);
    reopened.change(&fence, id, |next| step_to(next, State::Succeeded)).await;
    assert_eq!(reopened.accept(batch()).await.id.number(), 1);
}
