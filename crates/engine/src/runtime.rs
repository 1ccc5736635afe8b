//! The engine in the real world: use cases for the doors, and one driven [`Reconciler`](crate::reconciler::Reconciler) per backend.

mod census;
mod housekeeping;
mod lane;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::application::{Application, Wish};
use model::audit::{AuditEntry, AuditRecord};
use model::id::{ApplicationId, ApplicationKind, AttemptId, BackendName, HolderId, Shard};
use model::principal::{Principal, Scope};
use model::spec::{ATTEMPTS_MAX, ApplicationSpec};
use model::state::State;
use model::time::Timestamp;
use tokio::task::JoinSet;

use crate::backend::{AttemptRef, DynBackend, LaunchOrder, Owned, Problem};
use crate::events::EventHub;
use crate::step::Policy;
use crate::store::{Accepted, AuditQuery, DynStore, IdempotencyKey, ListQuery, NewApplication, Positioned, StoreError};

pub use self::census::Census;
use self::lane::Lane;

/// The time: the machine's clock, except that it never goes back while the process lives.
///
/// Timers, leases and time limits all hang on it; a clock that is set back would stop them until it has caught up.
pub fn now() -> Timestamp {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    static AHEAD: AtomicI64 = AtomicI64::new(i64::MIN);
    let elapsed = i64::try_from(START.elapsed().as_millis()).unwrap_or(i64::MAX);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
    let ahead = wall.saturating_sub(elapsed);
    let ahead = AHEAD.fetch_max(ahead, Ordering::Relaxed).max(ahead);
    Timestamp::from_millis(elapsed.saturating_add(ahead))
}

/// What an engine is told once.
pub struct EngineOptions {
    /// Who it is towards other gateways on the same store; stable across restarts.
    pub holder: HolderId,
    /// Whether other gateways may change the same store, so that their changes must be watched for.
    pub shared_store: bool,
    /// How patient it is.
    pub policy: Policy,
    /// How long records are kept.
    pub retention: Retention,
    /// Where applications can run; the first is the default.
    pub backends: Vec<BackendOptions>,
}

/// One backend with its limits.
pub struct BackendOptions {
    /// The backend.
    pub backend: DynBackend,
    /// How many applications may be active at once.
    pub places: usize,
    /// How many may wait; `None` for no limit.
    pub queue_max: Option<u64>,
}

/// How long ended applications and events are kept; what is older is deleted bit by bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Longest time after its end.
    pub age_max: Option<Duration>,
    /// Ended applications kept per backend, newest first.
    pub count_max: Option<u64>,
    /// Events kept.
    pub events_max: u64,
    /// Records of audit kept.
    pub audit_max: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            age_max: Some(Duration::from_secs(30 * 86_400)),
            count_max: Some(100_000),
            events_max: 1_000_000,
            audit_max: 1_000_000,
        }
    }
}

/// Accepts applications, brings them to their ends, and tells about them.
pub struct Engine {
    store: DynStore,
    events: Arc<EventHub>,
    lanes: BTreeMap<BackendName, Lane>,
    default_backend: BackendName,
    holder: HolderId,
    /// What runs for as long as the engine: followers and housekeepers.
    _background: JoinSet<()>,
}

/// Why an engine can't be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is nowhere to run anything.
    #[error("no backend is configured")]
    NoBackend,
    /// Two backends have the same name.
    #[error("two backends are named `{0}`")]
    TwoBackends(BackendName),
    /// The store can't be read.
    #[error("read the store")]
    Store(#[from] StoreError),
}

/// What a client wants to run.
#[derive(Clone, Debug)]
pub struct AcceptRequest {
    /// Batch or server.
    pub kind: ApplicationKind,
    /// What.
    pub spec: ApplicationSpec,
    /// Where; the default backend when absent.
    pub backend: Option<BackendName>,
    /// The application it repeats.
    pub retry_of: Option<ApplicationId>,
    /// The client's key for safe repetition.
    pub idempotency: Option<IdempotencyKey>,
    /// How many applications of its tenant may be under way or waiting, with this one.
    pub tenant_max: Option<u64>,
    /// The decision to record with it; its object becomes the new application.
    pub audit: Option<AuditEntry>,
}

/// How an ended application is repeated.
#[derive(Clone, Debug)]
pub struct Repeat {
    /// What to run: what the ended one ran, as the rules of today want it.
    pub spec: ApplicationSpec,
    /// The client's key for safe repetition.
    pub idempotency: Option<IdempotencyKey>,
    /// As for [`AcceptRequest::tenant_max`].
    pub tenant_max: Option<u64>,
    /// As for [`AcceptRequest::audit`].
    pub audit: Option<AuditEntry>,
}

