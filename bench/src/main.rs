//! Measures the release binary from outside, as its users meet it, and writes the figures of `docs/benchmarks.md`.
//!
//! Start with [`Measure`], the list of what can be measured; each has a module of its name. Everything runs on
//! loopback and in temporary folders, and is gone afterwards.

mod accept;
mod decide;
mod kill;
mod latency;
mod lists;
mod load;
mod machine;
mod overhead;
mod report;
mod sample;
mod seed;
mod spark_submit;
mod stored;
mod syncs;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, ValueEnum};
use signal_hook::consts::TERM_SIGNALS;
use signal_hook::iterator::Signals;

use crate::report::Section;

/// Measures the release binary of this workspace.
#[derive(Parser)]
struct Arguments {
    /// What to measure; everything when nothing is named
    #[arg(value_enum)]
    measures: Vec<Measure>,
    /// Measure briefly, and don't write the figures down
    #[arg(long)]
    quick: bool,
    /// The program to measure; the one beside this program when absent
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// The machine itself
    Machine,
    /// How fast batches are accepted, durably
    Accept,
    /// Authentication, authorisation and policy of one request
    Decide,
    /// From acceptance to the driver's start, and from its end to a subscriber
    Latency,
    /// Start, memory and lists with many applications stored
    Stored,
    /// Nothing lost and nothing repeated over many kills
    Kill,
    /// A real PySpark job through the gateway and without it
    Overhead,
}

/// What every measure is told.
struct Context {
    /// The program to measure.
    binary: PathBuf,
    /// Whether to be brief.
    quick: bool,
}

impl Context {
    /// How often to do something: `count` times, or fewer when told to be brief.
    fn times(&self, count: usize) -> usize {
        if self.quick { (count / 10).max(1) } else { count }
    }
}

impl Measure {
    fn run(self, context: &Context) -> Result<Vec<Section>> {
        match self {
            Self::Machine => machine::measure(),
            Self::Accept => accept::measure(context),
            Self::Decide => decide::measure(context),
            Self::Latency => latency::measure(context),
            Self::Stored => stored::measure(context),
            Self::Kill => kill::measure(context),
            Self::Overhead => overhead::measure(context),
        }
    }
}

fn main() -> ExitCode {
    // The measured gateway runs this very program as its `spark-submit`.
    if spark_submit::is_meant() {
        return spark_submit::run();
    }
    match clean_up_when_told_to_end().and_then(|()| run(&Arguments::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn clean_up_when_told_to_end() -> Result<()> {
    let mut signals = Signals::new(TERM_SIGNALS).context("listen for signals")?;
    thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            testkit::gateway::clean_up();
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

fn run(arguments: &Arguments) -> Result<()> {
    let binary = match &arguments.binary {
        Some(binary) => binary.clone(),
        None => std::env::current_exe()?.with_file_name("lamplighter"),
    };
    ensure!(binary.is_file(), "{} is missing: cargo build --release --package lamplighter", binary.display());
    let context = Context { binary, quick: arguments.quick };
    let all = Measure::value_variants();
    let wanted = if arguments.measures.is_empty() { all } else { &arguments.measures };
    for measure in wanted {
        let sections = measure.run(&context).with_context(|| format!("measure {measure:?}"))?;
        for section in &sections {
            println!("\n{section}");
            if !context.quick {
                report::write(section)?;
            }
        }
    }
    Ok(())
}
