//! This program as a `spark-submit` that tells when it was started and when it ended, and does nothing else.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use testkit::fake_spark::FakeSpark;

/// A Spark whose `spark-submit` is this program.
pub(crate) fn install() -> Result<FakeSpark> {
    let spark = FakeSpark::new()?;
    let script = spark.home().join("bin/spark-submit");
    fs::remove_file(&script)?;
    symlink(std::env::current_exe()?, &script)?;
    Ok(spark)
}

/// Whether this process was started as `spark-submit`.
pub(crate) fn is_meant() -> bool {
    std::env::args_os().next().is_some_and(|program| Path::new(&program).ends_with("spark-submit"))
}

/// Writes down, into the file that the last argument names, when it was started and when it is about to end.
pub(crate) fn run() -> ExitCode {
    let started = now();
    let Some(file) = std::env::args_os().next_back() else { return ExitCode::FAILURE };
    match tell(Path::new(&file), started) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn tell(file: &Path, started: Duration) -> io::Result<()> {
    fs::write(file, format!("{} {}", started.as_nanos(), now().as_nanos()))
}

/// When the program that was told to write into `file` was started, and when it ended.
pub(crate) fn told(file: &Path) -> Result<(Duration, Duration)> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let (started, ended) = text.split_once(' ').context("two times")?;
    Ok((Duration::from_nanos(started.parse()?), Duration::from_nanos(ended.parse()?)))
}

/// The machine's clock, which all processes share.
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
