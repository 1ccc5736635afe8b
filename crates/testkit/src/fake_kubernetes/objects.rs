//! The objects of the fake cluster with their versions and history, as etcd and the API server keep them together.
//!
//! Start with [`Objects`]. Every change gets the next version of one counter; watchers read the history behind the
//! version they know, unless it was compacted.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::selector::Selector;

/// What the fake serves: its plural in paths and the kind of its objects.
pub(super) const KINDS: &[(&str, &str)] = &[
    ("configmaps", "ConfigMap"),
    ("events", "Event"),
    ("namespaces", "Namespace"),
    ("networkpolicies", "NetworkPolicy"),
    ("pods", "Pod"),
    ("secrets", "Secret"),
    ("serviceaccounts", "ServiceAccount"),
    ("services", "Service"),
];

/// The changes that are remembered unless a test compacts them earlier.
const HISTORY_MAX: usize = 10_000;

/// Names one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    /// The plural, for instance `pods`.
    pub(super) resource: &'static str,
    /// Empty for what belongs to no namespace.
    pub(super) namespace: String,
    pub(super) name: String,
}

/// One entry of the history.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) key: Key,
    /// Absent when the object was created.
    pub(super) before: Option<Value>,
    /// As it is since then; for a removed object as it was last, with the version of its removal.
    pub(super) object: Value,
    pub(super) removed: bool,
}

/// Why the API server won't do something: the parts of its `Status` that tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: u16,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into() }
    }

    pub(super) fn not_found(key: &Key) -> Self {
        Self::new(404, "NotFound", format!("{} \"{}\" not found", key.resource, key.name))
    }

    /// The object that the API server answers with.
    pub(super) fn status(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        })
    }
}

/// What a deletion asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Deletion {
    pub(super) grace_seconds: Option<i64>,
    pub(super) uid: Option<String>,
    pub(super) version: Option<String>,
}

/// All objects.
pub(super) struct Objects {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    version: u64,
    objects: BTreeMap<Key, Value>,
    history: VecDeque<Change>,
    /// Changes up to this version are forgotten.
    compacted: u64,
    /// The most pods that a namespace may have.
    pod_quotas: BTreeMap<String, usize>,
}

impl Objects {
    pub(super) fn new() -> Self {
        let state = State { version: 1, ..State::default() };
        Self { state: Mutex::new(state), changed: watch::Sender::new(1) }
    }

