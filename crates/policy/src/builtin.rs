//! The built-in rules: what nobody may do to others through conf, however little is configured.
//!
//! They hold on a gateway with several principals. The code of a driver is arbitrary and does what its place lets it
//! do; these rules are about what the *gateway and the cluster* would do at a submitter's word: with the gateway's
//! identity, before the driver's code is confined, or to objects of others. Start with [`TABLE`]; of the rules for a
//! kind of backend the first that means a key decides.
//!
//! On Kubernetes a key that isn't listed is refused, so that what a future Spark adds isn't open by accident.

use model::id::BackendKind::{self, Kubernetes, Local, Standalone, Yarn};
use model::spark_submit::Master;

use crate::pattern::PatternSet;

/// A list of names that the configuration can allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NameList {
    Images,
    Namespaces,
    ServiceAccounts,
    Secrets,
    PullSecrets,
    VolumeClaims,
    Queues,
}

impl NameList {
    /// Its key below `allow` in the configuration.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Namespaces => "namespaces",
            Self::ServiceAccounts => "service_accounts",
            Self::Secrets => "secrets",
            Self::PullSecrets => "pull_secrets",
            Self::VolumeClaims => "volume_claims",
            Self::Queues => "queues",
        }
    }
}

/// One rule of the table.
#[derive(Debug)]
pub(crate) struct Builtin {
    /// Its name in refusals and in `lift`.
    pub(crate) name: &'static str,
    /// The backends it is about.
    pub(crate) kinds: &'static [BackendKind],
    /// The keys it is about; `*` is any text, and case doesn't count.
    pub(crate) keys: &'static [&'static str],
    /// What it asks of them.
    pub(crate) guard: Guard,
    /// Whether the configuration may lift it.
    pub(crate) liftable: bool,
    /// Why, for the submitter and the documentation.
    pub(crate) reason: &'static str,
}

/// What a rule asks of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guard {
    /// Nothing.
    Free,
    /// That it isn't set.
    Refused,
    /// That key and value pass a test.
    Passes(fn(key: &str, value: &str, kind: BackendKind) -> bool),
    /// That the names in it are allowed by the configuration, or are those that the backend has for the tenant anyway.
    Named(NameList, Names),
    /// That the names in it are allowed by the configuration if it says anything about them.
    NamedIfListed(NameList, Names),
}

/// Finds the names in a key and its value.
pub(crate) type Names = for<'a> fn(key: &'a str, value: &'a str) -> Vec<&'a str>;

const EVERYWHERE: &[BackendKind] = &BackendKind::ALL;

