//! The test run: environments set up, every suite of the workspace, and one line that sums them.
//!
//! Tests learn where the components are from environment variables (see [`Component::variable`]). A test whose component
//! is missing prints `skipped: NAME: REASON` on standard error and passes, except under the whole run, which sets
//! `LAMPLIGHTER_TEST_REQUIRE_ALL` and in which it must fail.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Command, ExitStatus, Stdio},
    sync::Mutex,
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::{
    process,
    setup::{self, Component},
};

/// Set when a test must fail rather than be skipped.
const REQUIRE_ALL: &str = "LAMPLIGHTER_TEST_REQUIRE_ALL";
/// Set when tests should keep to what is quick.
const FAST: &str = "LAMPLIGHTER_TEST_FAST";
/// Why this machine can't start a cluster: tests that need one are then skipped, whatever else is set.
const LACKING: &str = "LAMPLIGHTER_TEST_KUBERNETES_LACKING";

/// What `cargo xtask test` is asked for.
#[derive(Args)]
pub(crate) struct Request {
    /// Only one Spark line, no Airflow, and no Kubernetes cluster
    #[arg(long)]
    fast: bool,
    /// Passed on to `cargo test`, such as `-p engine` or `-- NAME`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs the tests; an error means that some failed.
pub(crate) fn run(request: &Request) -> Result<()> {
    let started = Instant::now();
    let mut command = cargo_test(request);
    let mut components = components(request.fast);
    let lacking = if request.fast { None } else { setup::lacking_for_a_cluster() };
    if let Some(sentence) = lacking {
        components.retain(|component| !component.is_of_a_cluster());
        command.env(LACKING, sentence);
    }
    for (component, path) in setup::ensure_all(&components)? {
        command.env(component.variable(), path);
    }
    let (status, mut report) = follow(&mut command)?;
    report.settle(status);
    report.print(started.elapsed().as_secs());
    if report.failed > 0 {
        bail!("the tests failed");
    }
    Ok(())
}

fn components(fast: bool) -> Vec<Component> {
    let quick = |component: &Component| {
        !matches!(component, Component::Spark35 | Component::Airflow) && !component.is_of_a_cluster()
    };
    let all = Component::value_variants().iter().copied();
    all.filter(|component| !fast || quick(component)).collect()
}

fn cargo_test(request: &Request) -> Command {
    let is_package = |argument: &String| argument.starts_with("-p") || argument.starts_with("--package");
    let mut command = process::cargo();
    command.args(["test", "--no-fail-fast"]);
    if !request.arguments.iter().any(is_package) {
        command.arg("--workspace");
    }
    command.args(&request.arguments);
    for component in Component::value_variants() {
        command.env_remove(component.variable());
    }
    command.env_remove(LACKING);
    let (mode, other) = if request.fast { (FAST, REQUIRE_ALL) } else { (REQUIRE_ALL, FAST) };
    command.env(mode, "1").env_remove(other);
    command
}

/// Runs `command`, shows what it prints as it comes and gathers the results from it.
fn follow(command: &mut Command) -> Result<(ExitStatus, Report)> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("start cargo test")?;
    let report = Mutex::new(Report::default());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        if let Some(stdout) = stdout {
            scope.spawn(|| forward(stdout, std::io::stdout(), &report));
        }
        if let Some(stderr) = stderr {
            scope.spawn(|| forward(stderr, std::io::stderr(), &report));
        }
    });
    let status = child.wait().context("wait for cargo test")?;
    Ok((status, report.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())))
}

/// Copies lines as they come. A reader that went away ends the copying, not the tests.
fn forward(from: impl Read, mut to: impl Write, report: &Mutex<Report>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        let _ = to.write_all(&line).and_then(|()| to.flush());
        if let Ok(mut report) = report.lock() {
            report.read(String::from_utf8_lossy(&line).trim_end());
        }
        line.clear();
    }
}

/// What the suites said, summed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Report {
    passed: usize,
    failed: usize,
    /// Names of tests that failed, as their suites name them.
    failures: Vec<String>,
    /// What was skipped and why, as the tests said it.
    skipped: Vec<String>,
}

impl Report {
    /// Takes one line of a suite's output into account.
    fn read(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += count_before(counts, " passed");
            self.failed += count_before(counts, " failed");
        } else if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failures.push(name.to_owned());
        } else if let Some(reason) = line.strip_prefix("skipped: ") {
            self.skipped.push(reason.to_owned());
        }
    }

    /// A run that failed without a failed test didn't compile, or a suite was killed: that counts as one failure.
    fn settle(&mut self, status: ExitStatus) {
        if !status.success() && self.failed == 0 {
            self.failed = 1;
            self.failures.push(format!("cargo test itself ({status})"));
        }
    }

    fn print(&self, seconds: u64) {
        println!();
        for (title, lines) in [("skipped", &self.skipped), ("failed", &self.failures)] {
            for line in lines {
                println!("{title}: {line}");
            }
        }
        println!("took {} min {} s", seconds / 60, seconds % 60);
        println!("{} passed, {} failed", self.passed, self.failed);
    }
}

/// The number in front of `word`, none being nought.
fn count_before(text: &str, word: &str) -> usize {
    let before = text.split(word).next().filter(|before| before.len() < text.len());
    before.and_then(|before| before.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &str, passed: usize, failed: usize, failures: &[&str], skipped: &[&str]) {
        let mut report = Report::default();
        lines.lines().for_each(|line| report.read(line));
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        assert_eq!(report, Report { passed, failed, failures: owned(failures), skipped: owned(skipped) });
    }

    #[test]
    fn results_of_suites_are_summed() {
        check(
            "running 3 tests\n\
             test a::b ... ok\n\
             test a::c - should panic ... FAILED\n\
             test a::d ... ignored, needs a cluster\n\
             test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
             skipped: airflow runs a batch: LAMPLIGHTER_TEST_AIRFLOW_PYTHON is not set\n\
             test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
            13,
            1,
            &["a::c - should panic"],
            &["airflow runs a batch: LAMPLIGHTER_TEST_AIRFLOW_PYTHON is not set"],
        );
    }

    #[test]
    fn other_output_counts_nothing() {
        check("error: could not compile `x`\n5 passed\ntest result: \ntest result: passed\n", 0, 0, &[], &[]);
    }

    #[test]
    fn the_fast_run_leaves_out_one_spark_line_airflow_and_the_cluster() {
        let left_out = [Component::Spark35, Component::Airflow, Component::Kubernetes];
        assert!(left_out.iter().all(|component| !components(true).contains(component)));
        let images = [Component::SparkImage35, Component::SparkImage4];
        assert!(images.iter().all(|component| !components(true).contains(component)));
        assert_eq!(components(true).len() + left_out.len() + images.len(), components(false).len());
    }
}
