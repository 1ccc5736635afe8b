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
#[derive(Debug, PartialEq, Eq)]
pub struct Wanted {
    /// How the driver of each attempt behaves; the last serves for further ones.
    pub drivers: &'static [Driver],
    /// Attempts in all.
    pub max_attempts: u32,
    /// Longest run, in milliseconds.
    pub run_timeout_ms: Option<u64>,
    /// Longest wait, in milliseconds.
    pub queue_timeout_ms: Option<u64>,
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
}

/// How a driver ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its process exits.
    Exit(Exit),
    /// It is lost.
    Lost(ReasonCode),
}

const fn runs(run_ms: i64, code: i32) -> Driver {
    Driver { run_ms, end: End::Exit(Exit::Code(code)), stubborn: false }
}

const fn lost(run_ms: i64) -> Driver {
    Driver { run_ms, end: End::Lost(ReasonCode::SupervisorLost), stubborn: false }
}

const fn wanted(drivers: &'static [Driver]) -> Wanted {
    Wanted { drivers, max_attempts: 1, run_timeout_ms: None, queue_timeout_ms: None }
}

const fn act(at_ms: i64, what: What) -> Act {
    Act { at_ms, what }
}

const GOOD: Wanted = wanted(&[runs(3_000, 0)]);
const BAD: Wanted = wanted(&[runs(2_000, 3)]);
const LONG: Wanted = wanted(&[runs(90_000, 0)]);
const STUBBORN: Wanted =
    wanted(&[Driver { run_ms: 900_000, end: End::Exit(Exit::Code(0)), stubborn: true }]);

/// Every lifecycle.
pub static SCENARIOS: &[Scenario] = &[
    Scenario { name: "run", gateways: 1, places: 2, acts: &[act(0, What::Create(0))], applications: &[GOOD] },
    Scenario { name: "fail", gateways: 1, places: 2, acts: &[act(0, What::Create(0))], applications: &[BAD] },
    Scenario {
        name: "killed",
        gateways: 1,
        places: 2,
        acts: &[act(0, What::Create(0))],
        applications: &[wanted(&[Driver { run_ms: 500, end: End::Exit(Exit::Signal(9)), stubborn: false }])],
    },
    Scenario {
        name: "cancel-while-starting",
        gateways: 1,
        places: 2,
        acts: &[act(0, What::Create(0)), act(8, What::Cancel(0))],
        applications: &[LONG],
    },
    Scenario {
        name: "cancel-at-once",
        gateways: 1,
        places: 2,
        acts: &[act(0, What::Create(0)), act(1, What::Cancel(0))],
        applications: &[LONG],
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
        applications: &[GOOD],
    },
    Scenario {
        name: "delete-while-running",
        gateways: 1,
        places: 2,
        acts: &[act(0, What::Create(0)), act(4_000, What::Delete(0))],
        applications: &[LONG],
    },
    Scenario {
        name: "delete-while-starting",
        gateways: 1,
        places: 2,
        acts: &[act(0, What::Create(0)), act(8, What::Delete(0))],
        applications: &[LONG],
    },
    Scenario {
        name: "delete-when-ended",
        gateways: 1,
        places: 2,
        acts: &[act(0, What::Create(0)), act(10_000, What::Delete(0))],
        applications: &[BAD],
    },
    Scenario {
        name: "retry-lost",
        gateways: 1,
        places: 2,
        acts: &[act(0, What::Create(0))],
        applications: &[Wanted { max_attempts: 3, ..wanted(&[lost(1_000), lost(500), runs(2_000, 0)]) }],
    },
    Scenario {
        name: "retry-exhausted",
        gateways: 1,
        places: 1,
        acts: &[act(0, What::Create(0))],
        applications: &[Wanted { max_attempts: 2, ..wanted(&[lost(1_000)]) }],
    },
    Scenario {
        name: "user-error-is-not-retried",
        gateways: 1,
        places: 1,
        acts: &[act(0, What::Create(0))],
        applications: &[Wanted { max_attempts: 5, ..wanted(&[runs(1_000, 1)]) }],
    },
    Scenario {
        name: "cancel-in-back-off",
        gateways: 1,
        places: 1,
        acts: &[act(0, What::Create(0)), act(3_000, What::Cancel(0))],
        applications: &[Wanted { max_attempts: 3, ..wanted(&[lost(1_000)]) }],
    },
    Scenario {
        name: "two-clients",
        gateways: 1,
        places: 2,
        acts: &[act(0, What::Create(0)), act(0, What::Create(1)), act(2_000, What::CancelAndDelete(0)), act(2_000, What::Cancel(1))],
        applications: &[LONG, LONG],
    },
    Scenario {
        name: "queue",
        gateways: 1,
        places: 1,
        acts: &[
            act(0, What::Create(0)),
            act(1, What::Create(1)),
            act(2, What::Create(2)),
            act(3, What::Create(3)),
            act(4_000, What::Cancel(2)),
        ],
        applications: &[GOOD, BAD, GOOD, GOOD],
    },
    Scenario {
        name: "limits",
        gateways: 1,
        places: 1,
        acts: &[act(0, What::Create(0)), act(1, What::Create(1))],
        applications: &[
            Wanted { run_timeout_ms: Some(20_000), ..STUBBORN },
            Wanted { queue_timeout_ms: Some(5_000), ..GOOD },
        ],
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
        applications: &[wanted(&[runs(20_000, 0)]), wanted(&[runs(30_000, 0)]), wanted(&[runs(30_000, 3)]), GOOD],
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
        applications: &[GOOD, LONG, LONG],
    },
];
