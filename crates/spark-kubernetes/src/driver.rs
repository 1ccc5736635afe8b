//! The driver's pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, KeyToPath, LocalObjectReference,
    PersistentVolumeClaimVolumeSource, Pod, PodSchedulingGate, PodSpec, ResourceRequirements, SecretVolumeSource,
    Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use model::spark_conf::is_secret;

use crate::environment::{field, literal, verbatim};
use crate::executor::{TEMPLATE_DIR, TEMPLATE_FILE, TEMPLATE_KEY};
use crate::objects::{SCHEDULING_GATE, metadata};
use crate::placement::EventLogClaim;
use crate::resolve::Resolved;
use crate::size::DriverSize;
use crate::{DriverRequest, conf, labels, names, secure};

/// Mode of mounted files, 0644: the driver isn't the user that owns them.
const FILE_MODE: i32 = 0o644;

/// The pod of the driver.
pub(crate) fn pod(request: &DriverRequest<'_>, resolved: &Resolved<'_>) -> Pod {
    let placement = resolved.placement;
    let (volumes, mounts) = volumes(request, resolved);
    let pull_secrets = placement.image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() });
    let gate = || vec![PodSchedulingGate { name: SCHEDULING_GATE.to_owned() }];
    let spec = PodSpec {
        automount_service_account_token: Some(true),
        containers: vec![container(request, resolved, mounts)],
        enable_service_links: Some(false),
        image_pull_secrets: (!placement.image_pull_secrets.is_empty()).then(|| pull_secrets.collect()),
        node_selector: (!resolved.node_selector.is_empty()).then(|| resolved.node_selector.clone()),
        priority_class_name: placement.priority_class.clone(),
        restart_policy: Some("Never".to_owned()),
        scheduler_name: resolved.scheduler.map(str::to_owned),
        scheduling_gates: request.gated.then(gate),
        security_context: Some(secure::pod(placement)),
        service_account_name: Some(placement.service_account.clone()),
        tolerations: (!placement.tolerations.is_empty()).then(|| placement.tolerations.clone()),
        volumes: Some(volumes),
        ..PodSpec::default()
    };
    Pod { metadata: pod_metadata(request, resolved), spec: Some(spec), ..Pod::default() }
}

fn pod_metadata(request: &DriverRequest<'_>, resolved: &Resolved<'_>) -> ObjectMeta {
    let app_id = names::application_id(*request.attempt);
    // Spark's placeholders; a driver isn't an executor.
    let filled = |text: &str| text.replace("{{APP_ID}}", &app_id).replace("{{EXECUTOR_ID}}", "");
    let filled_all = |pairs: &BTreeMap<&str, &str>| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), filled(value))).collect()
    };
    let own = metadata(request, names::pod_name(*request.attempt));
    let mut labels = filled_all(&resolved.labels);
    labels.extend(own.labels.unwrap_or_default());
    labels.insert(labels::SPARK_ROLE.to_owned(), "driver".to_owned());
    labels.insert(labels::SPARK_VERSION.to_owned(), resolved.version.to_string());
    labels.extend(app_name_label(resolved.app_name).map(|name| (labels::SPARK_APP_NAME.to_owned(), name)));
    let annotations = filled_all(&resolved.annotations);
    ObjectMeta {
        labels: Some(labels),
        annotations: (!annotations.is_empty()).then_some(annotations),
        name: own.name,
        namespace: own.namespace,
        ..ObjectMeta::default()
    }
}

/// The application's name as Spark makes a label of it; none of a name that nothing is left of, or that looks like
/// a secret.
fn app_name_label(name: &str) -> Option<String> {
    let mut label = String::new();
    for c in name.trim().to_lowercase().chars() {
        let kept = if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
        if !(kept == '-' && label.ends_with('-')) {
            label.push(kept);
        }
    }
    label.truncate(63);
    let label = label.trim_matches('-');
    (!label.is_empty() && !is_secret(name)).then(|| label.to_owned())
}

