//! What the Kubernetes backend stands on, as laws that an API server is held to: the fake one and real ones.
//!
//! Start with [`check_api_server`]. No law needs a pod to run, so a namespace without a node is enough.

#![allow(clippy::panic, reason = "a broken law fails the test that asked")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams, Preconditions};
use kube::api::{WatchEvent, WatchParams};
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::backend_contract::wait_until;

/// Longer than any event is under way.
const PATIENCE: Duration = Duration::from_secs(60);
/// Seconds after which a watch ends that is read to its end.
const WATCH_SECONDS: u32 = 5;
/// The label that every object made here carries, with a value of its own for each law.
const LABEL: &str = "lamplighter.dev/law";

/// Holds an API server to every law, with objects in a namespace where pods and config maps can be made. What it
/// makes, it removes.
///
/// # Panics
/// When a law is broken; the message tells which.
pub async fn check_api_server(client: &Client, namespace: &str) {
    let run = uuid::Uuid::new_v4().simple().to_string();
    let cluster = |law: &str| Cluster::new(client, namespace, format!("{law}-{}", &run[..8]));
    a_name_is_taken_once(cluster("taken")).await;
    a_gate_is_removed_only_as_it_is_known(cluster("gates")).await;
    a_deletion_holds_to_its_preconditions(cluster("preconditions")).await;
    what_is_owned_goes_with_its_owner(cluster("owned")).await;
    a_merge_keeps_what_it_does_not_name(cluster("merge")).await;
    what_is_immutable_stays(cluster("immutable")).await;
    a_list_comes_in_pages_of_what_is_selected(cluster("pages")).await;
    a_watch_goes_on_where_a_list_ended(cluster("watch")).await;
    a_watch_can_begin_with_what_exists(cluster("initial")).await;
    a_watch_ends_by_itself(cluster("timeout")).await;
    a_pod_that_waits_has_no_log(cluster("log")).await;
    a_namespace_must_exist(cluster("nowhere")).await;
}

async fn a_name_is_taken_once(cluster: Cluster) {
    let made = cluster.pods.create(&PostParams::default(), &cluster.gated("a")).await.expect("create a pod");
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());
    let again = cluster.pods.create(&PostParams::default(), &cluster.gated("a")).await;
    assert_eq!(refusal(again), (409, "AlreadyExists".to_owned()));
    let known = cluster.pods.get(&cluster.name("a")).await.expect("the first one stays");
    assert_eq!(known.metadata.uid, made.metadata.uid);
    assert_eq!(refusal(cluster.pods.get(&cluster.name("b")).await), (404, "NotFound".to_owned()));
    assert!(cluster.pods.get_opt(&cluster.name("b")).await.expect("ask").is_none());
    cluster.remove_all().await;
}

async fn a_gate_is_removed_only_as_it_is_known(cluster: Cluster) {
    cluster.pods.create(&PostParams::default(), &cluster.gated("a")).await.expect("create a pod");
    let ungate = |uid: &str| {
        let operations = json!([
            { "op": "test", "path": "/metadata/uid", "value": uid },
            { "op": "remove", "path": "/spec/schedulingGates" },
        ]);
        Patch::<Pod>::Json(serde_json::from_value(operations).expect("a patch"))
    };
    let name = cluster.name("a");
    let wrong = cluster.pods.patch(&name, &PatchParams::default(), &ungate("another")).await;
    assert_eq!(refusal(wrong).0, 422, "a test that fails changes nothing");
    let uid = cluster.pods.get(&name).await.expect("ask").metadata.uid.expect("a uid");
    let free = cluster.pods.patch(&name, &PatchParams::default(), &ungate(&uid)).await.expect("remove the gates");
    assert!(free.spec.expect("a spec").scheduling_gates.unwrap_or_default().is_empty());
    let gate = json!({ "spec": { "schedulingGates": [{ "name": "lamplighter.dev/again" }] } });
    let again = cluster.pods.patch(&name, &PatchParams::default(), &Patch::Merge(gate)).await;
    assert_eq!(refusal(again).0, 422, "gates are only removed");
    let gone = cluster.pods.patch(&cluster.name("b"), &PatchParams::default(), &ungate(&uid)).await;
    assert_eq!(refusal(gone).0, 404);
    cluster.remove_all().await;
}

