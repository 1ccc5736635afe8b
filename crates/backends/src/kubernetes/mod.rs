//! Runs drivers on a Kubernetes cluster, without a JVM: the driver's objects are made by [`spark_kubernetes`] and
//! followed by watches.
//!
//! Start with [`KubernetesBackend`]. `launch` starts and ends attempts, `look` tells where one stands, `judge` what a
//! pod says about that, `fence` what decides whether an attempt may start, `watch` how changes are heard of, `folder`
//! and `logs` what is kept on the gateway's own disk, `sweep` what removes the rest, `cluster` how the API server is
//! asked and `connect` how it is found.
//!
//! Pods carry no finalizer: a gateway that is gone for good would leave them for ever. The price: of a pod that
//! somebody deletes while no gateway watches, the exit code is lost, and the attempt counts as
//! [`model::state::ReasonCode::PodDeleted`].
//!
//! Drivers are hostile and may create pods in their own namespace. What they create is none of ours as long as the
//! namespace's admission policy keeps them from the gateway's labels; a pod's name must agree with its labels, and the
//! decisions about attempts are in a namespace where drivers have no rights.

mod cluster;
mod connect;
mod discarded;
mod fence;
mod folder;
mod judge;
mod launch;
mod logs;
mod look;
mod pods;
mod stored_output;
mod sweep;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use engine::backend::{AttemptRef, Backend, BackendError, LaunchOrder, Observation, Owned, Problem};
use model::id::{AttemptId, BackendName, Shard, TenantName};
use model::spec::ApplicationSpec;
use spark_kubernetes::labels::{self, Identity};
use spark_kubernetes::status::{self, PodState};
use spark_kubernetes::{DriverObjects, Placement};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};

use self::cluster::{Cluster, is_held};
use self::connect::{Connection, Credentials};
use self::discarded::Discarded;
use self::fence::Fences;
use self::folder::{Folder, blocking};
use self::judge::shown;
use self::pods::Pods;
use crate::log::{Follower, LogLimits};

/// Changes that may wait for the engine before watching waits for it.
const CHANGES_WAITING_MAX: usize = 1_024;

/// What a Kubernetes backend is told.
#[derive(Clone, Debug)]
pub struct KubernetesConfig {
    /// Its name.
    pub name: BackendName,
    /// The lease that covers its work.
    pub shard: Shard,
    /// The gateway's id, the same for all gateways that share a store; it is a label on everything they make.
    pub instance: String,
    /// The kubeconfig; when absent, the account of the pod that the gateway runs in, or else what kubectl would use.
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; its current one when absent.
    pub context: Option<String>,
    /// The gateway's own namespace, in which it may create, read, patch, list and delete config maps and drivers may
    /// not. It keeps a small one there for each attempt.
    pub namespace: String,
    /// Where the drivers of each tenant go.
    pub placements: Placements,
    /// How wide the gateway's rights to list and watch pods are.
    pub watch: WatchScope,
    /// Where logs and ends of attempts are kept, in `attempts/`.
    pub data_dir: PathBuf,
    /// How large an attempt's log may become.
    pub log: LogLimits,
    /// How many logs are followed at once.
    pub logs_followed_max: usize,
    /// How many calls to the API server may be under way at once, watches and logs aside.
    pub calls_max: usize,
    /// How long pods stay after their drivers ended, so that people can look at them with other tools.
    pub ended_pods_kept: Duration,
}

/// Where the drivers of each tenant go.
#[derive(Clone, Debug, Default)]
pub struct Placements {
    /// That of tenants without one of their own; without it they are refused.
    pub default: Option<Placement>,
    /// By tenant.
    pub tenants: BTreeMap<TenantName, Placement>,
}

impl Placements {
    /// Where the drivers of a tenant go.
    pub fn of(&self, tenant: &TenantName) -> Option<&Placement> {
        self.tenants.get(tenant).or(self.default.as_ref())
    }

    fn all(&self) -> impl Iterator<Item = &Placement> {
        self.tenants.values().chain(&self.default)
    }

