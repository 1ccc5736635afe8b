//! Where on a cluster a tenant's drivers go and what they are allowed to be. All of it comes from configuration;
//! nothing here can be chosen by who submits, except within [`Images`].

use std::collections::BTreeMap;
use std::str::FromStr;

use k8s_openapi::api::core::v1::Toleration;
use model::id::SparkName;

use crate::Problem;
use crate::labels::{is_dns_label, is_key, is_subdomain, is_value};
use crate::version::SparkVersion;

/// The user that Spark's images run as.
pub const SPARK_USER_ID: i64 = 185;

/// Where on a cluster a tenant's drivers go and what they are allowed to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// The namespace of drivers and executors.
    pub namespace: String,
    /// The service account of drivers. Executors run under it too, without its token.
    pub service_account: String,
    /// Which images may run.
    pub images: Images,
    /// When nodes fetch them.
    pub image_pull_policy: ImagePullPolicy,
    /// Secrets of the namespace with which nodes fetch them.
    pub image_pull_secrets: Vec<String>,
    /// Where drivers write event logs, unless an application says otherwise.
    pub event_log: Option<EventLog>,
    /// Labels of the nodes that drivers and executors may run on, besides what an application asks for.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that drivers and executors tolerate.
    pub tolerations: Vec<Toleration>,
    /// The priority class of drivers and executors.
    pub priority_class: Option<String>,
    /// Numeric user of the containers; never 0.
    pub user: i64,
    /// Group that volumes belong to.
    pub volume_group: Option<i64>,
    /// Whether each attempt gets a network policy that admits only its own pods.
    pub network_policy: bool,
}

impl Placement {
    /// A placement with everything else as it is by default: images fetched when absent, the user of Spark's images,
    /// a network policy for each attempt.
    pub fn new(namespace: impl Into<String>, service_account: impl Into<String>, images: Images) -> Self {
        Self {
            namespace: namespace.into(),
            service_account: service_account.into(),
            images,
            image_pull_policy: ImagePullPolicy::default(),
            image_pull_secrets: Vec::new(),
            event_log: None,
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            priority_class: None,
            user: SPARK_USER_ID,
            volume_group: Some(SPARK_USER_ID),
            network_policy: true,
        }
    }

    /// Everything that is wrong with it, by the names of its fields.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut require = |holds: bool, field: &str, message: String| {
            if !holds {
                problems.push(Problem::new(field, message));
            }
        };
        let namespace = &self.namespace;
        require(is_dns_label(namespace), "namespace", format!("`{namespace}` is not the name of a namespace"));
        let account = &self.service_account;
        require(is_subdomain(account), "service_account", format!("`{account}` is not the name of a service account"));
        for secret in &self.image_pull_secrets {
            require(is_subdomain(secret), "image_pull_secrets", format!("`{secret}` is not the name of a Secret"));
        }
        for (key, value) in &self.node_selector {
            require(is_key(key) && is_value(value), "node_selector", format!("`{key}={value}` is not a label"));
        }
        require(self.user > 0, "user", "containers must not run as root; give the number of another user".to_owned());
        for claim in self.event_log.iter().filter_map(|log| log.claim.as_ref()) {
            let (name, path) = (&claim.name, &claim.mount_path);
            require(is_subdomain(name), "event_log", format!("`{name}` is not the name of a volume claim"));
            require(path.starts_with('/'), "event_log", format!("mount path `{path}` is not absolute"));
        }
        problems.extend(self.images.problems());
        problems
    }
}

/// When a node fetches an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImagePullPolicy {
    /// When it doesn't have it.
    #[default]
    IfNotPresent,
    /// Before each start.
    Always,
    /// Never; it must be there.
    Never,
}

impl ImagePullPolicy {
    /// Kubernetes' word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IfNotPresent => "IfNotPresent",
            Self::Always => "Always",
            Self::Never => "Never",
        }
    }
}

/// The images that a tenant's drivers and executors may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Which of `lines` runs an application that names none.
    pub default: SparkName,
    /// The image of each Spark that an application can name.
    pub lines: BTreeMap<SparkName, SparkImage>,
    /// What an application may name in `spark.kubernetes.container.image` and its like, besides the images of `lines`.
    pub also_allowed: Vec<ImagePattern>,
}

