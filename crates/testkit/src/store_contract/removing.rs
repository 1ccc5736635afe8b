//! Laws of removing: what may go, and that nothing of it stays.

use engine::store::{Fence, ListQuery, NewApplication};
use model::application::Wish;
use model::event::EventKind;
use model::id::{ApplicationId, ApplicationKind, EventId};
use model::principal::Scope;
use model::state::State;

use super::{Lab, at, batch, named, other_shard, outcome, shard};

async fn ended_and_unwanted(lab: &Lab, fence: &Fence, new: NewApplication) -> ApplicationId {
    let id = lab.accept(new).await.id;
    lab.bring(fence, id, State::Succeeded).await;
    lab.wish(id, Wish::Delete).await;
    id
}

/// Both must hold: it ended, and somebody wants it deleted.
pub async fn only_what_ended_and_is_unwanted_is_removed(lab: Lab) {
    let fence = lab.fence().await;
    for state in State::ALL {
        for wish in [Wish::Run, Wish::Cancel, Wish::Delete] {
            let id = lab.accept(batch()).await.id;
            lab.wish(id, wish).await;
            lab.bring(&fence, id, state).await;
            let expected = if state.is_terminal() && wish == Wish::Delete { "ok" } else { "conflict" };
            assert_eq!(outcome(&lab.store.remove(&fence, id, at(9)).await), expected, "{state}, {wish:?}");
        }
    }
}

/// Nothing of it can be found, by whatever way.
pub async fn removal_is_complete(lab: Lab) {
    let fence = lab.fence().await;
    let id = ended_and_unwanted(&lab, &fence, named("daily")).await;
    assert_eq!(lab.store.due(&shard(), at(9), &[], 9).await.unwrap().len(), 1, "the engine is told to remove it");
    lab.store.remove(&fence, id, at(9)).await.unwrap();
    assert_eq!(lab.store.get(id).await.unwrap(), None);
    assert_eq!(lab.store.get_by_name(&Scope::Everything, ApplicationKind::Batch, "daily").await.unwrap(), None);
    assert_eq!(lab.store.list(&ListQuery { limit: 9, ..ListQuery::default() }).await.unwrap(), []);
    assert_eq!(lab.store.list_by_position(&Scope::Everything, ApplicationKind::Batch, 0, 9).await.unwrap().total, 0);
    assert_eq!(lab.store.due(&shard(), at(9), &[], 9).await.unwrap(), []);
    assert_eq!(lab.store.wish(id, Wish::Delete, at(9)).await.unwrap(), None);
    let event = lab.store.events(EventId(0), 100).await.unwrap().pop().unwrap();
    assert_eq!((event.kind, event.application, event.at), (EventKind::Removed, id, at(9)));
}

/// Who repeats a removal has what it wants.
pub async fn removal_is_repeatable(lab: Lab) {
    let fence = lab.fence().await;
    let id = ended_and_unwanted(&lab, &fence, batch()).await;
    lab.store.remove(&fence, id, at(9)).await.unwrap();
    let told = lab.store.last_event().await.unwrap();
    lab.store.remove(&fence, id, at(9)).await.unwrap();
    assert_eq!(lab.store.last_event().await.unwrap(), told);
}

/// Removing is for the holder of the lease, like saving.
pub async fn removal_is_fenced(lab: Lab) {
    let fence = lab.fence().await;
    let id = ended_and_unwanted(&lab, &fence, batch()).await;
    let newer = lab.fence().await;
    let other = lab.fence_of(&other_shard()).await;
    assert_eq!(outcome(&lab.store.remove(&fence, id, at(9)).await), "fenced");
    assert_eq!(outcome(&lab.store.remove(&other, id, at(9)).await), "fenced");
    assert_eq!(outcome(&lab.store.remove(&newer, id, at(9)).await), "ok");
}

/// An id names one application for all time.
pub async fn numbers_are_never_used_again(lab: Lab) {
    let fence = lab.fence().await;
    for number in 0..3 {
        let id = ended_and_unwanted(&lab, &fence, batch()).await;
        assert_eq!(id.number(), number);
        lab.store.remove(&fence, id, at(9)).await.unwrap();
    }
}