    /// The version of the newest change, whenever there is a newer one.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn version(&self) -> u64 {
        self.lock().version
    }

    pub(super) fn set_pod_quota(&self, namespace: &str, pods_max: Option<usize>) {
        let mut state = self.lock();
        match pods_max {
            Some(max) => state.pod_quotas.insert(namespace.to_owned(), max),
            None => state.pod_quotas.remove(namespace),
        };
    }

    pub(super) fn get(&self, key: &Key) -> Option<Value> {
        self.lock().objects.get(key).cloned()
    }

    pub(super) fn pod(&self, namespace: &str, name: &str) -> Option<Pod> {
        let key = Key { resource: "pods", namespace: namespace.to_owned(), name: name.to_owned() };
        serde_json::from_value(self.get(&key)?).ok()
    }

    /// Those of a kind that are selected, in one namespace or in all, with the version they are of.
    pub(super) fn list(&self, resource: &str, namespace: Option<&str>, selector: &Selector) -> (Vec<Value>, u64) {
        let state = self.lock();
        let selected = state.objects.iter().filter(|(key, object)| {
            key.resource == resource
                && namespace.is_none_or(|wanted| wanted == key.namespace)
                && selector.selects(object)
        });
        (selected.map(|(_, object)| object.clone()).collect(), state.version)
    }

    /// What happened behind a version, or `None` when that isn't known any more.
    pub(super) fn since(&self, version: u64) -> Option<Vec<Change>> {
        let state = self.lock();
        if version < state.compacted {
            return None;
        }
        Some(state.history.iter().filter(|change| change.version > version).cloned().collect())
    }

    /// Forgets the history.
    pub(super) fn compact(&self) {
        let mut state = self.lock();
        state.compacted = state.version;
        state.history.clear();
    }

    pub(super) fn create(&self, key: &Key, mut object: Value) -> Result<Value, Refusal> {
        let mut state = self.lock();
        if !key.namespace.is_empty() && !state.has_namespace(&key.namespace) {
            return Err(Refusal::new(404, "NotFound", format!("namespaces \"{}\" not found", key.namespace)));
        }
        if state.objects.contains_key(key) {
            let message = format!("{} \"{}\" already exists", key.resource, key.name);
            return Err(Refusal::new(409, "AlreadyExists", message));
        }
        state.check_quota(key)?;
        let metadata = &mut object["metadata"];
        if !key.namespace.is_empty() {
            metadata["namespace"] = json!(key.namespace);
        }
        metadata["uid"] = json!(uuid::Uuid::new_v4().to_string());
        metadata["creationTimestamp"] = json!(now());
        if key.resource == "pods" {
            object["status"] = new_pod_status(&object);
        }
        let created = state.put(key, object);
        state.collect_garbage();
        self.tell(&state);
        Ok(created)
    }

    /// Replaces an object by what `change` makes of it.
    pub(super) fn update(
        &self,
        key: &Key,
        change: impl FnOnce(&Value) -> Result<Value, Refusal>,
    ) -> Result<Value, Refusal> {
        let mut state = self.lock();
        let before = state.objects.get(key).cloned().ok_or_else(|| Refusal::not_found(key))?;
        let mut after = change(&before)?;
        check_update(key, &before, &after)?;
        for kept in ["uid", "name", "namespace", "creationTimestamp"] {
            if let Some(value) = before["metadata"].get(kept) {
                after["metadata"][kept] = value.clone();
            }
        }
        after["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
        // A change of nothing is no change.
        if after == before {
            return Ok(before);
        }
        let updated = state.put(key, after);
        self.tell(&state);
        Ok(updated)
    }

    /// Deletes an object, or marks a pod that runs somewhere as one that its kubelet shall end.
    pub(super) fn delete(&self, key: &Key, deletion: &Deletion) -> Result<Value, Refusal> {
        let mut state = self.lock();
        let mut object = state.objects.get(key).cloned().ok_or_else(|| Refusal::not_found(key))?;
        for (asked, field) in [(&deletion.uid, "uid"), (&deletion.version, "resourceVersion")] {
            if let Some(asked) = asked
                && object["metadata"][field] != json!(asked)
            {
                let message = format!("Precondition failed: {field} in precondition: {asked}");
                return Err(Refusal::new(409, "Conflict", message));
            }
        }
        let ended = matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let runs_somewhere = key.resource == "pods" && object["spec"]["nodeName"].is_string() && !ended;
        let grace = deletion.grace_seconds.unwrap_or(30);
        if runs_somewhere && grace > 0 {
            if object["metadata"]["deletionTimestamp"].is_null() {
                object["metadata"]["deletionTimestamp"] = json!(seconds_from_now(grace));
                object["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
                object = state.put(key, object);
            }
        } else {
            object = state.remove(key).unwrap_or(object);
            state.collect_garbage();
        }
        self.tell(&state);
        Ok(object)
    }

    fn tell(&self, state: &State) {
        self.changed.send_replace(state.version);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_namespace(&self, name: &str) -> bool {
        let key = Key { resource: "namespaces", namespace: String::new(), name: name.to_owned() };
        self.objects.contains_key(&key)
    }

    fn check_quota(&self, key: &Key) -> Result<(), Refusal> {
        let Some(&max) = self.pod_quotas.get(&key.namespace).filter(|_| key.resource == "pods") else { return Ok(()) };
        let ended = |pod: &Value| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let counted =
            |(other, pod): &(&Key, &Value)| other.resource == "pods" && other.namespace == key.namespace && !ended(pod);
        let used = self.objects.iter().filter(counted).count();
        if used < max {
            return Ok(());
        }
        let name = &key.name;
        let message = format!(
            "pods \"{name}\" is forbidden: exceeded quota: q, requested: pods=1, used: pods={used}, limited: pods={max}"
        );
        Err(Refusal::new(403, "Forbidden", message))
    }

    fn put(&mut self, key: &Key, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let before = self.objects.insert(key.clone(), object.clone());
        self.remember(Change {
            version: self.version,
            key: key.clone(),
            before,
            object: object.clone(),
            removed: false,
        });
        object
    }

    fn remove(&mut self, key: &Key) -> Option<Value> {
        let before = self.objects.remove(key)?;
        self.version += 1;
        let mut object = before.clone();
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let before = Some(before);
        self.remember(Change {
            version: self.version,
            key: key.clone(),
            before,
            object: object.clone(),
            removed: true,
        });
        Some(object)
    }

    fn remember(&mut self, change: Change) {
        self.history.push_back(change);
        while self.history.len() > HISTORY_MAX {
            self.compacted = self.history.pop_front().map_or(self.compacted, |oldest| oldest.version);
        }
    }

    /// Removes what belongs to owners of which none exists.
    fn collect_garbage(&mut self) {
        loop {
            let uids: HashSet<&str> =
                self.objects.values().filter_map(|object| object["metadata"]["uid"].as_str()).collect();
            let orphaned = |object: &Value| {
                let owners = object["metadata"]["ownerReferences"].as_array();
                owners.is_some_and(|owners| {
                    let exists = |owner: &Value| owner["uid"].as_str().is_some_and(|uid| uids.contains(uid));
                    !owners.is_empty() && !owners.iter().any(exists)
                })
            };
            let orphans: Vec<Key> =
                self.objects.iter().filter(|(_, object)| orphaned(object)).map(|(key, _)| key.clone()).collect();
            if orphans.is_empty() {
                return;
            }
            for key in orphans {
                self.remove(&key);
            }
        }
    }
}

fn new_pod_status(pod: &Value) -> Value {
    let gated = pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty());
    let conditions = if gated {
        json!([{
            "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }])
    } else {
        json!([])
    };
    json!({ "phase": "Pending", "qosClass": "Burstable", "conditions": conditions })
}

/// What may not be changed.
fn check_update(key: &Key, before: &Value, after: &Value) -> Result<(), Refusal> {
    let asked = after["metadata"]["resourceVersion"].as_str();
    if asked.is_some_and(|asked| before["metadata"]["resourceVersion"] != json!(asked)) {
        let name = &key.name;
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your changes to the latest version and try again",
            key.resource
        );
        return Err(Refusal::new(409, "Conflict", message));
    }
    let invalid = |what: &str| {
        let kind = KINDS.iter().find(|(plural, _)| *plural == key.resource).map_or("", |(_, kind)| kind);
        Err(Refusal::new(422, "Invalid", format!("{kind} \"{}\" is invalid: {what}", key.name)))
    };
    if before["immutable"] == json!(true) && before["data"] != after["data"] {
        return invalid("data: Forbidden: field is immutable when `immutable` is set");
    }
    if key.resource == "pods" {
        let gates = |pod: &Value| pod["spec"]["schedulingGates"].as_array().map_or(0, Vec::len);
        if gates(after) > gates(before) {
            return invalid("spec.schedulingGates: Forbidden: only deletion is allowed");
        }
        if before["spec"]["containers"] != after["spec"]["containers"] {
            return invalid("spec: Forbidden: pod updates may not change fields other than the image");
        }
    }
    Ok(())
}

/// The current time as objects carry it: in whole seconds.
pub(super) fn now() -> String {
    seconds_from_now(0)
}

fn seconds_from_now(seconds: i64) -> String {
    let second = Timestamp::from_second(Timestamp::now().as_second().saturating_add(seconds));
    second.unwrap_or(Timestamp::MAX).to_string()
}
