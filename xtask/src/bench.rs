//! Benchmarks: the release binary is built, then the programs of the package `bench` measure it.

use anyhow::{Result, bail};
use clap::Args;

use crate::process::{self, cargo, repository};

/// What `cargo xtask bench` is asked for.
#[derive(Args)]
pub(crate) struct Request {
    /// Passed on to the benchmarks
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds the release binary and runs the benchmarks on it.
pub(crate) fn run(request: &Request) -> Result<()> {
    if !repository().join("bench/Cargo.toml").is_file() {
        bail!("there are no benchmarks: bench/Cargo.toml is missing");
    }
    process::run(cargo().args(["build", "--release", "--package", "lamplighter"]))?;
    process::run(cargo().args(["run", "--release", "--quiet", "--package", "bench", "--"]).args(&request.arguments))
}
