//! States of drivers. `recorded/pods.json` has pods as a real cluster left them; what takes more than one node, or
//! luck, is written out below.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use spark_kubernetes::status::{Ended, PodState, is_deleting, read};

#[test]
fn as_recorded() {
    let pods: BTreeMap<String, Pod> = serde_json::from_str(include_str!("recorded/pods.json")).unwrap();
    let states: String = pods.iter().map(|(name, pod)| format!("{name}: {}\n", shown(pod))).collect();
    expect![[r#"
        bad-image: pending, InvalidImageName: Failed to apply default image tag "Bad//Image": couldn't parse image name "Bad//Image": invalid reference format: repository name (/Image) must be lowercase
        completed: ended Completed, exit 0, ran 0ns, Completed
        deadline: ended DeadlineExceeded, exit 137, signal 9, ran 2s, DeadlineExceeded, Pod was active on the node longer than the specified deadlin
        deleted: ended Failed, exit 5, ran 7s, Error, deleting
        deleted-running: running since 2026-11-21T16:28:32.000Z, deleting
        driver-completed: ended Completed, exit 0, ran 35s, Completed
        evicted: ended Evicted, exit 137, signal 9, ran 16s, Error, deleting
        exit-3: ended Failed, exit 3, ran 0ns, Error
        gated: gated
        never-image: pending, ErrImageNeverPull: Container image "lamplighter.test/missing:1" is not present with pull policy of Never
        no-command: ended Failed, exit 128, StartError, failed to create containerd task: failed to create shim task
        no-image: pending, ImagePullBackOff: Back-off pulling image "lamplighter.test/missing:1": ErrImagePull: failed to pull and unpack image "lamplighter.test/missing:1": failed to resolve reference "lamplighter.test/missing:1": failed to do request: Head "https://lamplighter.test/v2/missing/manifests/1": dial tcp: lookup lamplighter.test on 10.96.0.10:53: server misbehaving
        no-secret: pending, CreateContainerConfigError: secret "x" not found
        no-volume: pending
        oom: ended OutOfMemory, exit 137, signal 9, oom killed, ran 0ns, OOMKilled
        oom-child: ended OutOfMemory, exit 9, oom killed, ran 0ns, OOMKilled
        running: running since 2026-11-21T16:28:32.000Z
        unschedulable: pending, Unschedulable: 0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.
        with-sidecar: ended Completed, exit 0, ran 0ns, Completed
    "#]].assert_eq(&states);
}

/// Shows the state of a pod with `status`.
fn check(status: Value, expected: &Expect) {
    let pod = serde_json::from_value(json!({ "metadata": {}, "status": status })).unwrap();
    expected.assert_eq(&shown(&pod));
}

fn shown(pod: &Pod) -> String {
    let state = match read(pod) {
        PodState::Gated => "gated".to_owned(),
        PodState::Pending { reason: None } => "pending".to_owned(),
        PodState::Pending { reason: Some(reason) } => format!("pending, {}: {}", reason.code, reason.message),
        PodState::Running { since, node_lost: false } => format!("running since {}", since.unwrap()),
        PodState::Running { since, node_lost: true } => format!("running since {}, node lost", since.unwrap()),
        PodState::Ended(ended) => shown_end(&ended),
    };
    state + if is_deleting(pod) { ", deleting" } else { "" }
}

fn shown_end(ended: &Ended) -> String {
    let mut parts = vec![format!("ended {:?}", ended.cause)];
    parts.extend(ended.exit_code.map(|code| format!("exit {code}")));
    parts.extend(ended.signal.map(|signal| format!("signal {signal}")));
    parts.extend(ended.oom_killed.then(|| "oom killed".to_owned()));
    let ran = ended.started_at.zip(ended.finished_at).map(|(from, to)| to.since(from));
    parts.extend(ran.map(|ran| format!("ran {ran:?}")));
    parts.extend(ended.reason.clone());
    // Runtimes tell a lot.
    parts.extend(ended.message.as_ref().map(|message| message.chars().take(60).collect()));
    parts.join(", ")
}

/// A pod of one container in `state`.
fn status(phase: &str, state: Value) -> Value {
    json!({ "phase": phase, "containerStatuses": [container("spark-kubernetes-driver", state)] })
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

#[test]
fn before_anything_is_known() {
    expect!["pending"].assert_eq(&shown(&Pod::default()));
    check(json!({ "phase": "Pending" }), &expect!["pending"]);
}

#[test]
fn the_container_is_ahead_of_the_phase() {
    check(status("Running", terminated(0, "Completed")), &expect!["ended Completed, exit 0, ran 60s, Completed"]);
    check(status("Running", terminated(2, "Error")), &expect!["ended Failed, exit 2, ran 60s, Error"]);
}

#[test]
fn sidecars_do_not_decide() {
    let two = |driver: Value, sidecar: Value| {
        json!({
            "phase": "Running",
            "containerStatuses": [container("proxy", sidecar), container("spark-kubernetes-driver", driver)],
        })
    };
    check(two(terminated(0, "Completed"), running()), &expect!["ended Completed, exit 0, ran 60s, Completed"]);
    check(two(running(), terminated(1, "Error")), &expect!["running since 2026-11-20T10:00:00.000Z"]);
}

#[test]
fn a_phase_without_its_container_is_an_end_too() {
    check(json!({ "phase": "Succeeded" }), &expect!["ended Completed"]);
    check(json!({ "phase": "Failed" }), &expect!["ended Unknown"]);
    check(status("Failed", running()), &expect!["ended Unknown"]);
}

#[test]
fn success_counts_whatever_came_later() {
    let mut evicted = status("Failed", terminated(0, "Completed"));
    evicted["reason"] = json!("Evicted");
    check(evicted, &expect!["ended Completed, exit 0, ran 60s, Evicted"]);
    check(
        status("Succeeded", terminated(0, "OOMKilled")),
        &expect!["ended Completed, exit 0, oom killed, ran 60s, OOMKilled"],
    );
}

/// What the kubelet writes into the pod when the node, not the program, was the cause.
#[test]
fn ends_from_outside() {
    let with = |reason: &str, state: Option<Value>| {
        let mut status = state.map_or(json!({ "phase": "Failed" }), |state| status("Failed", state));
        status["reason"] = json!(reason);
        status["message"] = json!("told by the kubelet");
        status
    };
    check(with("Evicted", None), &expect!["ended Evicted, Evicted, told by the kubelet"]);
    check(
        with("Evicted", Some(terminated(137, "Error"))),
        &expect!["ended Evicted, exit 137, signal 9, ran 60s, Evicted, told by the kubelet"],
    );
    check(
        with("Terminated", Some(terminated(143, "Error"))),
        &expect!["ended NodeLost, exit 143, signal 15, ran 60s, Terminated, told by the kubelet"],
    );
    check(with("Preempting", None), &expect!["ended Preempted, Preempting, told by the kubelet"]);
    check(with("OutOfcpu", None), &expect!["ended Unknown, OutOfcpu, told by the kubelet"]);
    check(
        status("Failed", terminated(137, "ContainerStatusUnknown")),
        &expect!["ended NodeLost, ContainerStatusUnknown"],
    );
}

/// What controllers write into the pod before they remove it.
#[test]
fn disruptions_name_who_ended_it() {
    let with = |reason: &str| {
        let mut status = status("Failed", terminated(143, "Error"));
        status["conditions"] = json!([{ "type": "DisruptionTarget", "status": "True", "reason": reason }]);
        status
    };
    check(with("PreemptionByScheduler"), &expect!["ended Preempted, exit 143, signal 15, ran 60s, Error"]);
    check(with("EvictionByEvictionAPI"), &expect!["ended Evicted, exit 143, signal 15, ran 60s, Error"]);
    check(with("DeletionByTaintManager"), &expect!["ended NodeLost, exit 143, signal 15, ran 60s, Error"]);
}

#[test]
fn a_lost_node_is_no_end() {
    let mut lost = status("Running", running());
    lost["reason"] = json!("NodeLost");
    check(lost, &expect!["running since 2026-11-20T10:00:00.000Z, node lost"]);
    check(status("Unknown", running()), &expect!["running since 2026-11-20T10:00:00.000Z, node lost"]);
}