/// Every built-in rule, in the order in which they are asked.
pub(crate) const TABLE: &[Builtin] = &[
    Builtin {
        name: "master",
        kinds: EVERYWHERE,
        keys: &["spark.master", "spark.remote"],
        guard: Guard::Passes(is_own_master),
        liftable: false,
        reason: "the backend decides which cluster it is; on a local backend local[N] is free to choose",
    },
    Builtin {
        name: "deploy-mode",
        kinds: EVERYWHERE,
        keys: &["spark.submit.deployMode"],
        guard: Guard::Passes(is_own_deploy_mode),
        liftable: false,
        reason: "where the driver runs is the backend's choice; in the other mode it would run as the gateway",
    },
    Builtin {
        name: "gateway-keys",
        kinds: EVERYWHERE,
        keys: &["spark.lamplighter.work-dir"],
        guard: Guard::Free,
        liftable: false,
        reason: "the driver's own user must be able to enter the folder; only local backends mind it",
    },
    Builtin {
        name: "gateway-keys",
        kinds: EVERYWHERE,
        keys: &["spark.lamplighter.*"],
        guard: Guard::Refused,
        liftable: false,
        reason: "keys of this name are for the gateway itself",
    },
    Builtin {
        name: "proxy-class-path",
        kinds: EVERYWHERE,
        keys: &["spark.submit.proxyUser.allowCustomClasspathInClusterMode"],
        guard: Guard::Refused,
        liftable: false,
        reason: "it would run the submitter's classes with the rights to impersonate",
    },
    Builtin {
        name: "impersonation",
        kinds: EVERYWHERE,
        keys: &["spark.*Env.HADOOP_USER_NAME", "spark.*Env.HADOOP_PROXY_USER"],
        guard: Guard::Refused,
        liftable: true,
        reason: "it claims to be another user of Hadoop; use the proxy user, which the gateway checks",
    },
    Builtin {
        name: "kerberos-identity",
        kinds: EVERYWHERE,
        keys: &["spark.kerberos.principal", "spark.kerberos.keytab", "spark.kerberos.renewal.credentials"],
        guard: Guard::Refused,
        liftable: true,
        reason: "a keytab or ticket would be read with the gateway's rights, or be the gateway's own",
    },
    Builtin {
        name: "event-log",
        kinds: EVERYWHERE,
        keys: &["spark.eventLog.dir"],
        guard: Guard::Refused,
        liftable: true,
        reason: "the gateway reads event logs later, with its own rights, from the place it chose itself",
    },
    Builtin {
        name: "yarn-queues",
        kinds: &[Yarn],
        keys: &["spark.yarn.queue"],
        guard: Guard::NamedIfListed(NameList::Queues, whole_value),
        liftable: true,
        reason: "the queue belongs to others",
    },
    Builtin {
        name: "yarn-gateway-rights",
        kinds: &[Yarn],
        keys: &[
            "spark.yarn.stagingDir",
            "spark.yarn.unmanagedAM.enabled",
            "spark.hadoop.fs.defaultFS",
            "spark.hadoop.yarn.*",
        ],
        guard: Guard::Refused,
        liftable: true,
        reason: "the gateway would write there, speak to it, or run the application master, with its own rights",
    },
    Builtin {
        name: "kubernetes-pod-template",
        kinds: &[Kubernetes],
        keys: &[
            "spark.kubernetes.driver.podTemplate*",
            "spark.kubernetes.executor.podTemplate*",
            "spark.kubernetes.scheduler.volcano.*",
        ],
        guard: Guard::Refused,
        liftable: true,
        reason: "a template can hold everything that other rules refuse",
    },
    Builtin {
        name: "kubernetes-host-path",
        kinds: &[Kubernetes],
        keys: &["spark.kubernetes.driver.volumes.hostPath.*", "spark.kubernetes.executor.volumes.hostPath.*"],
        guard: Guard::Refused,
        liftable: true,
        reason: "a folder of the node holds what belongs to others",
    },
    Builtin {
        name: "kubernetes-nfs",
        kinds: &[Kubernetes],
        keys: &["spark.kubernetes.driver.volumes.nfs.*", "spark.kubernetes.executor.volumes.nfs.*"],
        guard: Guard::Refused,
        liftable: true,
        reason: "the node mounts it with its own rights, from any server that it reaches",
    },
    Builtin {
        name: "kubernetes-volume-claims",
        kinds: &[Kubernetes],
        keys: &[
            "spark.kubernetes.driver.volumes.persistentVolumeClaim.*.options.claimName",
            "spark.kubernetes.executor.volumes.persistentVolumeClaim.*.options.claimName",
        ],
        guard: Guard::Named(NameList::VolumeClaims, claim),
        liftable: true,
        reason: "a claim may hold what belongs to another owner; `OnDemand` makes one of the application's own",
    },
    Builtin {
        name: "kubernetes-volumes",
        kinds: &[Kubernetes],
        keys: &[
            "spark.kubernetes.driver.volumes.persistentVolumeClaim.*",
            "spark.kubernetes.executor.volumes.persistentVolumeClaim.*",
            "spark.kubernetes.driver.volumes.emptyDir.*",
            "spark.kubernetes.executor.volumes.emptyDir.*",
        ],
        guard: Guard::Free,
        liftable: true,
        reason: "these volumes are the application's own",
    },
    Builtin {
        name: "kubernetes-secrets",
        kinds: &[Kubernetes],
        keys: &["spark.kubernetes.driver.secrets.*", "spark.kubernetes.executor.secrets.*"],
        guard: Guard::Named(NameList::Secrets, last_of_secrets_key),
        liftable: true,
        reason: "a Secret of the namespace may belong to another owner",
    },
    Builtin {
        name: "kubernetes-secrets",
        kinds: &[Kubernetes],
        keys: &["spark.kubernetes.driver.secretKeyRef.*", "spark.kubernetes.executor.secretKeyRef.*"],
        guard: Guard::Named(NameList::Secrets, before_colon),
        liftable: true,
        reason: "a Secret of the namespace may belong to another owner",
    },
    Builtin {
        name: "kubernetes-secrets",
        kinds: &[Kubernetes],
        keys: &["spark.kubernetes.container.image.pullSecrets"],
        guard: Guard::Named(NameList::PullSecrets, behind_commas),
        liftable: true,
        reason: "a Secret of the namespace may belong to another owner",
    },
    Builtin {
        name: "kubernetes-images",
        kinds: &[Kubernetes],
        keys: &[
            "spark.kubernetes.container.image",
            "spark.kubernetes.driver.container.image",
            "spark.kubernetes.executor.container.image",
        ],
        guard: Guard::Named(NameList::Images, whole_value),
        liftable: true,
        reason: "images come from the configuration, so that only those it trusts run on the cluster",
    },
    Builtin {
        name: "kubernetes-namespaces",
        kinds: &[Kubernetes],
        keys: &["spark.kubernetes.namespace"],
        guard: Guard::Named(NameList::Namespaces, whole_value),
        liftable: true,
        reason: "the tenant decides the namespace, which is what keeps tenants apart",
    },
    Builtin {
        name: "kubernetes-service-accounts",
        kinds: &[Kubernetes],
        keys: &[
            "spark.kubernetes.authenticate.serviceAccountName",
            "spark.kubernetes.authenticate.driver.serviceAccountName",
            "spark.kubernetes.authenticate.executor.serviceAccountName",
        ],
        guard: Guard::Named(NameList::ServiceAccounts, whole_value),
        liftable: true,
        reason: "a service account has rights, and the tenant's is the one that fits",
    },
    Builtin {
        name: "kubernetes-credentials",
        kinds: &[Kubernetes],
        keys: &[
            "spark.kubernetes.authenticate.*",
            "spark.kubernetes.context",
            "spark.kubernetes.driver.master",
            "spark.kubernetes.submission.*",
            "spark.kubernetes.trust.certificates",
        ],
        guard: Guard::Refused,
        liftable: false,
        reason: "the backend decides which API server it speaks to and as whom; files named here would be the gateway's",
    },
    Builtin {
        name: "kubernetes-foreign-objects",
        kinds: &[Kubernetes],
        keys: &["spark.kubernetes.kerberos.*", "spark.kubernetes.hadoop.configMapName"],
        guard: Guard::Refused,
        liftable: true,
        reason: "it mounts a ConfigMap or Secret by name, which may be another owner's",
    },
    Builtin {
        name: "kubernetes-feature-steps",
        kinds: &[Kubernetes],
        keys: &[
            "spark.kubernetes.driver.pod.featureSteps",
            "spark.kubernetes.driver.pod.excludedFeatureSteps",
            "spark.kubernetes.executor.pod.featureSteps",
            "spark.kubernetes.executor.pod.excludedFeatureSteps",
        ],
        guard: Guard::Refused,
        liftable: true,
        reason: "classes of the submitter would shape pods, or drop what protects them",
    },
    Builtin {
        name: "kubernetes-privilege",
        kinds: &[Kubernetes],
        keys: &[
            "spark.kubernetes.securityContext.*",
            "spark.kubernetes.driver.securityContext.*",
            "spark.kubernetes.executor.securityContext.*",
        ],
        guard: Guard::Refused,
        liftable: true,
        reason: "containers run without privilege",
    },
    Builtin {
        name: "kubernetes-names",
        kinds: &[Kubernetes],
        keys: &[
            "spark.kubernetes.driver.pod.name",
            "spark.kubernetes.driver.resourceNamePrefix",
            "spark.kubernetes.executor.podNamePrefix",
        ],
        guard: Guard::Refused,
        liftable: false,
        reason: "the gateway names objects after its own ids; another name could be another owner's object",
    },
    Builtin {
        name: "kubernetes-upload",
        kinds: &[Kubernetes],
        keys: &["spark.kubernetes.file.upload.path"],
        guard: Guard::Refused,
        liftable: true,
        reason: "files would be written there with the gateway's rights",
    },
    Builtin {
        name: "kubernetes-labels",
        kinds: &[Kubernetes],
        keys: &[
            "spark.kubernetes.driver.label.*",
            "spark.kubernetes.executor.label.*",
            "spark.kubernetes.driver.service.label.*",
        ],
        guard: Guard::Passes(is_plain_label),
        liftable: true,
        reason: "labels with a domain and those of Spark are what the cluster and the gateway tell pods apart by",
    },
    Builtin {
        name: "kubernetes-annotations",
        kinds: &[Kubernetes],
        keys: &[
            "spark.kubernetes.driver.annotation.*",
            "spark.kubernetes.executor.annotation.*",
            "spark.kubernetes.driver.service.annotation.*",
        ],
        guard: Guard::Passes(is_harmless_annotation),
        liftable: true,
        reason: "annotations with a domain give roles, networks and host names on many clusters; prometheus.io/ is free",
    },
    Builtin {
        name: "kubernetes-internal",
        kinds: &[Kubernetes],
        keys: &["spark.kubernetes.resource.type", "spark.kubernetes.submitInDriver"],
        guard: Guard::Refused,
        liftable: false,
        reason: "the backend sets it",
    },
    Builtin {
        name: "kubernetes-free",
        kinds: &[Kubernetes],
        keys: &[
            "spark.kubernetes.allocation.*",
            "spark.kubernetes.appKillPodDeletionGracePeriod",
            "spark.kubernetes.configMap.maxSize",
            "spark.kubernetes.container.image.pullPolicy",
            "spark.kubernetes.decommission.script",
            "spark.kubernetes.driver.annotateExitException",
            "spark.kubernetes.driver.connectionTimeout",
            "spark.kubernetes.driver.limit.cores",
            "spark.kubernetes.driver.node.selector.*",
            "spark.kubernetes.driver.ownPersistentVolumeClaim",
            "spark.kubernetes.driver.request.cores",
            "spark.kubernetes.driver.requestTimeout",
            "spark.kubernetes.driver.reusePersistentVolumeClaim",
            "spark.kubernetes.driver.scheduler.name",
            "spark.kubernetes.driver.service.deleteOnTermination",
            "spark.kubernetes.driver.service.ipFamil*",
            "spark.kubernetes.driver.service.publishNotReadyAddresses",
            "spark.kubernetes.driver.waitToReusePersistentVolumeClaim",
            "spark.kubernetes.driverEnv.*",
            "spark.kubernetes.dynamicAllocation.deleteGracePeriod",
            "spark.kubernetes.executor.apiPollingInterval",
            "spark.kubernetes.executor.checkAllContainers",
            "spark.kubernetes.executor.decommissionLabel",
            "spark.kubernetes.executor.decommissionLabelValue",
            "spark.kubernetes.executor.deletedExecutorsCacheTimeout",
            "spark.kubernetes.executor.deleteOnTermination",
            "spark.kubernetes.executor.disableConfigMap",
            "spark.kubernetes.executor.enableApiPolling",
            "spark.kubernetes.executor.enableApiWatcher",
            "spark.kubernetes.executor.enablePollingWithResourceVersion",
            "spark.kubernetes.executor.eventProcessingInterval",
            "spark.kubernetes.executor.limit.cores",
            "spark.kubernetes.executor.minTasksPerExecutorBeforeRolling",
            "spark.kubernetes.executor.missingPodDetectDelta",
            "spark.kubernetes.executor.node.selector.*",
            "spark.kubernetes.executor.podDeletionCost",
            "spark.kubernetes.executor.pvc.*",
            "spark.kubernetes.executor.request.cores",
            "spark.kubernetes.executor.resize*",
            "spark.kubernetes.executor.roll*",
            "spark.kubernetes.executor.scheduler.name",
            "spark.kubernetes.executor.terminationGracePeriodSeconds",
            "spark.kubernetes.executor.useDriverPodIP",
            "spark.kubernetes.executorSnapshotsSubscribersShutdownGracePeriod",
            "spark.kubernetes.jars.avoidDownloadSchemes",
            "spark.kubernetes.legacy.useReadWriteOnceAccessMode",
            "spark.kubernetes.local.dirs.tmpfs",
            "spark.kubernetes.memoryOverheadFactor",
            "spark.kubernetes.node.selector.*",
            "spark.kubernetes.report.interval",
            "spark.kubernetes.scheduler.name",
        ],
        guard: Guard::Free,
        liftable: true,
        reason: "nothing of others is touched",
    },
    Builtin {
        name: "kubernetes-unknown",
        kinds: &[Kubernetes],
        keys: &["spark.kubernetes.*"],
        guard: Guard::Refused,
        liftable: true,
        reason: "the gateway doesn't know this key, so it can't tell what it would do to others",
    },
];

