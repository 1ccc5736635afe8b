//! The configuration that the driver reads at its start: what was asked for, and on top of it what follows from
//! the placement and from the names of the attempt's objects.
//!
//! All of it stands in the Secret, at the place where spark-submit would put it: a driver may list the ConfigMaps of
//! its namespace, and those of its neighbours with them.

use std::collections::BTreeMap;

use crate::DriverRequest;
use crate::executor::{TEMPLATE_DIR, TEMPLATE_FILE};
use crate::files::Language;
use crate::names;
use crate::resolve::Resolved;

/// Where a driver's configuration is mounted.
pub(crate) const DIR: &str = "/opt/spark/conf";
/// The file in it, and its key in the Secret. Spark never copies a file of this name to executors.
pub(crate) const FILE: &str = "spark.properties";

/// Keys and values of the driver's properties file.
pub(crate) fn properties(request: &DriverRequest<'_>, resolved: &Resolved<'_>) -> BTreeMap<String, String> {
    let asked = resolved.spec.conf.iter().filter(|(key, _)| key.starts_with("spark."));
    let mut properties: BTreeMap<String, String> =
        asked.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    for reference in resolved.environment.executor_references(&names::secret_name(*request.attempt)) {
        properties.remove(&reference.instead_of);
        properties.insert(reference.key, reference.value);
    }
    let own = of_attempt(request, resolved).into_iter().chain(of_program(resolved)).chain(of_placement(resolved));
    properties.extend(own.map(|(key, value)| (key.to_owned(), value)));
    properties
}

fn of_attempt(request: &DriverRequest<'_>, resolved: &Resolved<'_>) -> Vec<(&'static str, String)> {
    let attempt = *request.attempt;
    let host = format!("{}.{}.svc", names::service_name(attempt), resolved.placement.namespace);
    vec![
        ("spark.app.id", names::application_id(attempt)),
        ("spark.driver.host", host),
        ("spark.driver.port", resolved.ports.driver.to_string()),
        ("spark.driver.blockManager.port", resolved.ports.block_manager.to_string()),
        ("spark.kubernetes.driver.pod.name", names::pod_name(attempt)),
        ("spark.kubernetes.executor.podNamePrefix", names::application_id(attempt)),
    ]
}

fn of_program(resolved: &Resolved<'_>) -> Vec<(&'static str, String)> {
    let asked = |key: &str| resolved.spec.conf.get(key).unwrap_or_default();
    let mut pairs = vec![
        ("spark.app.name", resolved.app_name.to_owned()),
        ("spark.submit.deployMode", "cluster".to_owned()),
        ("spark.submit.pyFiles", asked("spark.submit.pyFiles").to_owned()),
        ("spark.kubernetes.resource.type", resolved.language.as_str().to_owned()),
        ("spark.kubernetes.memoryOverheadFactor", resolved.size.overhead_factor.to_string()),
    ];
    if resolved.language == Language::Java {
        let jars = [asked("spark.jars"), &resolved.spec.resource];
        let jars: Vec<&str> = jars.into_iter().filter(|jar| !jar.is_empty()).collect();
        pairs.push(("spark.jars", jars.join(",")));
    }
    pairs
}

fn of_placement(resolved: &Resolved<'_>) -> Vec<(&'static str, String)> {
    let placement = resolved.placement;
    let mut pairs = vec![
        // In the driver only its shape matters; the address is `spark.kubernetes.driver.master`.
        ("spark.master", "k8s://https://kubernetes.default.svc".to_owned()),
        ("spark.kubernetes.submitInDriver", "true".to_owned()),
        ("spark.kubernetes.namespace", placement.namespace.clone()),
        ("spark.kubernetes.authenticate.driver.serviceAccountName", placement.service_account.clone()),
        ("spark.kubernetes.container.image", resolved.image.to_owned()),
        ("spark.kubernetes.container.image.pullPolicy", placement.image_pull_policy.as_str().to_owned()),
        ("spark.kubernetes.executor.podTemplateFile", format!("{TEMPLATE_DIR}/{TEMPLATE_FILE}")),
    ];
    if !placement.image_pull_secrets.is_empty() {
        pairs.push(("spark.kubernetes.container.image.pullSecrets", placement.image_pull_secrets.join(",")));
    }
    if let Some(log) = resolved.event_log {
        pairs.extend([("spark.eventLog.enabled", "true".to_owned()), ("spark.eventLog.dir", log.dir.clone())]);
    }
    pairs
}
