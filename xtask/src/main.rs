//! What the Makefile calls: the logic of `make demo`, `make test`, `make check`, `make bench` and `make setup`.
//!
//! Start at [`Task`], the list of what can be asked for; each variant has a module of its name. [`setup`] installs real
//! components (Spark, clients, data) in the user's cache and is what the other tasks stand on.

mod bench;
mod check;
mod clean;
mod demo;
mod licences;
mod process;
mod setup;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Development tasks of this repository.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs test environments in the cache and prints where they are
    Setup(setup::Request),
    /// Runs two real Spark jobs through a gateway on this machine
    Demo,
    /// Runs every test on real components and sums the results
    Test(test::Request),
    /// Checks format, lints, generated files and licences
    Check,
    /// Writes the files that are generated from the code
    Generate,
    /// Builds the release binary and measures it
    Bench(bench::Request),
    /// Removes what was built
    Clean(clean::Request),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Setup(request) => setup::run(&request),
        Task::Demo => demo::run(),
        Task::Test(request) => test::run(&request),
        Task::Check => check::run(),
        Task::Generate => check::generate(),
        Task::Bench(request) => bench::run(&request),
        Task::Clean(request) => clean::run(&request),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