    fn namespaces(&self) -> BTreeSet<&str> {
        self.all().map(|placement| placement.namespace.as_str()).collect()
    }
}

/// What one watch covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchScope {
    /// One namespace; there is a watch for each.
    #[default]
    Namespaces,
    /// The whole cluster; there is one.
    Cluster,
}

/// Why a Kubernetes backend can't be made.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesBackendError {
    /// The kubeconfig can't be used.
    #[error("read the kubeconfig{}", .path.as_ref().map(|path| format!(" {}", path.display())).unwrap_or_default())]
    Kubeconfig {
        /// Which, unless it is the usual one.
        path: Option<PathBuf>,
        /// Why.
        source: kube::config::KubeconfigError,
    },
    /// The gateway runs in a pod whose account can't be used.
    #[error("use the account of the gateway's own pod")]
    InCluster(#[source] kube::config::InClusterError),
    /// What the kubeconfig says doesn't make a client.
    #[error("make a client for the cluster")]
    Client(#[source] kube::Error),
    /// Its folder can't be made.
    #[error("create {}", .path.display())]
    CreateFolder {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Runs drivers on a Kubernetes cluster.
pub struct KubernetesBackend {
    shared: Arc<Shared>,
    changes: Mutex<Option<mpsc::Receiver<(AttemptId, Observation)>>>,
}

impl Drop for KubernetesBackend {
    fn drop(&mut self) {
        // Tasks hold what is shared, and nothing ends them but this.
        lock(&self.shared.tasks).abort_all();
    }
}

struct Shared {
    config: KubernetesConfig,
    /// [`KubernetesConfig::instance`] as labels have it.
    instance: String,
    selector: String,
    attempts: PathBuf,
    cluster: Cluster,
    fences: Fences,
    pods: Pods,
    changes: mpsc::Sender<(AttemptId, Observation)>,
    /// Attempts whose changes are told.
    watched: Mutex<HashMap<AttemptId, Watched>>,
    discarded: Arc<Discarded>,
    /// Attempts whose launch is tried again until there is room in their quota.
    waiting_for_room: Mutex<HashSet<AttemptId>>,
    followed: Mutex<HashMap<AttemptId, AbortHandle>>,
    followers: Semaphore,
    follower: Follower,
    tasks: Mutex<JoinSet<()>>,
}

struct Watched {
    attempt: AttemptRef,
    /// What was told last.
    told: Option<Observation>,
}

impl KubernetesBackend {
    /// Makes the backend and its folder, and begins to watch. Call it within a Tokio runtime. The cluster may be away
    /// meanwhile; [`Backend::not_ready`] says so.
    ///
    /// # Errors
    /// When the kubeconfig or the folder can't be used.
    pub async fn new(config: KubernetesConfig) -> Result<Self, KubernetesBackendError> {
        let attempts = config.data_dir.join("attempts");
        folder::private_folder(&attempts)
            .map_err(|source| KubernetesBackendError::CreateFolder { path: attempts.clone(), source })?;
        let credentials = Credentials { kubeconfig: config.kubeconfig.clone(), context: config.context.clone() };
        let connection = Connection::new(credentials).await?;
        let scopes = config.scopes();
        let (changes, receiver) = mpsc::channel(CHANGES_WAITING_MAX);
        let shared = Arc::new(Shared {
            instance: labels::value(&config.instance),
            selector: watch::selector(&config.instance),
            attempts,
            cluster: Cluster::new(connection, config.calls_max),
            fences: Fences::new(config.namespace.clone(), &config.instance),
            pods: Pods::new(&scopes),
            changes,
            watched: Mutex::default(),
            discarded: Arc::default(),
            waiting_for_room: Mutex::default(),
            followed: Mutex::default(),
            followers: Semaphore::new(config.logs_followed_max.max(1)),
            follower: Follower::start(),
            tasks: Mutex::default(),
            config,
        });
        for scope in scopes {
            shared.spawn(watch::watch(Arc::clone(&shared), scope));
        }
        shared.spawn(sweep::sweep(Arc::clone(&shared)));
        Ok(Self { shared, changes: Mutex::new(Some(receiver)) })
    }

    /// The objects that an order would become, for a dry run.
    ///
    /// # Errors
    /// [`BackendError::Refused`] tells why it would be refused.
    pub fn plan(&self, order: &LaunchOrder) -> Result<DriverObjects, BackendError> {
        self.shared.objects(order)
    }

    /// Where the drivers of each tenant go.
    pub fn placements(&self) -> &Placements {
        &self.shared.config.placements
    }
}

impl KubernetesConfig {
    fn scopes(&self) -> Vec<Option<String>> {
        match self.watch {
            WatchScope::Cluster => vec![None],
            WatchScope::Namespaces => {
                self.placements.namespaces().into_iter().map(|namespace| Some(namespace.to_owned())).collect()
            }
        }
    }
}

impl Shared {
    fn folder(&self, attempt: AttemptId) -> Folder {
        Folder::of(&self.attempts, attempt)
    }

    /// Starts a task that ends with the backend.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        let mut tasks = lock(&self.tasks);
        // Those that ended are forgotten.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task)
    }

    async fn list_owned(&self) -> Result<Vec<Owned>, BackendError> {
        let mut owned: BTreeMap<AttemptId, Owned> = BTreeMap::new();
        let attempts = self.attempts.clone();
        let kept = blocking("list what is kept of attempts", move || folder::list(&attempts)).await?;
        owned.extend(kept.into_iter().map(|kept| (kept.attempt, kept)));
        for namespace in self.config.placements.namespaces() {
            let listed = self.cluster.pods(Some(namespace), &self.selector).await?;
            for pod in &listed.pods {
                let Some(Identity { attempt, application, .. }) = Identity::of(pod) else { continue };
                let running = !is_held(pod) && !matches!(status::read(pod), PodState::Ended(_));
                let place = format!("pod {}", shown(pod));
                owned.insert(attempt, Owned { attempt, application, running, place });
            }
        }
        Ok(owned.into_values().collect())
    }
}

#[async_trait]
impl Backend for KubernetesBackend {
    fn name(&self) -> &BackendName {
        &self.shared.config.name
    }

    fn shard(&self) -> &Shard {
        &self.shared.config.shard
    }

    fn binding(&self) -> String {
        self.shared.config.instance.clone()
    }

    fn not_ready(&self) -> Option<String> {
        let trouble = self.shared.pods.trouble()?;
        Some(format!("backend {}: the API server {}: {trouble}", self.name(), self.shared.cluster.url()))
    }

    fn check(&self, spec: &ApplicationSpec) -> Vec<Problem> {
        // Whose it will be isn't known here; the launch checks it against the owner's own placement.
        let Some(placement) = self.shared.config.placements.all().last() else { return Vec::new() };
        let problems = spark_kubernetes::check(spec, placement);
        problems.into_iter().map(|problem| Problem { field: problem.field, message: problem.message }).collect()
    }

    fn preview(&self, order: &LaunchOrder) -> Vec<serde_json::Value> {
        self.plan(order).map(|objects| objects.redacted()).unwrap_or_default()
    }

    async fn launch(&self, order: LaunchOrder) -> Result<Observation, BackendError> {
        self.shared.launch(order).await
    }

    async fn observe(&self, attempt: &AttemptRef) -> Result<Observation, BackendError> {
        self.shared.observe(attempt).await
    }

    async fn stop(&self, attempt: &AttemptRef, grace: Duration) -> Result<Observation, BackendError> {
        Box::pin(self.shared.stop(attempt, grace)).await
    }

    async fn discard(&self, attempt: &AttemptRef) -> Result<(), BackendError> {
        self.shared.discard(attempt).await
    }

    async fn list_owned(&self) -> Result<Vec<Owned>, BackendError> {
        self.shared.list_owned().await
    }

    fn take_changes(&self) -> Option<mpsc::Receiver<(AttemptId, Observation)>> {
        lock(&self.changes).take()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
