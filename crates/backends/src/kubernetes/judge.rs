//! What a driver's pod says about its attempt: pure.

use engine::backend::Observation;
use k8s_openapi::api::core::v1::Pod;
use model::state::{Exit, Reason, ReasonCode};
use model::time::Timestamp;
use spark_kubernetes::status::{self, Cause, PendingReason, PodState};

use super::cluster::{is_held, place};

/// What a pod shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// It waits for the rest of its launch; its driver has never run.
    Held,
    /// The driver is about to run, or runs.
    Alive(Observation),
    /// It is over.
    Over(Over),
}

/// How it is over, but for the driver's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// The driver ended.
    Exited { exit: Exit, started_at: Timestamp, at: Timestamp, stopped: bool, cause: Option<ReasonCode> },
    /// Its container never started, and its pod is gone because the gateway wanted that.
    NeverRan,
    /// It was taken away, or nothing tells how it ended.
    Lost { reason: ReasonCode, evidence: String },
}

/// What is known about a pod besides what it says itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Circumstances {
    /// It doesn't exist any more; this is how it was last.
    pub(super) gone: bool,
    /// The gateway told it to end.
    pub(super) stopped: bool,
    /// The time.
    pub(super) now: Timestamp,
}

/// Whether it matters for [`judge`] who wanted the pod to end.
pub(super) fn depends_on_who_stopped(pod: &Pod, gone: bool) -> bool {
    !is_held(pod) && (gone || status::is_deleting(pod))
}

/// Tells from a pod where its attempt stands.
pub(super) fn judge(pod: &Pod, at: Circumstances) -> Sight {
    if is_held(pod) && !at.gone {
        return Sight::Held;
    }
    match status::read(pod) {
        PodState::Ended(ended) => Sight::Over(over(pod, &ended, at)),
        PodState::Running { node_lost, .. } if at.gone => Sight::Over(vanished(pod, node_lost, at)),
        PodState::Running { since, .. } => {
            Sight::Alive(Observation::Running { since: since.or_else(|| created_at(pod)).unwrap_or(at.now) })
        }
        PodState::Gated | PodState::Pending { .. } if at.gone => Sight::Over(never_started(pod, at)),
        PodState::Gated => Sight::Alive(Observation::Pending { waits_for: Some(gated_by_others(pod)) }),
        PodState::Pending { reason } => {
            Sight::Alive(Observation::Pending { waits_for: reason.map(|reason| waiting(&reason)) })
        }
    }
}

fn over(pod: &Pod, ended: &status::Ended, at: Circumstances) -> Over {
    if at.stopped && ended.exit_code.is_none() && !had_container(pod) {
        return Over::NeverRan;
    }
    let taken_away = || match ended.cause {
        Cause::Evicted => Some(ReasonCode::Evicted),
        Cause::Preempted => Some(ReasonCode::Preempted),
        Cause::NodeLost => Some(ReasonCode::NodeLost),
        Cause::Unknown => Some(ReasonCode::DriverLost),
        // Nobody tells a finished driver to end; what came before the deletion is the driver's own doing.
        Cause::Failed if was_told_to_end(pod, ended, at) && !at.stopped => Some(ReasonCode::PodDeleted),
        _ => None,
    };
    let exit = exit(ended);
    match (exit, taken_away()) {
        // Whatever took it away, it was told to go.
        (Some(exit), lost) if at.stopped || lost.is_none() => Over::Exited {
            exit,
            started_at: ended.started_at.or_else(|| created_at(pod)).unwrap_or(at.now),
            at: ended.finished_at.unwrap_or(at.now),
            stopped: at.stopped && was_told_to_end(pod, ended, at),
            cause: (ended.cause == Cause::OutOfMemory).then_some(ReasonCode::OutOfMemory),
        },
        (_, lost) => Over::Lost { reason: lost.unwrap_or(ReasonCode::DriverLost), evidence: told(pod, ended) },
    }
}

fn exit(ended: &status::Ended) -> Option<Exit> {
    match (ended.signal, ended.exit_code, ended.cause) {
        (Some(signal), ..) => Some(Exit::Signal(signal)),
        (None, Some(code), _) => Some(Exit::Code(code)),
        (None, None, Cause::Completed) => Some(Exit::Code(0)),
        (None, None, _) => None,
    }
}

/// Whether a container was ever made. The kubelet says of one that was stopped before that it can't be located.
fn had_container(pod: &Pod) -> bool {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    statuses.iter().any(|status| status.container_id.as_deref().is_some_and(|id| !id.is_empty()))
}

/// Whether the driver ended after its pod was deleted. Both times are whole seconds, so one that ended in the same
/// second counts as told.
fn was_told_to_end(pod: &Pod, ended: &status::Ended, at: Circumstances) -> bool {
    let Some(deadline) = pod.metadata.deletion_timestamp.as_ref() else { return at.gone };
    let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or_default();
    let told_at = deadline.0.as_second().saturating_sub(grace);
    ended.finished_at.is_none_or(|finished| finished.as_millis() / 1_000 >= told_at)
}

