//! Calls to the API server: each within a deadline, only so many at once, repeated where that may help.
//!
//! Start with [`Cluster::call`]. The client itself repeats what was answered 429, 503 or 504, as `Retry-After` says;
//! here the other failures of a server or a connection are repeated until the time is up. Every call made here may
//! be repeated: objects are created under names of their own, and what is deleted or changed is told by uid.

use std::time::Duration;

use engine::backend::BackendError;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Client, Error};
use serde_json::json;
use spark_kubernetes::SCHEDULING_GATE;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::connect::Connection;

/// How long one call may be repeated; the engine gives up a little later.
const CALL_MAX: Duration = Duration::from_secs(12);
/// How long one try may take.
const TRY_MAX: Duration = Duration::from_secs(6);
/// The first wait between two tries, doubled each time up to the last.
const PAUSE_MIN: Duration = Duration::from_millis(25);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Pods of one page of a list.
const PAGE: u32 = 500;

/// The API server.
pub(super) struct Cluster {
    connection: Connection,
    /// Calls that may be under way at once.
    calls: Semaphore,
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// There is no such object, or no such namespace.
    #[error("{0}")]
    Missing(String),
    /// An object of this name exists.
    #[error("{0}")]
    Taken(String),
    /// The object isn't any more what the call expected.
    #[error("{0}")]
    Conflict(String),
    /// The namespace's quota is used up.
    #[error("{0}")]
    Quota(String),
    /// It is not allowed, or makes no sense to the API server; trying again changes nothing.
    #[error("{0}")]
    Refused(String),
    /// The API server can't be reached, or can't answer now.
    #[error("{what}")]
    Unavailable {
        what: &'static str,
        #[source]
        source: Option<Box<Error>>,
    },
}

impl From<Failure> for BackendError {
    /// For calls whose other failures were dealt with: whatever is left may pass.
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unavailable { what, source } => {
                Self::Unavailable { what: what.into(), source: source.map(|it| it as _) }
            }
            other => Self::unavailable("ask the API server", other),
        }
    }
}

impl Failure {
    fn of(what: &'static str, error: Error) -> Self {
        let Error::Api(status) = &error else { return Self::Unavailable { what, source: Some(Box::new(error)) } };
        let message = status.message.clone();
        match (status.code, status.reason.as_str()) {
            (404, _) => Self::Missing(message),
            (409, "AlreadyExists") => Self::Taken(message),
            (409, _) => Self::Conflict(message),
            (403, _) if message.contains("exceeded quota") => Self::Quota(message),
            (400 | 403 | 405 | 406 | 413 | 415 | 422, _) => Self::Refused(message),
            _ => Self::Unavailable { what, source: Some(Box::new(error)) },
        }
    }
}

impl Cluster {
    pub(super) fn new(connection: Connection, calls_max: usize) -> Self {
        Self { connection, calls: Semaphore::new(calls_max.max(1)) }
    }

    /// The API server's address.
    pub(super) fn url(&self) -> &str {
        &self.connection.url
    }

    /// A client for calls whose answers go on; they count as none of those under way.
    pub(super) async fn client(&self) -> Client {
        self.connection.client().await
    }

    /// Reads the credentials again after they were refused.
    pub(super) async fn renew(&self) {
        self.connection.renewed().await;
    }

