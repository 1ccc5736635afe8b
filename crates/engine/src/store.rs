//! What the engine needs of a store. Adapters live in the crate `store`.
//!
//! Every command is one small atomic change, durable before it answers. There are no closures and no open
//! transactions, so that memory, SQLite and PostgreSQL can do the same, and so that many commands can share
//! one commit.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::application::{Application, Wish};
use model::audit::{AuditDecision, AuditEntry, AuditId, AuditRecord};
use model::event::{Event, EventKind};
use model::id::{ApplicationId, ApplicationKind, BackendName, EventId, HolderId, Shard, TenantName, UserName};
use model::principal::{Owner, Scope};
use model::spec::ApplicationSpec;
use model::state::State;
use model::time::Timestamp;
use tokio::sync::watch;

/// Durable memory of applications, leases and events.
///
/// All implementations pass one suite (`testkit::store_contract`).
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Stores a new application in state `accepted` with the next number of its kind, and the event
    /// [`EventKind::Accepted`].
    ///
    /// With an idempotency key that the same owner used before, answers the application of that time. When that
    /// was removed less than [`KEY_KEPT`] ago the key is spent: a repetition that was long on its way must not
    /// run the program again.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`], [`StoreError::KeyReused`], [`StoreError::KeySpent`], [`StoreError::Full`],
    /// [`StoreError::TenantFull`].
    async fn accept(&self, new: NewApplication) -> Result<Accepted, StoreError>;

    /// What [`Store::accept`] would answer to a request with this key of `owner` because of an earlier one; `None`
    /// when the key is new or kept no longer. Changes nothing.
    ///
    /// # Errors
    /// [`StoreError::KeyReused`], [`StoreError::KeySpent`].
    async fn replay(
        &self,
        owner: &Owner,
        key: &IdempotencyKey,
        at: Timestamp,
    ) -> Result<Option<Application>, StoreError>;

    /// Replaces the mutable part of an application (all but id, spec, owner, `accepted_at`) by `save.next`, if
    /// the stored version is `save.next.version - 1` and `fence` is still the shard's newest lease, and appends
    /// an event when `save.event` says so. The wish is part of the mutable part. The fence is checked first.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when `model::state` has no such transition or the wish would sink, both of which
    /// are the caller's mistake,
    /// [`StoreError::Conflict`] when the version differs or the application is gone, [`StoreError::Fenced`]
    /// when a newer lease exists.
    async fn save(&self, fence: &Fence, save: Save) -> Result<(), StoreError>;

    /// Raises the wish of an application (it never sinks) and appends [`EventKind::Wish`] when it changed.
    /// Anyone may do this, no lease is needed. A `Cancel` of a terminal application changes nothing.
    /// Answers the application as it is afterwards; `None` when there is none.
    async fn wish(&self, id: ApplicationId, wish: Wish, at: Timestamp) -> Result<Option<Application>, StoreError>;

    /// Removes a terminal application whose wish is `Delete` and appends [`EventKind::Removed`]. Its idempotency
    /// key stays for [`KEY_KEPT`] after `at` and is forgotten some time later. Removing what is gone succeeds.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it isn't terminal or nobody wished it, [`StoreError::Fenced`].
    async fn remove(&self, fence: &Fence, id: ApplicationId, at: Timestamp) -> Result<(), StoreError>;

    /// Takes or renews the lease of a shard: granted when it is free, has run out at `now`, or is `holder`'s.
    /// A renewal with the current epoch (`renew = Some(epoch)`) keeps the epoch; anything else raises it.
    /// `None` when another holder has it.
    async fn lease(&self, request: LeaseRequest) -> Result<Option<Lease>, StoreError>;

    /// Gives the lease up, so that another holder needn't wait for its end; its fence proves nothing afterwards.
    /// Without effect when it isn't ours any more.
    async fn release(&self, fence: &Fence, holder: &HolderId) -> Result<(), StoreError>;

    /// One application.
    async fn get(&self, id: ApplicationId) -> Result<Option<Application>, StoreError>;

    /// The application of this kind with this name in the scope; names of one owner are unique among those whose
    /// wish isn't `Delete` or that aren't terminal yet. Where several owners have the name, it is the one with the
    /// highest number.
    async fn get_by_name(
        &self,
        scope: &Scope,
        kind: ApplicationKind,
        name: &str,
    ) -> Result<Option<Application>, StoreError>;

    /// A page of applications, newest first.
    async fn list(&self, query: &ListQuery) -> Result<Vec<Application>, StoreError>;

    /// `limit` applications of a kind from position `offset` of the scope on, oldest first, and how many the scope
    /// has in all: Livy's list.
    async fn list_by_position(
        &self,
        scope: &Scope,
        kind: ApplicationKind,
        offset: u32,
        limit: u32,
    ) -> Result<Positioned, StoreError>;

    /// Applications of the shard whose state is active (starting, running, stopping), by id, after `after`.
    async fn active(
        &self,
        shard: &Shard,
        after: Option<ApplicationId>,
        limit: u32,
    ) -> Result<Vec<Application>, StoreError>;

    /// Accepted applications of the shard that nobody wants ended and whose `ready_at` is at most `now`,
    /// in the order of `ready_at`, then id; those of `exclude` are left out.
    async fn queue(
        &self,
        shard: &Shard,
        now: Timestamp,
        exclude: &[ApplicationId],
        limit: u32,
    ) -> Result<Vec<Application>, StoreError>;

    /// Applications of the shard whose [`Application::wake_at`] is at most `now`, earliest first; those of
    /// `exclude` are left out.
    async fn due(
        &self,
        shard: &Shard,
        now: Timestamp,
        exclude: &[ApplicationId],
        limit: u32,
    ) -> Result<Vec<Application>, StoreError>;

    /// The earliest instant after `now` at which [`Store::queue`] or [`Store::due`] of the shard will have something new.
    async fn next_due(&self, shard: &Shard, now: Timestamp) -> Result<Option<Timestamp>, StoreError>;

    /// Number of applications of the shard in state `accepted`: the length of its queue.
    async fn queue_length(&self, shard: &Shard) -> Result<u64, StoreError>;

    /// Ids of terminal applications of the shard, oldest end first, that retention lets go: those that ended
    /// before `ended_before`, and those beyond the newest `keep` terminal ones; without those already wished deleted.
    async fn expired(
        &self,
        shard: &Shard,
        ended_before: Option<Timestamp>,
        keep: Option<u64>,
        limit: u32,
    ) -> Result<Vec<ApplicationId>, StoreError>;

    /// Events after `after`, in order.
    async fn events(&self, after: EventId, limit: u32) -> Result<Vec<Event>, StoreError>;

    /// The id of the newest event; zero when there is none.
    async fn last_event(&self) -> Result<EventId, StoreError>;

    /// Forgets events older than the newest `keep`, at most `limit` of them at once; how many went.
    async fn trim_events(&self, keep: u64, limit: u32) -> Result<u64, StoreError>;

    /// Appends decisions to the record of audit, in their order.
    async fn record(&self, entries: Vec<AuditEntry>) -> Result<(), StoreError>;

    /// A page of the record of audit, newest first.
    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, StoreError>;

    /// Forgets records of audit older than the newest `keep`, at most `limit` of them at once; how many went.
    async fn trim_audit(&self, keep: u64, limit: u32) -> Result<u64, StoreError>;

    /// Follows the id of the newest event that can be read: it changes after each commit, also after those of
    /// other gateways on the same store (for them with a delay of up to a second).
    fn newest_event(&self) -> watch::Receiver<EventId>;
}