/// Why an application was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// No backend of that name is configured.
    #[error("no backend `{name}` is configured; there are: {known}")]
    UnknownBackend {
        /// The name asked for.
        name: BackendName,
        /// Those that exist.
        known: String,
    },
    /// The specification can't run there.
    #[error("the application can't run as specified")]
    Rejected(Vec<Problem>),
    /// Only an ended application can be retried.
    #[error("{id} is {state}; only an application that ended can be retried")]
    NotRetryable {
        /// Which.
        id: ApplicationId,
        /// Where it stands.
        state: State,
    },
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether the gateway can take work, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Whether it can.
    pub ready: bool,
    /// What it waits for.
    pub reasons: Vec<String>,
}

/// One backend, seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendStatus {
    /// Its name.
    pub name: BackendName,
    /// Its lease.
    pub shard: Shard,
    /// Whether this gateway holds the lease and knows everything active.
    pub ready: bool,
    /// Active applications.
    pub active: usize,
    /// How many may be active.
    pub places: usize,
    /// Applications that wait.
    pub queued: u64,
    /// What it holds and the store doesn't know.
    pub leftovers: Vec<Owned>,
}

impl Engine {
    /// Starts the engine on the current runtime. It ends with the process: dropping it stops what drives it,
    /// and touches nothing that runs.
    ///
    /// # Errors
    /// [`StartError`]; nothing was started then.
    pub async fn start(store: DynStore, options: EngineOptions) -> Result<Arc<Self>, StartError> {
        let names: Vec<&BackendName> = options.backends.iter().map(|it| it.backend.name()).collect();
        let default_backend = names.first().map(|name| (*name).clone()).ok_or(StartError::NoBackend)?;
        let is_twice = |name: &&&BackendName| names.iter().filter(|other| *other == *name).count() > 1;
        if let Some(twice) = names.iter().find(is_twice) {
            return Err(StartError::TwoBackends((*twice).clone()));
        }
        let events = EventHub::new(Arc::clone(&store)).await?;
        let mut background = JoinSet::new();
        background.spawn(Arc::clone(&events).follow());
        let mut lanes = BTreeMap::new();
        for one in options.backends {
            let follow = options.shared_store.then(|| Arc::clone(&events));
            let lane = Lane::start(&store, &options.holder, options.policy, one, follow);
            background.spawn(housekeeping::keep(Arc::clone(&store), lane.handle(), options.retention));
            lanes.insert(lane.name().clone(), lane);
        }
        Ok(Arc::new(Self { store, events, lanes, default_backend, holder: options.holder, _background: background }))
    }