    /// Makes a call until it is answered with something that trying again won't change.
    pub(super) async fn call<T, F>(&self, what: &'static str, mut once: impl FnMut(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let deadline = Instant::now() + CALL_MAX;
        let mut pause = PAUSE_MIN;
        loop {
            let failure = match self.once(what, deadline, &mut once).await {
                Err(failure @ Failure::Unavailable { .. }) => failure,
                answered => return answered,
            };
            if Instant::now() + pause >= deadline {
                return Err(failure);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn once<T, F>(
        &self,
        what: &'static str,
        deadline: Instant,
        once: &mut impl FnMut(Client) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let late = || Failure::Unavailable { what, source: None };
        let asked = async {
            // The semaphore is never closed.
            let _permit = self.calls.acquire().await.map_err(|_| late())?;
            let client = self.connection.client().await;
            let answer = once(client).await;
            if matches!(&answer, Err(Error::Api(status)) if status.code == 401) {
                self.renew().await;
            }
            answer.map_err(|error| Failure::of(what, error))
        };
        tokio::time::timeout_at(deadline.min(Instant::now() + TRY_MAX), asked).await.unwrap_or_else(|_| Err(late()))
    }

    pub(super) async fn create_pod(&self, namespace: &str, pod: &Pod) -> Result<Pod, Failure> {
        self.call("create the driver's pod", |client| async move {
            Api::<Pod>::namespaced(client, namespace).create(&PostParams::default(), pod).await
        })
        .await
    }

    pub(super) async fn pod(&self, namespace: &str, name: &str) -> Result<Option<Pod>, Failure> {
        self.call("read the driver's pod", |client| async move {
            Api::<Pod>::namespaced(client, namespace).get_opt(name).await
        })
        .await
    }

    /// Every selected pod of a namespace, or of all.
    pub(super) async fn pods(&self, namespace: Option<&str>, selector: &str) -> Result<Listed, Failure> {
        let mut listed = Listed { pods: Vec::new(), version: String::new() };
        let mut page = ListParams::default().labels(selector).limit(PAGE);
        loop {
            let found = self
                .call("list the drivers' pods", |client| {
                    let page = page.clone();
                    async move { api(client, namespace).list(&page).await }
                })
                .await?;
            listed.version = found.metadata.resource_version.unwrap_or_default();
            listed.pods.extend(found.items);
            match found.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(listed),
            }
        }
    }

    /// Takes our scheduling gate from a pod, and leaves those of others.
    pub(super) async fn ungate(&self, pod: &Pod) -> Result<Pod, Failure> {
        let Some(index) = gate_index(pod) else { return Ok(pod.clone()) };
        let path = format!("/spec/schedulingGates/{index}");
        let operations = json!([
            { "op": "test", "path": "/metadata/uid", "value": pod.metadata.uid },
            { "op": "test", "path": format!("{path}/name"), "value": SCHEDULING_GATE },
            { "op": "remove", "path": path },
        ]);
        let patch = serde_json::from_value(operations).map_err(|error| Failure::Refused(error.to_string()))?;
        let patch = &Patch::<Pod>::Json(patch);
        let (namespace, name) = place(pod);
        self.call("release the driver's pod", |client| async move {
            Api::<Pod>::namespaced(client, namespace).patch(name, &PatchParams::default(), patch).await
        })
        .await
    }

    /// Deletes this very pod; with `unchanged`, only if nothing about it changed since.
    pub(super) async fn delete_pod(&self, pod: &Pod, grace: Option<u32>, unchanged: bool) -> Result<(), Failure> {
        let resource_version = pod.metadata.resource_version.clone().filter(|_| unchanged);
        let preconditions = Preconditions { uid: pod.metadata.uid.clone(), resource_version };
        let parameters = DeleteParams { grace_period_seconds: grace, ..DeleteParams::background() };
        let parameters = &parameters.preconditions(preconditions);
        let (namespace, name) = place(pod);
        let deleted = self
            .call("delete the driver's pod", |client| async move {
                Api::<Pod>::namespaced(client, namespace).delete(name, parameters).await.map(|_| ())
            })
            .await;
        match deleted {
            Err(Failure::Missing(_)) => Ok(()),
            other => other,
        }
    }

    pub(super) fn config_maps(client: Client, namespace: &str) -> Api<ConfigMap> {
        Api::namespaced(client, namespace)
    }
}

/// What a list found, and the version from which a watch goes on.
pub(super) struct Listed {
    pub(super) pods: Vec<Pod>,
    pub(super) version: String,
}

pub(super) fn api(client: Client, namespace: Option<&str>) -> Api<Pod> {
    match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    }
}

/// Namespace and name of a pod that was read from the API server.
pub(super) fn place(pod: &Pod) -> (&str, &str) {
    (pod.metadata.namespace.as_deref().unwrap_or_default(), pod.metadata.name.as_deref().unwrap_or_default())
}

/// Where in its list our gate is; without it the pod was released.
fn gate_index(pod: &Pod) -> Option<usize> {
    let gates = pod.spec.as_ref()?.scheduling_gates.as_ref()?;
    gates.iter().position(|gate| gate.name == SCHEDULING_GATE)
}

/// Whether the pod waits for the rest of its launch, so that its driver can't have run.
pub(super) fn is_held(pod: &Pod) -> bool {
    gate_index(pod).is_some()
}
