//! A store in memory: the contract in its shortest form, for tests and the deterministic simulation.
//!
//! Every method finishes at its first poll and nothing depends on the order of a hash, so a simulation that polls
//! it is repeatable. A clone is another handle on the same data: what a restarted gateway would find.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use engine::store::{
    Accepted, AuditQuery, Cursor, Fence, IdempotencyKey, KEY_KEPT, Lease, LeaseRequest, ListQuery, NewApplication,
    Positioned, Save, Store, StoreError,
};
use model::application::{Application, Wish};
use model::audit::{AuditEntry, AuditId, AuditRecord};
use model::event::{Event, EventKind};
use model::id::{ApplicationId, ApplicationKind, EventId, HolderId, Shard, TenantName};
use model::principal::{Owner, Scope};
use model::state::State;
use model::time::Timestamp;
use tokio::sync::watch;

use crate::rules::{self, StoredLease, UsedKey};

/// A store that forgets everything when its last handle is dropped.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tables: Mutex<Tables>,
    newest_event: watch::Sender<EventId>,
}

/// User, tenant and key: keys of different owners never meet.
type KeyOfOwner = (String, String, String);

#[derive(Debug, Default)]
struct Tables {
    applications: BTreeMap<ApplicationId, Application>,
    next_number: BTreeMap<ApplicationKind, u32>,
    keys: BTreeMap<KeyOfOwner, UsedKey>,
    leases: BTreeMap<Shard, StoredLease>,
    events: VecDeque<Event>,
    last_event: EventId,
    audit: VecDeque<AuditRecord>,
    last_audit: AuditId,
}

impl Default for MemoryStore {
    fn default() -> Self {
        let newest_event = watch::Sender::new(EventId::default());
        Self { shared: Arc::new(Shared { tables: Mutex::default(), newest_event }) }
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Each command checks first and changes then, so a panic elsewhere leaves nothing half done.
        self.shared.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a command, then tells those who follow the newest event.
    fn command<T>(&self, run: impl FnOnce(&mut Tables) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut tables = self.tables();
        let answer = run(&mut tables);
        let newest = tables.last_event;
        self.shared.newest_event.send_if_modified(|seen| std::mem::replace(seen, newest) != newest);
        answer
    }
}

impl Tables {
    fn append(&mut self, at: Timestamp, kind: EventKind, application: &Application) {
        self.last_event = EventId(self.last_event.0 + 1);
        self.events.push_back(rules::event(self.last_event, at, kind, application));
    }

    fn of_shard<'a>(&'a self, shard: &'a Shard) -> impl Iterator<Item = &'a Application> {
        self.applications.values().filter(move |application| application.shard == *shard)
    }

    fn by_name(&self, scope: &Scope, kind: ApplicationKind, name: &str) -> Option<&Application> {
        let named =
            |a: &&Application| a.id.kind() == kind && a.spec.name.as_deref() == Some(name) && rules::holds_name(a);
        self.applications.values().rev().filter(|a| scope.contains(&a.owner)).find(named)
    }

    fn queue_length(&self, shard: &Shard) -> u64 {
        self.of_shard(shard).map(|a| u64::from(a.state == State::Accepted)).sum()
    }

    fn open_of(&self, tenant: &TenantName) -> u64 {
        self.applications.values().map(|a| u64::from(a.owner.tenant == *tenant && !a.state.is_terminal())).sum()
    }

    fn replay(&self, owner: &Owner, key: &IdempotencyKey, at: Timestamp) -> Result<Option<Application>, StoreError> {
        let Some(used) = self.keys.get(&key_of_owner(owner, &key.key)) else { return Ok(None) };
        let id = rules::replayed(used, key.fingerprint, at)?;
        Ok(id.and_then(|id| self.applications.get(&id).cloned()))
    }

