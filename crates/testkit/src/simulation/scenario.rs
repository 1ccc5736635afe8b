//! Lifecycles: what clients do, and how drivers would behave if nothing went wrong.

use model::state::{Exit, ReasonCode};

/// What clients do with applications, and when.
#[derive(Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its name in a run's name.
    pub name: &'static str,
    /// Gateways on the one store and backend.
    pub gateways: usize,
    /// Applications that may be active at once.
    pub places: usize,
    /// What happens by itself.
    pub acts: &'static [Act],
    /// The applications, by their index in acts.
    pub applications: &'static [Wanted],
}

/// Something that happens at an instant.
#[derive(Debug, PartialEq, Eq)]
pub struct Act {
    /// Milliseconds from the start.
    pub at_ms: i64,
    /// What.
    pub what: What,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A client creates an application.
    Create(usize),
    /// A client cancels it.
    Cancel(usize),
    /// A client deletes it.
    Delete(usize),
    /// Two clients do both at once.
    CancelAndDelete(usize),
    /// The gateway is frozen for a while and doesn't notice that time went on.
    Pause {
        /// Which gateway.
        gateway: usize,
        /// For how long.
        for_ms: i64,
    },
    /// The gateway dies and is started again.
    Crash {
        /// Which gateway.
        gateway: usize,
    },
}

/// An application of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// How the driver of each attempt behaves; the last serves for further ones.
    pub drivers: &'static [Driver],
    /// Attempts in all.
    pub max_attempts: u32,
    /// Longest run, in milliseconds.
    pub run_timeout_ms: Option<u64>,
    /// Longest wait, in milliseconds.
    pub queue_timeout_ms: Option<u64>,
    /// How it ends when nothing goes wrong, and after how many starts; `None` when a race decides.
    pub ends: Option<(ReasonCode, usize)>,
}

/// How a driver behaves when nobody interferes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Driver {
    /// How long it runs.
    pub run_ms: i64,
    /// How it ends.
    pub end: End,
    /// Whether it ends only by force when told to end.
    pub stubborn: bool,
    /// Whether the backend refuses to launch it.
    pub refused: bool,
}

/// How a driver ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its process exits.
    Exit(Exit),
    /// It is lost.
    Lost(ReasonCode),
}

const fn ends(run_ms: i64, end: End) -> Driver {
    Driver { run_ms, end, stubborn: false, refused: false }
}

const fn runs(run_ms: i64, code: i32) -> Driver {
    ends(run_ms, End::Exit(Exit::Code(code)))
}

const fn lost(run_ms: i64) -> Driver {
    ends(run_ms, End::Lost(ReasonCode::SupervisorLost))
}

const fn wanted(drivers: &'static [Driver], ends: ReasonCode, starts: usize) -> Wanted {
    Wanted { drivers, max_attempts: 1, run_timeout_ms: None, queue_timeout_ms: None, ends: Some((ends, starts)) }
}

/// The same, where a race decides how it ends.
const fn racing(wanted: Wanted) -> Wanted {
    Wanted { ends: None, ..wanted }
}

/// Longer than any run of the simulation: a driver that only ends when it is told to.
const FOR_EVER: i64 = 100_000_000;

const fn act(at_ms: i64, what: What) -> Act {
    Act { at_ms, what }
}

const GOOD: Wanted = wanted(&[runs(3_000, 0)], ReasonCode::Completed, 1);
const BAD: Wanted = wanted(&[runs(2_000, 3)], ReasonCode::ExitCode, 1);
const CANCELLED: Wanted = wanted(&[runs(FOR_EVER, 0)], ReasonCode::CancelledByUser, 1);
const DELETED: Wanted = wanted(&[runs(FOR_EVER, 0)], ReasonCode::DeletedByUser, 1);
const STUBBORN: Wanted = wanted(&[Driver { stubborn: true, ..runs(FOR_EVER, 0) }], ReasonCode::CancelledByUser, 1);

