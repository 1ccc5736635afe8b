//! The section `kubernetes`: clusters that applications run on, each a backend under its name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use backends::kubernetes::{Placements, WatchScope};
use indexmap::IndexMap;
use model::id::{BackendName, SparkName, TenantName};
use policy::config::Problem;
use policy::{Granted, Step};
use serde::{Deserialize, Serialize};
use spark_kubernetes::{EventLog, ImagePattern, ImagePullPolicy, Images, Placement, SparkImage};

/// Every cluster, by the name of its backend.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct Clusters(pub(crate) IndexMap<String, ClusterConfig>);

/// One cluster.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClusterConfig {
    /// The kubeconfig; when absent, the account of the gateway's own pod, or else what kubectl would use.
    #[serde(default)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; its current one when absent.
    #[serde(default)]
    pub(crate) context: Option<String>,
    /// The gateway's own namespace, where drivers have no rights.
    pub(crate) namespace: String,
    /// How wide the gateway's rights to watch pods are.
    #[serde(default)]
    pub(crate) watch: Watch,
    /// Applications that may run at once.
    #[serde(default = "default_places")]
    pub(crate) places: usize,
    /// Applications that may wait.
    #[serde(default = "default_queue_max")]
    pub(crate) queue_max: u64,
    /// Where the drivers of tenants go that have no entry in `tenants`; without it those tenants are refused.
    #[serde(default)]
    pub(crate) placement: Option<PlacementConfig>,
    /// Where the drivers of a tenant go.
    #[serde(default)]
    pub(crate) tenants: IndexMap<String, PlacementConfig>,
}

const fn default_places() -> usize {
    100
}

const fn default_queue_max() -> u64 {
    100_000
}

/// What one watch covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Watch {
    /// A namespace; there is a watch for each that drivers are in.
    #[default]
    Namespaces,
    /// The whole cluster.
    Cluster,
}

impl From<Watch> for WatchScope {
    fn from(watch: Watch) -> Self {
        match watch {
            Watch::Namespaces => Self::Namespaces,
            Watch::Cluster => Self::Cluster,
        }
    }
}

/// Where drivers go, and what they are there.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlacementConfig {
    /// The namespace of drivers and executors.
    pub(crate) namespace: String,
    /// The service account of drivers.
    pub(crate) service_account: String,
    /// The image of each Spark, by the name that applications give; the first is the default.
    pub(crate) images: IndexMap<String, String>,
    /// Images that an application may name besides; `*` at the end stands for any text.
    #[serde(default)]
    pub(crate) also_allowed: Vec<String>,
    /// When nodes fetch images.
    #[serde(default)]
    pub(crate) image_pull_policy: PullPolicy,
    /// Secrets of the namespace with which nodes fetch images.
    #[serde(default)]
    pub(crate) image_pull_secrets: Vec<String>,
    /// Folder for event logs, such as `s3a://logs/spark`.
    #[serde(default)]
    pub(crate) event_log: Option<String>,
    /// Labels of the nodes that drivers and executors may run on.
    #[serde(default)]
    pub(crate) node_selector: BTreeMap<String, String>,
    /// The priority class of drivers and executors.
    #[serde(default)]
    pub(crate) priority_class: Option<String>,
    /// Whether each attempt gets a network policy that admits only its own pods.
    #[serde(default = "default_network_policy")]
    pub(crate) network_policy: bool,
}

const fn default_network_policy() -> bool {
    true
}

/// When nodes fetch images, in Kubernetes' words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum PullPolicy {
    /// When they don't have them.
    #[default]
    IfNotPresent,
    /// Before each start.
    Always,
    /// Never; they must be there.
    Never,
}

impl From<PullPolicy> for ImagePullPolicy {
    fn from(policy: PullPolicy) -> Self {
        match policy {
            PullPolicy::IfNotPresent => Self::IfNotPresent,
            PullPolicy::Always => Self::Always,
            PullPolicy::Never => Self::Never,
        }
    }
}

impl Clusters {
    /// Everything that is wrong with their meaning.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, cluster) in &self.0 {
            let at = [Step::Key(name.clone())];
            match BackendName::new(name) {
                Ok(name) if name.as_str() == super::LOCAL => {
                    problems.push(Problem::new(&at, "is the name of the backend of this machine; choose another"));
                }
                Ok(_) => {}
                Err(error) => problems.push(Problem::new(&at, error.to_string())),
            }
            if cluster.placement.is_none() && cluster.tenants.is_empty() {
                problems.push(Problem::new(&at, "no tenant may run anything there; say where under `placement`"));
            }
            if cluster.placements(&at, &mut problems).of_namespace(&cluster.namespace) {
                let message =
                    format!("drivers run in `{}`; the gateway needs a namespace of its own", cluster.namespace);
                problems.push(Problem::new(&step(&at, "namespace"), message));
            }
        }
        problems
    }
}

