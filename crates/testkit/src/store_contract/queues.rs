//! Laws of what the engine asks to find work: queue, due, active and expired applications.

use std::sync::Arc;
use std::time::Duration;

use engine::store::{Fence, NewApplication};
use model::application::Wish;
use model::id::{ApplicationId, ApplicationKind};
use model::spec::{ApplicationSpec, Limits};
use model::state::State;
use model::time::Timestamp;

use super::{Lab, at, batch, ids, other_shard, shard, spec};

async fn queue(lab: &Lab, now: i64, exclude: &[ApplicationId], limit: u32) -> Vec<u32> {
    let queued = lab.store.queue(&shard(), at(now), exclude, limit).await.unwrap();
    queued.iter().map(|application| application.id.number()).collect()
}

fn impatient(accepted: i64, queue_timeout_ms: u64) -> NewApplication {
    let limits = Limits { queue_timeout: Some(Duration::from_millis(queue_timeout_ms)), ..Limits::default() };
    NewApplication { spec: Arc::new(ApplicationSpec { limits, ..spec() }), at: at(accepted), ..batch() }
}

/// Who is ready longest comes first; of those that are ready since the same instant, the smallest id.
pub async fn the_queue_is_in_order(lab: Lab) {
    let fence = lab.fence().await;
    for accepted in [30, 10, 20, 10, 40] {
        lab.accept(NewApplication { at: at(accepted), ..batch() }).await;
    }
    assert_eq!(queue(&lab, 40, &[], 9).await, [1, 3, 2, 0, 4]);
    assert_eq!(queue(&lab, 30, &[], 9).await, [1, 3, 2, 0], "what is ready later isn't ready");
    assert_eq!(queue(&lab, 9, &[], 9).await, [0; 0]);
    assert_eq!(queue(&lab, 40, &[], 2).await, [1, 3]);
    let first = ApplicationId::new(ApplicationKind::Batch, 1).unwrap();
    lab.change(&fence, first, |next| next.ready_at = at(25)).await;
    assert_eq!(queue(&lab, 40, &[], 9).await, [3, 2, 1, 0, 4]);
    lab.bring(&fence, first, State::Running).await;
    assert_eq!(queue(&lab, 40, &[], 9).await, [3, 2, 0, 4]);
    lab.change(&fence, first, |next| super::step_to(next, State::Accepted)).await;
    assert_eq!(queue(&lab, 40, &[], 9).await, [3, 2, 1, 0, 4], "what is tried again waits again");
}

/// Excluded, unwanted and foreign applications aren't queued, and don't count towards the limit.
pub async fn the_queue_leaves_out(lab: Lab) {
    let mut accepted = Vec::new();
    for _ in 0..5 {
        accepted.push(lab.accept(batch()).await.id);
    }
    lab.accept(NewApplication { shard: other_shard(), ..batch() }).await;
    lab.wish(accepted[1], Wish::Cancel).await;
    lab.wish(accepted[2], Wish::Delete).await;
    assert_eq!(queue(&lab, 9, &accepted[..1], 9).await, [3, 4]);
    assert_eq!(queue(&lab, 9, &accepted[..1], 1).await, [3]);
    assert_eq!(queue(&lab, 9, &accepted, 9).await, [0; 0]);
}

/// What somebody must look at: queue limits that ran out, wishes about what waits, deletions of what ended.
pub async fn due_are_the_earliest_first(lab: Lab) {
    let fence = lab.fence().await;
    let slow = lab.accept(impatient(0, 500)).await.id;
    let fast = lab.accept(impatient(100, 50)).await.id;
    let unwanted = lab.accept(batch()).await.id;
    let deleted = lab.accept(batch()).await.id;
    lab.accept(batch()).await;
    lab.accept(NewApplication { shard: other_shard(), ..impatient(0, 1) }).await;
    let due = async |now, limit| ids(&lab.store.due(&shard(), at(now), &[], limit).await.unwrap());
    assert_eq!(due(149, 9).await, []);
    assert_eq!(due(150, 9).await, [fast]);
    assert_eq!(due(500, 9).await, [fast, slow]);

    lab.wish(unwanted, Wish::Cancel).await;
    lab.wish(deleted, Wish::Delete).await;
    assert_eq!(due(500, 9).await, [unwanted, deleted, fast, slow]);
    assert_eq!(due(500, 3).await, [unwanted, deleted, fast]);
    assert_eq!(ids(&lab.store.due(&shard(), at(500), &[unwanted, fast], 1).await.unwrap()), [deleted]);
    lab.bring(&fence, unwanted, State::Cancelled).await;
    lab.bring(&fence, fast, State::Starting).await;
    assert_eq!(due(500, 9).await, [deleted, slow]);
    lab.bring(&fence, deleted, State::Cancelled).await;
    assert_eq!(due(500, 9).await, [deleted, slow], "it must be removed");
}

/// The next instant is that of the next ready or due application, and always later than now.
pub async fn next_due_is_the_next_change(lab: Lab) {
    let fence = lab.fence().await;
    let next_due = async |now| lab.store.next_due(&shard(), at(now)).await.unwrap();
    assert_eq!(next_due(0).await, None);
    let waiting = lab.accept(impatient(10, 90)).await.id;
    lab.accept(NewApplication { shard: other_shard(), at: at(1), ..batch() }).await;
    let expected = [(0, Some(at(10))), (9, Some(at(10))), (10, Some(at(100))), (99, Some(at(100))), (100, None)];
    for (now, next) in expected {
        assert_eq!(next_due(now).await, next, "at {now}");
    }
    lab.change(&fence, waiting, |next| next.ready_at = at(50)).await;
    assert_eq!(next_due(10).await, Some(at(50)));
    lab.wish(waiting, Wish::Cancel).await;
    assert_eq!(next_due(10).await, None, "it is due already");
    assert_eq!(lab.store.next_due(&shard(), Timestamp::from_millis(-1)).await.unwrap(), Some(Timestamp::EPOCH));
}

