//! Laws of saving: compare and set, legal transitions, fences.

use std::sync::Arc;

use engine::store::{Fence, Save};
use futures::future::join_all;
use model::application::{Application, Wish};
use model::event::EventKind;
use model::id::{ApplicationId, ApplicationKind, BackendName, EventId};
use model::spec::ApplicationSpec;
use model::state::{Reason, ReasonCode, State};

use super::{Lab, at, batch, lease_request, other_shard, outcome, owner, shard, spec, step_to};

fn save_of(application: &Application) -> Save {
    let next = Application { version: application.version + 1, ..application.clone() };
    Save { next, at: at(4), event: None }
}

/// Everything that may change is stored, several attempts included.
pub async fn a_save_replaces_the_mutable_part(lab: Lab) {
    let fence = lab.fence().await;
    let accepted = lab.accept(batch()).await;
    let mut next = lab.bring(&fence, accepted.id, State::Running).await;
    for state in [State::Accepted, State::Starting] {
        next = lab.change(&fence, accepted.id, |next| step_to(next, state)).await;
    }
    next.version += 1;
    next.reason = Some(Reason::with_evidence(ReasonCode::DriverLost, "it vanished"));
    next.ready_at = at(77);
    next.backend = BackendName::new("yarn").unwrap();
    next.retry_of = ApplicationId::new(ApplicationKind::Batch, 0);
    next.wish = Wish::Cancel;
    lab.store.save(&fence, Save { next: next.clone(), at: at(4), event: None }).await.unwrap();
    assert_eq!(next.attempts.len(), 2);
    assert_eq!(lab.get(accepted.id).await, next);
    next.version += 1;
    next.shard = other_shard();
    lab.store.save(&fence, Save { next: next.clone(), at: at(4), event: None }).await.unwrap();
    assert_eq!(lab.get(accepted.id).await, next);
    assert_eq!(lab.store.active(&other_shard(), None, 9).await.unwrap(), [next]);
}

/// Spec, owner and the time of acceptance stay, whatever a save says.
pub async fn a_save_keeps_what_never_changes(lab: Lab) {
    let fence = lab.fence().await;
    let accepted = lab.accept(batch()).await;
    let mut save = save_of(&accepted);
    save.next.spec = Arc::new(ApplicationSpec { resource: "/other.py".into(), ..spec() });
    save.next.owner = owner("mallory");
    save.next.accepted_at = at(1_000);
    lab.store.save(&fence, save).await.unwrap();
    assert_eq!(lab.get(accepted.id).await, Application { version: 2, ..accepted });
}

/// Only the version right after the stored one is taken, and only of what exists.
pub async fn other_versions_conflict(lab: Lab) {
    let fence = lab.fence().await;
    let id = lab.accept(batch()).await.id;
    let stored = lab.change(&fence, id, |_| ()).await;
    for (version, expected) in [(0, "conflict"), (1, "conflict"), (2, "conflict"), (4, "conflict"), (3, "ok")] {
        let next = Application { version, ..stored.clone() };
        let result = lab.store.save(&fence, Save { next, at: at(4), event: None }).await;
        assert_eq!(outcome(&result), expected, "version {version} after 2");
    }
    let id = ApplicationId::new(ApplicationKind::Batch, 99).unwrap();
    let absent = lab.store.save(&fence, save_of(&Application { id, ..stored })).await;
    assert_eq!(outcome(&absent), "conflict");
}

/// The table of transitions holds for every pair of states.
pub async fn only_legal_transitions_are_saved(lab: Lab) {
    let fence = lab.fence().await;
    for from in State::ALL {
        for to in State::ALL {
            let id = lab.accept(batch()).await.id;
            let mut save = save_of(&lab.bring(&fence, id, from).await);
            step_to(&mut save.next, to);
            let expected = if from == to || from.may_become(to) { "ok" } else { "corrupt" };
            assert_eq!(outcome(&lab.store.save(&fence, save).await), expected, "{from} to {to}");
        }
    }
    let id = lab.accept(batch()).await.id;
    let mut sinking = save_of(&lab.wish(id, Wish::Delete).await);
    sinking.next.wish = Wish::Cancel;
    assert_eq!(outcome(&lab.store.save(&fence, sinking).await), "corrupt");
}