async fn a_deletion_holds_to_its_preconditions(cluster: Cluster) {
    let made = cluster.pods.create(&PostParams::default(), &cluster.gated("a")).await.expect("create a pod");
    let name = cluster.name("a");
    let labels = json!({ "metadata": { "labels": { "changed": "yes" } } });
    cluster.pods.patch(&name, &PatchParams::default(), &Patch::Merge(labels)).await.expect("change the pod");
    let as_made = Preconditions { uid: made.metadata.uid.clone(), resource_version: made.metadata.resource_version };
    let another = Preconditions { uid: Some("another".to_owned()), resource_version: None };
    for stale in [as_made, another] {
        let refused = cluster.pods.delete(&name, &DeleteParams::default().preconditions(stale)).await;
        assert_eq!(refusal(refused.map(|_| ())), (409, "Conflict".to_owned()));
    }
    cluster.pods.get(&name).await.expect("it is still there");
    let of_uid = Preconditions { uid: made.metadata.uid, resource_version: None };
    cluster.pods.delete(&name, &DeleteParams::default().preconditions(of_uid)).await.expect("delete it");
    let left = cluster.pods.get_opt(&name).await.expect("ask");
    assert!(left.is_none(), "a pod without a node is gone at once, whatever its grace");
    let again = cluster.pods.delete(&name, &DeleteParams::default()).await;
    assert_eq!(refusal(again.map(|_| ())).0, 404);
}

async fn what_is_owned_goes_with_its_owner(cluster: Cluster) {
    let owner = cluster.pods.create(&PostParams::default(), &cluster.gated("owner")).await.expect("create a pod");
    let mut owned = cluster.config_map("owned", &[("key", "value")]);
    let reference = json!([{
        "apiVersion": "v1", "kind": "Pod", "name": owner.name_any(), "uid": owner.metadata.uid, "controller": true,
    }]);
    owned.metadata.owner_references = serde_json::from_value(reference).expect("a reference");
    cluster.config_maps.create(&PostParams::default(), &owned).await.expect("create what is born owned");
    let free = cluster.config_map("free", &[]);
    cluster.config_maps.create(&PostParams::default(), &free).await.expect("create what nobody owns");
    cluster.pods.delete(&owner.name_any(), &DeleteParams::background()).await.expect("delete the owner");
    wait_until("what was owned is gone", || async {
        cluster.config_maps.get_opt(&cluster.name("owned")).await.expect("ask").is_none()
    })
    .await;
    cluster.config_maps.get(&cluster.name("free")).await.expect("what nobody owns stays");
    cluster.remove_all().await;
}

async fn a_merge_keeps_what_it_does_not_name(cluster: Cluster) {
    let name = cluster.name("a");
    let patch = Patch::Merge(json!({ "data": { "second": "2" } }));
    let missing = cluster.config_maps.patch(&name, &PatchParams::default(), &patch).await;
    assert_eq!(refusal(missing).0, 404);
    let made = cluster.config_map("a", &[("first", "1")]);
    cluster.config_maps.create(&PostParams::default(), &made).await.expect("create a config map");
    for _ in 0..2 {
        let merged = cluster.config_maps.patch(&name, &PatchParams::default(), &patch).await.expect("merge");
        let expected = [("first", "1"), ("second", "2")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(merged.data, Some(BTreeMap::from(expected)));
    }
    let stale = Patch::Merge(json!({ "metadata": { "resourceVersion": "1" }, "data": { "third": "3" } }));
    let refused = cluster.config_maps.patch(&name, &PatchParams::default(), &stale).await;
    assert_eq!(refusal(refused), (409, "Conflict".to_owned()));
    cluster.remove_all().await;
}

async fn what_is_immutable_stays(cluster: Cluster) {
    let mut made = cluster.config_map("a", &[("first", "1")]);
    made.immutable = Some(true);
    cluster.config_maps.create(&PostParams::default(), &made).await.expect("create a config map");
    let patch = Patch::Merge(json!({ "data": { "first": "2" } }));
    let refused = cluster.config_maps.patch(&cluster.name("a"), &PatchParams::default(), &patch).await;
    assert_eq!(refusal(refused).0, 422);
    cluster.remove_all().await;
}

async fn a_list_comes_in_pages_of_what_is_selected(cluster: Cluster) {
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        let made = cluster.config_map(name, &[]);
        cluster.config_maps.create(&PostParams::default(), &made).await.expect("create a config map");
    }
    let mut other = cluster.config_map("other", &[]);
    other.labels_mut().insert(LABEL.to_owned(), "another".to_owned());
    cluster.config_maps.create(&PostParams::default(), &other).await.expect("create another");
    let mut listed = Vec::new();
    let mut page = ListParams::default().labels(&cluster.selector).limit(2);
    loop {
        let found = cluster.config_maps.list(&page).await.expect("list");
        assert!(found.items.len() <= 2 && found.metadata.resource_version.is_some());
        listed.extend(found.items.iter().map(|item| item.name_any()));
        match found.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => break,
        }
    }
    assert_eq!(listed, names.map(|name| cluster.name(name)));
    cluster.config_maps.delete(&cluster.name("other"), &DeleteParams::default()).await.expect("delete another");
    cluster.remove_all().await;
}

