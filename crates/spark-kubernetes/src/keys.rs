//! Conf keys that a submitter may not use freely, each with what to do instead.
//!
//! Where a key would override what belongs to the gateway or the placement, the application is refused rather than
//! run otherwise than asked. A key that says what is so anyway is no override and passes.
//!
//! | Keys | What a submitter may say | Who decides |
//! |---|---|---|
//! | `spark.master`, `spark.app.id`, `spark.driver.{host,bindAddress}`, `spark.kubernetes.{context,submitInDriver,resource.type,trust.certificates}`, `spark.kubernetes.driver.{master,pod.name,resourceNamePrefix}`, `spark.kubernetes.executor.podNamePrefix` | nothing | the gateway |
//! | `spark.kubernetes.namespace`, `spark.kubernetes.authenticate.{driver,executor}.serviceAccountName`, `spark.kubernetes.container.image.{pullPolicy,pullSecrets}` | what the placement says | the placement |
//! | `spark.kubernetes.{,driver.,executor.}container.image` | an image that the placement allows | the placement |
//! | `spark.kubernetes.{,driver.,executor.}node.selector.*` | labels that the placement doesn't set otherwise | both |
//! | all other `spark.kubernetes.authenticate.*` | nothing: credentials come from the service account | the placement |
//! | `…allowPrivilegeEscalation`, `spark.submit.deployMode`, `spark.kubernetes.allocation.pods.allocator` | `false`, `cluster`, `direct` | this crate |
//! | pod templates, volumes, Secrets, feature steps, uploads, Kerberos, Hadoop's configuration | nothing | not built yet |
//!
//! Everything else goes to the driver unchanged.

use model::spark_conf::is_secret;

use crate::labels;
use crate::placement::Placement;
use crate::reader::Reader;

