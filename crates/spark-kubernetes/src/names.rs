//! Names of everything that belongs to one attempt.
//!
//! All derive from the attempt's id alone, so that creating an object twice is noticed by the API server and
//! equals creating it once. Each is a DNS label of at most 63 characters.

use model::id::AttemptId;

/// The container that decides about the driver's state; Spark's own name for it.
pub const DRIVER_CONTAINER: &str = "spark-kubernetes-driver";
/// The container of an executor; Spark's own name for it.
pub const EXECUTOR_CONTAINER: &str = "spark-kubernetes-executor";

const PREFIX: &str = "spark-";
const DRIVER_SUFFIX: &str = "-driver";

/// Spark's application id, which is known before the driver starts: `spark-` and the attempt's id without dashes.
///
/// It is also the value of the label [`crate::labels::SPARK_APP`] on everything of the attempt, and what the names
/// of its executors begin with.
pub fn application_id(attempt: AttemptId) -> String {
    format!("{PREFIX}{}", attempt.uuid().simple())
}

/// The driver's pod.
pub fn pod_name(attempt: AttemptId) -> String {
    application_id(attempt) + DRIVER_SUFFIX
}

/// The attempt that a driver's pod of this name is of; `None` for any other name.
pub fn attempt_of(pod_name: &str) -> Option<AttemptId> {
    let hex = pod_name.strip_prefix(PREFIX)?.strip_suffix(DRIVER_SUFFIX)?;
    let attempt = hex.parse().ok()?;
    // A UUID can be spelled in several ways, a pod's name in one.
    (self::pod_name(attempt) == pod_name).then_some(attempt)
}

/// The headless service by which executors find their driver.
pub fn service_name(attempt: AttemptId) -> String {
    application_id(attempt) + "-driver-svc"
}

/// The Secret with the driver's configuration.
pub fn secret_name(attempt: AttemptId) -> String {
    application_id(attempt) + "-conf"
}

/// The ConfigMap with the template of executors' pods.
pub fn config_map_name(attempt: AttemptId) -> String {
    application_id(attempt) + "-template"
}

/// The policy that lets only pods of the same attempt connect to its driver and executors.
pub fn network_policy_name(attempt: AttemptId) -> String {
    application_id(attempt) + "-policy"
}
