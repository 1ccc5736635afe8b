//! Laws of accepting: numbers, idempotency keys, the limit of the queue.

use engine::store::{Accepted, IdempotencyKey, KEY_KEPT, NewApplication};
use model::application::Wish;
use model::id::{ApplicationId, ApplicationKind, TenantName};
use model::principal::Owner;
use model::state::State;

use super::{Lab, at, batch, member, named, other_shard, outcome, owner};

fn keyed(key: &str, digest: u8) -> NewApplication {
    NewApplication { idempotency: Some(IdempotencyKey { key: key.into(), fingerprint: [digest; 32] }), ..batch() }
}

/// What is answered is what is stored.
pub async fn an_accepted_application_can_be_read(lab: Lab) {
    let retry_of = ApplicationId::new(ApplicationKind::Server, 7);
    let new = NewApplication { retry_of, at: at(3), ..named("daily") };
    let application = lab.accept(new.clone()).await;
    assert_eq!(lab.get(application.id).await, application);
    assert_eq!((&application.spec, &application.owner, &application.backend), (&new.spec, &new.owner, &new.backend));
    assert_eq!((application.state, application.wish, application.version), (State::Accepted, Wish::Run, 1));
    assert_eq!((application.accepted_at, application.ready_at, application.ended_at), (at(3), at(3), None));
    assert_eq!((application.retry_of, application.shard), (retry_of, new.shard));
    assert!(application.attempts.is_empty() && application.reason.is_none());
    let unknown = ApplicationId::new(ApplicationKind::Batch, 1).unwrap();
    assert_eq!(lab.store.get(unknown).await.unwrap(), None);
}

/// Batches and servers are numbered apart, from 0; what is refused takes no number.
pub async fn numbers_count_per_kind_without_gaps(lab: Lab) {
    let mut seen = Vec::new();
    for kind in [ApplicationKind::Batch, ApplicationKind::Server, ApplicationKind::Batch] {
        seen.push(lab.accept(NewApplication { kind, ..batch() }).await.id.to_string());
    }
    seen.push(lab.accept(named("a")).await.id.to_string());
    assert_eq!(outcome(&lab.store.accept(named("a")).await), "name taken");
    assert_eq!(outcome(&lab.store.accept(NewApplication { queue_max: Some(0), ..batch() }).await), "full");
    seen.push(lab.accept(named("b")).await.id.to_string());
    assert_eq!(seen, ["batch-0", "server-0", "batch-1", "batch-2", "batch-3"]);
}

/// A repetition answers the application of the first time, as it is now.
pub async fn a_repeated_key_answers_the_first_application(lab: Lab) {
    let first = lab.accept(keyed("k", 1)).await;
    let cancelled = lab.wish(first.id, Wish::Cancel).await;
    let again = lab.store.accept(NewApplication { at: at(50), ..keyed("k", 1) }).await.unwrap();
    assert_eq!(again, Accepted::Replayed(cancelled));
    assert_eq!(lab.accept(keyed("l", 1)).await.id.number(), 1);
}

/// The same key of another user or tenant is another key.
pub async fn a_key_belongs_to_its_owner(lab: Lab) {
    let elsewhere = Owner { tenant: TenantName::new("other").unwrap(), ..owner("ada") };
    for owner in [owner("ada"), owner("bob"), elsewhere] {
        let accepted = lab.store.accept(NewApplication { owner, ..keyed("k", 1) }).await.unwrap();
        assert!(matches!(accepted, Accepted::Created(_)));
    }
}

/// A key never stands for two requests.
pub async fn a_key_for_another_request_is_refused(lab: Lab) {
    lab.accept(keyed("k", 1)).await;
    assert_eq!(outcome(&lab.store.accept(keyed("k", 2)).await), "key reused");
}

/// A repetition that was long on its way doesn't run a deleted application again; after a day the key is new.
pub async fn a_key_outlives_its_application(lab: Lab) {
    let fence = lab.fence().await;
    let first = lab.accept(keyed("k", 1)).await;
    lab.bring(&fence, first.id, State::Succeeded).await;
    lab.wish(first.id, Wish::Delete).await;
    let replayed = lab.store.accept(keyed("k", 1)).await.unwrap();
    assert!(matches!(replayed, Accepted::Replayed(_)), "it is there until it is removed");
    lab.store.remove(&fence, first.id, at(9)).await.unwrap();
    let kept = i64::try_from(KEY_KEPT.as_millis()).unwrap();
    let again = async |digest, millis| {
        outcome(&lab.store.accept(NewApplication { at: at(millis), ..keyed("k", digest) }).await)
    };
    assert_eq!((again(1, 10).await, again(2, 10).await), ("key spent", "key reused"));
    assert_eq!((again(1, 8 + kept).await, again(2, 9 + kept).await), ("key spent", "ok"));
    assert_eq!((again(1, 10 + kept).await, again(2, 10 + kept).await), ("key reused", "ok"));
    assert_eq!(lab.accept(batch()).await.id.number(), 2);
}