/// What a key may be set to.
enum Rule {
    /// Nothing: the gateway sets it.
    Gateway,
    /// Only what the placement says.
    Placed(fn(&Placement) -> String),
    /// An image that the placement allows.
    Image,
    /// Only this value.
    Only(&'static str),
    /// Nothing, because of this; the sentence says what to do.
    Refused(&'static str),
}

const TEMPLATE: &str = "pod templates are not supported; leave it out, the backend makes the template of executors";
const CONTAINER: &str = "pod templates are not supported; leave it out";
const VOLUME: &str = "volumes are not supported; use the URI of a store, or ask for a larger node's own disk";
const SECRET: &str = "Secrets of the namespace are not a submitter's to choose; pass the value as a conf key or an environment variable \
     (`spark.kubernetes.driverEnv.NAME`, `spark.executorEnv.NAME`), which the gateway keeps in a Secret";
const STEPS: &str = "feature steps are classes that change pods at will; leave it out";
const KERBEROS: &str = "Kerberos is not supported on this backend";
const HADOOP: &str = "ConfigMaps of the namespace are not a submitter's to choose; set `spark.hadoop.*` keys instead";
const CREDENTIALS: &str = "credentials come from the service account of the placement; leave it out";

/// The first entry whose key fits decides; a `*` at the end stands for anything.
const RULES: &[(&str, Rule)] = &[
    ("spark.master", Rule::Gateway),
    ("spark.app.id", Rule::Gateway),
    ("spark.driver.host", Rule::Gateway),
    ("spark.driver.bindAddress", Rule::Gateway),
    ("spark.submit.deployMode", Rule::Only("cluster")),
    ("spark.kubernetes.context", Rule::Gateway),
    ("spark.kubernetes.submitInDriver", Rule::Gateway),
    ("spark.kubernetes.resource.type", Rule::Gateway),
    ("spark.kubernetes.trust.certificates", Rule::Gateway),
    ("spark.kubernetes.driver.master", Rule::Gateway),
    ("spark.kubernetes.driver.pod.name", Rule::Gateway),
    ("spark.kubernetes.driver.resourceNamePrefix", Rule::Gateway),
    ("spark.kubernetes.executor.podNamePrefix", Rule::Gateway),
    ("spark.kubernetes.namespace", Rule::Placed(|placement| placement.namespace.clone())),
    (
        "spark.kubernetes.authenticate.driver.serviceAccountName",
        Rule::Placed(|placement| placement.service_account.clone()),
    ),
    (
        "spark.kubernetes.authenticate.executor.serviceAccountName",
        Rule::Placed(|placement| placement.service_account.clone()),
    ),
    ("spark.kubernetes.authenticate.*", Rule::Refused(CREDENTIALS)),
    (
        "spark.kubernetes.container.image.pullPolicy",
        Rule::Placed(|placement| placement.image_pull_policy.as_str().to_owned()),
    ),
    ("spark.kubernetes.container.image.pullSecrets", Rule::Placed(|placement| placement.image_pull_secrets.join(","))),
    ("spark.kubernetes.container.image", Rule::Image),
    ("spark.kubernetes.driver.container.image", Rule::Image),
    ("spark.kubernetes.executor.container.image", Rule::Image),
    ("spark.kubernetes.securityContext.allowPrivilegeEscalation", Rule::Only("false")),
    ("spark.kubernetes.driver.securityContext.allowPrivilegeEscalation", Rule::Only("false")),
    ("spark.kubernetes.executor.securityContext.allowPrivilegeEscalation", Rule::Only("false")),
    ("spark.kubernetes.allocation.pods.allocator", Rule::Only("direct")),
    ("spark.kubernetes.driver.podTemplateFile", Rule::Refused(TEMPLATE)),
    ("spark.kubernetes.executor.podTemplateFile", Rule::Refused(TEMPLATE)),
    ("spark.kubernetes.driver.podTemplateContainerName", Rule::Refused(CONTAINER)),
    ("spark.kubernetes.executor.podTemplateContainerName", Rule::Refused(CONTAINER)),
    ("spark.kubernetes.driver.volumes.*", Rule::Refused(VOLUME)),
    ("spark.kubernetes.executor.volumes.*", Rule::Refused(VOLUME)),
    ("spark.kubernetes.driver.secrets.*", Rule::Refused(SECRET)),
    ("spark.kubernetes.driver.secretKeyRef.*", Rule::Refused(SECRET)),
    ("spark.kubernetes.executor.secrets.*", Rule::Refused(SECRET)),
    ("spark.kubernetes.executor.secretKeyRef.*", Rule::Refused(SECRET)),
    ("spark.kubernetes.driver.pod.featureSteps", Rule::Refused(STEPS)),
    ("spark.kubernetes.executor.pod.featureSteps", Rule::Refused(STEPS)),
    ("spark.kubernetes.driver.pod.excludedFeatureSteps", Rule::Refused(STEPS)),
    ("spark.kubernetes.executor.pod.excludedFeatureSteps", Rule::Refused(STEPS)),
    ("spark.kubernetes.scheduler.volcano.*", Rule::Refused("Volcano is not supported; leave it out")),
    (
        "spark.kubernetes.file.upload.path",
        Rule::Refused("nothing is uploaded; name files as local://PATH or by the URI of a store"),
    ),
    ("spark.kubernetes.hadoop.configMapName", Rule::Refused(HADOOP)),
    ("spark.kubernetes.executor.hadoopConfigMapName", Rule::Refused(HADOOP)),
    ("spark.kubernetes.kerberos.*", Rule::Refused(KERBEROS)),
    ("spark.kerberos.keytab", Rule::Refused(KERBEROS)),
    ("spark.kerberos.principal", Rule::Refused(KERBEROS)),
];

/// Keys whose values end up readable in pods or in command lines.
const PUBLIC: [&str; 14] = [
    "spark.driver.defaultJavaOptions",
    "spark.driver.extraJavaOptions",
    "spark.executor.defaultJavaOptions",
    "spark.executor.extraJavaOptions",
    "spark.kubernetes.driver.label.*",
    "spark.kubernetes.driver.annotation.*",
    "spark.kubernetes.driver.service.label.*",
    "spark.kubernetes.driver.service.annotation.*",
    "spark.kubernetes.executor.label.*",
    "spark.kubernetes.executor.annotation.*",
    "spark.kubernetes.node.selector.*",
    "spark.kubernetes.driver.node.selector.*",
    "spark.kubernetes.executor.node.selector.*",
    "spark.local.dir",
];

/// Families whose names and values must be labels.
const LABELS: [&str; 6] = [
    "spark.kubernetes.driver.label.",
    "spark.kubernetes.driver.service.label.",
    "spark.kubernetes.executor.label.",
    "spark.kubernetes.node.selector.",
    "spark.kubernetes.driver.node.selector.",
    "spark.kubernetes.executor.node.selector.",
];

/// Labels that Spark or the gateway finds things by.
const RESERVED_LABELS: [&str; 7] = [
    labels::MANAGED_BY,
    labels::SPARK_APP,
    labels::SPARK_APP_NAME,
    labels::SPARK_ROLE,
    labels::SPARK_VERSION,
    "spark-exec-id",
    "spark-exec-resourceprofile-id",
];

/// Checks every key against the tables of this file.
pub(crate) fn check(reader: &mut Reader<'_>, placement: &Placement) {
    for (key, value) in reader.conf.iter() {
        if let Err(error) = model::properties::check_representable(key, value) {
            reader.problem(key, error.to_string());
        }
        if let Some((_, rule)) = RULES.iter().find(|(pattern, _)| fits(pattern, key))
            && let Some(why) = refusal(rule, value, placement)
        {
            reader.problem(key, why);
        }
        if PUBLIC.iter().any(|pattern| fits(pattern, key)) {
            reader.require_public(key, value);
        }
    }
    for family in LABELS {
        check_labels(reader, family, placement);
    }
    for family in ["spark.kubernetes.driver.annotation.", "spark.kubernetes.executor.annotation."] {
        for (name, _) in reader.family(family) {
            if !labels::is_key(name) || name.starts_with(labels::PREFIX) {
                reader.problem(&format!("{family}{name}"), "is not the name of an annotation that may be set");
            }
        }
    }
}

fn check_labels(reader: &mut Reader<'_>, family: &str, placement: &Placement) {
    for (name, value) in reader.family(family) {
        let key = format!("{family}{name}");
        // The only placeholder that Spark knows in labels.
        if !labels::is_key(name) || !labels::is_value(&value.replace("{{APP_ID}}", "spark-0")) {
            reader.problem(&key, "is not a label as Kubernetes spells them");
        }
        if RESERVED_LABELS.contains(&name) || name.starts_with(labels::PREFIX) {
            reader.problem(&key, "is a label that the gateway or Spark sets; use another name");
        }
        let placed = placement.node_selector.get(name).filter(|_| family.ends_with("node.selector."));
        if let Some(placed) = placed.filter(|placed| *placed != value) {
            reader.problem(&key, format!("must be `{placed}`, which the placement says; leave it out"));
        }
    }
}

fn fits(pattern: &str, key: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => key.starts_with(prefix),
        None => key == pattern,
    }
}

/// Why `value` breaks `rule`. What the placement says may be told; it is configuration, not a secret.
fn refusal(rule: &Rule, value: &str, placement: &Placement) -> Option<String> {
    let shown = if is_secret(value) { "this value" } else { value };
    match rule {
        Rule::Gateway => Some("is decided by the gateway; leave it out".to_owned()),
        Rule::Refused(why) => Some((*why).to_owned()),
        Rule::Only(only) if *only == value => None,
        Rule::Only(only) => Some(format!("can only be `{only}`; leave it out")),
        Rule::Placed(placed) if placed(placement) == value => None,
        Rule::Placed(placed) => Some(format!("can only be `{}`; leave it out", placed(placement))),
        Rule::Image if placement.images.allows(value) => None,
        Rule::Image => Some(format!("`{shown}` is not an image that may run here; leave it out or use an allowed one")),
    }
}
