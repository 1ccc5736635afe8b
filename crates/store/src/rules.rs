//! What each command of the store does to one application, as pure functions that all stores share.

use engine::store::{Fence, KEY_KEPT, Lease, LeaseRequest, NewApplication, Save, StoreError};
use model::application::{Application, Wish};
use model::audit::AuditEntry;
use model::event::{Event, EventKind};
use model::id::{ApplicationId, EventId, HolderId};
use model::state::State;
use model::time::Timestamp;

/// A lease as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredLease {
    pub(crate) epoch: u64,
    /// `None` after it was given up.
    pub(crate) holder: Option<HolderId>,
    pub(crate) expires_at: Timestamp,
}

/// The application that accepting `new` under `id` makes.
pub(crate) fn accepted(id: ApplicationId, new: NewApplication) -> Application {
    Application {
        id,
        spec: new.spec,
        owner: new.owner,
        retry_of: new.retry_of,
        backend: new.backend,
        shard: new.shard,
        state: State::Accepted,
        reason: None,
        wish: Wish::Run,
        attempts: Vec::new(),
        accepted_at: new.at,
        ready_at: new.at,
        ended_at: None,
        version: 1,
    }
}

/// The decision that let an application in, now that its id is known.
pub(crate) fn admission(audit: Option<AuditEntry>, id: ApplicationId) -> Option<AuditEntry> {
    audit.map(|entry| AuditEntry { object: id.to_string(), ..entry })
}

/// An idempotency key with what it was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UsedKey {
    pub(crate) fingerprint: [u8; 32],
    pub(crate) application: ApplicationId,
    /// When the application was removed.
    pub(crate) spent_at: Option<Timestamp>,
}

/// What a key that was used before says to a request: the application to answer, or `None` when it may be used anew.
pub(crate) fn replayed(
    used: &UsedKey,
    fingerprint: [u8; 32],
    at: Timestamp,
) -> Result<Option<ApplicationId>, StoreError> {
    match used.spent_at {
        Some(spent_at) if at >= spent_at.after(KEY_KEPT) => Ok(None),
        _ if used.fingerprint != fingerprint => Err(StoreError::KeyReused),
        Some(_) => Err(StoreError::KeySpent(used.application)),
        None => Ok(Some(used.application)),
    }
}

/// Whether `length` waiting applications leave room for one more.
pub(crate) fn check_queue(length: u64, queue_max: Option<u64>) -> Result<(), StoreError> {
    match queue_max {
        Some(max) if length >= max => Err(StoreError::Full(length)),
        _ => Ok(()),
    }
}

/// Whether a tenant with `open` applications that haven't ended may have one more.
pub(crate) fn check_tenant(open: u64, tenant_max: Option<u64>) -> Result<(), StoreError> {
    match tenant_max {
        Some(max) if open >= max => Err(StoreError::TenantFull(open)),
        _ => Ok(()),
    }
}

/// Whether `fence` proves the newest lease of its shard. One that was given up proves nothing.
pub(crate) fn check_fence(fence: &Fence, newest: Option<&StoredLease>) -> Result<(), StoreError> {
    match newest {
        Some(lease) if lease.epoch == fence.epoch && lease.holder.is_some() => Ok(()),
        _ => Err(StoreError::Fenced(fence.shard.clone())),
    }
}

/// Whether `save` may replace `stored`; the fence was checked before.
pub(crate) fn check_save(fence: &Fence, stored: Option<&Application>, save: &Save) -> Result<(), StoreError> {
    let next = &save.next;
    let stored = stored.ok_or(StoreError::Conflict(next.id))?;
    if stored.shard != fence.shard {
        return Err(StoreError::Fenced(fence.shard.clone()));
    }
    if stored.version.checked_add(1) != Some(next.version) {
        return Err(StoreError::Conflict(next.id));
    }
    if next.wish < stored.wish {
        return Err(StoreError::Corrupt(format!("a save would sink the wish of {}", next.id)));
    }
    if stored.state != next.state && !stored.state.may_become(next.state) {
        let (id, from, to) = (next.id, stored.state, next.state);
        return Err(StoreError::Corrupt(format!("a save would bring {id} from {from} to {to}")));
    }
    Ok(())
}

