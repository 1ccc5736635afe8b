//! Times every command of a store.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use engine::store::{
    Accepted, AuditQuery, DynStore, Fence, IdempotencyKey, Lease, LeaseRequest, ListQuery, NewApplication, Positioned,
    Save, Store, StoreError,
};
use model::application::{Application, Wish};
use model::audit::{AuditEntry, AuditRecord};
use model::event::Event;
use model::id::{ApplicationId, ApplicationKind, EventId, HolderId, Shard};
use model::principal::{Owner, Scope};
use model::time::Timestamp;
use tokio::sync::watch;

use super::Metrics;

/// A store that tells how long it takes.
pub(crate) struct Measured {
    store: DynStore,
    metrics: Arc<Metrics>,
}

impl Measured {
    /// `store`, timed.
    pub(crate) const fn new(store: DynStore, metrics: Arc<Metrics>) -> Self {
        Self { store, metrics }
    }

    async fn timed<T>(
        &self,
        command: &'static str,
        answer: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let start = Instant::now();
        let answer = answer.await;
        let is_ok = !matches!(answer, Err(StoreError::Unavailable(_) | StoreError::Corrupt(_)));
        self.metrics.observe_store(command, is_ok, start.elapsed());
        answer
    }
}

#[async_trait]
impl Store for Measured {
    async fn accept(&self, new: NewApplication) -> Result<Accepted, StoreError> {
        self.timed("accept", self.store.accept(new)).await
    }

    async fn replay(
        &self,
        owner: &Owner,
        key: &IdempotencyKey,
        at: Timestamp,
    ) -> Result<Option<Application>, StoreError> {
        self.timed("replay", self.store.replay(owner, key, at)).await
    }

    async fn save(&self, fence: &Fence, save: Save) -> Result<(), StoreError> {
        self.timed("save", self.store.save(fence, save)).await
    }

    async fn wish(&self, id: ApplicationId, wish: Wish, at: Timestamp) -> Result<Option<Application>, StoreError> {
        self.timed("wish", self.store.wish(id, wish, at)).await
    }

    async fn remove(&self, fence: &Fence, id: ApplicationId, at: Timestamp) -> Result<(), StoreError> {
        self.timed("remove", self.store.remove(fence, id, at)).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Option<Lease>, StoreError> {
        self.timed("lease", self.store.lease(request)).await
    }

    async fn release(&self, fence: &Fence, holder: &HolderId) -> Result<(), StoreError> {
        self.timed("release", self.store.release(fence, holder)).await
    }

    async fn get(&self, id: ApplicationId) -> Result<Option<Application>, StoreError> {
        self.timed("get", self.store.get(id)).await
    }

    async fn get_by_name(
        &self,
        scope: &Scope,
        kind: ApplicationKind,
        name: &str,
    ) -> Result<Option<Application>, StoreError> {
        self.timed("get_by_name", self.store.get_by_name(scope, kind, name)).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Application>, StoreError> {
        self.timed("list", self.store.list(query)).await
    }

    async fn list_by_position(
        &self,
        scope: &Scope,
        kind: ApplicationKind,
        offset: u32,
        limit: u32,
    ) -> Result<Positioned, StoreError> {
        self.timed("list_by_position", self.store.list_by_position(scope, kind, offset, limit)).await
    }

    async fn active(
        &self,
        shard: &Shard,
        after: Option<ApplicationId>,
        limit: u32,
    ) -> Result<Vec<Application>, StoreError> {
        self.timed("active", self.store.active(shard, after, limit)).await
    }

    async fn queue(
        &self,
        shard: &Shard,
        now: Timestamp,
        exclude: &[ApplicationId],
        limit: u32,
    ) -> Result<Vec<Application>, StoreError> {
        self.timed("queue", self.store.queue(shard, now, exclude, limit)).await
    }

    async fn due(
        &self,
        shard: &Shard,
        now: Timestamp,
        exclude: &[ApplicationId],
        limit: u32,
    ) -> Result<Vec<Application>, StoreError> {
        self.timed("due", self.store.due(shard, now, exclude, limit)).await
    }

    async fn next_due(&self, shard: &Shard, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.timed("next_due", self.store.next_due(shard, now)).await
    }

    async fn queue_length(&self, shard: &Shard) -> Result<u64, StoreError> {
        self.timed("queue_length", self.store.queue_length(shard)).await
    }

    async fn expired(
        &self,
        shard: &Shard,
        ended_before: Option<Timestamp>,
        keep: Option<u64>,
        limit: u32,
    ) -> Result<Vec<ApplicationId>, StoreError> {
        self.timed("expired", self.store.expired(shard, ended_before, keep, limit)).await
    }

    async fn events(&self, after: EventId, limit: u32) -> Result<Vec<Event>, StoreError> {
        self.timed("events", self.store.events(after, limit)).await
    }

    async fn last_event(&self) -> Result<EventId, StoreError> {
        self.timed("last_event", self.store.last_event()).await
    }

    async fn trim_events(&self, keep: u64, limit: u32) -> Result<u64, StoreError> {
        self.timed("trim_events", self.store.trim_events(keep, limit)).await
    }

    async fn record(&self, entries: Vec<AuditEntry>) -> Result<(), StoreError> {
        self.timed("record", self.store.record(entries)).await
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, StoreError> {
        self.timed("audit", self.store.audit(query)).await
    }

    async fn trim_audit(&self, keep: u64, limit: u32) -> Result<u64, StoreError> {
        self.timed("trim_audit", self.store.trim_audit(keep, limit)).await
    }

    fn newest_event(&self) -> watch::Receiver<EventId> {
        self.store.newest_event()
    }
}
