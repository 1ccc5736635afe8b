//! What a driver's pod tells about its driver.
//!
//! Start with [`read`]. The container [`names::DRIVER_CONTAINER`] decides: a sidecar may live longer or die first, and
//! the pod's phase follows the container about a second later. The pod's own reason comes in where the container
//! can't know it: an evicted container only says that it was killed.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use model::time::Timestamp;

use crate::names;

/// Where a driver stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodState {
    /// The pod exists and waits behind a scheduling gate, so its driver has never run.
    Gated,
    /// The driver doesn't run yet.
    Pending {
        /// Why it takes longer than usual, if something tells.
        reason: Option<PendingReason>,
    },
    /// The driver runs.
    Running {
        /// Since when.
        since: Option<Timestamp>,
        /// Whether its node has stopped answering, so that it may not run any more.
        node_lost: bool,
    },
    /// The driver ended.
    Ended(Ended),
}

/// Why a driver doesn't start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingReason {
    /// Kubernetes' word: `Unschedulable`, `ImagePullBackOff`, `CreateContainerConfigError` …
    pub code: String,
    /// Its sentence; may be empty.
    pub message: String,
}

/// How a driver ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What ended it.
    pub cause: Cause,
    /// Exit code of the driver's container; `None` when it never ran or its end wasn't seen.
    pub exit_code: Option<i32>,
    /// The signal behind the exit code, if a signal ended it.
    pub signal: Option<i32>,
    /// Whether something in the container was killed for want of memory; the exit code may say something else.
    pub oom_killed: bool,
    /// Kubernetes' word for it, from the pod or else the container.
    pub reason: Option<String>,
    /// Kubernetes' sentence for it.
    pub message: Option<String>,
    /// When the container started; `None` when it never ran.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// What ended a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It returned 0.
    Completed,
    /// It returned another code, or a signal ended it.
    Failed,
    /// The kernel killed it for want of memory.
    OutOfMemory,
    /// The kubelet or somebody through the API moved it off its node.
    Evicted,
    /// A pod of higher priority took its place.
    Preempted,
    /// Its node went away, or was shut down.
    NodeLost,
    /// It ran longer than the pod's own deadline.
    DeadlineExceeded,
    /// Its node refused it, or the pod ended and nothing tells why.
    Unknown,
}

/// Whether the pod is being deleted; its driver may run until the grace period is over.
pub fn is_deleting(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Where the driver of `pod` stands.
pub fn read(pod: &Pod) -> PodState {
    let Some(status) = &pod.status else { return before_start(pod, &PodStatus::default(), None) };
    let container = driver_container(status);
    let state = container.and_then(|container| container.state.as_ref());
    if let Some(terminated) = state.and_then(|state| state.terminated.as_ref()) {
        return PodState::Ended(ended(status, Some(terminated)));
    }
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return PodState::Ended(ended(status, None));
    }
    match state.and_then(|state| state.running.as_ref()) {
        Some(running) => {
            PodState::Running { since: running.started_at.as_ref().map(timestamp), node_lost: node_lost(status) }
        }
        None => before_start(pod, status, container),
    }
}

/// The status of the container that decides; a pod of one container needs no name for it.
fn driver_container(status: &PodStatus) -> Option<&ContainerStatus> {
    let containers = status.container_statuses.as_deref()?;
    match containers {
        [only] => Some(only),
        several => several.iter().find(|container| container.name == names::DRIVER_CONTAINER),
    }
}

fn before_start(pod: &Pod, status: &PodStatus, container: Option<&ContainerStatus>) -> PodState {
    let gates = pod.spec.as_ref().and_then(|spec| spec.scheduling_gates.as_ref());
    if gates.is_some_and(|gates| !gates.is_empty()) {
        return PodState::Gated;
    }
    PodState::Pending { reason: waiting(container).or_else(|| unscheduled(status)) }
}

/// Why the container doesn't start; being created is no reason worth telling.
fn waiting(container: Option<&ContainerStatus>) -> Option<PendingReason> {
    let waiting = container?.state.as_ref()?.waiting.as_ref()?;
    let code = waiting.reason.clone()?;
    let usual = matches!(code.as_str(), "ContainerCreating" | "PodInitializing") && waiting.message.is_none();
    (!usual).then(|| PendingReason { code, message: waiting.message.clone().unwrap_or_default() })
}

