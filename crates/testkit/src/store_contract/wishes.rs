//! Laws of wishes: they rise, they are told once, they need no lease.

use engine::store::Save;
use model::application::{Application, Wish};
use model::event::EventKind;
use model::id::{ApplicationId, ApplicationKind, EventId};
use model::state::State;

use super::{Lab, at, batch, outcome};

async fn kinds_of_events(lab: &Lab) -> Vec<EventKind> {
    let events = lab.store.events(EventId(0), 100).await.unwrap();
    events.into_iter().map(|event| event.kind).collect()
}

/// A wish rises or stays; only a rise counts as a change.
pub async fn wishes_only_rise(lab: Lab) {
    let accepted = lab.accept(batch()).await;
    let steps = [
        (Wish::Run, Wish::Run, 1),
        (Wish::Cancel, Wish::Cancel, 2),
        (Wish::Cancel, Wish::Cancel, 2),
        (Wish::Run, Wish::Cancel, 2),
        (Wish::Delete, Wish::Delete, 3),
        (Wish::Cancel, Wish::Delete, 3),
    ];
    for (asked, wish, version) in steps {
        let now = lab.store.wish(accepted.id, asked, at(7)).await.unwrap();
        assert_eq!(now, Some(Application { wish, version, ..accepted.clone() }), "after {asked:?}");
    }
    let told = kinds_of_events(&lab).await;
    assert_eq!(told, [EventKind::Accepted, EventKind::Wish(Wish::Cancel), EventKind::Wish(Wish::Delete)]);
}

/// There is nothing left to cancel.
pub async fn cancelling_what_ended_changes_nothing(lab: Lab) {
    let fence = lab.fence().await;
    let id = lab.accept(batch()).await.id;
    let ended = lab.bring(&fence, id, State::Failed).await;
    let told = kinds_of_events(&lab).await;
    assert_eq!(lab.wish(id, Wish::Cancel).await, ended);
    assert_eq!(kinds_of_events(&lab).await, told);
}

/// Deleting is for ended applications too, and its event tells their end.
pub async fn what_ended_can_be_deleted(lab: Lab) {
    let fence = lab.fence().await;
    let id = lab.accept(batch()).await.id;
    lab.bring(&fence, id, State::Succeeded).await;
    lab.wish(id, Wish::Delete).await;
    let event = lab.store.events(EventId(0), 100).await.unwrap().pop().unwrap();
    assert_eq!((event.kind, event.state, event.exit_code), (EventKind::Wish(Wish::Delete), State::Succeeded, Some(0)));
}

/// Nobody is told of wishes about nothing.
pub async fn wishing_for_nothing_answers_none(lab: Lab) {
    let id = ApplicationId::new(ApplicationKind::Server, 3).unwrap();
    assert_eq!(lab.store.wish(id, Wish::Delete, at(1)).await.unwrap(), None);
    assert_eq!(lab.store.last_event().await.unwrap(), EventId(0));
}

/// A decision that was made without knowing the wish isn't stored.
pub async fn a_wish_makes_a_save_conflict(lab: Lab) {
    let fence = lab.fence().await;
    let id = lab.accept(batch()).await.id;
    let seen = lab.bring(&fence, id, State::Running).await;
    lab.wish(id, Wish::Cancel).await;
    let next = Application { version: seen.version + 1, ..seen.clone() };
    let result = lab.store.save(&fence, Save { next, at: at(8), event: None }).await;
    assert_eq!(outcome(&result), "conflict");
    let now = lab.change(&fence, id, |next| super::step_to(next, State::Stopping)).await;
    assert_eq!((now.wish, now.version), (Wish::Cancel, seen.version + 2));
}
