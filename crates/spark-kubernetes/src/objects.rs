//! Everything that one attempt is on a cluster.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use model::properties;
use model::spark_conf::{REDACTED, SparkConf};

use crate::executor::{self, TEMPLATE_KEY};
use crate::resolve::Resolved;
use crate::{DriverRequest, conf, driver, labels, names, service};

/// The gate behind which a driver's pod waits until everything it needs exists.
pub const SCHEDULING_GATE: &str = "lamplighter.dev/dependents";

/// The objects of one attempt. `Debug` shows their names only.
#[derive(Clone, PartialEq)]
pub struct DriverObjects {
    /// The driver. It is created first and owns the others.
    pub pod: Pod,
    /// The driver's configuration, and the variables that look like secrets.
    pub secret: Secret,
    /// The template of executors' pods; holds nothing of the submitter's.
    pub config_map: ConfigMap,
    /// The headless service by which executors find the driver.
    pub service: Service,
    /// Admits only pods of this attempt to its driver and executors; `None` where the placement wants none.
    pub network_policy: Option<NetworkPolicy>,
}

/// An object that exists as long as the driver's pod.
#[derive(Clone, PartialEq)]
pub enum Dependent {
    /// See [`DriverObjects::secret`].
    Secret(Box<Secret>),
    /// See [`DriverObjects::config_map`].
    ConfigMap(Box<ConfigMap>),
    /// See [`DriverObjects::service`].
    Service(Box<Service>),
    /// See [`DriverObjects::network_policy`].
    NetworkPolicy(Box<NetworkPolicy>),
}

impl DriverObjects {
    /// Everything but the pod, owned by the pod with the uid `pod_uid`, so that it goes when the pod goes.
    pub fn dependents(&self, pod_uid: &str) -> Vec<Dependent> {
        let owner = OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            name: self.pod.metadata.name.clone().unwrap_or_default(),
            uid: pod_uid.to_owned(),
            controller: Some(true),
            block_owner_deletion: None,
        };
        let owned =
            |metadata: &ObjectMeta| ObjectMeta { owner_references: Some(vec![owner.clone()]), ..metadata.clone() };
        let Self { secret, config_map, service, network_policy, .. } = self.clone();
        let mut dependents = vec![
            Dependent::Secret(Box::new(Secret { metadata: owned(&secret.metadata), ..secret })),
            Dependent::ConfigMap(Box::new(ConfigMap { metadata: owned(&config_map.metadata), ..config_map })),
            Dependent::Service(Box::new(Service { metadata: owned(&service.metadata), ..service })),
        ];
        dependents.extend(network_policy.map(|policy| {
            Dependent::NetworkPolicy(Box::new(NetworkPolicy { metadata: owned(&policy.metadata), ..policy }))
        }));
        dependents
    }

    /// All objects as they may be shown, the pod first: what looks like a secret is replaced by stars.
    pub fn redacted(&self) -> Vec<serde_json::Value> {
        let secret = Secret { string_data: self.secret.string_data.as_ref().map(redacted_data), ..self.secret.clone() };
        let policy = self.network_policy.as_ref();
        [json(&self.pod), json(&secret), json(&self.config_map), json(&self.service)]
            .into_iter()
            .chain(policy.map(json))
            .collect()
    }
}

impl Dependent {
    /// The object's name.
    pub fn name(&self) -> &str {
        let metadata = match self {
            Self::Secret(secret) => &secret.metadata,
            Self::ConfigMap(config_map) => &config_map.metadata,
            Self::Service(service) => &service.metadata,
            Self::NetworkPolicy(policy) => &policy.metadata,
        };
        metadata.name.as_deref().unwrap_or_default()
    }
}

impl fmt::Debug for DriverObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entry(&self.pod.metadata.name).entries(self.dependents("")).finish()
    }
}

impl fmt::Debug for Dependent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Builds the objects of an application that has been checked.
pub(crate) fn build(request: &DriverRequest<'_>, resolved: &Resolved<'_>) -> DriverObjects {
    DriverObjects {
        pod: driver::pod(request, resolved),
        secret: secret(request, resolved),
        config_map: config_map(request),
        service: service::headless(request, resolved),
        network_policy: resolved.placement.network_policy.then(|| service::network_policy(request)),
    }
}

/// Name, namespace and the labels that everything of an attempt has.
pub(crate) fn metadata(request: &DriverRequest<'_>, name: String) -> ObjectMeta {
    let own = [
        (labels::MANAGED_BY, labels::MANAGER.to_owned()),
        (labels::INSTANCE, labels::value(request.instance)),
        (labels::APPLICATION, request.application.to_string()),
        (labels::ATTEMPT, request.attempt.to_string()),
        (labels::ATTEMPT_NUMBER, request.number.to_string()),
        (labels::TENANT, labels::value(request.owner.tenant.as_str())),
        (labels::OWNER, labels::owner(request.owner)),
    ];
    let mut all = labels::of_application(*request.attempt);
    all.extend(own.map(|(key, value)| (key.to_owned(), value)));
    ObjectMeta {
        labels: Some(all),
        name: Some(name),
        namespace: Some(request.placement.namespace.clone()),
        ..ObjectMeta::default()
    }
}

fn secret(request: &DriverRequest<'_>, resolved: &Resolved<'_>) -> Secret {
    let properties = conf::properties(request, resolved);
    let text = properties::serialize(properties.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let variables = resolved.environment.secrets().map(|(key, value)| (key.to_owned(), value.to_owned()));
    Secret {
        immutable: Some(true),
        metadata: metadata(request, names::secret_name(*request.attempt)),
        string_data: Some(variables.chain([(conf::FILE.to_owned(), text)]).collect()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

fn config_map(request: &DriverRequest<'_>) -> ConfigMap {
    let template = json(&executor::template(request.placement)).to_string();
    ConfigMap {
        data: Some(BTreeMap::from([(TEMPLATE_KEY.to_owned(), template)])),
        immutable: Some(true),
        metadata: metadata(request, names::config_map_name(*request.attempt)),
        ..ConfigMap::default()
    }
}

fn redacted_data(data: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let shown = |(key, value): (&String, &String)| {
        let shown = if key == conf::FILE { redacted_properties(value) } else { None };
        (key.clone(), shown.unwrap_or_else(|| REDACTED.to_owned()))
    };
    data.iter().map(shown).collect()
}

fn redacted_properties(text: &str) -> Option<String> {
    let conf = SparkConf::from_properties(text).ok()?;
    Some(properties::serialize(conf.redacted()))
}

/// Kubernetes' types always have a form in JSON.
fn json(object: &impl k8s_openapi::serde::Serialize) -> serde_json::Value {
    serde_json::to_value(object).unwrap_or_default()
}
