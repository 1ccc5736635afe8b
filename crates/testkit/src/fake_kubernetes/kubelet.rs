//! The scheduler and the kubelet of the fake cluster: it moves pods as real ones do, and runs a function for each
//! container.
//!
//! Start with [`Kubelet::run`]. A pod goes through what was seen on a real node: scheduled once its gates are gone,
//! `ContainerCreating`, running, its container terminated while its phase still says `Running`, then its last phase;
//! a pod that is deleted is removed after all that.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::objects::{Deletion, Key, Objects, now};
use super::selector::Selector;
use super::streams::Logs;

/// What a container does: a function from the container to its end.
pub type Program = Arc<dyn Fn(Container) -> BoxFuture<'static, ContainerEnd> + Send + Sync>;

/// What becomes of a pod that may be scheduled.
#[derive(Clone)]
pub enum Fate {
    /// Its first container runs this.
    Run(Program),
    /// No node takes it, with this message.
    Unschedulable(String),
    /// It has a node, and its container waits for ever.
    Waits {
        /// Such as `ImagePullBackOff`.
        reason: String,
        /// What the kubelet says about it.
        message: String,
    },
}

/// Decides what becomes of a pod.
pub type Fates = Arc<dyn Fn(&Pod) -> Fate + Send + Sync>;

/// A running container, as its program sees it.
pub struct Container {
    /// Its pod as it was scheduled.
    pub pod: Pod,
    uid: String,
    logs: Arc<Logs>,
    told_to_end: watch::Receiver<bool>,
}

impl Container {
    /// Writes a line to its output.
    pub fn print(&self, line: &str) {
        self.logs.append(&self.uid, Timestamp::now(), line);
    }

    /// The arguments of its first container.
    pub fn args(&self) -> Vec<String> {
        let containers = self.pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
        containers.first().and_then(|container| container.args.clone()).unwrap_or_default()
    }