/// What [`Clusters::problems`] asks of placements.
trait Inhabits {
    fn of_namespace(&self, namespace: &str) -> bool;
}

impl Inhabits for Placements {
    fn of_namespace(&self, namespace: &str) -> bool {
        let mut all = self.tenants.values().chain(&self.default);
        all.any(|placement| placement.namespace == namespace)
    }
}

impl ClusterConfig {
    /// Where the drivers of each tenant go; what is wrong with that is added to `problems`.
    pub(crate) fn placements(&self, path: &[Step], problems: &mut Vec<Problem>) -> Placements {
        let default = self.placement.as_ref().and_then(|it| it.placement(&step(path, "placement"), problems));
        let mut tenants = BTreeMap::new();
        for (name, placement) in &self.tenants {
            let at = step(&step(path, "tenants"), name);
            let placement = placement.placement(&at, problems);
            match TenantName::new(name) {
                Ok(tenant) => tenants.extend(placement.map(|placement| (tenant, placement))),
                Err(error) => problems.push(Problem::new(&at, error.to_string())),
            }
        }
        self.refuse_shared(path, problems);
        Placements { default, tenants }
    }

    /// What each tenant may name on the cluster, because it is what it would get anyway.
    pub(crate) fn grants(&self) -> Vec<(Option<TenantName>, Granted)> {
        let Placements { default, tenants } = self.placements(&[], &mut Vec::new());
        let tenants = tenants.into_iter().map(|(tenant, placement)| (Some(tenant), placement));
        let granted = |placement: &Placement| Granted {
            images: placement.images.patterns().map(|pattern| pattern_text(&pattern)).collect(),
            namespaces: vec![placement.namespace.clone()],
            service_accounts: vec![placement.service_account.clone()],
            pull_secrets: placement.image_pull_secrets.clone(),
        };
        let all = default.into_iter().map(|placement| (None, placement)).chain(tenants);
        all.map(|(tenant, placement)| (tenant, granted(&placement))).collect()
    }

    /// Drivers of two tenants in one namespace could do to each other's pods what they may do to their own.
    fn refuse_shared(&self, path: &[Step], problems: &mut Vec<Problem>) {
        let mut seen: BTreeSet<_> = self.placement.iter().map(|placement| &placement.namespace).collect();
        for (name, placement) in &self.tenants {
            if !seen.insert(&placement.namespace) {
                let at = step(&step(&step(path, "tenants"), name), "namespace");
                let message = format!("`{}` belongs to another tenant's drivers already", placement.namespace);
                problems.push(Problem::new(&at, message));
            }
        }
    }
}

impl PlacementConfig {
    fn placement(&self, path: &[Step], problems: &mut Vec<Problem>) -> Option<Placement> {
        let images = self.images(path, problems)?;
        let placement = Placement {
            image_pull_policy: self.image_pull_policy.into(),
            image_pull_secrets: self.image_pull_secrets.clone(),
            event_log: self.event_log.clone().map(|dir| EventLog { dir, claim: None }),
            node_selector: self.node_selector.clone(),
            priority_class: self.priority_class.clone(),
            network_policy: self.network_policy,
            ..Placement::new(&self.namespace, &self.service_account, images)
        };
        let found = placement.problems();
        let fine = found.is_empty();
        problems.extend(found.into_iter().map(|one| Problem::new(path, format!("{}: {}", one.field, one.message))));
        fine.then_some(placement)
    }

    fn images(&self, path: &[Step], problems: &mut Vec<Problem>) -> Option<Images> {
        let before = problems.len();
        let mut lines = BTreeMap::new();
        for (name, image) in &self.images {
            match SparkName::new(name) {
                Ok(name) => drop(lines.insert(name, SparkImage { image: image.clone(), version: None })),
                Err(error) => problems.push(Problem::new(&step(&step(path, "images"), name), error.to_string())),
            }
        }
        let mut also_allowed = Vec::new();
        for (index, pattern) in self.also_allowed.iter().enumerate() {
            match pattern.parse::<ImagePattern>() {
                Ok(pattern) => also_allowed.push(pattern),
                Err(error) => {
                    let at = [step(path, "also_allowed"), vec![Step::Index(index)]].concat();
                    problems.push(Problem::new(&at, error.to_string()));
                }
            }
        }
        let Some(default) = self.images.first().and_then(|(name, _)| SparkName::new(name).ok()) else {
            problems.push(Problem::new(&step(path, "images"), "names no image; write a Spark's name and its image"));
            return None;
        };
        (problems.len() == before).then_some(Images { default, lines, also_allowed })
    }
}

/// As the configuration has it.
fn pattern_text(pattern: &ImagePattern) -> String {
    match pattern {
        ImagePattern::Exact(image) => image.clone(),
        ImagePattern::Prefix(prefix) => format!("{prefix}*"),
    }
}

fn step(path: &[Step], key: &str) -> Vec<Step> {
    [path, &[Step::Key(key.to_owned())]].concat()
}