    fn accept(&mut self, new: NewApplication) -> Result<Accepted, StoreError> {
        if let Some(key) = &new.idempotency
            && let Some(known) = self.replay(&new.owner, key, new.at)?
        {
            return Ok(Accepted::Replayed(known));
        }
        if let Some(name) = &new.spec.name
            && let Some(holder) = self.by_name(&Scope::Owner(new.owner.clone()), new.kind, name)
        {
            return Err(StoreError::NameTaken { name: name.clone(), holder: holder.id });
        }
        rules::check_queue(self.queue_length(&new.shard), new.queue_max)?;
        rules::check_tenant(self.open_of(&new.owner.tenant), new.tenant_max)?;
        let number = self.next_number.entry(new.kind).or_default();
        let id = ApplicationId::new(new.kind, *number).ok_or(StoreError::NumbersExhausted(new.kind))?;
        *number += 1;
        if let Some(IdempotencyKey { key, fingerprint }) = &new.idempotency {
            let used = UsedKey { fingerprint: *fingerprint, application: id, spent_at: None };
            self.keys.insert(key_of_owner(&new.owner, key), used);
        }
        self.record(rules::admission(new.audit.clone(), id).into_iter().collect());
        let application = rules::accepted(id, new);
        self.append(application.accepted_at, EventKind::Accepted, &application);
        self.applications.insert(id, application.clone());
        Ok(Accepted::Created(application))
    }

    fn save(&mut self, fence: &Fence, save: Save) -> Result<(), StoreError> {
        rules::check_fence(fence, self.leases.get(&fence.shard))?;
        rules::check_save(fence, self.applications.get(&save.next.id), &save)?;
        let id = save.next.id;
        let stored = self.applications.get(&id).ok_or(StoreError::Conflict(id))?;
        let next = rules::saved(stored, save.next);
        if let Some(kind) = save.event {
            self.append(save.at, kind, &next);
        }
        self.applications.insert(id, next);
        Ok(())
    }

    fn wish(&mut self, id: ApplicationId, wish: Wish, at: Timestamp) -> Option<Application> {
        let stored = self.applications.get(&id)?;
        let Some(next) = rules::wished(stored, wish) else { return Some(stored.clone()) };
        self.append(at, EventKind::Wish(wish), &next);
        self.applications.insert(id, next.clone());
        Some(next)
    }

    fn remove(&mut self, fence: &Fence, id: ApplicationId, at: Timestamp) -> Result<(), StoreError> {
        rules::check_fence(fence, self.leases.get(&fence.shard))?;
        let Some(stored) = self.applications.get(&id) else { return Ok(()) };
        rules::check_remove(fence, stored)?;
        if let Some(removed) = self.applications.remove(&id) {
            self.spend_key(id, at);
            self.append(at, EventKind::Removed, &removed);
        }
        Ok(())
    }

    fn spend_key(&mut self, id: ApplicationId, at: Timestamp) {
        let forget_before = at.before(KEY_KEPT);
        self.keys.retain(|_, used| used.spent_at.is_none_or(|spent| spent >= forget_before));
        for used in self.keys.values_mut().filter(|used| used.application == id) {
            used.spent_at = Some(at);
        }
    }

    fn lease(&mut self, request: &LeaseRequest) -> Option<Lease> {
        let (stored, lease) = rules::grant(request, self.leases.get(&request.shard))?;
        self.leases.insert(request.shard.clone(), stored);
        Some(lease)
    }

    fn release(&mut self, fence: &Fence, holder: &HolderId) {
        if let Some(lease) = rules::released(fence, holder, self.leases.get(&fence.shard)) {
            self.leases.insert(fence.shard.clone(), lease);
        }
    }

    fn list(&self, query: &ListQuery) -> Vec<Application> {
        let mut found: Vec<_> = self.applications.values().filter(|a| matches(query, a)).collect();
        found.sort_by_key(|a| std::cmp::Reverse(place(a)));
        found.into_iter().take(query.limit as usize).cloned().collect()
    }

    fn list_by_position(&self, scope: &Scope, kind: ApplicationKind, offset: u32, limit: u32) -> Positioned {
        let all = || self.applications.values().filter(|a| a.id.kind() == kind && scope.contains(&a.owner));
        let applications = all().skip(offset as usize).take(limit as usize).cloned().collect();
        Positioned { applications, total: all().count() as u64 }
    }

    fn queue(&self, shard: &Shard, now: Timestamp, exclude: &[ApplicationId], limit: u32) -> Vec<Application> {
        let ready = |a: &&Application| rules::queued_at(a).is_some_and(|at| at <= now) && !exclude.contains(&a.id);
        let mut found: Vec<_> = self.of_shard(shard).filter(ready).collect();
        found.sort_by_key(|a| (a.ready_at, a.id));
        found.into_iter().take(limit as usize).cloned().collect()
    }

