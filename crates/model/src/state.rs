//! The one table of states, transitions and reasons.
//!
//! | v1 | Livy | Lighter | what it says | what may exist outside |
//! |---|---|---|---|---|
//! | `accepted` | `starting` | `not_started` | stored, waits for its turn or for a retry's back-off | nothing of the next attempt |
//! | `starting` | `starting` | `starting` | an attempt's intent is stored, its launch is under way | perhaps a driver |
//! | `running` | `running` | `busy` | the driver was seen running | a driver |
//! | `stopping` | `killed` | `shutting_down` | it was told to end, by a person or by a limit | perhaps a driver |
//! | `succeeded` | `success` | `success` | the program ended with exit code 0 | nothing |
//! | `failed` | `dead` | `dead` | the program failed, was lost, or was never run | nothing |
//! | `cancelled` | `killed` | `killed` | a person ended it | nothing |
//!
//! Livy has no words for waiting and for being stopped; it shows `killed` while a DELETE is under way, and so do we.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::id::InvalidId;

/// Where an application stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Stored; nothing of its next attempt exists outside.
    Accepted,
    /// The intent to launch is stored; a driver may exist.
    Starting,
    /// The driver was seen running.
    Running,
    /// The attempt was told to end.
    Stopping,
    /// Ended with exit code 0.
    Succeeded,
    /// Ended otherwise, or was lost, or never ran.
    Failed,
    /// Ended because a person wanted it.
    Cancelled,
}

/// Every legal change of state. Terminal states have no way out.
pub const TRANSITIONS: &[(State, State)] = &[
    (State::Accepted, State::Starting),
    (State::Accepted, State::Cancelled),
    (State::Accepted, State::Failed),
    (State::Starting, State::Running),
    (State::Starting, State::Stopping),
    (State::Starting, State::Succeeded),
    (State::Starting, State::Failed),
    (State::Starting, State::Accepted),
    (State::Running, State::Stopping),
    (State::Running, State::Succeeded),
    (State::Running, State::Failed),
    (State::Running, State::Accepted),
    (State::Stopping, State::Succeeded),
    (State::Stopping, State::Failed),
    (State::Stopping, State::Cancelled),
];

impl State {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 7] =
        [Self::Accepted, Self::Starting, Self::Running, Self::Stopping, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// The word of `/api/v1`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether this is final.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// Whether a driver may exist outside, so that the application takes one of its backend's places.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping)
    }

    /// Whether the table allows going from here to `next`.
    pub fn may_become(self, next: Self) -> bool {
        TRANSITIONS.contains(&(self, next))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| InvalidId::new("state", text))
    }
}

/// Why an application is in its state. The code is for machines, [`ReasonCode::explanation`] for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReasonCode {
    /// The program ended with exit code 0.
    Completed,
    /// The program ended with another exit code.
    ExitCode,
    /// The driver was killed by a signal that the gateway did not send.
    KilledBySignal,
    /// The supervisor of the driver died, and the driver's end was not recorded.
    SupervisorLost,
    /// The machine was restarted while the driver may have been running.
    HostRebooted,
    /// The driver is gone and nothing tells how it ended.
    DriverLost,
    /// The driver used more memory than it was given.
    OutOfMemory,
    /// The driver was moved off its machine by those who run the cluster.
    Evicted,
    /// The driver gave way to something more important.
    Preempted,
    /// The machine that the driver ran on is gone.
    NodeLost,
    /// Somebody deleted the driver's pod past the gateway.
    PodDeleted,
    /// The backend refused to launch it.
    LaunchRefused,
    /// It waits: no machine of the cluster has room for it or may take it.
    Unschedulable,
    /// It waits: its container image can't be had.
    ImageUnavailable,
    /// It waits: its tenant's quota on the cluster is used up.
    QuotaExceeded,
    /// It waits: its container can't be made.
    ContainerNotReady,
    /// It ran longer than its run-time limit.
    RunTimeout,
    /// It waited longer than its queue-time limit.
    QueueTimeout,
    /// A person cancelled it.
    CancelledByUser,
    /// A person deleted it.
    DeletedByUser,
}

impl ReasonCode {
    /// Every code.
    pub const ALL: [Self; 20] = [
        Self::Completed,
        Self::ExitCode,
        Self::KilledBySignal,
        Self::SupervisorLost,
        Self::HostRebooted,
        Self::DriverLost,
        Self::OutOfMemory,
        Self::Evicted,
        Self::Preempted,
        Self::NodeLost,
        Self::PodDeleted,
        Self::LaunchRefused,
        Self::Unschedulable,
        Self::ImageUnavailable,
        Self::QuotaExceeded,
        Self::ContainerNotReady,
        Self::RunTimeout,
        Self::QueueTimeout,
        Self::CancelledByUser,
        Self::DeletedByUser,
    ];

