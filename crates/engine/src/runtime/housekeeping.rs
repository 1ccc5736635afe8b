//! What nobody waits for: letting go of old records, and finding what the store doesn't know of. All of it is paced.

use std::sync::PoisonError;
use std::time::Duration;

use model::application::Wish;

use super::lane::LaneHandle;
use super::{Retention, now};
use crate::backend::Owned;
use crate::reconciler::Input;
use crate::store::{DynStore, StoreError};

/// Time between two rounds.
const ROUND: Duration = Duration::from_secs(60);
/// Rounds between two looks for leftovers, which look at everything that a backend holds.
const ROUNDS_PER_SEARCH: u64 = 60;
/// Applications deleted or compared at once.
const BATCH: u32 = 100;
/// The pause between two of them, so that users don't notice.
const PACE: Duration = Duration::from_millis(5);

/// Keeps house for one backend for as long as the process lives.
pub(super) async fn keep(store: DynStore, lane: LaneHandle, retention: Retention) {
    while !lane.is_ready() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for round in 0_u64.. {
        if lane.is_ready() {
            if round.is_multiple_of(ROUNDS_PER_SEARCH) {
                report("find leftovers", find_leftovers(&store, &lane).await);
            }
            report("let go of old applications", let_go(&store, &lane, retention).await);
            report("trim events", trim_events(&store, retention.events_max).await);
            report("trim the record of audit", trim_audit(&store, retention.audit_max).await);
        }
        tokio::time::sleep(ROUND).await;
    }
}

fn report(what: &str, result: Result<(), StoreError>) {
    if let Err(error) = result {
        tracing::warn!(error = &error as &dyn std::error::Error, "{what}");
    }
}

/// Wishes away what retention doesn't keep; the reconciler does the rest.
async fn let_go(store: &DynStore, lane: &LaneHandle, retention: Retention) -> Result<(), StoreError> {
    loop {
        let at = now();
        let ended_before = retention.age_max.map(|age| at.before(age));
        let expired = store.expired(lane.backend.shard(), ended_before, retention.count_max, BATCH).await?;
        if expired.is_empty() {
            return Ok(());
        }
        for id in expired {
            if let Some(application) = store.wish(id, Wish::Delete, at).await? {
                lane.send(Input::Changed(Box::new(application))).await;
            }
            tokio::time::sleep(PACE).await;
        }
    }
}

async fn trim_events(store: &DynStore, keep: u64) -> Result<(), StoreError> {
    while store.trim_events(keep, 1_000).await? > 0 {
        tokio::time::sleep(PACE).await;
    }
    Ok(())
}

async fn trim_audit(store: &DynStore, keep: u64) -> Result<(), StoreError> {
    while store.trim_audit(keep, 1_000).await? > 0 {
        tokio::time::sleep(PACE).await;
    }
    Ok(())
}

/// Finds what the backend holds and the store doesn't know, and says so.
async fn find_leftovers(store: &DynStore, lane: &LaneHandle) -> Result<(), StoreError> {
    let owned = match lane.backend.list_owned().await {
        Ok(owned) => owned,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, backend = %lane.backend.name(), "list what is ours");
            return Ok(());
        }
    };
    let mut leftovers = Vec::new();
    for (index, one) in owned.into_iter().enumerate() {
        if !is_known(store, &one).await? {
            leftovers.push(one);
        }
        if index % BATCH as usize == BATCH as usize - 1 {
            tokio::time::sleep(PACE).await;
        }
    }
    let mut known = lane.figures.leftovers.lock().unwrap_or_else(PoisonError::into_inner);
    for one in leftovers.iter().filter(|one| !known.contains(one)) {
        tracing::warn!(attempt = %one.attempt, place = one.place, running = one.running, "found something that the store doesn't know");
    }
    *known = leftovers;
    Ok(())
}

async fn is_known(store: &DynStore, owned: &Owned) -> Result<bool, StoreError> {
    let Some(id) = owned.application else { return Ok(false) };
    let application = store.get(id).await?;
    Ok(application.is_some_and(|it| it.attempts.iter().any(|attempt| attempt.id == owned.attempt)))
}