    fn due(&self, shard: &Shard, now: Timestamp, exclude: &[ApplicationId], limit: u32) -> Vec<Application> {
        let due = |a: &&Application| a.wake_at().is_some_and(|at| at <= now) && !exclude.contains(&a.id);
        let mut found: Vec<_> = self.of_shard(shard).filter(due).collect();
        found.sort_by_key(|a| (a.wake_at(), a.id));
        found.into_iter().take(limit as usize).cloned().collect()
    }

    fn next_due(&self, shard: &Shard, now: Timestamp) -> Option<Timestamp> {
        self.of_shard(shard).flat_map(|a| [rules::queued_at(a), a.wake_at()]).flatten().filter(|at| *at > now).min()
    }

    fn expired(
        &self,
        shard: &Shard,
        ended_before: Option<Timestamp>,
        keep: Option<u64>,
        limit: u32,
    ) -> Vec<ApplicationId> {
        let mut terminal: Vec<_> =
            self.of_shard(shard).filter_map(|a| Some((rules::retained_since(a)?, a.id))).collect();
        terminal.sort();
        let total = terminal.len() as u64;
        terminal.truncate(limit as usize);
        let (ends, ids): (Vec<_>, Vec<_>) = terminal.into_iter().unzip();
        let count = rules::expired_count(&ends, total, ended_before, keep);
        ids.into_iter().take(count).collect()
    }

    fn events(&self, after: EventId, limit: u32) -> Vec<Event> {
        let start = self.events.partition_point(|event| event.id <= after);
        self.events.iter().skip(start).take(limit as usize).cloned().collect()
    }

    fn record(&mut self, entries: Vec<AuditEntry>) {
        for entry in entries {
            self.last_audit = AuditId(self.last_audit.0 + 1);
            self.audit.push_back(AuditRecord { id: self.last_audit, entry });
        }
    }

    fn audit(&self, query: &AuditQuery) -> Vec<AuditRecord> {
        let wanted = |record: &&AuditRecord| {
            let entry = &record.entry;
            query.before.is_none_or(|before| record.id < before)
                && query.user.as_ref().is_none_or(|user| entry.user.as_ref() == Some(user))
                && query.tenant.as_ref().is_none_or(|tenant| entry.tenant.as_ref() == Some(tenant))
                && query.decision.is_none_or(|decision| entry.decision == decision)
        };
        self.audit.iter().rev().filter(wanted).take(query.limit as usize).cloned().collect()
    }

    fn trim_audit(&mut self, keep: u64, limit: u32) -> u64 {
        let excess = (self.audit.len() as u64).saturating_sub(keep).min(u64::from(limit));
        (0..excess).for_each(|_| drop(self.audit.pop_front()));
        excess
    }

    fn trim_events(&mut self, keep: u64, limit: u32) -> u64 {
        let excess = (self.events.len() as u64).saturating_sub(keep).min(u64::from(limit));
        (0..excess).for_each(|_| drop(self.events.pop_front()));
        excess
    }
}

fn key_of_owner(owner: &Owner, key: &str) -> KeyOfOwner {
    (owner.user.as_str().to_owned(), owner.tenant.as_str().to_owned(), key.to_owned())
}

/// Its place in the list of applications, oldest first.
fn place(application: &Application) -> (Timestamp, ApplicationId) {
    (application.accepted_at, application.id)
}

fn matches(query: &ListQuery, application: &Application) -> bool {
    let ListQuery { scope, kind, states, backend, name, labels, owner, external_id, after, limit: _ } = query;
    let spec = &application.spec;
    scope.contains(&application.owner)
        && kind.is_none_or(|kind| kind == application.id.kind())
        && (states.is_empty() || states.contains(&application.state))
        && backend.as_ref().is_none_or(|backend| *backend == application.backend)
        && (name.is_none() || *name == spec.name)
        && labels.iter().all(|(key, value)| spec.labels.get(key) == Some(value))
        && owner.as_ref().is_none_or(|user| *user == application.owner.user)
        && (external_id.is_none() || *external_id == spec.external_id)
        && after.is_none_or(|Cursor { accepted_at, id }| place(application) < (accepted_at, id))
}

#[async_trait]
impl Store for MemoryStore {
    async fn accept(&self, new: NewApplication) -> Result<Accepted, StoreError> {
        self.command(|tables| tables.accept(new))
    }