/// Only the newest lease lets one save, whether it has run out or not.
pub async fn saves_are_fenced(lab: Lab) {
    let accepted = lab.accept(batch()).await;
    let unleased = Fence { shard: shard(), epoch: 0 };
    assert_eq!(outcome(&lab.store.save(&unleased, save_of(&accepted)).await), "fenced");
    let old = lab.fence().await;
    lab.store.save(&old, save_of(&accepted)).await.unwrap();
    let stored = lab.get(accepted.id).await;

    let taken = lab.store.lease(lease_request(&shard(), "other", None, 10)).await.unwrap().unwrap();
    assert_eq!(outcome(&lab.store.save(&old, save_of(&stored)).await), "fenced");
    let future = Fence { shard: shard(), epoch: taken.fence.epoch + 1 };
    assert_eq!(outcome(&lab.store.save(&future, save_of(&stored)).await), "fenced");
    lab.store.save(&taken.fence, save_of(&stored)).await.unwrap();

    let stored = lab.get(accepted.id).await;
    lab.store.release(&taken.fence, &model::id::HolderId::new("other").unwrap()).await.unwrap();
    assert_eq!(outcome(&lab.store.save(&taken.fence, save_of(&stored)).await), "fenced");
}

/// A lease on one shard is none on another.
pub async fn a_fence_covers_its_shard(lab: Lab) {
    let accepted = lab.accept(batch()).await;
    let (ours, other) = (lab.fence().await, lab.fence_of(&other_shard()).await);
    assert_eq!(ours.epoch, other.epoch, "shards count their epochs apart");
    assert_eq!(outcome(&lab.store.save(&other, save_of(&accepted)).await), "fenced");
    assert_eq!(outcome(&lab.store.save(&ours, save_of(&accepted)).await), "ok");
}

/// What is refused changes nothing and tells nobody.
pub async fn a_refused_save_leaves_no_trace(lab: Lab) {
    let fence = lab.fence().await;
    let accepted = lab.accept(batch()).await;
    let save = |version, state| {
        let mut next = Application { version, ..accepted.clone() };
        step_to(&mut next, state);
        Save { next, at: at(4), event: Some(EventKind::State) }
    };
    let old = Fence { epoch: fence.epoch - 1, ..fence.clone() };
    assert_eq!(outcome(&lab.store.save(&old, save(2, State::Starting)).await), "fenced");
    assert_eq!(outcome(&lab.store.save(&fence, save(3, State::Starting)).await), "conflict");
    assert_eq!(outcome(&lab.store.save(&fence, save(2, State::Succeeded)).await), "corrupt");
    assert_eq!(lab.get(accepted.id).await, accepted);
    assert_eq!(lab.store.last_event().await.unwrap(), EventId(1));
    assert_eq!(lab.store.queue_length(&shard()).await.unwrap(), 1);
}

/// Of many changes to one version, one is stored.
pub async fn one_of_many_savers_wins(lab: Lab) {
    let fence = lab.fence().await;
    let accepted = lab.accept(batch()).await;
    let other = lab.another().await;
    let racers = (0..12).map(|n| {
        let store = Arc::clone(if n % 2 == 0 { &lab.store } else { &other });
        let (fence, mut save) = (fence.clone(), save_of(&accepted));
        save.next.ready_at = at(n);
        tokio::spawn(async move { store.save(&fence, save).await })
    });
    let outcomes: Vec<_> = join_all(racers).await.iter().map(|joined| outcome(joined.as_ref().unwrap())).collect();
    let winner = outcomes.iter().position(|outcome| *outcome == "ok").unwrap();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "conflict").count(), 11);
    let ready_at = at(i64::try_from(winner).unwrap());
    assert_eq!(lab.get(accepted.id).await, Application { version: 2, ready_at, ..accepted });
}