/// The rules for one kind of backend, ready to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Builtins {
    keys: PatternSet,
    /// The rule of each pattern in `keys`.
    rules: Vec<&'static Builtin>,
}

impl Builtins {
    /// The rules for `kind`.
    pub(crate) fn new(kind: BackendKind) -> Self {
        let rules = TABLE.iter().filter(|rule| rule.kinds.contains(&kind));
        let keys = rules.flat_map(|rule| rule.keys.iter().map(move |key| (*key, rule)));
        let (keys, rules): (Vec<&str>, _) = keys.unzip();
        Self { keys: PatternSet::new(keys), rules }
    }

    /// The rule that decides about a key, spelled in lower case.
    pub(crate) fn of(&self, key: &str) -> Option<&'static Builtin> {
        self.keys.first(key).map(|index| self.rules[index])
    }
}

fn is_own_master(key: &str, value: &str, kind: BackendKind) -> bool {
    let master = || value.trim().parse::<Master>();
    key == "spark.master"
        && match kind {
            Local => matches!(master(), Ok(Master::Local { .. })),
            Yarn => matches!(master(), Ok(Master::Yarn)),
            Standalone | Kubernetes => false,
        }
}

fn is_own_deploy_mode(_key: &str, value: &str, kind: BackendKind) -> bool {
    value.trim() == if kind == Local { "client" } else { "cluster" }
}

