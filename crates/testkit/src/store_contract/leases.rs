//! Laws of leases: who gets one, and what its epoch proves.

use std::sync::Arc;

use engine::store::{DynStore, Fence, Lease};
use futures::future::join_all;
use model::id::HolderId;

use super::{Lab, at, lease_request, other_shard, shard};

/// Asks for the laws' shard at `at(now)`; a lease lasts ten milliseconds.
async fn ask(store: &DynStore, holder: &str, renew: Option<u64>, now: i64) -> Option<Lease> {
    store.lease(lease_request(&shard(), holder, renew, now)).await.unwrap()
}

fn epoch(lease: Option<Lease>) -> Option<u64> {
    lease.map(|lease| lease.fence.epoch)
}

/// The first one who asks gets it.
pub async fn a_free_lease_is_granted(lab: Lab) {
    let lease = ask(&lab.store, "a", None, 0).await.unwrap();
    assert_eq!(lease, Lease { fence: Fence { shard: shard(), epoch: 1 }, expires_at: at(10) });
    assert_eq!(lab.fence_of(&other_shard()).await.epoch, 1);
}

/// Nobody else gets it before its end.
pub async fn a_running_lease_is_respected(lab: Lab) {
    ask(&lab.store, "a", None, 0).await.unwrap();
    for (renew, now) in [(None, 0), (None, 9), (Some(1), 9)] {
        assert_eq!(ask(&lab.store, "b", renew, now).await, None, "{renew:?} at {now}");
    }
}

/// At its end anybody gets it, with a higher epoch.
pub async fn an_ended_lease_is_taken_over(lab: Lab) {
    ask(&lab.store, "a", None, 0).await.unwrap();
    assert_eq!(epoch(ask(&lab.store, "b", None, 10).await), Some(2));
    assert_eq!(epoch(ask(&lab.store, "a", None, 15).await), None);
    assert_eq!(epoch(ask(&lab.store, "a", Some(2), 25).await), Some(3), "knowing the epoch isn't having the lease");
}

/// Renewing keeps the epoch and moves the end, also after it, if nobody came in between.
pub async fn renewal_keeps_the_epoch(lab: Lab) {
    ask(&lab.store, "a", None, 0).await.unwrap();
    let renewed = ask(&lab.store, "a", Some(1), 5).await.unwrap();
    assert_eq!((renewed.fence.epoch, renewed.expires_at), (1, at(15)));
    assert_eq!(ask(&lab.store, "b", None, 14).await, None);
    assert_eq!(epoch(ask(&lab.store, "a", Some(1), 100).await), Some(1));
}

/// A holder that doesn't know its epoch was restarted; what it did before must not count any more.
pub async fn asking_again_raises_the_epoch(lab: Lab) {
    ask(&lab.store, "a", None, 0).await.unwrap();
    assert_eq!(epoch(ask(&lab.store, "a", None, 1).await), Some(2));
    assert_eq!(epoch(ask(&lab.store, "a", Some(1), 2).await), Some(3));
}

/// Who lost it learns so by renewing.
pub async fn a_lost_lease_is_not_renewed(lab: Lab) {
    ask(&lab.store, "a", None, 0).await.unwrap();
    ask(&lab.store, "b", None, 10).await.unwrap();
    assert_eq!(ask(&lab.store, "a", Some(1), 11).await, None);
}

/// After a release nobody waits, and the epoch goes on.
pub async fn a_released_lease_is_free_at_once(lab: Lab) {
    let lease = ask(&lab.store, "a", None, 0).await.unwrap();
    lab.store.release(&lease.fence, &HolderId::new("a").unwrap()).await.unwrap();
    assert_eq!(epoch(ask(&lab.store, "b", None, 1).await), Some(2));
    let lease = ask(&lab.store, "b", Some(2), 2).await.unwrap();
    lab.store.release(&lease.fence, &HolderId::new("b").unwrap()).await.unwrap();
    assert_eq!(epoch(ask(&lab.store, "b", Some(2), 3).await), Some(3), "what was given up isn't renewed");
}

/// Others and the past have nothing to release.
pub async fn only_the_holder_releases(lab: Lab) {
    let old = ask(&lab.store, "a", None, 0).await.unwrap().fence;
    let fence = ask(&lab.store, "a", None, 0).await.unwrap().fence;
    lab.store.release(&fence, &HolderId::new("b").unwrap()).await.unwrap();
    lab.store.release(&old, &HolderId::new("a").unwrap()).await.unwrap();
    lab.store.release(&Fence { shard: other_shard(), epoch: 1 }, &HolderId::new("a").unwrap()).await.unwrap();
    assert_eq!(ask(&lab.store, "b", None, 1).await, None);
    assert_eq!(epoch(ask(&lab.store, "a", Some(2), 1).await), Some(2));
}

/// Of many gateways that ask at the same instant, one gets it.
pub async fn one_of_many_takers_wins(lab: Lab) {
    let other = lab.another().await;
    let takers = (0..12).map(|n| {
        let store = Arc::clone(if n % 2 == 0 { &lab.store } else { &other });
        tokio::spawn(async move { ask(&store, &format!("gateway-{n}"), None, 0).await })
    });
    let granted = join_all(takers).await.into_iter().filter(|joined| joined.as_ref().unwrap().is_some()).count();
    assert_eq!(granted, 1);
}

/// A lease is stored like everything else.
pub async fn a_lease_outlives_its_gateway(lab: Lab) {
    ask(&lab.store, "a", None, 0).await.unwrap();
    let other = lab.another().await;
    assert_eq!(ask(&other, "b", None, 9).await, None);
    assert_eq!(epoch(ask(&other, "b", None, 10).await), Some(2));
}
