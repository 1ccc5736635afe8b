//! The cluster that the tests of one process share.

use std::{
    env,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use k8s_openapi::api::core::v1::{Node, Pod, ServiceAccount};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{EvictParams, ListParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::Status,
};
use testkit::environment;
use tokio::{
    sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard},
    task,
};

use crate::{holder::Holder, wait::until};

/// The kubeconfig of another cluster to run on, whose administrator it names. Images have to be there, see [`crate::Line`].
const JOINED: &str = "LAMPLIGHTER_E2E_KUBECONFIG";
/// What the cluster inside this machine is started from.
const HOME: &str = "LAMPLIGHTER_TEST_KUBERNETES";
/// Archives of images that it is given.
const IMAGES: &[&str] = &["LAMPLIGHTER_TEST_SPARK_35_IMAGE", "LAMPLIGHTER_TEST_SPARK_4_IMAGE"];
/// Why this machine can't start one; set by who found out.
const LACKING: &str = "LAMPLIGHTER_TEST_KUBERNETES_LACKING";

/// Importing images takes most of it, the first time.
const START_LIMIT: Duration = Duration::from_secs(240);
const READY_LIMIT: Duration = Duration::from_secs(60);
const DRAIN_LIMIT: Duration = Duration::from_secs(120);

/// An image that a cluster of ours has: `sh` and the like in one file, which sleeps unless it is told what to do.
pub const BUSYBOX_IMAGE: &str = "lamplighter.test/busybox:1";

/// The outer end of the one link into the cluster, as `e2e/cluster/settings.sh` says.
const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 245, 0, 1));

static CLUSTER: OnceCell<Result<RwLock<Cluster>, String>> = OnceCell::const_new();

/// A cluster, used side by side with other tests.
pub type Shared = RwLockReadGuard<'static, Cluster>;
/// A cluster that no other test of the process uses meanwhile: what takes `&mut` disturbs everybody.
pub type Alone = RwLockWriteGuard<'static, Cluster>;

/// A real Kubernetes cluster: one inside this machine, or the one that `LAMPLIGHTER_E2E_KUBECONFIG` names.
///
/// There is one inside the machine at a time; who comes second waits, and says so. It ends with the process.
#[derive(Debug)]
pub struct Cluster {
    kubeconfig: PathBuf,
    /// None if the cluster is somebody else's.
    holder: Option<Arc<Holder>>,
    /// What a test broke and didn't mend, because it failed in between; mended before the next test gets the cluster.
    is_api_server_stopped: bool,
    are_nodes_drained: bool,
}

impl Cluster {
    /// The cluster of this process, started when the first test asks for it; `None` when `test` is to be skipped, which
    /// is said.
    ///
    /// # Panics
    /// When it can't be had although nothing may be skipped, or when it doesn't start.
    pub async fn shared(test: &str) -> Option<Shared> {
        let lock = lock(test).await?;
        let cluster = lock.read().await;
        if !cluster.is_broken() {
            return Some(cluster);
        }
        drop(cluster);
        Some(mend(lock, test).await.downgrade())
    }

    /// As [`Cluster::shared`], when no other test of this process uses it. A cluster of somebody else's isn't given: what
    /// would be done to it is not ours to do.
    ///
    /// # Panics
    /// As [`Cluster::shared`].
    pub async fn alone(test: &str) -> Option<Alone> {
        if env::var_os(JOINED).is_some() {
            skip(test, "it would disturb a cluster that isn't ours");
            return None;
        }
        Some(mend(lock(test).await?, test).await)
    }

