//! Kills the real gateway at random instants while clients work with it, and looks at what became of everything
//! that it had acknowledged.
//!
//! [`run`] is the whole of it: clients submit the jobs of a plan and repeat each request until it is
//! acknowledged; a killer meanwhile ends the gateway with SIGKILL and starts it again; at the end a
//! judge compares what ran with what was promised. Chance is seeded, time is not: the same seed gives
//! the same jobs and the same kinds of kills, never quite the same instants.

mod clients;
mod job;
mod killer;
mod progress;
mod verdict;

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use self::clients::Clients;
use self::job::Jobs;
use self::killer::Killer;
use self::progress::Progress;
use crate::fake_spark::FakeSpark;
use crate::gateway::{Gateway, Options};

/// What to do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides the jobs and how the gateway is killed.
    pub seed: u64,
    /// How many applications the clients submit.
    pub applications: u32,
    /// How often the gateway is killed.
    pub kills: u32,
    /// How many clients submit at once.
    pub clients: u32,
    /// The program `lamplighter`.
    pub binary: std::path::PathBuf,
    /// The gateway's configuration.
    pub config: String,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The plan's seed.
    pub seed: u64,
    /// Applications that were submitted and acknowledged.
    pub acknowledged: u32,
    /// Kills, by the instant they were aimed at.
    pub kills: Vec<(&'static str, u32)>,
    /// Runs of drivers that were counted.
    pub runs: usize,
    /// The longest time that the gateway took to be ready again.
    pub ready_after_max: Duration,
    /// How long everything took.
    pub elapsed: Duration,
    /// Every promise that was broken; empty when all is well.
    pub problems: Vec<String>,
}

impl Report {
    /// How often the gateway was killed.
    pub fn kill_count(&self) -> u32 {
        self.kills.iter().map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<String> = self.kills.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        write!(
            f,
            "seed {}: {} kills ({}), {} applications, {} runs, ready again after at most {} ms, {:.1} s, {} problems",
            self.seed,
            self.kill_count(),
            kinds.join(", "),
            self.acknowledged,
            self.runs,
            self.ready_after_max.as_millis(),
            self.elapsed.as_secs_f64(),
            self.problems.len(),
        )?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

/// Does what the plan says on a gateway of its own.
///
/// # Errors
/// When the gateway or a client can't go on. What the gateway did wrong is not an error but in
/// [`Report::problems`].
pub fn run(plan: &Plan) -> Result<Report> {
    let started = Instant::now();
    let spark = FakeSpark::new()?;
    let mut options = Options::new(&plan.binary, spark.home());
    options.config.clone_from(&plan.config);
    let mut gateway = Gateway::start(options)?;
    let jobs = Jobs::new(plan, &spark, gateway.scratch())?;
    let progress = Progress::new(plan.kills);
    let clients = Clients { url: gateway.url(), jobs: &jobs, progress: &progress, count: plan.clients };
    let mut killer = Killer::new(plan, &progress);
    let acknowledged = thread::scope(|scope| {
        let submitting = scope.spawn(|| clients.run());
        let killed = killer.run(&mut gateway);
        // Clients that wait for kills that never come would wait for ever.
        progress.no_more_kills();
        let acknowledged = submitting.join().ok().context("a client panicked")?;
        killed.and(acknowledged)
    })?;
    let verdict = verdict::judge(&mut gateway, &jobs, &acknowledged)?;
    Ok(Report {
        seed: plan.seed,
        acknowledged: u32::try_from(acknowledged.len())?,
        kills: killer.counts(),
        runs: verdict.runs,
        ready_after_max: killer.ready_after_max(),
        elapsed: started.elapsed(),
        problems: verdict.problems,
    })
}