fn container(request: &DriverRequest<'_>, resolved: &Resolved<'_>, mounts: Vec<VolumeMount>) -> Container {
    let port = |(name, port): (&str, u16)| ContainerPort {
        container_port: i32::from(port),
        name: Some(name.to_owned()),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    Container {
        args: Some(args(resolved)),
        env: Some(variables(request, resolved)),
        image: Some(resolved.driver_image.to_owned()),
        image_pull_policy: Some(resolved.placement.image_pull_policy.as_str().to_owned()),
        name: names::DRIVER_CONTAINER.to_owned(),
        ports: Some(resolved.ports.named().map(port).collect()),
        resources: Some(resources(&resolved.size)),
        security_context: Some(secure::container()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

/// What the image's entry point gets; it adds the address and calls spark-submit in client mode.
fn args(resolved: &Resolved<'_>) -> Vec<String> {
    let mut args = vec!["driver".to_owned()];
    if let Some(user) = &resolved.spec.proxy_user {
        args.extend(["--proxy-user".to_owned(), verbatim(user)]);
    }
    args.extend(["--properties-file".to_owned(), format!("{}/{}", conf::DIR, conf::FILE)]);
    args.extend(["--class".to_owned(), verbatim(resolved.class_name), verbatim(&resolved.spec.resource)]);
    args.extend(resolved.spec.args.iter().map(|arg| verbatim(arg)));
    args
}

fn variables(request: &DriverRequest<'_>, resolved: &Resolved<'_>) -> Vec<EnvVar> {
    let secret = names::secret_name(*request.attempt);
    let user = resolved.spec.proxy_user.as_deref().unwrap_or(request.owner.user.as_str());
    let mut all =
        vec![literal("SPARK_USER", user), literal("SPARK_APPLICATION_ID", &names::application_id(*request.attempt))];
    all.extend(resolved.environment.driver.iter().map(|variable| variable.to_pod(&secret)));
    all.push(field("SPARK_DRIVER_BIND_ADDRESS", "status.podIP"));
    all.extend(resolved.environment.python.iter().map(|variable| variable.to_pod(&secret)));
    all.push(literal("SPARK_LOCAL_DIRS", &local_dirs(request, resolved).join(",")));
    all.push(literal("SPARK_CONF_DIR", conf::DIR));
    all
}

fn local_dirs(request: &DriverRequest<'_>, resolved: &Resolved<'_>) -> Vec<String> {
    if resolved.local_dirs.is_empty() {
        return vec![format!("/var/data/spark-{}", request.attempt)];
    }
    resolved.local_dirs.iter().map(|dir| (*dir).to_owned()).collect()
}

fn resources(size: &DriverSize) -> ResourceRequirements {
    let memory = ("memory".to_owned(), Quantity(format!("{}Mi", size.memory_mib)));
    let cpu = |amount: &String| ("cpu".to_owned(), Quantity(amount.clone()));
    let devices = size.devices.iter().map(|(resource, amount)| (resource.clone(), Quantity(amount.clone())));
    ResourceRequirements {
        limits: Some(size.cpu_limit.iter().map(cpu).chain([memory.clone()]).chain(devices).collect()),
        requests: Some(BTreeMap::from([cpu(&size.cpu_request), memory])),
        ..ResourceRequirements::default()
    }
}

/// Volumes and where the driver sees them.
fn volumes(request: &DriverRequest<'_>, resolved: &Resolved<'_>) -> (Vec<Volume>, Vec<VolumeMount>) {
    let medium = resolved.local_dirs_in_memory.then(|| "Memory".to_owned());
    let local_dirs = local_dirs(request, resolved).into_iter().enumerate().map(|(index, dir)| {
        let name = format!("spark-local-dir-{}", index + 1);
        let empty = EmptyDirVolumeSource { medium: medium.clone(), size_limit: None };
        mounted(Volume { name, empty_dir: Some(empty), ..Volume::default() }, &dir)
    });
    let claim = resolved.event_log.and_then(|log| log.claim.as_ref());
    let all = [template_volume(request), conf_volume(request)].into_iter();
    local_dirs.chain(all).chain(claim.map(|claim| event_log_volume(request, claim))).unzip()
}

fn mounted(volume: Volume, path: &str) -> (Volume, VolumeMount) {
    let mount = VolumeMount { mount_path: path.to_owned(), name: volume.name.clone(), ..VolumeMount::default() };
    (volume, mount)
}

fn template_volume(request: &DriverRequest<'_>) -> (Volume, VolumeMount) {
    let item = KeyToPath { key: TEMPLATE_KEY.to_owned(), path: TEMPLATE_FILE.to_owned(), mode: Some(FILE_MODE) };
    let source = ConfigMapVolumeSource {
        name: names::config_map_name(*request.attempt),
        items: Some(vec![item]),
        ..ConfigMapVolumeSource::default()
    };
    let volume = Volume { name: "pod-template-volume".to_owned(), config_map: Some(source), ..Volume::default() };
    mounted(volume, TEMPLATE_DIR)
}

fn conf_volume(request: &DriverRequest<'_>) -> (Volume, VolumeMount) {
    let item = KeyToPath { key: conf::FILE.to_owned(), path: conf::FILE.to_owned(), mode: Some(FILE_MODE) };
    let source = SecretVolumeSource {
        secret_name: Some(names::secret_name(*request.attempt)),
        items: Some(vec![item]),
        ..SecretVolumeSource::default()
    };
    let volume = Volume { name: "spark-conf-volume-driver".to_owned(), secret: Some(source), ..Volume::default() };
    mounted(volume, conf::DIR)
}

/// A folder on the claim that only this driver sees.
fn event_log_volume(request: &DriverRequest<'_>, claim: &EventLogClaim) -> (Volume, VolumeMount) {
    let source = PersistentVolumeClaimVolumeSource { claim_name: claim.name.clone(), read_only: None };
    let volume = Volume { name: "event-log".to_owned(), persistent_volume_claim: Some(source), ..Volume::default() };
    let (volume, mount) = mounted(volume, &claim.mount_path);
    (volume, VolumeMount { sub_path: Some(names::application_id(*request.attempt)), ..mount })
}