    /// Starts a cluster, or joins the one that `LAMPLIGHTER_E2E_KUBECONFIG` names, and waits until it can run pods.
    ///
    /// # Errors
    /// When nothing is installed to start, or when it doesn't become ready; the error says where the logs are.
    pub async fn start() -> Result<Self> {
        if let Some(kubeconfig) = env::var_os(JOINED) {
            let cluster = Self::new(kubeconfig.into(), None);
            cluster.wait_until_ready().await?;
            return Ok(cluster);
        }
        let home = PathBuf::from(env::var_os(HOME).ok_or_else(|| anyhow!("{HOME} is not set"))?);
        let images: Vec<PathBuf> = IMAGES.iter().filter_map(env::var_os).map(PathBuf::from).collect();
        let kubeconfig = home.join("pki/admin.kubeconfig");
        let holder = task::spawn_blocking(move || {
            let holder = Holder::start(&home, &images)?;
            holder.hear("started", START_LIMIT)?;
            holder.hear("imported", START_LIMIT)?;
            anyhow::Ok(holder)
        });
        let cluster = Self::new(kubeconfig, Some(Arc::new(holder.await??)));
        cluster
            .wait_until_ready()
            .await
            .with_context(|| cluster.holder.as_ref().map_or_else(String::new, |holder| holder.where_logs_are()))?;
        Ok(cluster)
    }

    fn new(kubeconfig: PathBuf, holder: Option<Arc<Holder>>) -> Self {
        Self { kubeconfig, holder, is_api_server_stopped: false, are_nodes_drained: false }
    }

    /// The file by which any client reaches the cluster as its administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client of the administrator's. It belongs to the runtime that it was made in, so each test makes its own.
    ///
    /// # Errors
    /// When the kubeconfig can't be used.
    pub async fn client(&self) -> Result<Client> {
        connect(&self.kubeconfig).await
    }

    /// The address by which pods reach servers on this machine, if it is known: of a cluster that was joined it isn't.
    #[must_use]
    pub fn address_of_this_machine(&self) -> Option<IpAddr> {
        self.holder.as_ref().map(|_| OUTSIDE)
    }

    /// The API server's address, such as `https://10.245.0.2:443`.
    ///
    /// # Errors
    /// When the kubeconfig can't be used.
    pub async fn server(&self) -> Result<String> {
        Ok(configuration(&self.kubeconfig).await?.cluster_url.to_string().trim_end_matches('/').to_owned())
    }

    /// Kills the API server, and it alone: etcd, controllers, the kubelet and what runs in pods stay.
    ///
    /// # Errors
    /// When the cluster has ended, or isn't ours.
    pub async fn stop_api_server(&mut self) -> Result<()> {
        self.is_api_server_stopped = true;
        self.command("stop-api-server", "api-server-stopped").await
    }

    /// Starts the API server after it was stopped, and waits until it answers and the node is ready.
    ///
    /// # Errors
    /// When the cluster has ended, isn't ours, or doesn't become ready.
    pub async fn start_api_server(&mut self) -> Result<()> {
        self.command("start-api-server", "api-server-started").await?;
        self.wait_until_ready().await?;
        self.is_api_server_stopped = false;
        Ok(())
    }

    async fn command(&self, command: &'static str, answer: &'static str) -> Result<()> {
        let Some(holder) = self.holder.clone() else { bail!("the cluster isn't ours, no {command}") };
        task::spawn_blocking(move || {
            holder.tell(command)?;
            holder.hear(answer, READY_LIMIT)
        })
        .await?
    }

    /// Takes nodes out of use and evicts their pods, as `kubectl drain` does; returns when the pods are gone.
    /// [`Cluster::restore_nodes`] is the way back.
    ///
    /// # Errors
    /// When the API server refuses, or when a pod stays.
    pub async fn drain_nodes(&mut self) -> Result<()> {
        self.are_nodes_drained = true;
        let client = self.client().await?;
        let nodes: Api<Node> = Api::all(client.clone());
        for node in nodes.list(&ListParams::default()).await? {
            nodes.cordon(&node.name_any()).await?;
        }
        let pods: Api<Pod> = Api::all(client.clone());
        let on_nodes = ListParams::default().fields("spec.nodeName!=");
        for pod in pods.list(&on_nodes).await? {
            let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
            let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
            let evicted = pods.evict(&name, &EvictParams::default()).await;
            ignore_ending(evicted).with_context(|| format!("evict {namespace}/{name}"))?;
        }
        until("evicted pods to be gone", DRAIN_LIMIT, async || {
            Ok(pods.list(&on_nodes).await?.items.is_empty().then_some(()))
        })
        .await
    }

