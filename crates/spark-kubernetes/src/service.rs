//! How executors find their driver, and who else may connect to either.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use model::id::AttemptId;

use crate::DriverRequest;
use crate::labels;
use crate::names;
use crate::objects::metadata;
use crate::reader::Reader;
use crate::resolve::{CONNECT_PORT, Resolved};
use crate::version::Feature;

/// What an application says about its driver's service.
pub(crate) struct ServiceOptions<'a> {
    ip_family_policy: &'a str,
    ip_families: Vec<&'a str>,
    publish_not_ready: bool,
    labels: Vec<(&'a str, &'a str)>,
    annotations: Vec<(&'a str, &'a str)>,
}

impl<'a> ServiceOptions<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Self {
        const POLICY: &str = "spark.kubernetes.driver.service.ipFamilyPolicy";
        const FAMILIES: &str = "spark.kubernetes.driver.service.ipFamilies";
        let ip_family_policy = reader.text(POLICY).unwrap_or("SingleStack");
        if !["SingleStack", "PreferDualStack", "RequireDualStack"].contains(&ip_family_policy) {
            reader.problem(POLICY, "must be SingleStack, PreferDualStack or RequireDualStack");
        }
        let ip_families: Vec<&str> = reader.text(FAMILIES).unwrap_or("IPv4").split(',').map(str::trim).collect();
        if !matches!(ip_families[..], ["IPv4" | "IPv6"] | ["IPv4", "IPv6"] | ["IPv6", "IPv4"]) {
            reader.problem(FAMILIES, "must be IPv4, IPv6 or both with a comma between");
        }
        let publishes = reader.text("spark.kubernetes.driver.service.publishNotReadyAddresses");
        Self {
            ip_family_policy,
            ip_families,
            publish_not_ready: publishes.is_some_and(|text| text.eq_ignore_ascii_case("true")),
            labels: reader.family("spark.kubernetes.driver.service.label."),
            annotations: reader.family("spark.kubernetes.driver.service.annotation."),
        }
    }
}

/// The headless service that `spark.driver.host` names.
pub(crate) fn headless(request: &DriverRequest<'_>, resolved: &Resolved<'_>) -> Service {
    let options = &resolved.service;
    let has = |feature| resolved.version.has(feature);
    let mut metadata = metadata(request, names::service_name(*request.attempt));
    let own = metadata.labels.take().unwrap_or_default();
    metadata.labels = Some(owned(&options.labels).into_iter().chain(own).collect());
    metadata.annotations = (!options.annotations.is_empty()).then(|| owned(&options.annotations));
    let families = || options.ip_families.iter().map(|family| (*family).to_owned()).collect();
    let spec = ServiceSpec {
        cluster_ip: Some("None".to_owned()),
        ip_families: has(Feature::ServiceIpFamilies).then(families),
        ip_family_policy: has(Feature::ServiceIpFamilies).then(|| options.ip_family_policy.to_owned()),
        ports: Some(resolved.ports.named().map(|(name, port)| service_port(name, port, resolved)).collect()),
        publish_not_ready_addresses: has(Feature::PublishNotReadyAddresses).then_some(options.publish_not_ready),
        selector: Some(driver_selector(*request.attempt)),
        ..ServiceSpec::default()
    };
    Service { metadata, spec: Some(spec), ..Service::default() }
}

fn service_port(name: &str, port: u16, resolved: &Resolved<'_>) -> ServicePort {
    let speaks_grpc = name == CONNECT_PORT && resolved.version.has(Feature::ConnectProtocol);
    ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(port),
        target_port: Some(IntOrString::Int(i32::from(port))),
        app_protocol: speaks_grpc.then(|| "grpc".to_owned()),
        ..ServicePort::default()
    }
}

/// Only labels that a driver has no reason to change, unlike Spark, which takes all of them.
fn driver_selector(attempt: AttemptId) -> BTreeMap<String, String> {
    let role = (labels::SPARK_ROLE.to_owned(), "driver".to_owned());
    labels::of_application(attempt).into_iter().chain([role]).collect()
}

/// Admits to driver and executors only pods of the same attempt.
pub(crate) fn network_policy(request: &DriverRequest<'_>) -> NetworkPolicy {
    let own =
        LabelSelector { match_labels: Some(labels::of_application(*request.attempt)), ..LabelSelector::default() };
    let peer = NetworkPolicyPeer { pod_selector: Some(own.clone()), ..NetworkPolicyPeer::default() };
    let rule = NetworkPolicyIngressRule { from: Some(vec![peer]), ports: None };
    NetworkPolicy {
        metadata: ObjectMeta { ..metadata(request, names::network_policy_name(*request.attempt)) },
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(own),
            ingress: Some(vec![rule]),
            policy_types: Some(vec!["Ingress".to_owned()]),
            egress: None,
        }),
    }
}

fn owned(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
