//! The deterministic simulation: the engine's own reconciler, a store and a backend under a seeded scheduler that
//! crashes, repeats, loses, delays and refuses, before and after every effect.
//!
//! A [`Run`] names everything that happens: a scenario, a seed, and at most one chosen fault or a rate of random
//! ones. Running it twice does the same twice, so a failure is replayed from its one-line name. [`Run::check`] runs
//! it and holds every law of [`laws`] against it, while it runs and after it came to rest.

mod backend;
mod gateway;
mod laws;
mod sabotage;
mod scenario;
mod world;

use std::fmt;
use std::str::FromStr;

pub use self::sabotage::Sabotage;
pub use self::scenario::{SCENARIOS, Scenario};
pub use self::world::Report;

/// What can go wrong with an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The gateway dies before it is performed.
    CrashBefore,
    /// The gateway dies after it was performed, before it hears so.
    CrashAfter,
    /// It is performed twice, the second time some while later.
    Repeated,
    /// It never reaches the other side.
    LostOnTheWay,
    /// It is performed, and the answer never arrives.
    LostAnswer,
    /// It is performed long after everyone has given it up.
    Delayed,
    /// The other side says that it can't.
    Refused,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 7] = [
        Self::CrashBefore,
        Self::CrashAfter,
        Self::Repeated,
        Self::LostOnTheWay,
        Self::LostAnswer,
        Self::Delayed,
        Self::Refused,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::CrashBefore => "crash-before",
            Self::CrashAfter => "crash-after",
            Self::Repeated => "repeated",
            Self::LostOnTheWay => "lost-on-the-way",
            Self::LostAnswer => "lost-answer",
            Self::Delayed => "delayed",
            Self::Refused => "refused",
        }
    }
}

/// Which effects go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// None.
    None,
    /// Exactly this one, counted from 0 in the order in which they are wanted.
    One {
        /// Which effect.
        effect: u32,
        /// What goes wrong with it.
        fault: Fault,
    },
    /// Each with this chance in a thousand, until five minutes have passed.
    Random {
        /// The chance.
        permille: u32,
    },
}

/// One simulation, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The lifecycle.
    pub scenario: &'static Scenario,
    /// Where its randomness comes from.
    pub seed: u64,
    /// What goes wrong.
    pub faults: Faults,
    /// What is wrong with the engine on purpose.
    pub sabotage: Sabotage,
}

impl Run {
    /// A run of a sound engine.
    pub const fn new(scenario: &'static Scenario, seed: u64, faults: Faults) -> Self {
        Self { scenario, seed, faults, sabotage: Sabotage::None }
    }

    /// Runs it. The report tells how many effects there were and what went wrong; then it also has the trace.
    pub fn check(self) -> Report {
        let report = world::World::new(self, false).run();
        if report.broken_law.is_some() { self.trace() } else { report }
    }

    /// Runs it and writes down what happens.
    pub fn trace(self) -> Report {
        world::World::new(self, true).run()
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.scenario.name, self.seed)?;
        match self.faults {
            Faults::None => write!(f, "none")?,
            Faults::One { effect, fault } => write!(f, "{}@{effect}", fault.as_str())?,
            Faults::Random { permille } => write!(f, "random@{permille}")?,
        }
        if self.sabotage == Sabotage::None { Ok(()) } else { write!(f, ":{}", self.sabotage.as_str()) }
    }
}

/// A name that is not of a run.
#[derive(Debug)]
pub struct UnknownRun(String);

impl fmt::Display for UnknownRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not the name of a run; one is SCENARIO:SEED:FAULT@EFFECT or SCENARIO:SEED:random@PERMILLE",
            self.0
        )
    }
}

impl std::error::Error for UnknownRun {}

impl FromStr for Run {
    type Err = UnknownRun;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| UnknownRun(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Run> {
    let mut parts = text.split(':');
    let name = parts.next()?;
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name)?;
    let seed = parts.next()?.parse().ok()?;
    let faults = match parts.next()?.split_once('@') {
        None => Faults::None,
        Some(("random", permille)) => Faults::Random { permille: permille.parse().ok()? },
        Some((fault, effect)) => {
            let fault = Fault::ALL.into_iter().find(|it| it.as_str() == fault)?;
            Faults::One { effect: effect.parse().ok()?, fault }
        }
    };
    let sabotage = parts.next().map_or(Some(Sabotage::None), Sabotage::parse)?;
    Some(Run { scenario, seed, faults, sabotage })
}
