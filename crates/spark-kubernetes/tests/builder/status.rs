//! States of drivers, from the statuses that kubelets and controllers write.

use expect_test::{Expect, expect};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use spark_kubernetes::status::{PodState, is_deleting, read};

/// Shows the state of a pod with `status`.
fn check(status: Value, expected: &Expect) {
    check_pod(json!({ "metadata": { "name": "driver" }, "status": status }), expected);
}

fn check_pod(pod: Value, expected: &Expect) {
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let deleting = if is_deleting(&pod) { " deleting" } else { "" };
    expected.assert_eq(&(shown(&read(&pod)) + deleting));
}

fn shown(state: &PodState) -> String {
    match state {
        PodState::Gated => "gated".to_owned(),
        PodState::Pending { reason: None } => "pending".to_owned(),
        PodState::Pending { reason: Some(reason) } => format!("pending {}: {}", reason.code, reason.message),
        PodState::Running { since, node_lost } => {
            format!("running since {}{}", since.unwrap(), if *node_lost { ", node lost" } else { "" })
        }
        PodState::Ended(ended) => format!(
            "{:?} exit={:?} signal={:?} oom={} reason={:?} message={:?} {:?}..{:?}",
            ended.cause,
            ended.exit_code,
            ended.signal,
            ended.oom_killed,
            ended.reason,
            ended.message,
            ended.started_at.map(|at| at.to_string()),
            ended.finished_at.map(|at| at.to_string()),
        ),
    }
}

/// A pod of one container in `state`.
fn status(phase: &str, state: Value) -> Value {
    json!({
        "phase": phase,
        "containerStatuses": [container("spark-kubernetes-driver", state)],
    })
}