    /// Stops acting and gives the leases up, so that another gateway needn't wait for their end. What runs goes on.
    pub async fn shut_down(&self) {
        for lane in self.lanes.values() {
            if let Some(fence) = lane.stop()
                && let Err(error) = self.store.release(&fence, &self.holder).await
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "give the lease up");
            }
        }
    }

    /// Returns when the engine can't go on because of a fault of its own; the process should be started anew.
    pub async fn broken(&self) {
        let lanes: Vec<_> = self.lanes.values().map(|lane| Box::pin(lane.broken())).collect();
        futures::future::select_all(lanes).await;
    }

    /// Stores a new application; it is durable when this answers.
    ///
    /// # Errors
    /// [`AcceptError`]; nothing was stored then, except when the store is unavailable.
    pub async fn accept(&self, principal: &Principal, request: AcceptRequest) -> Result<Accepted, AcceptError> {
        // Before any check: what was accepted once is answered, even if it would be refused now.
        if let Some(key) = &request.idempotency
            && let Some(known) = self.replay(principal, key).await?
        {
            return Ok(known);
        }
        let name = request.backend.unwrap_or_else(|| self.default_backend.clone());
        let lane = self.lanes.get(&name).ok_or_else(|| self.unknown_backend(name.clone()))?;
        let mut problems = limit_problems(&request.spec);
        problems.extend(lane.backend().check(&request.spec));
        if !problems.is_empty() {
            return Err(AcceptError::Rejected(problems));
        }
        let new = NewApplication {
            kind: request.kind,
            spec: Arc::new(request.spec),
            owner: principal.into(),
            retry_of: request.retry_of,
            backend: name,
            shard: lane.backend().shard().clone(),
            at: now(),
            idempotency: request.idempotency,
            queue_max: lane.queue_max(),
            tenant_max: request.tenant_max,
            audit: request.audit,
        };
        let (store, lane) = (Arc::clone(&self.store), lane.handle());
        complete(async move {
            let accepted = store.accept(new).await?;
            // Also when it was accepted before: the engine may not have heard of it, and hearing twice is harmless.
            lane.send_own(accepted.application()).await;
            Ok(accepted)
        })
        .await
    }

    /// What launching an application would make, without accepting it. The names of what is made are those of no
    /// application.
    ///
    /// # Errors
    /// [`AcceptError::Rejected`], [`AcceptError::UnknownBackend`].
    pub fn preview(
        &self,
        principal: &Principal,
        backend: &BackendName,
        spec: &ApplicationSpec,
    ) -> Result<Vec<serde_json::Value>, AcceptError> {
        let lane = self.lanes.get(backend).ok_or_else(|| self.unknown_backend(backend.clone()))?;
        let backend = lane.backend();
        let mut problems = limit_problems(spec);
        problems.extend(backend.check(spec));
        if !problems.is_empty() {
            return Err(AcceptError::Rejected(problems));
        }
        let application = ApplicationId::FIRST_BATCH;
        let attempt = AttemptRef { id: AttemptId::new(uuid::Uuid::nil()), application, binding: backend.binding() };
        Ok(backend.preview(&LaunchOrder { attempt, spec: Arc::new(spec.clone()), owner: principal.into(), number: 1 }))
    }

    /// The answer to a request whose key the principal used before; `None` when the key is new. Whoever checks a
    /// request before [`Engine::accept`] asks this first.
    ///
    /// # Errors
    /// [`StoreError::KeyReused`], [`StoreError::KeySpent`], or the store can't be read.
    pub async fn replay(&self, principal: &Principal, key: &IdempotencyKey) -> Result<Option<Accepted>, StoreError> {
        let Some(known) = self.store.replay(&principal.into(), key, now()).await? else { return Ok(None) };
        // The engine may not have heard of it, and hearing twice is harmless.
        if let Some(lane) = self.lanes.values().find(|lane| *lane.backend().shard() == known.shard) {
            lane.handle().send_own(&known).await;
        }
        Ok(Some(Accepted::Replayed(known)))
    }

    /// Where applications run that name no backend.
    pub fn default_backend(&self) -> &BackendName {
        &self.default_backend
    }

    /// Appends decisions to the record of audit; they are durable when this answers.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn record(&self, entries: Vec<AuditEntry>) -> Result<(), StoreError> {
        let store = Arc::clone(&self.store);
        complete(async move { store.record(entries).await }).await
    }

    /// A page of the record of audit, newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditRecord>, StoreError> {
        self.store.audit(query).await
    }

    fn unknown_backend(&self, name: BackendName) -> AcceptError {
        let known: Vec<&str> = self.lanes.keys().map(BackendName::as_str).collect();
        AcceptError::UnknownBackend { name, known: known.join(", ") }
    }

    /// One application.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn get(&self, id: ApplicationId) -> Result<Option<Application>, StoreError> {
        self.store.get(id).await
    }

    /// One application of the scope by its name.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn get_by_name(
        &self,
        scope: &Scope,
        kind: ApplicationKind,
        name: &str,
    ) -> Result<Option<Application>, StoreError> {
        self.store.get_by_name(scope, kind, name).await
    }

    /// A page of applications, newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn list(&self, query: &ListQuery) -> Result<Vec<Application>, StoreError> {
        self.store.list(query).await
    }

    /// A page of the scope by position, oldest first, with the total.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn list_by_position(
        &self,
        scope: &Scope,
        kind: ApplicationKind,
        offset: u32,
        limit: u32,
    ) -> Result<Positioned, StoreError> {
        self.store.list_by_position(scope, kind, offset, limit).await
    }

    /// Raises the user's wish; the application as it is stored then, `None` when there is none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn wish(&self, id: ApplicationId, wish: Wish) -> Result<Option<Application>, StoreError> {
        let store = Arc::clone(&self.store);
        let lanes: Vec<_> = self.lanes.values().map(Lane::handle).collect();
        complete(async move {
            let application = store.wish(id, wish, now()).await?;
            if let Some(application) = &application
                && let Some(lane) = lanes.iter().find(|lane| *lane.backend.shard() == application.shard)
            {
                lane.send_own(application).await;
            }
            Ok(application)
        })
        .await
    }

    /// Accepts a new application that repeats an ended one; `None` when there is none of that id.
    ///
    /// # Errors
    /// [`AcceptError::NotRetryable`] when it hasn't ended; others as for [`Engine::accept`].
    pub async fn retry(
        &self,
        principal: &Principal,
        id: ApplicationId,
        repeat: Repeat,
    ) -> Result<Option<Accepted>, AcceptError> {
        let Repeat { spec, idempotency, tenant_max, audit } = repeat;
        if let Some(key) = &idempotency
            && let Some(known) = self.replay(principal, key).await?
        {
            return Ok(Some(known));
        }
        let Some(application) = self.store.get(id).await? else { return Ok(None) };
        if !application.state.is_terminal() {
            return Err(AcceptError::NotRetryable { id, state: application.state });
        }
        // Names are unique, and the one that it repeats keeps its own.
        for name in retry_names(spec.name.as_deref()) {
            let spec = ApplicationSpec { name, ..spec.clone() };
            let request = AcceptRequest {
                kind: id.kind(),
                spec,
                backend: Some(application.backend.clone()),
                retry_of: Some(id),
                idempotency: idempotency.clone(),
                tenant_max,
                audit: audit.clone(),
            };
            match self.accept(principal, request).await {
                Err(AcceptError::Store(StoreError::NameTaken { .. })) => {}
                answer => return answer.map(Some),
            }
        }
        Ok(None)
    }

    /// Waits until the application has ended or is gone, at most for `limit`, and answers how it is then.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn wait_settled(&self, id: ApplicationId, limit: Duration) -> Result<Option<Application>, StoreError> {
        self.wait_until(id, limit, |application| application.is_none_or(|it| it.state.is_terminal())).await
    }

    /// Waits until the application is removed, at most for `limit`; whether it is.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn wait_removed(&self, id: ApplicationId, limit: Duration) -> Result<bool, StoreError> {
        Ok(self.wait_until(id, limit, |application| application.is_none()).await?.is_none())
    }

    async fn wait_until(
        &self,
        id: ApplicationId,
        limit: Duration,
        done: impl Fn(Option<&Application>) -> bool,
    ) -> Result<Option<Application>, StoreError> {
        let mut events = self.events.subscribe(None);
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let application = self.store.get(id).await?;
            if done(application.as_ref()) {
                return Ok(application);
            }
            let news = async {
                while !events.next().await?.iter().any(|event| event.application == id) {}
                Ok::<(), StoreError>(())
            };
            match tokio::time::timeout_at(deadline, news).await {
                Ok(seen) => seen?,
                Err(_) => return Ok(application),
            }
        }
    }

    /// What happened, as it happens.
    pub fn events(&self) -> &Arc<EventHub> {
        &self.events
    }

    /// Whether it can take work.
    pub fn readiness(&self) -> Readiness {
        let reasons: Vec<String> = self.lanes.values().filter_map(Lane::not_ready).collect();
        Readiness { ready: reasons.is_empty(), reasons }
    }

    /// Every backend with its numbers.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn backends(&self) -> Result<Vec<BackendStatus>, StoreError> {
        let mut statuses = Vec::with_capacity(self.lanes.len());
        for lane in self.lanes.values() {
            let queued = self.store.queue_length(lane.backend().shard()).await?;
            statuses.push(lane.status(queued));
        }
        Ok(statuses)
    }
}

/// Does a small piece of work to its end even if whoever asked for it went away meanwhile: what is stored must also
/// be told.
async fn complete<T, E>(work: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    match tokio::spawn(work).await {
        Ok(answer) => answer,
        Err(error) => Err(StoreError::unavailable(error).into()),
    }
}

/// Names for a retry of an application of that name, best first; the last is none at all.
fn retry_names(name: Option<&str>) -> Vec<Option<String>> {
    const SUFFIX: &str = "-retry-";
    let Some(name) = name else { return vec![None] };
    let is_ours = |tail: &str| !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit());
    let base = name.rsplit_once(SUFFIX).filter(|(_, tail)| is_ours(tail)).map_or(name, |(base, _)| base);
    (1..=20).map(|number| Some(format!("{base}{SUFFIX}{number}"))).chain([None]).collect()
}

fn limit_problems(spec: &ApplicationSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    if !(1..=ATTEMPTS_MAX).contains(&spec.limits.max_attempts) {
        let message = format!("{} is outside 1 to {ATTEMPTS_MAX}", spec.limits.max_attempts);
        problems.push(Problem { field: "max_attempts".into(), message });
    }
    problems
}