/// Asking for a replay says what accepting would, and changes nothing.
pub async fn a_replay_can_be_asked_for(lab: Lab) {
    let fence = lab.fence().await;
    let (ada, kept) = (owner("ada"), i64::try_from(KEY_KEPT.as_millis()).unwrap());
    let ask = async |owner: &Owner, digest, millis| {
        let key = IdempotencyKey { key: "k".into(), fingerprint: [digest; 32] };
        lab.store.replay(owner, &key, at(millis)).await
    };
    assert_eq!(ask(&ada, 1, 0).await.unwrap(), None);
    let first = lab.accept(keyed("k", 1)).await;
    let ended = lab.bring(&fence, first.id, State::Succeeded).await;
    assert_eq!(ask(&ada, 1, 0).await.unwrap(), Some(ended));
    assert_eq!(ask(&owner("bob"), 1, 0).await.unwrap(), None);
    assert_eq!(outcome(&ask(&ada, 2, 0).await), "key reused");
    lab.wish(first.id, Wish::Delete).await;
    lab.store.remove(&fence, first.id, at(9)).await.unwrap();
    assert_eq!((outcome(&ask(&ada, 1, 10).await), outcome(&ask(&ada, 2, 10).await)), ("key spent", "key reused"));
    assert_eq!(ask(&ada, 1, 9 + kept).await.unwrap(), None);
    assert_eq!(lab.accept(batch()).await.id.number(), 1, "asking takes no number");
}

/// A client that repeats itself is answered even if a first request would be refused now.
pub async fn a_repetition_needs_no_room(lab: Lab) {
    let idempotency = keyed("k", 1).idempotency;
    let new = NewApplication { idempotency, queue_max: Some(1), ..named("daily") };
    let first = lab.accept(new.clone()).await;
    assert_eq!(lab.store.accept(new).await.unwrap(), Accepted::Replayed(first));
}

/// The limit is about what waits on the same shard.
pub async fn a_full_queue_takes_no_more(lab: Lab) {
    let limited = |queue_max| NewApplication { queue_max, ..batch() };
    let fence = lab.fence().await;
    let first = lab.accept(limited(Some(2))).await;
    lab.accept(NewApplication { shard: other_shard(), ..batch() }).await;
    lab.accept(limited(Some(2))).await;
    let refused = lab.store.accept(limited(Some(2))).await;
    assert_eq!(refused.unwrap_err().to_string(), "the queue is full (2 applications wait)");
    lab.accept(limited(None)).await;
    assert_eq!(outcome(&lab.store.accept(limited(Some(3))).await), "full");
    lab.bring(&fence, first.id, State::Starting).await;
    lab.accept(limited(Some(3))).await;
}

/// A tenant's limit counts what hasn't ended of all its users, on every shard.
pub async fn a_tenant_has_so_many_at_once(lab: Lab) {
    let of = |user: &str, tenant: &str| NewApplication { owner: member(user, tenant), tenant_max: Some(2), ..batch() };
    let fence = lab.fence().await;
    let first = lab.accept(of("ada", "core")).await;
    lab.accept(NewApplication { shard: other_shard(), ..of("bob", "core") }).await;
    let refused = lab.store.accept(of("eve", "core")).await.unwrap_err();
    assert_eq!(refused.to_string(), "the tenant has 2 applications that haven't ended, which is as many as it may");
    lab.accept(of("ada", "data")).await;
    lab.bring(&fence, first.id, State::Running).await;
    assert_eq!(outcome(&lab.store.accept(of("eve", "core")).await), "tenant full");
    lab.change(&fence, first.id, |next| super::step_to(next, State::Succeeded)).await;
    lab.accept(of("eve", "core")).await;
    assert_eq!(outcome(&lab.store.accept(of("eve", "core")).await), "tenant full");
    lab.accept(NewApplication { tenant_max: None, ..of("eve", "core") }).await;
}
