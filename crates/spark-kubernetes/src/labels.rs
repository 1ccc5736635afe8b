//! Labels by which objects are found again, and reading them back.
//!
//! Start with [`selector`] for finding and [`Identity::of`] for reading. Whoever can create pods beside a driver
//! can forge labels, so an identity is believed only on a pod whose name says the same.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use model::id::{ApplicationId, AttemptId};
use model::principal::Owner;
use sha2::{Digest as _, Sha256};

use crate::names;

/// Who manages the object; its value is [`MANAGER`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub const MANAGER: &str = "lamplighter";
/// What all labels of the gateway's own begin with, except [`MANAGED_BY`].
pub const PREFIX: &str = "lamplighter.dev/";
/// Which gateway made it, as [`value`] writes the gateway's id.
pub const INSTANCE: &str = "lamplighter.dev/instance";
/// The application, `batch-12`.
pub const APPLICATION: &str = "lamplighter.dev/application";
/// The attempt's UUID.
pub const ATTEMPT: &str = "lamplighter.dev/attempt";
/// The attempt's number, from 1.
pub const ATTEMPT_NUMBER: &str = "lamplighter.dev/attempt-number";
/// The tenant, as [`value`] writes its name.
pub const TENANT: &str = "lamplighter.dev/tenant";
/// A digest of tenant and user, so that no user's name is told to whoever may list pods.
pub const OWNER: &str = "lamplighter.dev/owner";

/// Spark's label with the application's id, on driver, executors, service and ConfigMaps.
pub const SPARK_APP: &str = "spark-app-selector";
/// Spark's label with `driver` or `executor`.
pub const SPARK_ROLE: &str = "spark-role";
/// Spark's label with the application's name.
pub const SPARK_APP_NAME: &str = "spark-app-name";
/// Spark's label with its version.
pub const SPARK_VERSION: &str = "spark-version";

/// The label selector of every driver that the gateway `instance` made.
pub fn selector(instance: &str) -> String {
    format!("{MANAGED_BY}={MANAGER},{INSTANCE}={}", value(instance))
}

/// `text` as the value of a label: unchanged if Kubernetes allows it, otherwise a digest of it.
pub fn value(text: &str) -> String {
    if is_value(text) { text.to_owned() } else { digest(&[text]) }
}

/// The value of [`OWNER`].
pub fn owner(owner: &Owner) -> String {
    digest(&[owner.tenant.as_str(), owner.user.as_str()])
}

/// Whether Kubernetes takes `text` as a label's value: at most 63 letters, digits, `-`, `_` and `.`, beginning and
/// ending with a letter or digit, or nothing at all.
pub fn is_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

/// Whether Kubernetes takes `text` as a label's or annotation's key: a name, behind a DNS subdomain and a slash or not.
pub fn is_key(text: &str) -> bool {
    match text.split_once('/') {
        None => is_name(text),
        Some((prefix, name)) => is_subdomain(prefix) && is_name(name),
    }
}

/// Whether `text` is a DNS subdomain in lower case of at most 253 characters, as most names of objects must be.
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

/// Whether `text` is a DNS label in lower case of at most 63 characters, as names of namespaces must be.
pub fn is_dns_label(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() <= 63 && text.bytes().all(inside) && !text.starts_with('-') && !text.ends_with('-') && !text.is_empty()
}

fn is_name(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    let inside = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
    bytes.len() <= 63 && edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inside)
}

/// 128 bits of a SHA-256 over `parts`, in hexadecimal digits.
fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// What a driver's pod says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The attempt.
    pub attempt: AttemptId,
    /// The application, if its label can be read.
    pub application: Option<ApplicationId>,
    /// The gateway that made it, as [`value`] writes its id.
    pub instance: String,
}

impl Identity {
    /// The identity of a driver's pod that a gateway made; `None` for any other pod, and for one whose labels
    /// don't agree with its name.
    pub fn of(pod: &Pod) -> Option<Self> {
        let labels = pod.metadata.labels.as_ref()?;
        let attempt = names::attempt_of(pod.metadata.name.as_deref()?)?;
        let says = |key: &str| labels.get(key).map(String::as_str);
        let ours = says(MANAGED_BY) == Some(MANAGER) && says(ATTEMPT) == Some(attempt.to_string().as_str());
        let application = says(APPLICATION).and_then(|text| text.parse().ok());
        ours.then_some(())?;
        Some(Self { attempt, application, instance: says(INSTANCE)?.to_owned() })
    }
}

/// The labels of Spark's that tie `kind`ed objects of an attempt together.
pub(crate) fn of_application(attempt: AttemptId) -> BTreeMap<String, String> {
    BTreeMap::from([(SPARK_APP.to_owned(), names::application_id(attempt))])
}