/// How long an idempotency key outlives its application.
pub const KEY_KEPT: Duration = Duration::from_secs(86_400);

/// A shared store.
pub type DynStore = Arc<dyn Store>;

/// What [`Store::accept`] stores.
#[derive(Clone, Debug, PartialEq)]
pub struct NewApplication {
    /// Its kind.
    pub kind: ApplicationKind,
    /// What to run.
    pub spec: Arc<ApplicationSpec>,
    /// Whom it belongs to.
    pub owner: Owner,
    /// The application it repeats.
    pub retry_of: Option<ApplicationId>,
    /// Where it shall run.
    pub backend: BackendName,
    /// The lease that will cover it.
    pub shard: Shard,
    /// When.
    pub at: Timestamp,
    /// The client's key, if it gave one.
    pub idempotency: Option<IdempotencyKey>,
    /// How long the queue of the shard may be, with this one in it; `None` for no limit.
    pub queue_max: Option<u64>,
    /// How many applications of the owner's tenant may be under way or waiting, with this one; `None` for no limit.
    pub tenant_max: Option<u64>,
    /// The decision to record in the same commit; its object becomes the new application's id.
    pub audit: Option<AuditEntry>,
}

/// A client's `Idempotency-Key` with what it was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key, 1 to 255 bytes; keys of different owners never meet.
    pub key: String,
    /// A digest of the request, to tell a repetition from a mistake.
    pub fingerprint: [u8; 32],
}