async fn a_watch_goes_on_where_a_list_ended(cluster: Cluster) {
    let before = cluster.config_map("before", &[]);
    cluster.config_maps.create(&PostParams::default(), &before).await.expect("create a config map");
    let list = cluster.config_maps.list(&ListParams::default().labels(&cluster.selector)).await.expect("list");
    let version = list.metadata.resource_version.expect("a version");
    let name = cluster.name("a");
    cluster.config_maps.create(&PostParams::default(), &cluster.config_map("a", &[])).await.expect("create");
    let seen = cluster.watched(&version, 1).await;
    assert_eq!(seen.events, [format!("added {name}")], "what happened before the watch began is told, once");
    let data = Patch::Merge(json!({ "data": { "key": "value" } }));
    cluster.config_maps.patch(&name, &PatchParams::default(), &data).await.expect("change it");
    let elsewhere = Patch::Merge(json!({ "metadata": { "labels": { LABEL: "another" } } }));
    cluster.config_maps.patch(&name, &PatchParams::default(), &elsewhere).await.expect("select it no more");
    cluster.config_maps.delete(&cluster.name("before"), &DeleteParams::default()).await.expect("delete");
    // Resumed at the last version that was seen, nothing is missing and nothing comes twice.
    let resumed = cluster.watched(&seen.version, 3).await;
    let before = cluster.name("before");
    let expected = [format!("modified {name}"), format!("deleted {name}"), format!("deleted {before}")];
    assert_eq!(resumed.events, expected);
    let all = cluster.watched(&version, 4).await;
    assert_eq!(all.events.len(), 4, "a watch may begin anywhere in what is remembered");
    cluster.config_maps.delete(&name, &DeleteParams::default()).await.expect("delete");
    cluster.remove_all().await;
}

async fn a_watch_can_begin_with_what_exists(cluster: Cluster) {
    for name in ["a", "b"] {
        let made = cluster.config_map(name, &[]);
        cluster.config_maps.create(&PostParams::default(), &made).await.expect("create a config map");
    }
    let parameters = WatchParams::default().labels(&cluster.selector).timeout(WATCH_SECONDS).initial_events();
    let mut events = pin!(cluster.config_maps.watch(&parameters, "0").await.expect("watch"));
    let mut names = Vec::new();
    let ended = loop {
        let event = tokio::time::timeout(PATIENCE, events.try_next()).await.expect("an event comes");
        match event.expect("a good event").expect("the watch goes on until the bookmark") {
            WatchEvent::Added(found) => names.push(found.name_any()),
            WatchEvent::Bookmark(bookmark) => break bookmark,
            other => panic!("only what exists is told before the bookmark: {other:?}"),
        }
    };
    names.sort();
    assert_eq!(names, ["a", "b"].map(|name| cluster.name(name)));
    let end = ended.metadata.annotations.get("k8s.io/initial-events-end").map(String::as_str);
    assert_eq!(end, Some("true"));
    cluster.remove_all().await;
}

async fn a_watch_ends_by_itself(cluster: Cluster) {
    let list = cluster.config_maps.list(&ListParams::default().labels(&cluster.selector)).await.expect("list");
    let version = list.metadata.resource_version.expect("a version");
    let parameters = WatchParams::default().labels(&cluster.selector).timeout(1);
    let events = cluster.config_maps.watch(&parameters, &version).await.expect("watch");
    let all = tokio::time::timeout(PATIENCE, events.try_collect::<Vec<_>>()).await.expect("it ends");
    assert!(all.expect("without an error").iter().all(|event| matches!(event, WatchEvent::Bookmark(_))));
}

