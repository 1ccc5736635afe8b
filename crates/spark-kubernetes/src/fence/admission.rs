//! What a driver may ask of the API server, beyond what roles can say: rules over the objects themselves, in the
//! API server's own expression language.
//!
//! Two policies apply to every service account of the namespace but the gateway's. The first is about belonging: a
//! driver touches only objects of its own application. It is told apart by its token, which the API server knows to
//! be bound to its pod; labels can be forged, that can't. The second is about the shape of the pods it makes.

use serde_json::{Value, json};

use super::{Subject, TenantFence, own_labels};
use crate::labels;
use crate::placement::ImagePattern;

/// Where the API server tells which pod a token is bound to.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";

/// Both policies with their bindings.
pub(super) fn policies(fence: &TenantFence) -> Vec<Value> {
    let rules = [
        ("own", json!(["CREATE", "UPDATE", "DELETE"]), OWNED, belonging()),
        ("pods", json!(["CREATE", "UPDATE"]), &["pods"][..], shape(fence)),
    ];
    let policies = rules.into_iter().flat_map(|(topic, operations, resources, validations)| {
        let name = format!("lamplighter-{}-{topic}", fence.namespace);
        [policy(fence, &name, &operations, resources, validations), binding(fence, &name)]
    });
    policies.collect()
}

/// The kinds of object that a driver has rights on.
const OWNED: &[&str] = &["pods", "configmaps", "services", "persistentvolumeclaims"];

/// One rule: what must hold, and what is said when it doesn't.
struct Rule {
    expression: String,
    message: &'static str,
}

fn rule(expression: impl Into<String>, message: &'static str) -> Rule {
    Rule { expression: expression.into(), message }
}

/// A driver touches only what belongs to its own application, and leaves nothing behind.
fn belonging() -> Vec<Rule> {
    let app = labels::SPARK_APP;
    let of_app = |object: &str| {
        format!(
            "has({object}.metadata.labels) && '{app}' in {object}.metadata.labels && {object}.metadata.labels['{app}'] == variables.app"
        )
    };
    let ours = |key: &str| format!("({key}.startsWith('{}') || {key} == '{}')", labels::PREFIX, labels::MANAGED_BY);
    vec![
        rule("variables.app != ''", "only a driver may do this, with the token of its own pod"),
        rule(
            format!("request.operation == 'DELETE' || ({})", of_app("object")),
            "must carry the application id of the driver that makes it",
        ),
        rule(
            format!("request.operation == 'CREATE' || ({})", of_app("oldObject")),
            "belongs to another application than the driver's",
        ),
        rule(
            format!("request.operation != 'CREATE' || object.metadata.labels.all(k, !{})", ours("k")),
            "must not carry labels of the gateway",
        ),
        rule(
            format!(
                "request.operation != 'UPDATE' || (object.metadata.labels.all(k, !{0} || (k in oldObject.metadata.labels && oldObject.metadata.labels[k] == object.metadata.labels[k])) && oldObject.metadata.labels.all(k, !{0} || k in object.metadata.labels))",
                ours("k")
            ),
            "must keep the labels of the gateway as they are",
        ),
        rule(
            "request.operation != 'CREATE' || (has(object.metadata.ownerReferences) && object.metadata.ownerReferences.exists(o, o.kind == 'Pod' && o.name == variables.pod))",
            "must be owned by its driver, so that nothing stays when the driver goes",
        ),
        rule(
            "request.operation == 'DELETE' || (has(object.metadata.finalizers) ? object.metadata.finalizers : []) == (request.operation == 'UPDATE' && has(oldObject.metadata.finalizers) ? oldObject.metadata.finalizers : [])",
            "must not add or remove finalizers",
        ),
    ]
}

