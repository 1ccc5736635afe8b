//! What keeps a tenant's drivers inside their namespace, whatever code they run.
//!
//! A driver holds a service account's token and makes pods with it, so checking what is submitted isn't enough. The
//! objects of [`fence`] are applied once per tenant by whoever administers the cluster:
//!
//! | Object | Stops |
//! |---|---|
//! | Namespace with Pod Security | privilege, the host's network, paths and processes, root |
//! | Role of drivers | reading Secrets and logs, running commands in pods, making anything but executors |
//! | admission policies | pods with other images, service accounts, Secrets or tokens; touching what belongs to another driver; leaving things behind |
//! | NetworkPolicy | connections from outside, and to the cloud's metadata service |
//! | ResourceQuota, LimitRange | taking more of the cluster than the tenant's share, filling a node's disk |
//! | Role of the gateway | the gateway doing more in the namespace than it needs |
//!
//! Two owners of one tenant share its namespace. Their drivers can list each other's pods, and so read arguments and
//! variables that don't look like secrets; owners who must not see that belong into two tenants.

mod admission;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::labels;
use crate::placement::{ImagePattern, Placement};

/// What a tenant's namespace is fenced with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantFence {
    /// The tenant's namespace.
    pub namespace: String,
    /// The service account of its drivers.
    pub service_account: String,
    /// The images that its pods may run.
    pub images: Vec<ImagePattern>,
    /// How much pods may do on their node.
    pub pod_security: PodSecurity,
    /// Who the gateway is on this cluster; `None` leaves its rights to somebody else.
    pub gateway: Option<Subject>,
    /// Who may connect to drivers from outside of the namespace, as network policies spell peers.
    pub admitted_peers: Vec<Value>,
    /// Networks in CIDR notation that pods may not reach.
    pub blocked_networks: Vec<String>,
    /// Whether each attempt has a network policy of its own; without, pods of the namespace reach each other.
    pub policy_per_attempt: bool,
    /// The most that the namespace may hold, `pods`, `requests.cpu` and the like as Kubernetes spells them. A driver
    /// asks for executors itself, so this alone bounds how many it gets.
    pub quota: BTreeMap<String, String>,
    /// The most disk of its node that a container may fill, `20Gi`; it is evicted when it takes more.
    pub disk_limit: Option<String>,
}

/// A level of Kubernetes' Pod Security Standards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodSecurity {
    /// Nothing that a Spark application needs is missing.
    #[default]
    Restricted,
    /// Allows root.
    Baseline,
    /// Allows everything, the node included.
    Privileged,
}

impl PodSecurity {
    /// Kubernetes' word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restricted => "restricted",
            Self::Baseline => "baseline",
            Self::Privileged => "privileged",
        }
    }
}

/// Somebody who can be given rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A user, as the API server authenticates it.
    User(String),
    /// A service account.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl TenantFence {
    /// The addresses at which clouds hand out a machine's own credentials.
    pub const METADATA_NETWORKS: [&str; 2] = ["169.254.0.0/16", "fd00:ec2::254/128"];

    /// The fence that goes with `placement`: Pod Security `restricted`, nobody admitted, metadata services blocked.
    pub fn of(placement: &Placement) -> Self {
        Self {
            namespace: placement.namespace.clone(),
            service_account: placement.service_account.clone(),
            images: placement.images.patterns().collect(),
            pod_security: PodSecurity::default(),
            gateway: None,
            admitted_peers: Vec::new(),
            blocked_networks: Self::METADATA_NETWORKS.map(str::to_owned).to_vec(),
            policy_per_attempt: placement.network_policy,
            quota: BTreeMap::new(),
            disk_limit: None,
        }
    }
}

/// The objects, in the order in which they can be applied.
pub fn fence(fence: &TenantFence) -> Vec<Value> {
    let mut objects = vec![
        namespace(fence),
        service_account(fence),
        role(&fence.namespace, DRIVER, &driver_rules()),
        binding(
            &fence.namespace,
            DRIVER,
            &Subject::ServiceAccount { namespace: fence.namespace.clone(), name: fence.service_account.clone() },
        ),
        network_policy(fence),
    ];
    if let Some(gateway) = &fence.gateway {
        objects.push(role(&fence.namespace, GATEWAY, &gateway_rules()));
        objects.push(binding(&fence.namespace, GATEWAY, gateway));
    }
    if !fence.quota.is_empty() {
        objects.push(quota(fence));
    }
    objects.extend(fence.disk_limit.iter().map(|limit| disk_limit(fence, limit)));
    objects.extend(admission::policies(fence));
    objects
}

/// The gateway's rights in its own namespace, which is no tenant's.
pub fn home(namespace: &str, gateway: &Subject) -> Vec<Value> {
    vec![role(namespace, GATEWAY, &home_rules()), binding(namespace, GATEWAY, gateway)]
}

const DRIVER: &str = "lamplighter-driver";
const GATEWAY: &str = "lamplighter-gateway";
const RBAC: &str = "rbac.authorization.k8s.io";