    async fn replay(
        &self,
        owner: &Owner,
        key: &IdempotencyKey,
        at: Timestamp,
    ) -> Result<Option<Application>, StoreError> {
        self.tables().replay(owner, key, at)
    }

    async fn save(&self, fence: &Fence, save: Save) -> Result<(), StoreError> {
        self.command(|tables| tables.save(fence, save))
    }

    async fn wish(&self, id: ApplicationId, wish: Wish, at: Timestamp) -> Result<Option<Application>, StoreError> {
        self.command(|tables| Ok(tables.wish(id, wish, at)))
    }

    async fn remove(&self, fence: &Fence, id: ApplicationId, at: Timestamp) -> Result<(), StoreError> {
        self.command(|tables| tables.remove(fence, id, at))
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Option<Lease>, StoreError> {
        self.command(|tables| Ok(tables.lease(&request)))
    }

    async fn release(&self, fence: &Fence, holder: &HolderId) -> Result<(), StoreError> {
        self.command(|tables| {
            tables.release(fence, holder);
            Ok(())
        })
    }

    async fn get(&self, id: ApplicationId) -> Result<Option<Application>, StoreError> {
        Ok(self.tables().applications.get(&id).cloned())
    }

    async fn get_by_name(
        &self,
        scope: &Scope,
        kind: ApplicationKind,
        name: &str,
    ) -> Result<Option<Application>, StoreError> {
        Ok(self.tables().by_name(scope, kind, name).cloned())
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Application>, StoreError> {
        Ok(self.tables().list(query))
    }

    async fn list_by_position(
        &self,
        scope: &Scope,
        kind: ApplicationKind,
        offset: u32,
        limit: u32,
    ) -> Result<Positioned, StoreError> {
        Ok(self.tables().list_by_position(scope, kind, offset, limit))
    }

    async fn active(
        &self,
        shard: &Shard,
        after: Option<ApplicationId>,
        limit: u32,
    ) -> Result<Vec<Application>, StoreError> {
        let tables = self.tables();
        let wanted = |a: &&Application| a.state.is_active() && after.is_none_or(|after| a.id > after);
        Ok(tables.of_shard(shard).filter(wanted).take(limit as usize).cloned().collect())
    }

    async fn queue(
        &self,
        shard: &Shard,
        now: Timestamp,
        exclude: &[ApplicationId],
        limit: u32,
    ) -> Result<Vec<Application>, StoreError> {
        Ok(self.tables().queue(shard, now, exclude, limit))
    }

    async fn due(
        &self,
        shard: &Shard,
        now: Timestamp,
        exclude: &[ApplicationId],
        limit: u32,
    ) -> Result<Vec<Application>, StoreError> {
        Ok(self.tables().due(shard, now, exclude, limit))
    }

    async fn next_due(&self, shard: &Shard, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.tables().next_due(shard, now))
    }

    async fn queue_length(&self, shard: &Shard) -> Result<u64, StoreError> {
        Ok(self.tables().queue_length(shard))
    }

    async fn expired(
        &self,
        shard: &Shard,
        ended_before: Option<Timestamp>,
        keep: Option<u64>,
        limit: u32,
    ) -> Result<Vec<ApplicationId>, StoreError> {
        Ok(self.tables().expired(shard, ended_before, keep, limit))
    }

    async fn events(&self, after: EventId, limit: u32) -> Result<Vec<Event>, StoreError> {
        Ok(self.tables().events(after, limit))
    }

    async fn last_event(&self) -> Result<EventId, StoreError> {
        Ok(self.tables().last_event)
    }

    async fn record(&self, entries: Vec<AuditEntry>) -> Result<(), StoreError> {
        self.tables().record(entries);
        Ok(())
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, StoreError> {
        Ok(self.tables().audit(query))
    }

    async fn trim_audit(&self, keep: u64, limit: u32) -> Result<u64, StoreError> {
        Ok(self.tables().trim_audit(keep, limit))
    }

    async fn trim_events(&self, keep: u64, limit: u32) -> Result<u64, StoreError> {
        self.command(|tables| Ok(tables.trim_events(keep, limit)))
    }

    fn newest_event(&self) -> watch::Receiver<EventId> {
        self.shared.newest_event.subscribe()
    }
}
