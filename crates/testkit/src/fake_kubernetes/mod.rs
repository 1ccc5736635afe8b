//! A Kubernetes cluster in this process: an API server over HTTP on loopback, a scheduler and a kubelet, fast and
//! breakable on demand.
//!
//! Start with [`FakeKubernetes`]. `objects` is its etcd with versions and history, `serve` its HTTP side,
//! `streams` its watches and logs, `kubelet` what moves pods, `faults` what goes wrong. That it behaves as a real
//! API server where it matters is held by [`crate::kubernetes_contract`], which runs on both.
//!
//! It serves what drivers need: pods with their logs, config maps, services, secrets, events, namespaces, service
//! accounts. It knows no admission but a quota of pods, no defaults, no field validation, and everybody may do
//! everything.

mod faults;
mod kubelet;
mod objects;
mod selector;
mod serve;
mod streams;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

pub use self::faults::{Call, Fault, Verb};
use self::kubelet::Kubelet;
pub use self::kubelet::{Container, ContainerEnd, Fate, Fates, Program, program};
use self::objects::{Deletion, Key, Objects};
use self::selector::Selector;
use self::serve::Server;
use self::streams::Logs;

/// A cluster that lives until it is dropped.
pub struct FakeKubernetes {
    server: Arc<Server>,
    url: String,
    tasks: Vec<AbortHandle>,
}

impl Drop for FakeKubernetes {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.server.faults.cut_streams();
    }
}

impl FakeKubernetes {
    /// Starts one with these namespaces. Its containers end at once with exit code 0 until
    /// [`FakeKubernetes::set_fates`] says otherwise.
    ///
    /// # Errors
    /// When loopback can't be listened on.
    pub async fn start(namespaces: &[&str]) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (objects, logs) = (Arc::new(Objects::new()), Arc::new(Logs::new()));
        let kubelet = Kubelet::new(Arc::clone(&objects), Arc::clone(&logs));
        let node = tokio::spawn(Arc::clone(&kubelet).run()).abort_handle();
        let bookmark_every = Duration::from_millis(500);
        let server = Server { objects, logs, kubelet, faults: faults::Faults::default(), bookmark_every };
        let server = Arc::new(server);
        let door = tokio::spawn(accept(listener, Arc::clone(&server))).abort_handle();
        let fake = Self { server, url, tasks: vec![node, door] };
        for namespace in namespaces {
            fake.create_namespace(namespace);
        }
        Ok(fake)
    }

    /// Where its API server listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Writes a kubeconfig whose current context is this cluster, with `namespace` as its default.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write_kubeconfig(&self, path: &Path, namespace: &str) -> io::Result<()> {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{ "name": "fake", "cluster": { "server": self.url } }],
            "users": [{ "name": "fake", "user": {} }],
            "contexts": [{ "name": "fake", "context": { "cluster": "fake", "user": "fake", "namespace": namespace } }],
        });
        std::fs::write(path, config.to_string())
    }

    /// Decides what becomes of pods that are scheduled from now on.
    pub fn set_fates(&self, fates: impl Fn(&Pod) -> Fate + Send + Sync + 'static) {
        self.server.kubelet.set_fates(Arc::new(fates));
    }

    /// Lets the next `times` calls of a kind go wrong.
    pub fn fail(&self, call: Call, times: usize, fault: Fault) {
        self.server.faults.plan(call, times, fault);
    }

    /// Forgets the faults that are still to come, and the calls that were counted.
    pub fn forget_calls(&self) {
        self.server.faults.clear();
    }

    /// How often a kind of call was made since the start or [`FakeKubernetes::forget_calls`].
    pub fn calls(&self, call: Call) -> usize {
        self.server.faults.count(call)
    }

    /// Makes the API server unreachable, or reachable again; pods go on.
    pub fn set_down(&self, down: bool) {
        self.server.faults.set_down(down);
    }

    /// Closes every watch and every log that is followed, without a word, as a busy API server does.
    pub fn cut_streams(&self) {
        self.server.faults.cut_streams();
    }

    /// Forgets the history, so that watches from earlier versions are told `410 Expired`.
    pub fn compact(&self) {
        self.server.objects.compact();
    }

    /// Limits how many pods a namespace may have.
    pub fn set_pod_quota(&self, namespace: &str, pods_max: Option<usize>) {
        self.server.objects.set_pod_quota(namespace, pods_max);
    }

    /// A pod as it is now.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<Pod> {
        self.server.objects.pod(namespace, name)
    }

    /// Every object of a kind, in all namespaces.
    pub fn objects(&self, resource: &str) -> Vec<Value> {
        self.server.objects.list(resource, None, &Selector::default()).0
    }

    /// Names of the pods whose containers run now.
    pub fn running(&self) -> Vec<String> {
        self.server.kubelet.running()
    }

    /// Changes a pod as somebody else could, status included; nothing happens when there is none.
    pub fn edit_pod(&self, namespace: &str, name: &str, edit: impl FnOnce(&mut Value)) {
        let _ = self.server.objects.update(&pod_key(namespace, name), |pod| {
            let mut pod = pod.clone();
            edit(&mut pod);
            Ok(pod)
        });
    }

    /// Deletes a pod as somebody else could; without grace it is gone before its container ended.
    pub fn delete_pod(&self, namespace: &str, name: &str, grace_seconds: i64) {
        let deletion = Deletion { grace_seconds: Some(grace_seconds), ..Deletion::default() };
        let _ = self.server.objects.delete(&pod_key(namespace, name), &deletion);
    }

    /// Drops all but the last `kept` lines of a pod's log, as rotation on the node does.
    pub fn rotate_log(&self, namespace: &str, name: &str, kept: usize) {
        if let Some(uid) = self.pod(namespace, name).and_then(|pod| pod.metadata.uid) {
            self.server.logs.rotate(&uid, kept);
        }
    }

    fn create_namespace(&self, name: &str) {
        let key = Key { resource: "namespaces", namespace: String::new(), name: name.to_owned() };
        let namespace = json!({ "kind": "Namespace", "apiVersion": "v1", "metadata": { "name": name } });
        // One that exists is as good.
        let _ = self.server.objects.create(&key, namespace);
    }
}

fn pod_key(namespace: &str, name: &str) -> Key {
    Key { resource: "pods", namespace: namespace.to_owned(), name: name.to_owned() }
}

async fn accept(listener: TcpListener, server: Arc<Server>) {
    while let Ok((connection, _)) = listener.accept().await {
        let server = Arc::clone(&server);
        let service = service_fn(move |request| Arc::clone(&server).answer(request));
        // A connection that breaks is nothing to tell of.
        tokio::spawn(
            async move { drop(http1::Builder::new().serve_connection(TokioIo::new(connection), service).await) },
        );
    }
}