/// Its driver ran when its pod was seen last.
fn vanished(pod: &Pod, node_lost: bool, at: Circumstances) -> Over {
    let reason = match (node_lost, at.stopped) {
        (true, _) => ReasonCode::NodeLost,
        (false, true) => ReasonCode::DriverLost,
        (false, false) => ReasonCode::PodDeleted,
    };
    Over::Lost { reason, evidence: format!("pod {} is gone and left no exit code", shown(pod)) }
}

fn never_started(pod: &Pod, at: Circumstances) -> Over {
    if at.stopped {
        return Over::NeverRan;
    }
    let evidence = format!("pod {} was deleted before its driver started", shown(pod));
    Over::Lost { reason: ReasonCode::PodDeleted, evidence }
}

fn gated_by_others(pod: &Pod) -> Reason {
    let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_deref()).unwrap_or_default();
    let names: Vec<&str> = gates.iter().map(|gate| gate.name.as_str()).collect();
    Reason::with_evidence(ReasonCode::Unschedulable, &format!("SchedulingGated: waits for {}", names.join(", ")))
}

/// Why it doesn't start, in the words of the engine, with those of Kubernetes as evidence.
fn waiting(reason: &PendingReason) -> Reason {
    let code = match reason.code.as_str() {
        "Unschedulable" | "SchedulingGated" => ReasonCode::Unschedulable,
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ErrImageNeverPull"
        | "InvalidImageName"
        | "ImageInspectError"
        | "RegistryUnavailable" => ReasonCode::ImageUnavailable,
        _ => ReasonCode::ContainerNotReady,
    };
    let evidence =
        if reason.message.is_empty() { reason.code.clone() } else { format!("{}: {}", reason.code, reason.message) };
    Reason::with_evidence(code, &evidence)
}

fn told(pod: &Pod, ended: &status::Ended) -> String {
    let words = [ended.reason.as_deref(), ended.message.as_deref()];
    let words: Vec<&str> = words.into_iter().flatten().filter(|word| !word.is_empty()).collect();
    let code = ended.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
    let words = if words.is_empty() { "no reason given".to_owned() } else { words.join(": ") };
    format!("pod {}: {words}{code}", shown(pod))
}

/// Namespace and name, for people.
pub(super) fn shown(pod: &Pod) -> String {
    let (namespace, name) = place(pod);
    format!("{namespace}/{name}")
}