/// Every lifecycle.
pub static SCENARIOS: &[Scenario] = &[
    Scenario { name: "run", gateways: 1, places: 2, acts: &[act(0, What::Create(0))], applications: &[GOOD] },
    Scenario { name: "fail", gateways: 1, places: 2, acts: &[act(0, What::Create(0))], applications: &[BAD] },
    Scenario {
        name: "killed",
        gateways: 1,
        places: 2,
        acts: &[act(0, What::Create(0))],
        applications: &[wanted(&[ends(500, End::Exit(Exit::Signal(9)))], ReasonCode::KilledBySignal, 1)],
    },
    Scenario {
        name: "cancel-while-starting",
        gateways: 1,
        places: 2,
        acts: &[act(0, What::Create(0)), act(8, What::Cancel(0))],
        applications: &[racing(CANCELLED)],
    },
    Scenario {
        name: "cancel-at-once",
        gateways: 1,
        places: 2,
        acts: &[act(0, What::Create(0)), act(1, What::Cancel(0))],
        applications: &[racing(CANCELLED)],
    },
    Scenario {
        name: "cancel-while-running",
        gateways: 1,
        places: 2,
        acts: &[act(0, What::Create(0)), act(5_000, What::Cancel(0))],
        applications: &[STUBBORN],
    },
    Scenario {
        name: "cancel-near-its-end",
        gateways: 1,
        places: 2,
        acts: &[act(0, What::Create(0)), act(3_000, What::Cancel(0))],
        applications: &[racing(GOOD)],
    },
    Scenario {
        name: "delete-while-running",
        gateways: 1,
        places: 2,
        acts: &[act(0, What::Create(0)), act(4_000, What::Delete(0))],
        applications: &[DELETED],
    },
    Scenario {
        name: "delete-while-starting",
        gateways: 1,
        places: 2,
        acts: &[act(0, What::Create(0)), act(8, What::Delete(0))],
        applications: &[racing(DELETED)],
    },
    Scenario {
        name: "delete-when-ended",
        gateways: 1,
        places: 2,
        acts: &[act(0, What::Create(0)), act(10_000, What::Delete(0))],
        applications: &[racing(BAD)],
    },
    Scenario {
        name: "retry-lost",
        gateways: 1,
        places: 2,
        acts: &[act(0, What::Create(0))],
        applications: &[Wanted {
            max_attempts: 3,
            ..wanted(&[lost(1_000), lost(500), runs(2_000, 0)], ReasonCode::Completed, 3)
        }],
    },
    Scenario {
        name: "retry-exhausted",
        gateways: 1,
        places: 1,
        acts: &[act(0, What::Create(0))],
        applications: &[Wanted { max_attempts: 2, ..wanted(&[lost(1_000)], ReasonCode::SupervisorLost, 2) }],
    },
    Scenario {
        name: "user-error-is-not-retried",
        gateways: 1,
        places: 1,
        acts: &[act(0, What::Create(0))],
        applications: &[Wanted { max_attempts: 5, ..wanted(&[runs(1_000, 1)], ReasonCode::ExitCode, 1) }],
    },
    Scenario {
        name: "cancel-in-back-off",
        gateways: 1,
        places: 1,
        acts: &[act(0, What::Create(0)), act(3_000, What::Cancel(0))],
        applications: &[Wanted { max_attempts: 3, ..wanted(&[lost(1_000)], ReasonCode::CancelledByUser, 1) }],
    },
    Scenario {
        name: "two-clients",
        gateways: 1,
        places: 2,
        acts: &[
            act(0, What::Create(0)),
            act(20, What::Create(1)),
            act(2_000, What::CancelAndDelete(0)),
            act(2_000, What::Cancel(1)),
        ],
        applications: &[racing(CANCELLED), CANCELLED],
    },
    Scenario {
        name: "queue",
        gateways: 1,
        places: 1,
        acts: &[
            act(0, What::Create(0)),
            act(20, What::Create(1)),
            act(40, What::Create(2)),
            act(60, What::Create(3)),
            act(4_000, What::Cancel(2)),
        ],
        applications: &[GOOD, BAD, wanted(&[runs(FOR_EVER, 0)], ReasonCode::CancelledByUser, 0), GOOD],
    },
    Scenario {
        name: "limits",
        gateways: 1,
        places: 1,
        acts: &[act(0, What::Create(0)), act(20, What::Create(1))],
        applications: &[
            Wanted { run_timeout_ms: Some(20_000), ends: Some((ReasonCode::RunTimeout, 1)), ..STUBBORN },
            Wanted { queue_timeout_ms: Some(5_000), ends: Some((ReasonCode::QueueTimeout, 0)), ..GOOD },
        ],
    },
    Scenario {
        name: "refused",
        gateways: 1,
        places: 1,
        acts: &[act(0, What::Create(0)), act(20, What::Create(1))],
        applications: &[wanted(&[Driver { refused: true, ..runs(1_000, 0) }], ReasonCode::LaunchRefused, 0), GOOD],
    },
    Scenario {
        name: "restart-while-running",
        gateways: 1,
        places: 2,
        acts: &[act(0, What::Create(0)), act(1_000, What::Crash { gateway: 0 })],
        applications: &[GOOD],
    },
    Scenario {
        name: "lease-lost-unnoticed",
        gateways: 2,
        places: 1,
        acts: &[
            act(0, What::Create(0)),
            act(1, What::Create(1)),
            act(2, What::Create(2)),
            act(3, What::Create(3)),
            act(2_000, What::Pause { gateway: 0, for_ms: 26_000 }),
        ],
        applications: &[
            racing(wanted(&[runs(20_000, 0)], ReasonCode::Completed, 1)),
            racing(wanted(&[runs(30_000, 0)], ReasonCode::Completed, 1)),
            racing(wanted(&[runs(30_000, 3)], ReasonCode::ExitCode, 1)),
            racing(GOOD),
        ],
    },
    Scenario {
        name: "takeover",
        gateways: 2,
        places: 2,
        acts: &[
            act(0, What::Create(0)),
            act(10, What::Create(1)),
            act(20, What::Create(2)),
            act(1_500, What::Pause { gateway: 0, for_ms: 60_000 }),
            act(30_000, What::Delete(1)),
            act(31_000, What::Cancel(2)),
        ],
        applications: &[GOOD, racing(DELETED), racing(CANCELLED)],
    },
];
