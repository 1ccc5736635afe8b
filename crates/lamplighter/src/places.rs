//! The backends of a gateway, made from its configuration.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::backends::kubernetes::{KubernetesBackend, KubernetesConfig};
use ::backends::local::{
    Installations, LocalBackend, LocalConfig, SupervisorCommand, WorkPolicy, missing_files, notation_problems,
};
use ::backends::log::{LogLimits, LogSource};
use ::engine::runtime::BackendOptions;
use anyhow::Context as _;
use model::id::{BackendKind, BackendName, Shard};

use crate::config::{self, ClusterConfig, Config, LOCAL, StoreConfig, WorkFolder};
use crate::server::Preflight;

/// Where the logs of each backend's attempts are read.
pub(crate) type Logs = BTreeMap<BackendName, Arc<dyn LogSource>>;
/// Of what kind each backend is.
pub(crate) type Kinds = BTreeMap<BackendName, BackendKind>;

/// Logs of drivers on a cluster that are followed at once.
const LOGS_FOLLOWED_MAX: usize = 1_000;
/// Calls to a cluster's API server under way at once.
const CALLS_MAX: usize = 32;
/// How long pods stay after their drivers ended, so that people can look at them with kubectl.
const ENDED_PODS_KEPT: Duration = Duration::from_secs(300);

/// Every configured backend.
pub(crate) struct Places {
    /// The default one first.
    pub(crate) options: Vec<BackendOptions>,
    pub(crate) logs: Logs,
    pub(crate) kinds: Kinds,
}

impl Places {
    /// Makes them all. A cluster may be away meanwhile; its backend isn't ready then.
    ///
    /// # Errors
    /// When one can't be made as it is configured.
    pub(crate) async fn make(config: &Config, instance: uuid::Uuid) -> anyhow::Result<Self> {
        let mut places = Self { options: Vec::new(), logs: Logs::new(), kinds: Kinds::new() };
        if config.local.enabled {
            let backend = Arc::new(local_backend(config, instance)?);
            let options = BackendOptions {
                backend: Arc::clone(&backend) as Arc<_>,
                places: config.local.places,
                queue_max: Some(config.local.queue_max),
            };
            places.add(BackendKind::Local, options, backend);
        }
        for (name, cluster) in &config.kubernetes.0 {
            let backend = cluster_backend(config, name, cluster, instance).await;
            let backend = Arc::new(backend.with_context(|| format!("backend `{name}`"))?);
            let options = BackendOptions {
                backend: Arc::clone(&backend) as Arc<_>,
                places: cluster.places,
                queue_max: Some(cluster.queue_max),
            };
            places.add(BackendKind::Kubernetes, options, backend);
        }
        let is_default = |options: &BackendOptions| Some(options.backend.name()) == config.default_backend.as_ref();
        places.options.sort_by_key(|options| !is_default(options));
        Ok(places)
    }

    fn add(&mut self, kind: BackendKind, options: BackendOptions, logs: Arc<dyn LogSource>) {
        let name = options.backend.name().clone();
        self.logs.insert(name.clone(), logs);
        self.kinds.insert(name, kind);
        self.options.push(options);
    }
}

/// What a submitter should hear beforehand: on this machine, also which files are missing.
pub(crate) fn preflight(default: BackendName, kinds: Kinds) -> Preflight {
    Preflight::new(move |backend, spec| {
        let mut problems = notation_problems(spec);
        if kinds.get(backend.unwrap_or(&default)) == Some(&BackendKind::Local) {
            problems.extend(missing_files(spec));
        }
        problems
    })
}

async fn cluster_backend(
    config: &Config,
    name: &str,
    cluster: &ClusterConfig,
    instance: uuid::Uuid,
) -> anyhow::Result<KubernetesBackend> {
    let instance = match (&config.instance, &config.store) {
        (Some(instance), _) => instance.clone(),
        (None, StoreConfig::Sqlite) => instance.to_string(),
        (None, StoreConfig::Postgres(_)) => {
            let message = "must be set where gateways share a store, to the same word for all of them";
            return Err(config.problems("instance", [message.to_owned()]).into());
        }
    };
    let backend = KubernetesBackend::new(KubernetesConfig {
        name: BackendName::new(name)?,
        shard: Shard::new(&format!("kubernetes/{name}"))?,
        instance,
        kubeconfig: cluster.kubeconfig.clone(),
        context: cluster.context.clone(),
        namespace: cluster.namespace.clone(),
        placements: cluster.placements(&[], &mut Vec::new()),
        watch: cluster.watch.into(),
        data_dir: config.data_dir.join("kubernetes").join(name),
        log: LogLimits { total_bytes: config.local.log_bytes_max, ..LogLimits::default() },
        logs_followed_max: LOGS_FOLLOWED_MAX,
        calls_max: CALLS_MAX,
        ended_pods_kept: ENDED_PODS_KEPT,
    });
    Ok(backend.await?)
}

fn local_backend(config: &Config, instance: uuid::Uuid) -> anyhow::Result<LocalBackend> {
    let environment = config::environment();
    let installations = Installations::find(&config.sparks, &|name| environment.get(name).cloned());
    let installations =
        installations.map_err(|missing| config.problems("sparks", missing.iter().map(ToString::to_string)))?;
    for spark in installations.iter() {
        let version = spark.version.as_deref().unwrap_or("unknown");
        let default = installations.default_name() == Some(&spark.name);
        tracing::info!(name = %spark.name, version, default, home = %spark.home.display(), "found Spark");
    }
    if installations.default_name().is_none() {
        tracing::warn!("found no Spark: set SPARK_HOME, or name installations under `sparks` in the configuration");
    }
    let log = LogLimits { total_bytes: config.local.log_bytes_max, ..LogLimits::default() };
    let backend = LocalBackend::new(LocalConfig {
        name: BackendName::new(LOCAL)?,
        shard: Shard::new(&format!("local/{}", instance))?,
        data_dir: config.data_dir.clone(),
        installations,
        supervisor: SupervisorCommand::default(),
        environment_added: config.local.environment.clone(),
        log,
        work: match config.local.work {
            WorkFolder::Always => WorkPolicy::Always,
            WorkFolder::OnSuccess => WorkPolicy::OnSuccess,
            WorkFolder::Never => WorkPolicy::Never,
        },
    })?;
    Ok(backend)
}