/// The answer of [`Store::accept`].
#[derive(Clone, Debug, PartialEq)]
pub enum Accepted {
    /// It is new.
    Created(Application),
    /// The key was used before, for the same request.
    Replayed(Application),
}

impl Accepted {
    /// The application in either case.
    pub fn application(&self) -> &Application {
        let (Self::Created(application) | Self::Replayed(application)) = self;
        application
    }
}

/// A change that the engine decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Save {
    /// The application as it shall be; its `version` is the stored one plus 1.
    pub next: Application,
    /// When it was decided.
    pub at: Timestamp,
    /// The event to append: [`EventKind::State`] when the state changed.
    pub event: Option<EventKind>,
}

/// Proof that the writer holds the newest lease of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The shard.
    pub shard: Shard,
    /// The lease's epoch.
    pub epoch: u64,
}

/// Asks for a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRequest {
    /// What it covers.
    pub shard: Shard,
    /// Who asks.
    pub holder: HolderId,
    /// The epoch to renew, if the holder believes to have the lease.
    pub renew: Option<u64>,
    /// The asker's clock.
    pub now: Timestamp,
    /// How long it shall last.
    pub ttl: Duration,
}

/// A granted lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What proves it.
    pub fence: Fence,
    /// When it runs out, by the asker's clock.
    pub expires_at: Timestamp,
}

/// A page of Livy's list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Positioned {
    /// The page.
    pub applications: Vec<Application>,
    /// How many there are in all.
    pub total: u64,
}

/// Filters of a list; each narrows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListQuery {
    /// Only what may be seen.
    pub scope: Scope,
    /// Only this kind.
    pub kind: Option<ApplicationKind>,
    /// Only these states; all when empty.
    pub states: Vec<State>,
    /// Only this backend.
    pub backend: Option<BackendName>,
    /// Only this name.
    pub name: Option<String>,
    /// Only with all of these labels.
    pub labels: Vec<(String, String)>,
    /// Only this user's.
    pub owner: Option<UserName>,
    /// Only this external id.
    pub external_id: Option<String>,
    /// Only those after this one in the list's order (accepted time, then kind, then number, newest first).
    pub after: Option<Cursor>,
    /// At most this many.
    pub limit: u32,
}

/// Filters of the record of audit; each narrows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only records before this one.
    pub before: Option<AuditId>,
    /// Only what this user asked for.
    pub user: Option<UserName>,
    /// Only what this tenant's users asked for.
    pub tenant: Option<TenantName>,
    /// Only what was decided so.
    pub decision: Option<AuditDecision>,
    /// At most this many.
    pub limit: u32,
}

/// A place in the list of applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// When the last one seen was accepted.
    pub accepted_at: Timestamp,
    /// Its id.
    pub id: ApplicationId,
}

impl Cursor {
    /// The place right after `application`.
    pub const fn after(application: &Application) -> Self {
        Self { accepted_at: application.accepted_at, id: application.id }
    }
}

/// Why a store did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another application has the name.
    #[error("the name `{name}` is taken by {holder}")]
    NameTaken {
        /// The name.
        name: String,
        /// The application that has it.
        holder: ApplicationId,
    },
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The idempotency key created an application that was removed since.
    #[error("the idempotency key created {0}, which was deleted; use a new key to run it again")]
    KeySpent(ApplicationId),
    /// The queue is as long as it may be.
    #[error("the queue is full ({0} applications wait)")]
    Full(u64),
    /// The tenant has as many applications under way or waiting as it may.
    #[error("the tenant has {0} applications that haven't ended, which is as many as it may")]
    TenantFull(u64),
    /// All numbers of the kind are used up.
    #[error("no numbers left for applications of kind {0}")]
    NumbersExhausted(ApplicationKind),
    /// Somebody else changed the application meanwhile.
    #[error("{0} was changed meanwhile")]
    Conflict(ApplicationId),
    /// A newer lease of the shard exists.
    #[error("the lease of {0} was taken over")]
    Fenced(Shard),
    /// The store can't be reached or is out of space; nothing is known about the command's effect.
    #[error("the store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Something stored can't be read: the file was damaged or written by a newer version.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Wraps a driver's error about which nothing else is known.
    pub fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(error.into())
    }
}
