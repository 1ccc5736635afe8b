//! The template of executors' pods. Spark makes them itself, in the driver, and has no conf keys for most of this.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use crate::names::EXECUTOR_CONTAINER;
use crate::placement::Placement;
use crate::secure;

/// The folder where the driver finds the template.
pub(crate) const TEMPLATE_DIR: &str = "/opt/spark/pod-template";
/// Its name there.
pub(crate) const TEMPLATE_FILE: &str = "pod-spec-template.yml";
/// Its key in the ConfigMap, as spark-submit calls it.
pub(crate) const TEMPLATE_KEY: &str = "podspec-configmap-key";

/// The template: Spark adds everything that it has conf keys for.
pub(crate) fn template(placement: &Placement) -> Pod {
    let container = Container {
        name: EXECUTOR_CONTAINER.to_owned(),
        security_context: Some(secure::container()),
        ..Container::default()
    };
    let spec = PodSpec {
        // An executor never talks to the API server.
        automount_service_account_token: Some(false),
        containers: vec![container],
        enable_service_links: Some(false),
        node_selector: (!placement.node_selector.is_empty()).then(|| placement.node_selector.clone()),
        priority_class_name: placement.priority_class.clone(),
        security_context: Some(secure::pod(placement)),
        tolerations: (!placement.tolerations.is_empty()).then(|| placement.tolerations.clone()),
        ..PodSpec::default()
    };
    Pod { spec: Some(spec), ..Pod::default() }
}