/// What a driver's pods may be. Rules about fields that can't change hold at creation alone, because a driver's own
/// pod has what its executors may not.
fn shape(fence: &TenantFence) -> Vec<Rule> {
    let created = |condition: &str| format!("request.operation != 'CREATE' || ({condition})");
    let account = quoted(&fence.service_account);
    vec![
        rule(
            format!("variables.containers.all(c, {})", allowed_images(fence)),
            "uses an image that is not allowed here",
        ),
        rule(
            created("has(object.metadata.name) && object.metadata.name.startsWith(variables.app + '-exec-')"),
            "must be named as an executor of its driver",
        ),
        rule(
            created(&format!(
                "!has(object.spec.serviceAccountName) || object.spec.serviceAccountName in ['', 'default', {account}]"
            )),
            "must not use a service account other than its driver's",
        ),
        rule(
            created("has(object.spec.automountServiceAccountToken) && !object.spec.automountServiceAccountToken"),
            "must not have a service account's token; set automountServiceAccountToken to false",
        ),
        rule(
            created(
                "!(has(object.spec.hostNetwork) && object.spec.hostNetwork) && !(has(object.spec.hostPID) && object.spec.hostPID) && !(has(object.spec.hostIPC) && object.spec.hostIPC)",
            ),
            "must not share its node's network or processes",
        ),
        rule(
            created(
                "!has(object.spec.volumes) || object.spec.volumes.all(v, has(v.emptyDir) || has(v.configMap) || has(v.downwardAPI))",
            ),
            "may only mount emptyDir, configMap and downwardAPI volumes",
        ),
        rule(
            created(
                "variables.containers.all(c, !has(c.envFrom) && (!has(c.env) || c.env.all(e, !has(e.valueFrom) || !has(e.valueFrom.secretKeyRef) || e.valueFrom.secretKeyRef.name == variables.app + '-conf')))",
            ),
            "must not read a Secret other than its driver's",
        ),
        rule(
            created(
                "!has(object.spec.nodeName) && !(has(object.spec.priorityClassName) && object.spec.priorityClassName.startsWith('system-'))",
            ),
            "must not choose its node or a priority of the system",
        ),
    ]
}

fn allowed_images(fence: &TenantFence) -> String {
    let conditions: Vec<String> = fence
        .images
        .iter()
        .map(|pattern| match pattern {
            ImagePattern::Exact(image) => format!("c.image == {}", quoted(image)),
            ImagePattern::Prefix(prefix) => format!("c.image.startsWith({})", quoted(prefix)),
        })
        .collect();
    if conditions.is_empty() { "false".to_owned() } else { conditions.join(" || ") }
}

/// `text` as a literal of the expression language, which reads JSON's.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn policy(fence: &TenantFence, name: &str, operations: &Value, resources: &[&str], rules: Vec<Rule>) -> Value {
    let validations = rules.into_iter().map(|rule| {
        json!({ "expression": rule.expression, "message": format!("lamplighter: {}", rule.message), "reason": "Forbidden" })
    });
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": name, "labels": own_labels() },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [{
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": operations,
                    "resources": resources,
                }],
            },
            "matchConditions": [{ "name": "service-accounts", "expression": who(fence) }],
            "variables": variables(resources),
            "validations": validations.collect::<Vec<Value>>(),
        },
    })
}

/// Every service account of the namespace, except the gateway's if it lives there too.
fn who(fence: &TenantFence) -> String {
    let accounts = format!("system:serviceaccount:{}:", fence.namespace);
    let everyone = format!("request.userInfo.username.startsWith({})", quoted(&accounts));
    match &fence.gateway {
        Some(Subject::ServiceAccount { namespace, name }) if *namespace == fence.namespace => {
            format!("{everyone} && request.userInfo.username != {}", quoted(&format!("{accounts}{name}")))
        }
        _ => everyone,
    }
}

/// `pod`: the pod whose token asks, or nothing. `app`: the application that it drives, or nothing. `containers`: all
/// of a pod.
fn variables(resources: &[&str]) -> Value {
    let pod = format!(
        "has(request.userInfo.extra) && '{POD_NAME}' in request.userInfo.extra ? request.userInfo.extra['{POD_NAME}'][0] : ''"
    );
    let app = "variables.pod.startsWith('spark-') && variables.pod.endsWith('-driver') ? variables.pod.substring(0, size(variables.pod) - size('-driver')) : ''";
    let containers = "object.spec.containers + (has(object.spec.initContainers) ? object.spec.initContainers : [])";
    let mut variables = vec![json!({ "name": "pod", "expression": pod }), json!({ "name": "app", "expression": app })];
    if resources == ["pods"] {
        variables.push(json!({ "name": "containers", "expression": containers }));
    }
    Value::from(variables)
}

fn binding(fence: &TenantFence, policy: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": policy, "labels": own_labels() },
        "spec": {
            "policyName": policy,
            "validationActions": ["Deny"],
            "matchResources": {
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": fence.namespace } },
            },
        },
    })
}