impl Images {
    /// One Spark, with nothing else allowed.
    pub fn one(spark: SparkName, image: impl Into<String>) -> Self {
        let image = SparkImage { image: image.into(), version: None };
        Self { default: spark.clone(), lines: BTreeMap::from([(spark, image)]), also_allowed: Vec::new() }
    }

    /// The Spark called `spark`, or the default one, with the version it is.
    pub fn resolve<'a>(&'a self, spark: Option<&'a SparkName>) -> Option<(&'a SparkImage, SparkVersion)> {
        let name = spark.unwrap_or(&self.default);
        let image = self.lines.get(name)?;
        let version = image.version.or_else(|| name.as_str().parse().ok()).unwrap_or(SparkVersion::NEWEST);
        Some((image, version))
    }

    /// Whether an application may run `image`.
    pub fn allows(&self, image: &str) -> bool {
        self.lines.values().any(|line| line.image == image)
            || self.also_allowed.iter().any(|pattern| pattern.matches(image))
    }

    /// Every image and pattern that is allowed.
    pub fn patterns(&self) -> impl Iterator<Item = ImagePattern> {
        let lines = self.lines.values().map(|line| ImagePattern::Exact(line.image.clone()));
        lines.chain(self.also_allowed.iter().cloned())
    }

    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !self.lines.contains_key(&self.default) {
            problems.push(Problem::new("images.default", format!("there is no image for Spark `{}`", self.default)));
        }
        for (name, line) in &self.lines {
            let field = format!("images.lines.{name}");
            if !is_image(&line.image) {
                problems.push(Problem::new(&field, format!("`{}` is not the name of an image", line.image)));
            }
            let version = self.resolve(Some(name)).map(|(_, version)| version);
            if version.is_some_and(|version| version < SparkVersion::OLDEST) {
                problems.push(Problem::new(&field, format!("Spark must be {} or newer", SparkVersion::OLDEST)));
            }
        }
        problems
    }
}

/// One Spark on a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparkImage {
    /// The image, `registry.example/spark:4.1.4`.
    pub image: String,
    /// Its line of releases; read from the Spark's name when absent, and taken for the newest when that tells none.
    pub version: Option<SparkVersion>,
}

/// An image, or what the names of many images begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImagePattern {
    /// This image.
    Exact(String),
    /// Every image whose name begins so; written with a `*` at the end.
    Prefix(String),
}

/// Text that is no pattern of images.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` must be an image, or a registry and path that end in `*`, such as registry.example/team/*")]
pub struct InvalidImagePattern(String);

impl FromStr for ImagePattern {
    type Err = InvalidImagePattern;

    /// Reads `registry.example/spark:4.1.4` or `registry.example/team/*`. A prefix holds at least the registry with
    /// its slash, because `registry.example*` would admit `registry.example.evil/x` too.
    fn from_str(text: &str) -> Result<Self, InvalidImagePattern> {
        let pattern = match text.strip_suffix('*') {
            Some(prefix) if prefix.contains('/') => Self::Prefix(prefix.to_owned()),
            Some(_) => return Err(InvalidImagePattern(text.to_owned())),
            None => Self::Exact(text.to_owned()),
        };
        let (Self::Exact(name) | Self::Prefix(name)) = &pattern;
        if is_image(name) { Ok(pattern) } else { Err(InvalidImagePattern(text.to_owned())) }
    }
}

impl ImagePattern {
    /// Whether it means `image`.
    pub fn matches(&self, image: &str) -> bool {
        match self {
            Self::Exact(exact) => image == exact,
            Self::Prefix(prefix) => image.starts_with(prefix.as_str()),
        }
    }
}

/// Whether `text` can be an image's name; whether it is one, its registry knows.
pub(crate) fn is_image(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"._-/:@+".contains(&b);
    text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) && text.len() <= 512 && text.bytes().all(inside)
}

/// Where drivers write event logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLog {
    /// The folder, `s3a://logs/spark` or `file:///event-logs`.
    pub dir: String,
    /// The volume that the folder is on, when it is one of the cluster's.
    pub claim: Option<EventLogClaim>,
}

/// A volume for event logs. Each driver sees only a folder of its own on it, named by Spark's application id.
///
/// The kubelet makes that folder as root, so it is writable only on a kind of volume that honours
/// [`Placement::volume_group`]; on others (`hostPath`, most of NFS) the volume's own folder must be writable for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLogClaim {
    /// The PersistentVolumeClaim in the namespace of the drivers.
    pub name: String,
    /// Where drivers see their folder of it.
    pub mount_path: String,
}