fn container(name: &str, state: Value) -> Value {
    json!({ "name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state })
}

fn terminated(exit_code: i32, reason: &str) -> Value {
    json!({ "terminated": {
        "exitCode": exit_code,
        "reason": reason,
        "startedAt": "2026-11-20T10:00:00Z",
        "finishedAt": "2026-11-20T10:01:00Z",
    } })
}

fn running() -> Value {
    json!({ "running": { "startedAt": "2026-11-20T10:00:00Z" } })
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({ "waiting": { "reason": reason, "message": message } })
}

#[test]
fn a_life_without_trouble() {
    let gate = json!([{ "name": "lamplighter.dev/dependents" }]);
    check_pod(json!({ "metadata": {}, "spec": { "containers": [], "schedulingGates": gate } }), &expect!["gated"]);
    check_pod(json!({ "metadata": {} }), &expect!["pending"]);
    check(json!({ "phase": "Pending" }), &expect!["pending"]);
    check(status("Pending", json!({ "waiting": { "reason": "ContainerCreating" } })), &expect!["pending"]);
    check(status("Running", running()), &expect!["running since 2026-11-20T10:00:00.000Z"]);
    check(
        status("Succeeded", terminated(0, "Completed")),
        &expect![[
            r#"Completed exit=Some(0) signal=None oom=false reason=Some("Completed") message=None Some("2026-11-20T10:00:00.000Z")..Some("2026-11-20T10:01:00.000Z")"#
        ]],
    );
}

#[test]
fn a_gate_shows_before_the_scheduler_has_looked() {
    let pod = json!({
        "metadata": {},
        "spec": { "containers": [], "schedulingGates": [{ "name": "lamplighter.dev/dependents" }] },
        "status": {
            "phase": "Pending",
            "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }],
        },
    });
    check_pod(pod, &expect!["gated"]);
}

#[test]
fn the_container_is_ahead_of_the_phase() {
    check(
        status("Running", terminated(0, "Completed")),
        &expect![[
            r#"Completed exit=Some(0) signal=None oom=false reason=Some("Completed") message=None Some("2026-11-20T10:00:00.000Z")..Some("2026-11-20T10:01:00.000Z")"#
        ]],
    );
    check(
        status("Running", terminated(2, "Error")),
        &expect![[
            r#"Failed exit=Some(2) signal=None oom=false reason=Some("Error") message=None Some("2026-11-20T10:00:00.000Z")..Some("2026-11-20T10:01:00.000Z")"#
        ]],
    );
}

#[test]
fn sidecars_do_not_decide() {
    let two = |driver: Value, sidecar: Value| {
        json!({
            "phase": "Running",
            "containerStatuses": [container("proxy", sidecar), container("spark-kubernetes-driver", driver)],
        })
    };
    check(
        two(terminated(0, "Completed"), running()),
        &expect![[
            r#"Completed exit=Some(0) signal=None oom=false reason=Some("Completed") message=None Some("2026-11-20T10:00:00.000Z")..Some("2026-11-20T10:01:00.000Z")"#
        ]],
    );
    check(two(running(), terminated(1, "Error")), &expect!["running since 2026-11-20T10:00:00.000Z"]);
}

#[test]
fn reasons_to_wait() {
    let message = "0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available";
    check(
        json!({
            "phase": "Pending",
            "conditions": [{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message }],
        }),
        &expect![
            "pending Unschedulable: 0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available"
        ],
    );
    let pull = "Failed to pull image \"x\": dial tcp: lookup lamplighter.test: server misbehaving";
    check(
        status("Pending", waiting("ErrImagePull", pull)),
        &expect![[
            r#"pending ErrImagePull: Failed to pull image "x": dial tcp: lookup lamplighter.test: server misbehaving"#
        ]],
    );
    check(
        status("Pending", waiting("ImagePullBackOff", "Back-off pulling image \"x\"")),
        &expect![[r#"pending ImagePullBackOff: Back-off pulling image "x""#]],
    );
    check(
        status("Pending", waiting("ErrImageNeverPull", "Container image \"x\" is not present")),
        &expect![[r#"pending ErrImageNeverPull: Container image "x" is not present"#]],
    );
    check(
        status("Pending", waiting("InvalidImageName", "couldn't parse image name")),
        &expect!["pending InvalidImageName: couldn't parse image name"],
    );
    check(
        status("Pending", waiting("CreateContainerConfigError", "secret \"x\" not found")),
        &expect![[r#"pending CreateContainerConfigError: secret "x" not found"#]],
    );
}

#[test]
fn ends_of_the_program() {
    check(
        status("Failed", terminated(1, "Error")),
        &expect![[
            r#"Failed exit=Some(1) signal=None oom=false reason=Some("Error") message=None Some("2026-11-20T10:00:00.000Z")..Some("2026-11-20T10:01:00.000Z")"#
        ]],
    );
    check(
        status("Failed", terminated(143, "Error")),
        &expect![[
            r#"Failed exit=Some(143) signal=Some(15) oom=false reason=Some("Error") message=None Some("2026-11-20T10:00:00.000Z")..Some("2026-11-20T10:01:00.000Z")"#
        ]],
    );
    check(
        status("Failed", terminated(137, "OOMKilled")),
        &expect![[
            r#"OutOfMemory exit=Some(137) signal=Some(9) oom=true reason=Some("OOMKilled") message=None Some("2026-11-20T10:00:00.000Z")..Some("2026-11-20T10:01:00.000Z")"#
        ]],
    );
    // A child was killed, and the program itself ended with a code of its own.
    check(
        status("Failed", terminated(9, "OOMKilled")),
        &expect![[
            r#"OutOfMemory exit=Some(9) signal=None oom=true reason=Some("OOMKilled") message=None Some("2026-11-20T10:00:00.000Z")..Some("2026-11-20T10:01:00.000Z")"#
        ]],
    );
    check(
        status("Succeeded", terminated(0, "OOMKilled")),
        &expect![[
            r#"Completed exit=Some(0) signal=None oom=true reason=Some("OOMKilled") message=None Some("2026-11-20T10:00:00.000Z")..Some("2026-11-20T10:01:00.000Z")"#
        ]],
    );
    let mut unstarted = terminated(128, "StartError");
    unstarted["terminated"]["startedAt"] = json!("1970-01-01T00:00:00Z");
    check(
        status("Failed", unstarted),
        &expect![[
            r#"Failed exit=Some(128) signal=None oom=false reason=Some("StartError") message=None None..Some("2026-11-20T10:01:00.000Z")"#
        ]],
    );
}

#[test]
fn ends_from_outside() {
    let with = |reason: &str, state: Option<Value>| {
        let mut status = state.map_or(json!({ "phase": "Failed" }), |state| status("Failed", state));
        status["reason"] = json!(reason);
        status["message"] = json!("told by the kubelet");
        status
    };
    check(
        with("Evicted", None),
        &expect![[
            r#"Evicted exit=None signal=None oom=false reason=Some("Evicted") message=Some("told by the kubelet") None..None"#
        ]],
    );
    check(
        with("Evicted", Some(terminated(137, "Error"))),
        &expect![[
            r#"Evicted exit=Some(137) signal=Some(9) oom=false reason=Some("Evicted") message=Some("told by the kubelet") Some("2026-11-20T10:00:00.000Z")..Some("2026-11-20T10:01:00.000Z")"#
        ]],
    );
    check(
        with("DeadlineExceeded", Some(terminated(143, "Error"))),
        &expect![[
            r#"DeadlineExceeded exit=Some(143) signal=Some(15) oom=false reason=Some("DeadlineExceeded") message=Some("told by the kubelet") Some("2026-11-20T10:00:00.000Z")..Some("2026-11-20T10:01:00.000Z")"#
        ]],
    );
    check(
        with("Terminated", Some(terminated(143, "Error"))),
        &expect![[
            r#"NodeLost exit=Some(143) signal=Some(15) oom=false reason=Some("Terminated") message=Some("told by the kubelet") Some("2026-11-20T10:00:00.000Z")..Some("2026-11-20T10:01:00.000Z")"#
        ]],
    );
    check(
        with("Preempting", None),
        &expect![[
            r#"Preempted exit=None signal=None oom=false reason=Some("Preempting") message=Some("told by the kubelet") None..None"#
        ]],
    );
    check(
        with("OutOfcpu", None),
        &expect![[
            r#"Unknown exit=None signal=None oom=false reason=Some("OutOfcpu") message=Some("told by the kubelet") None..None"#
        ]],
    );
    check(
        status("Failed", terminated(137, "ContainerStatusUnknown")),
        &expect![[
            r#"NodeLost exit=None signal=None oom=false reason=Some("ContainerStatusUnknown") message=None None..None"#
        ]],
    );
}

#[test]
fn disruptions_name_who_ended_it() {
    let with = |reason: &str| {
        let mut status = status("Failed", terminated(143, "Error"));
        status["conditions"] = json!([{ "type": "DisruptionTarget", "status": "True", "reason": reason }]);
        status
    };
    check(
        with("PreemptionByScheduler"),
        &expect![[
            r#"Preempted exit=Some(143) signal=Some(15) oom=false reason=Some("Error") message=None Some("2026-11-20T10:00:00.000Z")..Some("2026-11-20T10:01:00.000Z")"#
        ]],
    );
    check(
        with("EvictionByEvictionAPI"),
        &expect![[
            r#"Evicted exit=Some(143) signal=Some(15) oom=false reason=Some("Error") message=None Some("2026-11-20T10:00:00.000Z")..Some("2026-11-20T10:01:00.000Z")"#
        ]],
    );
    check(
        with("DeletionByTaintManager"),
        &expect![[
            r#"NodeLost exit=Some(143) signal=Some(15) oom=false reason=Some("Error") message=None Some("2026-11-20T10:00:00.000Z")..Some("2026-11-20T10:01:00.000Z")"#
        ]],
    );
}

#[test]
fn lost_nodes_and_deletions() {
    let mut lost = status("Running", running());
    lost["reason"] = json!("NodeLost");
    check(lost, &expect!["running since 2026-11-20T10:00:00.000Z, node lost"]);
    let deleted = |state| {
        json!({
            "metadata": { "deletionTimestamp": "2026-11-20T10:02:00Z" },
            "status": status("Running", state),
        })
    };
    check_pod(deleted(running()), &expect!["running since 2026-11-20T10:00:00.000Z deleting"]);
    check_pod(
        deleted(terminated(143, "Error")),
        &expect![[
            r#"Failed exit=Some(143) signal=Some(15) oom=false reason=Some("Error") message=None Some("2026-11-20T10:00:00.000Z")..Some("2026-11-20T10:01:00.000Z") deleting"#
        ]],
    );
}