    /// Returns when its pod was deleted: SIGTERM.
    pub async fn told_to_end(&mut self) {
        // The sender lives as long as the program is awaited.
        let _ = self.told_to_end.wait_for(|told| *told).await;
    }
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerEnd {
    /// Its exit code.
    pub exit_code: i32,
    /// `Completed`, `Error` or `OOMKilled`.
    pub reason: &'static str,
}

impl ContainerEnd {
    /// What the kubelet says of an ordinary end.
    pub const fn code(exit_code: i32) -> Self {
        Self { exit_code, reason: if exit_code == 0 { "Completed" } else { "Error" } }
    }
}

/// A program from an asynchronous function.
pub fn program<F>(run: impl Fn(Container) -> F + Send + Sync + 'static) -> Program
where
    F: Future<Output = ContainerEnd> + Send + 'static,
{
    Arc::new(move |container| Box::pin(run(container)))
}

/// The one node.
pub(super) struct Kubelet {
    pub(super) objects: Arc<Objects>,
    pub(super) logs: Arc<Logs>,
    fates: Mutex<Fates>,
    /// Uids of pods that have the node.
    bound: Mutex<HashSet<String>>,
}

impl Kubelet {
    pub(super) fn new(objects: Arc<Objects>, logs: Arc<Logs>) -> Arc<Self> {
        let ends = program(|_| async { ContainerEnd::code(0) });
        let fates: Fates = Arc::new(move |_| Fate::Run(Arc::clone(&ends)));
        Arc::new(Self { objects, logs, fates: Mutex::new(fates), bound: Mutex::default() })
    }

    pub(super) fn set_fates(&self, fates: Fates) {
        *self.fates.lock().unwrap_or_else(PoisonError::into_inner) = fates;
    }

    /// Names of the pods whose containers run now.
    pub(super) fn running(&self) -> Vec<String> {
        let (pods, _) = self.objects.list("pods", None, &Selector::default());
        let runs = |pod: &&Value| pod["status"]["containerStatuses"][0]["state"]["running"].is_object();
        pods.iter().filter(runs).filter_map(|pod| pod["metadata"]["name"].as_str().map(str::to_owned)).collect()
    }

    /// Takes care of every pod, until it is aborted.
    pub(super) async fn run(self: Arc<Self>) {
        let mut changes = self.objects.changes();
        loop {
            let (pods, _) = self.objects.list("pods", None, &Selector::default());
            for pod in pods {
                self.schedule(&pod);
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn schedule(self: &Arc<Self>, pod: &Value) {
        let gated = pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty());
        if gated || pod["spec"]["nodeName"].is_string() || !pod["metadata"]["deletionTimestamp"].is_null() {
            return;
        }
        let Some((bound, typed)) = Bound::of(pod) else { return };
        let fates = Arc::clone(&*self.fates.lock().unwrap_or_else(PoisonError::into_inner));
        let fate = fates(&typed);
        if let Fate::Unschedulable(message) = &fate {
            let condition = json!({
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
            });
            return self.set_status(&bound, |status| status["conditions"] = json!([condition]));
        }
        if !self.bound.lock().unwrap_or_else(PoisonError::into_inner).insert(bound.uid.clone()) {
            return;
        }
        let _ = self.objects.update(&bound.key, |pod| {
            let mut pod = pod.clone();
            pod["spec"]["nodeName"] = json!("node-1");
            pod["status"]["conditions"] = json!([{ "type": "PodScheduled", "status": "True" }]);
            Ok(pod)
        });
        tokio::spawn(Arc::clone(self).live(bound, typed, fate));
    }

    /// A pod's life on the node.
    async fn live(self: Arc<Self>, bound: Bound, pod: Pod, fate: Fate) {
        let deleted = Arc::clone(&self).deletion(bound.clone());
        match fate {
            Fate::Run(program) => {
                self.set_waiting(&bound, "ContainerCreating", "");
                let started = now();
                self.set_container(&bound, &json!({ "running": { "startedAt": started } }), "Running");
                let end = self.run_container(&bound, pod, &program, deleted).await;
                let terminated = json!({ "terminated": {
                    "exitCode": end.exit_code, "reason": end.reason, "startedAt": started, "finishedAt": now(),
                }});
                self.logs.close(&bound.uid);
                // What runs is over a moment before its pod says so.
                self.set_container(&bound, &terminated, "Running");
                let phase = if end.exit_code == 0 { "Succeeded" } else { "Failed" };
                self.set_container(&bound, &terminated, phase);
            }
            Fate::Waits { reason, message } => {
                self.set_waiting(&bound, &reason, &message);
                deleted.await;
            }
            Fate::Unschedulable(_) => {}
        }
        self.remove_if_deleted(&bound);
    }

    async fn run_container(
        &self,
        bound: &Bound,
        pod: Pod,
        program: &Program,
        deleted: impl Future<Output = Duration>,
    ) -> ContainerEnd {
        let (tell, told_to_end) = watch::channel(false);
        let container = Container { pod, uid: bound.uid.clone(), logs: Arc::clone(&self.logs), told_to_end };
        let mut run = program(container);
        let grace = tokio::select! {
            end = &mut run => return end,
            grace = deleted => grace,
        };
        tell.send_replace(true);
        tokio::time::timeout(grace, run).await.unwrap_or(ContainerEnd::code(137))
    }

    /// Returns when the pod is deleted, with the grace that it is given; at once without any when it is gone.
    async fn deletion(self: Arc<Self>, bound: Bound) -> Duration {
        let mut changes = self.objects.changes();
        loop {
            let pod = self.objects.get(&bound.key).filter(|pod| bound.is(pod));
            let Some(pod) = pod else { return Duration::ZERO };
            if !pod["metadata"]["deletionTimestamp"].is_null() {
                let seconds = pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(30);
                return Duration::from_secs(seconds);
            }
            if changes.changed().await.is_err() {
                return Duration::ZERO;
            }
        }
    }

    fn remove_if_deleted(&self, bound: &Bound) {
        let pod = self.objects.get(&bound.key).filter(|pod| bound.is(pod));
        if pod.is_some_and(|pod| !pod["metadata"]["deletionTimestamp"].is_null()) {
            let deletion = Deletion { grace_seconds: Some(0), uid: Some(bound.uid.clone()), version: None };
            let _ = self.objects.delete(&bound.key, &deletion);
        }
        self.bound.lock().unwrap_or_else(PoisonError::into_inner).remove(&bound.uid);
    }

    fn set_waiting(&self, bound: &Bound, reason: &str, message: &str) {
        self.set_container(bound, &json!({ "waiting": { "reason": reason, "message": message } }), "Pending");
    }

    fn set_container(&self, bound: &Bound, state: &Value, phase: &str) {
        let container = json!({
            "name": bound.container, "state": state, "ready": state["running"].is_object(), "restartCount": 0,
            "image": "fake", "imageID": "fake",
        });
        self.set_status(bound, |status| {
            status["phase"] = json!(phase);
            status["containerStatuses"] = json!([container]);
        });
    }

    fn set_status(&self, bound: &Bound, change: impl FnOnce(&mut Value)) {
        let _ = self.objects.update(&bound.key, |pod| {
            let mut pod = pod.clone();
            if bound.is(&pod) {
                change(&mut pod["status"]);
            }
            Ok(pod)
        });
    }
}

/// A pod on the node: its key may mean another pod later, its uid doesn't.
#[derive(Clone)]
struct Bound {
    key: Key,
    uid: String,
    container: String,
}

impl Bound {
    fn of(pod: &Value) -> Option<(Self, Pod)> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (namespace, name) = (text(&pod["metadata"]["namespace"])?, text(&pod["metadata"]["name"])?);
        let uid = text(&pod["metadata"]["uid"])?;
        let container = text(&pod["spec"]["containers"][0]["name"])?;
        let typed = serde_json::from_value(pod.clone()).ok()?;
        Some((Self { key: Key { resource: "pods", namespace, name }, uid, container }, typed))
    }

    fn is(&self, pod: &Value) -> bool {
        pod["metadata"]["uid"] == json!(self.uid)
    }
}