/// Whether a label is none that a machine goes by: `spark.kubernetes.driver.label.NAME`.
fn is_plain_label(key: &str, _value: &str, _kind: BackendKind) -> bool {
    let name = behind(key, ".label.");
    !name.contains('/') && !name.to_ascii_lowercase().starts_with("spark-")
}

fn is_harmless_annotation(key: &str, _value: &str, _kind: BackendKind) -> bool {
    let name = behind(key, ".annotation.");
    !name.contains('/') || name.starts_with("prometheus.io/")
}

fn whole_value<'a>(_key: &'a str, value: &'a str) -> Vec<&'a str> {
    vec![value.trim()]
}

fn behind_commas<'a>(_key: &'a str, value: &'a str) -> Vec<&'a str> {
    value.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// Of `NAME:key`.
fn before_colon<'a>(_key: &'a str, value: &'a str) -> Vec<&'a str> {
    vec![value.split_once(':').map_or(value, |(name, _)| name).trim()]
}

/// Of `spark.kubernetes.driver.secrets.NAME`.
fn last_of_secrets_key<'a>(key: &'a str, _value: &'a str) -> Vec<&'a str> {
    vec![behind(key, ".secrets.")]
}

/// A claim by name; one that is made on demand has none.
fn claim<'a>(_key: &'a str, value: &'a str) -> Vec<&'a str> {
    let value = value.trim();
    if value == "OnDemand" { Vec::new() } else { vec![value] }
}

/// What stands behind the first `mark` in a key whose letters may have any case.
fn behind<'a>(key: &'a str, mark: &str) -> &'a str {
    key.to_ascii_lowercase().find(mark).map_or("", |at| &key[at + mark.len()..])
}
