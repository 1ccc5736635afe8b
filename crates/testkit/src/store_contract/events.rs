//! Laws of the log of events: complete, in order, never changing behind a reader.

use std::sync::Arc;

use futures::future::join_all;
use model::application::Wish;
use model::event::{Event, EventKind};
use model::id::EventId;
use model::state::{Reason, ReasonCode, State};

use super::{Lab, at, batch, named, outcome, owner};

async fn all_events(lab: &Lab) -> Vec<Event> {
    lab.store.events(EventId(0), 10_000).await.unwrap()
}

/// A life from acceptance to removal, as its events tell it.
pub async fn every_change_is_told_once(lab: Lab) {
    let fence = lab.fence().await;
    let id = lab.accept(named("daily")).await.id;
    lab.bring(&fence, id, State::Running).await;
    lab.change(&fence, id, |_| ()).await;
    lab.wish(id, Wish::Cancel).await;
    lab.change(&fence, id, |next| super::step_to(next, State::Stopping)).await;
    lab.change(&fence, id, |next| super::step_to(next, State::Cancelled)).await;
    lab.wish(id, Wish::Delete).await;
    lab.store.remove(&fence, id, at(11)).await.unwrap();

    let end = Some(Reason::with_evidence(ReasonCode::CancelledByUser, "the last line"));
    let expected = [
        (0, EventKind::Accepted, State::Accepted, 0, None, None),
        (6, EventKind::State, State::Starting, 1, None, None),
        (6, EventKind::State, State::Running, 1, None, None),
        (5, EventKind::Wish(Wish::Cancel), State::Running, 1, None, None),
        (6, EventKind::State, State::Stopping, 1, None, None),
        (6, EventKind::State, State::Cancelled, 1, end.clone(), Some(128 + 15)),
        (5, EventKind::Wish(Wish::Delete), State::Cancelled, 1, end.clone(), Some(128 + 15)),
        (11, EventKind::Removed, State::Cancelled, 1, end, Some(128 + 15)),
    ];
    let expected = (1..).zip(expected).map(|(id_of_event, (millis, kind, state, attempt, reason, exit_code))| Event {
        id: EventId(id_of_event),
        at: at(millis),
        application: id,
        owner: owner("ada"),
        kind,
        state,
        attempt,
        reason,
        exit_code,
    });
    assert_eq!(all_events(&lab).await, expected.collect::<Vec<_>>());
}

/// Events are read after an id, so many at once.
pub async fn events_page_in_order(lab: Lab) {
    assert_eq!(lab.store.last_event().await.unwrap(), EventId(0));
    for _ in 0..5 {
        lab.accept(batch()).await;
    }
    let page = async |after, limit| -> Vec<u64> {
        lab.store.events(EventId(after), limit).await.unwrap().iter().map(|event| event.id.0).collect()
    };
    assert_eq!(page(0, 2).await, [1, 2]);
    assert_eq!(page(2, 9).await, [3, 4, 5]);
    assert_eq!(page(5, 9).await, [0; 0]);
    assert_eq!(page(u64::MAX, 9).await, [0; 0]);
    assert_eq!(lab.store.last_event().await.unwrap(), EventId(5));
}

/// Trimming takes from the old end, in steps, and ids go on.
pub async fn trimming_forgets_the_oldest(lab: Lab) {
    assert_eq!(lab.store.trim_events(0, 9).await.unwrap(), 0);
    for _ in 0..10 {
        lab.accept(batch()).await;
    }
    for (keep, limit, gone, first) in [(20, 9, 0, 1), (6, 3, 3, 4), (6, 3, 1, 5), (6, 3, 0, 5)] {
        assert_eq!(lab.store.trim_events(keep, limit).await.unwrap(), gone);
        assert_eq!(all_events(&lab).await[0].id, EventId(first));
    }
    assert_eq!(lab.store.trim_events(0, 99).await.unwrap(), 6);
    assert_eq!((all_events(&lab).await, lab.store.last_event().await.unwrap()), (vec![], EventId(10)));
    lab.accept(batch()).await;
    assert_eq!(all_events(&lab).await[0].id, EventId(11));
}

/// It moves with each change that has an event, and not before that event can be read.
pub async fn the_newest_event_moves_after_commits(lab: Lab) {
    let mut newest = lab.store.newest_event();
    assert_eq!(*newest.borrow_and_update(), EventId(0));
    let id = lab.accept(batch()).await.id;
    newest.wait_for(|id| *id == EventId(1)).await.unwrap();
    lab.wish(id, Wish::Cancel).await;
    let seen = *newest.wait_for(|id| *id > EventId(1)).await.unwrap();
    assert_eq!(all_events(&lab).await.last().unwrap().id, seen);
    assert_eq!(
        outcome(&lab.store.accept(engine::store::NewApplication { queue_max: Some(0), ..batch() }).await),
        "full"
    );
    lab.fence().await;
    let reopened = lab.another().await;
    assert_eq!(*reopened.newest_event().borrow(), EventId(2), "a new gateway begins where the log ends");
    assert_eq!(*newest.borrow(), EventId(2), "what has no event moves nothing");
}

/// What one gateway writes, the subscribers of another one hear of.
pub async fn another_gateway_learns_of_events(lab: Lab) {
    let other = lab.another().await;
    let mut newest = other.newest_event();
    for n in 1..=3 {
        lab.accept(batch()).await;
        newest.wait_for(|id| *id >= EventId(n)).await.unwrap();
        assert_eq!(other.last_event().await.unwrap(), EventId(n));
    }
}

/// Many write through two gateways; whoever follows the log sees every event once, in order, without gaps.
pub async fn a_follower_never_meets_a_smaller_id(lab: Lab) {
    let (writers, each) = (16, 12);
    let other = lab.another().await;
    let follower = Arc::clone(&lab.store);
    let follow = tokio::spawn(async move {
        let (mut seen, mut newest) = (Vec::<u64>::new(), follower.newest_event());
        while seen.len() < writers * each {
            let after = EventId(seen.last().copied().unwrap_or(0));
            newest.wait_for(|id| *id > after).await.unwrap();
            let page = follower.events(after, 7).await.unwrap();
            assert!(!page.is_empty(), "the newest event was told and can't be read");
            seen.extend(page.iter().map(|event| event.id.0));
        }
        seen
    });
    let write = |n: usize| {
        let store = Arc::clone(if n.is_multiple_of(2) { &lab.store } else { &other });
        tokio::spawn(async move {
            for _ in 0..each {
                store.accept(batch()).await.unwrap();
            }
        })
    };
    join_all((0..writers).map(write)).await.into_iter().for_each(|joined| joined.unwrap());
    let expected: Vec<u64> = (1..).take(writers * each).collect();
    assert_eq!(follow.await.unwrap(), expected);
}
