//! Benchmarks: the release binary is built, then the programs of the package `bench` measure it.

use anyhow::{Result, bail};
use clap::Args;

use crate::process::{self, cargo, repository};
use crate::setup::{self, Cache};

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
    let mut bench = cargo();
    bench.args(["run", "--release", "--quiet", "--package", "bench", "--"]).args(&request.arguments);
    if needs_spark(&request.arguments) {
        let spark = setup::demo_spark(&Cache::locate()?)?;
        bench.env("SPARK_HOME", spark.home).envs(spark.python.map(|python| ("PYSPARK_PYTHON", python)));
    }
    process::run(&mut bench)
}

/// Whether a real Spark is part of what is measured: when it is named, or when nothing is.
fn needs_spark(arguments: &[String]) -> bool {
    let mut names = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
    names.peek().is_none() || names.any(|name| name == "overhead")
}