    /// The code in the API and the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::ExitCode => "exit_code",
            Self::KilledBySignal => "killed_by_signal",
            Self::SupervisorLost => "supervisor_lost",
            Self::HostRebooted => "host_rebooted",
            Self::DriverLost => "driver_lost",
            Self::OutOfMemory => "out_of_memory",
            Self::Evicted => "evicted",
            Self::Preempted => "preempted",
            Self::NodeLost => "node_lost",
            Self::PodDeleted => "pod_deleted",
            Self::LaunchRefused => "launch_refused",
            Self::Unschedulable => "unschedulable",
            Self::ImageUnavailable => "image_unavailable",
            Self::QuotaExceeded => "quota_exceeded",
            Self::ContainerNotReady => "container_not_ready",
            Self::RunTimeout => "run_timeout",
            Self::QueueTimeout => "queue_timeout",
            Self::CancelledByUser => "cancelled_by_user",
            Self::DeletedByUser => "deleted_by_user",
        }
    }

    /// What happened and what to do, in a sentence.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Completed => "the program ended with exit code 0",
            Self::ExitCode => "the program failed; its log tells why",
            Self::KilledBySignal => {
                "the driver was killed from outside, often by the kernel for want of memory; give it less work or the machine more memory"
            }
            Self::SupervisorLost => {
                "the process that watched the driver was killed, so the driver was ended and its result is unknown; check the output before running it again"
            }
            Self::HostRebooted => {
                "the machine was restarted while the application was active, so its result is unknown; check the output before running it again"
            }
            Self::DriverLost => "the driver vanished and left no result; check the output before running it again",
            Self::OutOfMemory => {
                "the driver was killed because it used more memory than its container has; raise spark.driver.memory or spark.driver.memoryOverhead, or collect less"
            }
            Self::Evicted => {
                "the cluster moved the driver off its machine, so its result is unknown; check the output before running it again"
            }
            Self::Preempted => {
                "the cluster gave the driver's place to a pod of higher priority; check the output before running it again"
            }
            Self::NodeLost => {
                "the machine that the driver ran on is gone, and its result with it; check the output before running it again"
            }
            Self::PodDeleted => {
                "somebody deleted the driver's pod without asking the gateway; check the output before running it again"
            }
            Self::LaunchRefused => "the backend refused to start it; the evidence names the cause",
            Self::Unschedulable => {
                "it waits for a machine that has room for it; ask for less, or for more or other machines"
            }
            Self::ImageUnavailable => {
                "it waits for its container image, which can't be had; check the image's name, the registry and the pull secret"
            }
            Self::QuotaExceeded => {
                "it waits because the quota of its namespace is used up; let something end or raise the quota"
            }
            Self::ContainerNotReady => "it waits because its container can't be made; the evidence names the cause",
            Self::RunTimeout => "it ran longer than its run-time limit; raise the limit or make it faster",
            Self::QueueTimeout => "it waited longer than its queue-time limit; raise the limit or the number of places",
            Self::CancelledByUser => "it was cancelled on request",
            Self::DeletedByUser => "it was deleted on request",
        }
    }

    /// The terminal state that this reason leads to when nothing is tried again.
    pub const fn terminal_state(self) -> State {
        match self {
            Self::Completed => State::Succeeded,
            Self::CancelledByUser | Self::DeletedByUser => State::Cancelled,
            _ => State::Failed,
        }
    }

    /// The wait before the second attempt, doubled for each later one; `None` when trying again can't help
    /// or could repeat what the user's own code decided.
    pub const fn first_backoff(self) -> Option<Duration> {
        match self {
            Self::SupervisorLost
            | Self::DriverLost
            | Self::Evicted
            | Self::Preempted
            | Self::NodeLost
            | Self::PodDeleted => Some(Duration::from_secs(5)),
            Self::KilledBySignal => Some(Duration::from_secs(15)),
            Self::HostRebooted => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// The wait before the attempt after the `failed_attempts`-th (counted from 1), at most five minutes.
    pub fn backoff(self, failed_attempts: u32) -> Option<Duration> {
        let doublings = failed_attempts.saturating_sub(1).min(16);
        let wait = self.first_backoff()?.saturating_mul(1 << doublings);
        Some(wait.min(Duration::from_secs(300)))
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ReasonCode {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|code| code.as_str() == text).ok_or_else(|| InvalidId::new("reason code", text))
    }
}

/// Bytes of evidence kept with a reason.
pub const EVIDENCE_BYTES_MAX: usize = 2_000;

/// Why, with what shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The machine-readable code.
    pub code: ReasonCode,
    /// A line that shows it, usually the driver's own last error line.
    pub evidence: Option<String>,
}

impl Reason {
    /// A reason without evidence.
    pub const fn new(code: ReasonCode) -> Self {
        Self { code, evidence: None }
    }

    /// A reason with evidence, cut at [`EVIDENCE_BYTES_MAX`].
    pub fn with_evidence(code: ReasonCode, evidence: &str) -> Self {
        let end = evidence.floor_char_boundary(EVIDENCE_BYTES_MAX.min(evidence.len()));
        Self { code, evidence: Some(evidence[..end].to_owned()) }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// The code a shell would show: 128 + signal for a signal.
    pub const fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }

    /// Whether it ended well.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Code(0))
    }
}