fn own_labels() -> Value {
    json!({ labels::MANAGED_BY: labels::MANAGER })
}

fn namespace(fence: &TenantFence) -> Value {
    let level = fence.pod_security.as_str();
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": fence.namespace,
            "labels": {
                labels::MANAGED_BY: labels::MANAGER,
                "pod-security.kubernetes.io/enforce": level,
                "pod-security.kubernetes.io/enforce-version": "latest",
                "pod-security.kubernetes.io/warn": level,
                "pod-security.kubernetes.io/audit": level,
            },
        },
    })
}

fn service_account(fence: &TenantFence) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": { "name": fence.service_account, "namespace": fence.namespace, "labels": own_labels() },
        "automountServiceAccountToken": false,
    })
}

/// What a driver asks of the API server: to make, watch and remove its executors, to hand them a ConfigMap, and to
/// remove its service. Volume claims it only looks for, because no volume can be asked for.
fn driver_rules() -> Value {
    json!([
        {
            "apiGroups": [""],
            "resources": ["pods"],
            "verbs": ["create", "get", "list", "watch", "patch", "update", "delete", "deletecollection"],
        },
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "verbs": ["create", "get", "list", "update", "patch", "delete", "deletecollection"],
        },
        { "apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "delete", "deletecollection"] },
        {
            "apiGroups": [""],
            "resources": ["persistentvolumeclaims"],
            "verbs": ["get", "list", "delete", "deletecollection"],
        },
    ])
}

/// What the gateway does in a tenant's namespace. It reads a Secret only to see whose it is, when one of the name that
/// it wants to create is there already.
fn gateway_rules() -> Value {
    json!([
        { "apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "list", "watch", "patch", "delete"] },
        { "apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"] },
        { "apiGroups": [""], "resources": ["configmaps", "services", "secrets"], "verbs": ["create", "get"] },
        { "apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["create", "get"] },
    ])
}

/// What the gateway does in its own namespace, where it keeps what it decided about attempts.
fn home_rules() -> Value {
    json!([{
        "apiGroups": [""],
        "resources": ["configmaps"],
        "verbs": ["create", "get", "list", "patch", "delete"],
    }])
}

fn role(namespace: &str, name: &str, rules: &Value) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": "Role",
        "metadata": { "name": name, "namespace": namespace, "labels": own_labels() },
        "rules": rules,
    })
}

fn binding(namespace: &str, role: &str, subject: &Subject) -> Value {
    let subject = match subject {
        Subject::User(name) => json!({ "apiGroup": RBAC, "kind": "User", "name": name }),
        Subject::ServiceAccount { namespace, name } => {
            json!({ "kind": "ServiceAccount", "name": name, "namespace": namespace })
        }
    };
    json!({
        "apiVersion": format!("{RBAC}/v1"),
        "kind": "RoleBinding",
        "metadata": { "name": role, "namespace": namespace, "labels": own_labels() },
        "roleRef": { "apiGroup": RBAC, "kind": "Role", "name": role },
        "subjects": [subject],
    })
}

fn quota(fence: &TenantFence) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": { "name": "lamplighter-tenant", "namespace": fence.namespace, "labels": own_labels() },
        "spec": { "hard": fence.quota },
    })
}

/// A limit for containers that name none, and for those that name a larger one.
fn disk_limit(fence: &TenantFence, limit: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": { "name": "lamplighter-tenant", "namespace": fence.namespace, "labels": own_labels() },
        "spec": {
            "limits": [{
                "type": "Container",
                "default": { "ephemeral-storage": limit },
                "defaultRequest": { "ephemeral-storage": "0" },
                "max": { "ephemeral-storage": limit },
            }],
        },
    })
}

/// Policies only ever add: what this one doesn't admit, the policy of an attempt can still admit to its own pods.
fn network_policy(fence: &TenantFence) -> Value {
    let mut admitted = fence.admitted_peers.clone();
    if !fence.policy_per_attempt {
        admitted.push(json!({ "podSelector": {} }));
    }
    let ingress: Vec<Value> = if admitted.is_empty() { Vec::new() } else { vec![json!({ "from": admitted })] };
    let dns = json!([{ "port": 53, "protocol": "UDP" }, { "port": 53, "protocol": "TCP" }]);
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": "lamplighter-tenant", "namespace": fence.namespace, "labels": own_labels() },
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": [
                { "to": [{ "podSelector": {} }] },
                { "to": [{ "namespaceSelector": {} }], "ports": dns },
                { "to": [everything_but(fence, "0.0.0.0/0", '.'), everything_but(fence, "::/0", ':')] },
            ],
        },
    })
}

/// The network `all` without those blocked networks that are written with `separator`.
fn everything_but(fence: &TenantFence, all: &str, separator: char) -> Value {
    let blocked: Vec<&String> = fence.blocked_networks.iter().filter(|network| network.contains(separator)).collect();
    if blocked.is_empty() {
        return json!({ "ipBlock": { "cidr": all } });
    }
    json!({ "ipBlock": { "cidr": all, "except": blocked } })
}
