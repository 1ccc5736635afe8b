//! What SQLite and PostgreSQL share, which is nearly everything: commands, queries, rows and statements.
//!
//! A database contributes a [`connection`] and a [`Driver`]. Writers queue, and [`group`] runs what waits in one
//! transaction; [`command`] is what a command does there, [`ledger`] its counters; [`query`] is the reading side.

pub(crate) mod columns;
pub(crate) mod command;
pub(crate) mod connection;
pub(crate) mod group;
pub(crate) mod ledger;
pub(crate) mod list;
mod lookup;
pub(crate) mod places;
pub(crate) mod position;
pub(crate) mod query;
mod replay;
pub(crate) mod value;

use std::time::Duration;

use async_trait::async_trait;
use engine::store::{
    Accepted, AuditQuery, Fence, IdempotencyKey, Lease, LeaseRequest, ListQuery, NewApplication, Positioned, Save,
    Store, StoreError,
};
use model::application::{Application, Wish};
use model::audit::{AuditEntry, AuditRecord};
use model::event::Event;
use model::id::{ApplicationId, ApplicationKind, EventId, HolderId, Shard};
use model::principal::{Owner, Scope};
use model::time::Timestamp;
use tokio::sync::watch;

use self::command::{Command, Slot};
use self::query::{ByInstant, Instant, Query};

/// How long a command may take before its client is told that nothing is known about it.
const PATIENCE: Duration = Duration::from_secs(20);

/// How commands and queries reach a database.
pub(crate) trait Driver: Send + Sync + 'static {
    /// Queues a command; waits while the queue is full.
    fn submit(&self, command: Command) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Answers a query.
    fn read<Q: Query>(&self, query: Q) -> impl Future<Output = Result<Q::Output, StoreError>> + Send;

    /// The newest event that can be read.
    fn newest_event(&self) -> watch::Receiver<EventId>;
}

/// A store in a database.
#[derive(Debug)]
pub struct SqlStore<D> {
    pub(crate) driver: D,
}

#[allow(private_bounds, reason = "which drivers there are is this crate's own affair")]
impl<D: Driver> SqlStore<D> {
    async fn command<T: Send>(&self, command: impl FnOnce(Slot<T>) -> Command + Send) -> Result<T, StoreError> {
        let (slot, answer) = Slot::new();
        let answered = async {
            self.driver.submit(command(slot)).await?;
            answer.await.map_err(|_| StoreError::unavailable("the store's writer ended"))?
        };
        let late = |_| StoreError::unavailable(format!("no answer within {} seconds", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, answered).await.map_err(late)?
    }
}

#[async_trait]
impl<D: Driver> Store for SqlStore<D> {
    async fn accept(&self, new: NewApplication) -> Result<Accepted, StoreError> {
        self.command(|slot| Command::Accept(Box::new(new), slot)).await
    }

    async fn replay(
        &self,
        owner: &Owner,
        key: &IdempotencyKey,
        at: Timestamp,
    ) -> Result<Option<Application>, StoreError> {
        self.driver.read(replay::Replay::new(owner, key, at)).await
    }

    async fn save(&self, fence: &Fence, save: Save) -> Result<(), StoreError> {
        self.command(|slot| Command::Save(fence.clone(), Box::new(save), slot)).await
    }

    async fn wish(&self, id: ApplicationId, wish: Wish, at: Timestamp) -> Result<Option<Application>, StoreError> {
        self.command(|slot| Command::Wish(id, wish, at, slot)).await
    }

    async fn remove(&self, fence: &Fence, id: ApplicationId, at: Timestamp) -> Result<(), StoreError> {
        self.command(|slot| Command::Remove(fence.clone(), id, at, slot)).await
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Option<Lease>, StoreError> {
        self.command(|slot| Command::Lease(request, slot)).await
    }

    async fn release(&self, fence: &Fence, holder: &HolderId) -> Result<(), StoreError> {
        self.command(|slot| Command::Release(fence.clone(), holder.clone(), slot)).await
    }

    async fn get(&self, id: ApplicationId) -> Result<Option<Application>, StoreError> {
        self.driver.read(query::Get(id)).await
    }

    async fn get_by_name(
        &self,
        scope: &Scope,
        kind: ApplicationKind,
        name: &str,
    ) -> Result<Option<Application>, StoreError> {
        self.driver.read(query::ByName { scope: scope.clone(), kind, name: name.to_owned() }).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Application>, StoreError> {
        self.driver.read(query::List(query.clone())).await
    }

    async fn list_by_position(
        &self,
        scope: &Scope,
        kind: ApplicationKind,
        offset: u32,
        limit: u32,
    ) -> Result<Positioned, StoreError> {
        self.driver.read(position::ByPosition { kind, scope: scope.clone(), offset, limit }).await
    }

    async fn active(
        &self,
        shard: &Shard,
        after: Option<ApplicationId>,
        limit: u32,
    ) -> Result<Vec<Application>, StoreError> {
        self.driver.read(query::Active { shard: shard.clone(), after, limit }).await
    }

    async fn queue(
        &self,
        shard: &Shard,
        now: Timestamp,
        exclude: &[ApplicationId],
        limit: u32,
    ) -> Result<Vec<Application>, StoreError> {
        let (shard, exclude) = (shard.clone(), exclude.to_vec());
        self.driver.read(ByInstant { instant: Instant::Queued, shard, now, exclude, limit }).await
    }

    async fn due(
        &self,
        shard: &Shard,
        now: Timestamp,
        exclude: &[ApplicationId],
        limit: u32,
    ) -> Result<Vec<Application>, StoreError> {
        let (shard, exclude) = (shard.clone(), exclude.to_vec());
        self.driver.read(ByInstant { instant: Instant::Wake, shard, now, exclude, limit }).await
    }

    async fn next_due(&self, shard: &Shard, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.driver.read(query::NextDue(shard.clone(), now)).await
    }

    async fn queue_length(&self, shard: &Shard) -> Result<u64, StoreError> {
        self.driver.read(query::QueueLength(shard.clone())).await
    }

    async fn expired(
        &self,
        shard: &Shard,
        ended_before: Option<Timestamp>,
        keep: Option<u64>,
        limit: u32,
    ) -> Result<Vec<ApplicationId>, StoreError> {
        self.driver.read(query::Expired { shard: shard.clone(), ended_before, keep, limit }).await
    }

    async fn events(&self, after: EventId, limit: u32) -> Result<Vec<Event>, StoreError> {
        self.driver.read(query::Events(after, limit)).await
    }

    async fn last_event(&self) -> Result<EventId, StoreError> {
        self.driver.read(query::LastEvent).await
    }

    async fn record(&self, entries: Vec<AuditEntry>) -> Result<(), StoreError> {
        self.command(|slot| Command::Record(entries, slot)).await
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, StoreError> {
        self.driver.read(query::Audit(query.clone())).await
    }

    async fn trim_audit(&self, keep: u64, limit: u32) -> Result<u64, StoreError> {
        self.command(|slot| Command::TrimAudit { keep, limit, slot }).await
    }

    async fn trim_events(&self, keep: u64, limit: u32) -> Result<u64, StoreError> {
        self.command(|slot| Command::TrimEvents { keep, limit, slot }).await
    }

    fn newest_event(&self) -> watch::Receiver<EventId> {
        self.driver.newest_event()
    }
}