/// Everything that is accepted and not started counts, wanted or not.
pub async fn queue_length_counts_the_accepted(lab: Lab) {
    let fence = lab.fence().await;
    let length = async || lab.store.queue_length(&shard()).await.unwrap();
    assert_eq!(length().await, 0);
    let mut accepted = Vec::new();
    for _ in 0..4 {
        accepted.push(lab.accept(batch()).await.id);
    }
    assert_eq!(length().await, 4);
    lab.wish(accepted[0], Wish::Delete).await;
    lab.bring(&fence, accepted[1], State::Running).await;
    assert_eq!(length().await, 3);
    lab.change(&fence, accepted[1], |next| super::step_to(next, State::Accepted)).await;
    assert_eq!(length().await, 4);
    lab.bring(&fence, accepted[0], State::Cancelled).await;
    lab.store.remove(&fence, accepted[0], at(9)).await.unwrap();
    lab.change(&fence, accepted[2], |next| next.shard = other_shard()).await;
    assert_eq!((length().await, lab.store.queue_length(&other_shard()).await.unwrap()), (2, 1));
}

/// Active applications can be walked through by id.
pub async fn active_applications_page_by_id(lab: Lab) {
    let fence = lab.fence().await;
    let states = [State::Running, State::Accepted, State::Starting, State::Succeeded, State::Stopping, State::Running];
    let mut active = Vec::new();
    for kind in [ApplicationKind::Server, ApplicationKind::Batch] {
        for state in states {
            let id = lab.accept(NewApplication { kind, ..batch() }).await.id;
            let application = lab.bring(&fence, id, state).await;
            active.extend(state.is_active().then_some(application));
        }
    }
    active.sort_by_key(|application| application.id);
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = lab.store.active(&shard(), after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        seen.extend(page);
    }
    assert_eq!(seen, active);
    assert_eq!(lab.store.active(&other_shard(), None, 9).await.unwrap(), []);
}

/// Ten ended applications; the one accepted as `n` ended at `100 - 10 n`, so that the youngest ended first.
async fn ten_ended(lab: &Lab) -> Fence {
    let fence = lab.fence().await;
    for n in 0..10 {
        let id = lab.accept(batch()).await.id;
        let state = [State::Succeeded, State::Failed, State::Cancelled][n % 3];
        lab.bring(&fence, id, state).await;
        let ended_at = at(100 - 10 * i64::try_from(n).unwrap());
        lab.change(&fence, id, |next| next.ended_at = Some(ended_at)).await;
    }
    let running = lab.accept(batch()).await.id;
    lab.bring(&fence, running, State::Running).await;
    lab.accept(batch()).await;
    fence
}

async fn expired(lab: &Lab, before: Option<i64>, keep: Option<u64>, limit: u32) -> Vec<u32> {
    let ids = lab.store.expired(&shard(), before.map(at), keep, limit).await.unwrap();
    ids.into_iter().map(ApplicationId::number).collect()
}

/// What ended before an instant goes, oldest end first.
pub async fn retention_by_age(lab: Lab) {
    ten_ended(&lab).await;
    assert_eq!(expired(&lab, Some(40), None, 9).await, [9, 8, 7]);
    assert_eq!(expired(&lab, Some(41), None, 9).await, [9, 8, 7, 6]);
    assert_eq!(expired(&lab, Some(41), None, 2).await, [9, 8]);
    assert_eq!(expired(&lab, Some(0), None, 9).await, [0; 0]);
    assert_eq!(lab.store.expired(&other_shard(), Some(at(500)), Some(0), 9).await.unwrap(), []);
}

/// What is beyond the newest goes; what is on its way out already isn't named again, nor counted.
pub async fn retention_by_count(lab: Lab) {
    let fence = ten_ended(&lab).await;
    assert_eq!(expired(&lab, None, Some(10), 99).await, [0; 0]);
    assert_eq!(expired(&lab, None, Some(7), 99).await, [9, 8, 7]);
    assert_eq!(expired(&lab, None, Some(7), 1).await, [9]);
    assert_eq!(expired(&lab, None, Some(0), 99).await.len(), 10);
    for number in [9, 4] {
        let id = ApplicationId::new(ApplicationKind::Batch, number).unwrap();
        lab.wish(id, Wish::Delete).await;
    }
    assert_eq!(expired(&lab, None, Some(7), 99).await, [8]);
    lab.store.remove(&fence, ApplicationId::new(ApplicationKind::Batch, 4).unwrap(), at(9)).await.unwrap();
    assert_eq!(expired(&lab, None, Some(7), 99).await, [8]);
}

/// Either rule lets an application go; without rules all stay.
pub async fn retention_by_both(lab: Lab) {
    ten_ended(&lab).await;
    assert_eq!(expired(&lab, Some(31), Some(9), 99).await, [9, 8, 7]);
    assert_eq!(expired(&lab, Some(11), Some(8), 99).await, [9, 8]);
    assert_eq!(expired(&lab, None, None, 99).await, [0; 0]);
}