async fn a_pod_that_waits_has_no_log(cluster: Cluster) {
    cluster.pods.create(&PostParams::default(), &cluster.gated("a")).await.expect("create a pod");
    let log = cluster.pods.logs(&cluster.name("a"), &LogParams::default()).await.expect("read the log");
    assert_eq!(log, "", "a pod without a node has said nothing");
    assert_eq!(refusal(cluster.pods.logs(&cluster.name("b"), &LogParams::default()).await).0, 404);
    cluster.remove_all().await;
}

async fn a_namespace_must_exist(cluster: Cluster) {
    let nowhere: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), &cluster.name("nowhere"));
    let mut made = cluster.config_map("a", &[]);
    made.metadata.namespace = None;
    assert_eq!(refusal(nowhere.create(&PostParams::default(), &made).await), (404, "NotFound".to_owned()));
    let listed = nowhere.list(&ListParams::default()).await.expect("list what isn't");
    assert!(listed.items.is_empty());
}

/// Where the objects of one law are.
struct Cluster {
    client: Client,
    pods: Api<Pod>,
    config_maps: Api<ConfigMap>,
    /// Begins every name, and is the value of [`LABEL`].
    law: String,
    selector: String,
}

/// What a watch told.
struct Watched {
    events: Vec<String>,
    version: String,
}

impl Cluster {
    fn new(client: &Client, namespace: &str, law: String) -> Self {
        Self {
            pods: Api::namespaced(client.clone(), namespace),
            config_maps: Api::namespaced(client.clone(), namespace),
            client: client.clone(),
            selector: format!("{LABEL}={law}"),
            law,
        }
    }

    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.law)
    }

    /// A pod that never runs and may stand in a namespace that enforces `restricted`.
    fn gated(&self, name: &str) -> Pod {
        let pod = json!({
            "metadata": { "name": self.name(name), "labels": { LABEL: self.law } },
            "spec": {
                "schedulingGates": [{ "name": "lamplighter.dev/law" }],
                "restartPolicy": "Never",
                "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
                "containers": [{
                    "name": "main", "image": "images.invalid/none",
                    "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                }],
            },
        });
        serde_json::from_value(pod).expect("a pod")
    }

    fn config_map(&self, name: &str, data: &[(&str, &str)]) -> ConfigMap {
        let data: BTreeMap<_, _> = data.iter().copied().collect();
        let map = json!({ "metadata": { "name": self.name(name), "labels": { LABEL: self.law } }, "data": data });
        serde_json::from_value(map).expect("a config map")
    }

    /// The next `wanted` changes of config maps behind a version.
    async fn watched(&self, version: &str, wanted: usize) -> Watched {
        let parameters = WatchParams::default().labels(&self.selector).timeout(WATCH_SECONDS);
        let events = self.config_maps.watch(&parameters, version).await.expect("watch");
        let mut events = pin!(events.into_stream());
        let mut watched = Watched { events: Vec::new(), version: version.to_owned() };
        while watched.events.len() < wanted {
            let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("an event comes");
            let Some(event) = event else { panic!("the watch ended after {:?}", watched.events) };
            let (what, object) = match event.expect("a good event") {
                WatchEvent::Added(object) => ("added", object),
                WatchEvent::Modified(object) => ("modified", object),
                WatchEvent::Deleted(object) => ("deleted", object),
                WatchEvent::Bookmark(_) => continue,
                WatchEvent::Error(status) => panic!("watching failed: {status:?}"),
            };
            watched.events.push(format!("{what} {}", object.name_any()));
            watched.version = object.resource_version().expect("a version");
        }
        watched
    }

    async fn remove_all(&self) {
        remove_selected(&self.pods, &self.selector).await;
        remove_selected(&self.config_maps, &self.selector).await;
    }
}

async fn remove_selected<K>(api: &Api<K>, selector: &str)
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let selected = ListParams::default().labels(selector);
    for object in api.list(&selected).await.expect("list what was made").items {
        api.delete(&object.name_any(), &DeleteParams::default().grace_period(0)).await.expect("remove what was made");
    }
}

/// The code and the reason with which a call was refused.
#[track_caller]
fn refusal<T>(answer: kube::Result<T>) -> (u16, String) {
    match answer {
        Ok(_) => panic!("this must be refused"),
        Err(kube::Error::Api(status)) => (status.code, status.reason),
        Err(other) => panic!("this must be refused, but: {other:?}"),
    }
}