fn unscheduled(status: &PodStatus) -> Option<PendingReason> {
    let scheduled = condition(status, "PodScheduled").filter(|scheduled| scheduled.status == "False")?;
    let code = scheduled.reason.clone()?;
    Some(PendingReason { code, message: scheduled.message.clone().unwrap_or_default() })
}

fn ended(status: &PodStatus, terminated: Option<&ContainerStateTerminated>) -> Ended {
    let word = terminated.and_then(|terminated| terminated.reason.as_deref());
    // The kubelet invents an exit code for a container that it can't find any more.
    let seen = terminated.filter(|_| word != Some("ContainerStatusUnknown"));
    let exit_code = seen.map(|seen| seen.exit_code);
    let reason = status.reason.as_deref().or(word);
    let message = status.message.as_deref().or(terminated.and_then(|terminated| terminated.message.as_deref()));
    Ended {
        cause: cause(status, word, exit_code),
        exit_code,
        signal: seen.and_then(signal),
        oom_killed: word == Some("OOMKilled"),
        reason: reason.map(str::to_owned),
        message: message.map(str::to_owned),
        // A container that could not be started is said to have started at the epoch.
        started_at: seen.and_then(|seen| seen.started_at.as_ref()).map(timestamp).filter(|at| *at > Timestamp::EPOCH),
        finished_at: seen.and_then(|seen| seen.finished_at.as_ref()).map(timestamp),
    }
}

/// What the program returned counts before all else when it is a success: it had ended before it was evicted.
fn cause(status: &PodStatus, container_reason: Option<&str>, exit_code: Option<i32>) -> Cause {
    if exit_code == Some(0) {
        return Cause::Completed;
    }
    let disrupted = condition(status, "DisruptionTarget").filter(|target| target.status == "True");
    let words = [status.reason.as_deref(), disrupted.and_then(|target| target.reason.as_deref()), container_reason];
    let told = words.into_iter().flatten().find_map(cause_of_word);
    match (told, exit_code, status.phase.as_deref()) {
        (Some(told), _, _) => told,
        (None, Some(_), _) => Cause::Failed,
        (None, None, Some("Succeeded")) => Cause::Completed,
        (None, None, _) => Cause::Unknown,
    }
}

fn cause_of_word(word: &str) -> Option<Cause> {
    Some(match word {
        "OOMKilled" => Cause::OutOfMemory,
        "Evicted" | "EvictionByEvictionAPI" | "TerminationByKubelet" => Cause::Evicted,
        "Preempting" | "Preempted" | "PreemptionByScheduler" | "PreemptionByKubeScheduler" => Cause::Preempted,
        "NodeLost"
        | "NodeShutdown"
        | "Shutdown"
        | "Terminated"
        | "DeletionByTaintManager"
        | "DeletionByPodGC"
        | "ContainerStatusUnknown" => Cause::NodeLost,
        "DeadlineExceeded" => Cause::DeadlineExceeded,
        _ => return None,
    })
}

/// The signal behind a container's end; runtimes report most as 128 and the signal's number.
fn signal(terminated: &ContainerStateTerminated) -> Option<i32> {
    const SIGNALS: std::ops::RangeInclusive<i32> = 1..=31;
    let named = terminated.signal.filter(|signal| *signal != 0);
    named.or_else(|| Some(terminated.exit_code - 128).filter(|signal| SIGNALS.contains(signal)))
}

fn node_lost(status: &PodStatus) -> bool {
    let unready = condition(status, "Ready").filter(|ready| ready.status != "True");
    let told = [status.reason.as_deref(), unready.and_then(|ready| ready.reason.as_deref())];
    status.phase.as_deref() == Some("Unknown") || told.into_iter().flatten().any(|word| word == "NodeLost")
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> Option<&'a PodCondition> {
    status.conditions.as_deref()?.iter().find(|condition| condition.type_ == kind)
}

fn timestamp(time: &Time) -> Timestamp {
    Timestamp::from_millis(time.0.as_millisecond())
}