    /// Puts the nodes back in use.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn restore_nodes(&mut self) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client().await?);
        for node in nodes.list(&ListParams::default()).await? {
            nodes.uncordon(&node.name_any()).await?;
        }
        self.are_nodes_drained = false;
        Ok(())
    }

    fn is_broken(&self) -> bool {
        self.is_api_server_stopped || self.are_nodes_drained
    }

    async fn mend(&mut self) -> Result<()> {
        if self.is_api_server_stopped {
            self.start_api_server().await?;
        }
        if self.are_nodes_drained {
            self.restore_nodes().await?;
        }
        Ok(())
    }

    /// Whether there are nodes, and all of them say that they are ready.
    ///
    /// # Errors
    /// When the API server can't be asked.
    pub async fn is_ready(&self) -> Result<bool> {
        are_ready(&Api::all(self.client().await?)).await
    }

    /// A node is ready some time before pods can be made: they need their namespace's service account.
    async fn wait_until_ready(&self) -> Result<()> {
        let client = self.client().await?;
        let nodes: Api<Node> = Api::all(client.clone());
        let accounts: Api<ServiceAccount> = Api::namespaced(client, "default");
        // Refused and interrupted connections are what a starting API server gives.
        until("the node to be ready", READY_LIMIT, async || {
            let account = accounts.get_opt("default").await;
            let is_ready = are_ready(&nodes).await.unwrap_or(false) && account.is_ok_and(|account| account.is_some());
            Ok(is_ready.then_some(()))
        })
        .await
    }
}

/// A client of the administrator whom the file names.
pub(crate) async fn connect(kubeconfig: &Path) -> Result<Client> {
    Ok(Client::try_from(configuration(kubeconfig).await?)?)
}

async fn configuration(kubeconfig: &Path) -> Result<Config> {
    let read = Kubeconfig::read_from(kubeconfig).with_context(|| format!("read {}", kubeconfig.display()))?;
    Ok(Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?)
}

async fn are_ready(nodes: &Api<Node>) -> Result<bool> {
    let nodes = nodes.list(&ListParams::default()).await?;
    let is_ready = |node: &Node| {
        let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
    };
    Ok(!nodes.items.is_empty() && nodes.iter().all(is_ready))
}

/// What is gone already needs no eviction, nor what goes with its namespace.
fn ignore_ending<T>(outcome: kube::Result<T>) -> kube::Result<()> {
    match outcome {
        Err(kube::Error::Api(status)) if status.code == 404 || is_of_ending_namespace(&status) => Ok(()),
        other => other.map(drop),
    }
}

fn is_of_ending_namespace(status: &Status) -> bool {
    let causes = status.details.as_ref().map_or(&[][..], |details| &details.causes);
    causes.iter().any(|cause| cause.reason == "NamespaceTerminating")
}

async fn lock(test: &str) -> Option<&'static RwLock<Cluster>> {
    if !is_there(test) {
        return None;
    }
    let start = async || Cluster::start().await.map(RwLock::new).map_err(|error| format!("{error:#}"));
    Some(CLUSTER.get_or_init(start).await.as_ref().unwrap_or_else(|error| fail(test, error)))
}

/// The cluster for one test alone, in order.
async fn mend(lock: &'static RwLock<Cluster>, test: &str) -> Alone {
    let mut cluster = lock.write().await;
    cluster.mend().await.unwrap_or_else(|error| fail(test, &format!("{error:#}")));
    cluster
}

#[allow(clippy::panic, reason = "this is for tests, which fail by panicking")]
fn fail(test: &str, error: &str) -> ! {
    panic!("{test}: no cluster: {error}")
}

/// Whether a cluster can be started or joined; says when not.
fn is_there(test: &str) -> bool {
    if env::var_os(JOINED).is_some() {
        return true;
    }
    if let Ok(sentence) = env::var(LACKING) {
        skip(test, &sentence);
        return false;
    }
    environment::needed(test, HOME).is_some()
}

/// Past the capture of output, so that the summary of the run can name it.
pub(crate) fn skip(test: &str, reason: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {reason}");
}