/// What is stored when `save` was found to be legal: the parts that never change stay as they were.
pub(crate) fn saved(stored: &Application, next: Application) -> Application {
    Application { spec: stored.spec.clone(), owner: stored.owner.clone(), accepted_at: stored.accepted_at, ..next }
}

/// The application with its wish raised; `None` when that changes nothing.
pub(crate) fn wished(stored: &Application, wish: Wish) -> Option<Application> {
    let vain = stored.state.is_terminal() && wish == Wish::Cancel;
    (wish > stored.wish && !vain).then(|| Application { wish, version: stored.version + 1, ..stored.clone() })
}

/// Whether `stored` may be removed; the fence was checked before.
pub(crate) fn check_remove(fence: &Fence, stored: &Application) -> Result<(), StoreError> {
    if stored.shard != fence.shard {
        return Err(StoreError::Fenced(fence.shard.clone()));
    }
    if holds_name(stored) { Err(StoreError::Conflict(stored.id)) } else { Ok(()) }
}

/// The lease that `request` gets, given what is stored; `None` when somebody else has it.
pub(crate) fn grant(request: &LeaseRequest, stored: Option<&StoredLease>) -> Option<(StoredLease, Lease)> {
    let held_by = stored.and_then(|lease| lease.holder.as_ref());
    let ours = held_by == Some(&request.holder);
    let runs = stored.is_some_and(|lease| lease.expires_at > request.now);
    if held_by.is_some() && !ours && runs {
        return None;
    }
    let epoch = stored.map_or(0, |lease| lease.epoch);
    let renews = ours && request.renew == Some(epoch);
    let epoch = if renews { epoch } else { epoch + 1 };
    // A renewal that was long on its way takes nothing back.
    let known = stored.filter(|_| renews).map_or(Timestamp::EPOCH, |lease| lease.expires_at);
    let expires_at = request.now.after(request.ttl).max(known);
    let fence = Fence { shard: request.shard.clone(), epoch };
    let stored = StoredLease { epoch, holder: Some(request.holder.clone()), expires_at };
    Some((stored, Lease { fence, expires_at }))
}

/// The lease after `holder` gave it up; `None` when it isn't the holder's any more.
pub(crate) fn released(fence: &Fence, holder: &HolderId, stored: Option<&StoredLease>) -> Option<StoredLease> {
    let ours = |lease: &&StoredLease| lease.epoch == fence.epoch && lease.holder.as_ref() == Some(holder);
    stored.filter(ours).map(|lease| StoredLease { holder: None, ..lease.clone() })
}

/// Whether its name is taken: until it is terminal and to be deleted, which is also when it can be removed.
pub(crate) fn holds_name(application: &Application) -> bool {
    !(application.state.is_terminal() && application.wish == Wish::Delete)
}

/// When it took its place in the queue; `None` when it isn't in it or nobody wants it to run.
pub(crate) fn queued_at(application: &Application) -> Option<Timestamp> {
    let queued = application.state == State::Accepted && application.wish == Wish::Run;
    queued.then_some(application.ready_at)
}

/// The instant that retention counts from; `None` while it isn't terminal and when it is to be deleted anyway.
pub(crate) fn retained_since(application: &Application) -> Option<Timestamp> {
    let retained = application.state.is_terminal() && application.wish < Wish::Delete;
    retained.then(|| application.ended_at.unwrap_or(application.accepted_at))
}

/// How many of `oldest` retention lets go: they are the oldest of `total`, in the order of their ends.
pub(crate) fn expired_count(
    oldest: &[Timestamp],
    total: u64,
    ended_before: Option<Timestamp>,
    keep: Option<u64>,
) -> usize {
    let excess = keep.map_or(0, |keep| total.saturating_sub(keep));
    let lets_go =
        |(index, ended): (u64, &Timestamp)| index < excess || ended_before.is_some_and(|before| *ended < before);
    (0..).zip(oldest).take_while(|&pair| lets_go(pair)).count()
}

/// The event that tells of `application` right after a change.
pub(crate) fn event(id: EventId, at: Timestamp, kind: EventKind, application: &Application) -> Event {
    Event {
        id,
        at,
        application: application.id,
        owner: application.owner.clone(),
        kind,
        state: application.state,
        attempt: application.attempts.last().map_or(0, |attempt| attempt.number),
        reason: application.reason.clone(),
        exit_code: application.exit_code(),
    }
}