fn created_at(pod: &Pod) -> Option<Timestamp> {
    let created = pod.metadata.creation_timestamp.as_ref()?;
    Some(Timestamp::from_millis(created.0.as_millisecond()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use expect_test::{Expect, expect};
    use serde_json::{Value, json};

    fn check(status: &Value, extra: &Value, (gone, stopped): (bool, bool), expected: &Expect) {
        let mut pod = json!({
            "metadata": { "name": "p", "namespace": "n", "creationTimestamp": "2026-11-21T12:00:00Z" },
            "spec": { "containers": [] }, "status": status,
        });
        json_patch_merge(&mut pod, extra);
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let at = Circumstances { gone, stopped, now: Timestamp::from_millis(1_000) };
        expected.assert_eq(&show(&judge(&pod, at)));
    }

    fn json_patch_merge(into: &mut Value, from: &Value) {
        let Value::Object(from) = from else { return into.clone_from(from) };
        for (key, value) in from {
            json_patch_merge(&mut into[key], value);
        }
    }

    fn show(sight: &Sight) -> String {
        match sight {
            Sight::Held => "held".into(),
            Sight::Alive(Observation::Pending { waits_for: Some(reason) }) => {
                format!("pending, {}: {}", reason.code, reason.evidence.as_deref().unwrap_or("-"))
            }
            Sight::Alive(Observation::Running { since }) => format!("running since {since}"),
            Sight::Alive(other) => format!("{other:?}"),
            Sight::Over(Over::Exited { exit, at, stopped, cause, .. }) => {
                format!("{exit:?} at {at}, stopped {stopped}, {cause:?}")
            }
            Sight::Over(Over::NeverRan) => "never ran".into(),
            Sight::Over(Over::Lost { reason, evidence }) => format!("lost, {reason}: {evidence}"),
        }
    }

    const KEPT: (bool, bool) = (false, false);

    fn terminated(exit_code: i32, reason: &str) -> Value {
        json!({ "phase": "Running", "containerStatuses": [{
            "name": "spark-kubernetes-driver", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "terminated": {
                "exitCode": exit_code, "reason": reason,
                "startedAt": "2026-11-21T12:00:01Z", "finishedAt": "2026-11-21T12:00:09Z",
            }},
        }]})
    }

    fn container(state: &Value) -> Value {
        json!({ "phase": "Pending", "containerStatuses": [{
            "name": "spark-kubernetes-driver", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": state,
        }]})
    }

    /// Deleted at 12:00:`second` with 30 seconds of grace.
    fn deleted_at(second: i64) -> Value {
        let deadline = format!("2026-11-21T12:00:{:02}Z", second + 30);
        json!({ "metadata": { "deletionTimestamp": deadline, "deletionGracePeriodSeconds": 30 } })
    }

    #[test]
    fn what_waits_tells_why() {
        let held = json!({ "spec": { "schedulingGates": [{ "name": spark_kubernetes::SCHEDULING_GATE }] } });
        let kueue = json!({ "spec": { "schedulingGates": [{ "name": "kueue.x-k8s.io/admission" }] } });
        check(&json!({}), &held, KEPT, &expect!["held"]);
        check(
            &json!({}),
            &kueue,
            KEPT,
            &expect!["pending, unschedulable: SchedulingGated: waits for kueue.x-k8s.io/admission"],
        );
        check(&json!({}), &json!({}), KEPT, &expect!["Pending { waits_for: None }"]);
        let full = json!({ "phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available",
        }]});
        check(&full, &json!({}), KEPT, &expect!["pending, unschedulable: Unschedulable: 0/1 nodes are available"]);
        let pulling = container(&json!({ "waiting": { "reason": "ImagePullBackOff", "message": "Back-off pulling" } }));
        check(&pulling, &json!({}), KEPT, &expect!["pending, image_unavailable: ImagePullBackOff: Back-off pulling"]);
        let config = container(&json!({ "waiting": { "reason": "CreateContainerConfigError" } }));
        check(&config, &json!({}), KEPT, &expect!["pending, container_not_ready: CreateContainerConfigError"]);
    }

    #[test]
    fn the_container_tells_the_end() {
        let nothing = json!({});
        check(
            &terminated(0, "Completed"),
            &nothing,
            KEPT,
            &expect!["Code(0) at 2026-11-21T12:00:09.000Z, stopped false, None"],
        );
        check(
            &terminated(3, "Error"),
            &nothing,
            KEPT,
            &expect!["Code(3) at 2026-11-21T12:00:09.000Z, stopped false, None"],
        );
        check(
            &terminated(137, "OOMKilled"),
            &nothing,
            KEPT,
            &expect!["Signal(9) at 2026-11-21T12:00:09.000Z, stopped false, Some(OutOfMemory)"],
        );
    }

    #[test]
    fn a_deletion_counts_when_it_came_before_the_end() {
        let killed = terminated(143, "Error");
        check(
            &killed,
            &deleted_at(5),
            (false, true),
            &expect!["Signal(15) at 2026-11-21T12:00:09.000Z, stopped true, None"],
        );
        check(&killed, &deleted_at(5), KEPT, &expect!["lost, pod_deleted: pod n/p: Error, exit code 143"]);
        check(
            &killed,
            &deleted_at(12),
            (false, true),
            &expect!["Signal(15) at 2026-11-21T12:00:09.000Z, stopped false, None"],
        );
        check(&killed, &deleted_at(12), KEPT, &expect!["Signal(15) at 2026-11-21T12:00:09.000Z, stopped false, None"]);
        check(
            &terminated(0, "Completed"),
            &deleted_at(5),
            KEPT,
            &expect!["Code(0) at 2026-11-21T12:00:09.000Z, stopped false, None"],
        );
        let mut evicted = deleted_at(5);
        evicted["status"] = json!({ "conditions": [{ "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI" }] });
        check(&killed, &evicted, KEPT, &expect!["lost, evicted: pod n/p: Error, exit code 143"]);
    }

    #[test]
    fn a_container_that_was_never_made_never_ran() {
        let mut unknown = container(&json!({ "terminated": { "exitCode": 137, "reason": "ContainerStatusUnknown" } }));
        check(&unknown, &deleted_at(5), (false, true), &expect!["never ran"]);
        check(&unknown, &deleted_at(5), KEPT, &expect!["lost, node_lost: pod n/p: ContainerStatusUnknown"]);
        unknown["containerStatuses"][0]["containerID"] = json!("containerd://1");
        check(&unknown, &deleted_at(5), (false, true), &expect!["lost, node_lost: pod n/p: ContainerStatusUnknown"]);
    }

    #[test]
    fn a_pod_that_is_gone_is_judged_by_how_it_was_last() {
        let running = container(&json!({ "running": { "startedAt": "2026-11-21T12:00:01Z" } }));
        let nothing = json!({});
        check(&running, &nothing, KEPT, &expect!["running since 2026-11-21T12:00:01.000Z"]);
        check(&running, &nothing, (true, false), &expect!["lost, pod_deleted: pod n/p is gone and left no exit code"]);
        check(&running, &nothing, (true, true), &expect!["lost, driver_lost: pod n/p is gone and left no exit code"]);
        check(&json!({}), &nothing, (true, true), &expect!["never ran"]);
        check(
            &json!({}),
            &nothing,
            (true, false),
            &expect!["lost, pod_deleted: pod n/p was deleted before its driver started"],
        );
        check(
            &terminated(3, "Error"),
            &nothing,
            (true, false),
            &expect!["lost, pod_deleted: pod n/p: Error, exit code 3"],
        );
    }
}
