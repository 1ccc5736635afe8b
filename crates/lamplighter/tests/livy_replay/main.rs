//! The recorded answers of a real Livy against those of the running gateway, byte by byte over sockets.
//!
//! `crates/livy/tests/wire/README.md` says what was recorded and how it is compared. Each scenario starts on a fresh
//! gateway. Those whose batches run need a real Spark 3.5, as the recording had; the others need none.
//!
//! `recording` reads the files, `wire` sends and receives, `player` plays a scenario, `compare` says what counts as
//! the same answer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod compare;
mod player;
mod recording;
mod wire;

use std::path::{Path, PathBuf};

use testkit::environment::{SPARK_35, needed};
use testkit::fake_spark::FakeSpark;
use testkit::gateway::{Gateway, Options};

use player::Player;
use recording::Recording;

/// Plays a scenario, and says how many of its steps are not compared at all because they differ on purpose.
#[track_caller]
fn check(scenario: &str, spark_home: PathBuf, steps_left_out: usize) {
    let recording = Recording::read();
    let mut options = Options::new(env!("CARGO_BIN_EXE_lamplighter"), spark_home);
    options.config = config(scenario, &recording.jobs);
    // The recorded server called Python by this name, which Python repeats in its messages.
    let python = player::virtual_environment().join("bin/python").to_string_lossy().into_owned();
    options.environment.push(("PYSPARK_PYTHON".to_owned(), python));
    let gateway = Gateway::start(options).unwrap();
    let mut player = Player::new(&recording, &gateway);
    player.play(scenario);
    let (differences, left_out) = player.outcome();
    assert!(differences.is_empty(), "{scenario} differs:\n\n{}\n\n{}", differences.join("\n\n"), gateway.log());
    assert_eq!(left_out, steps_left_out, "{scenario}: steps that aren't compared");
}

/// What the recorded server was configured with, as far as it matters here.
fn config(scenario: &str, jobs: &Path) -> String {
    let denied = if scenario == "variant-limits" { "[spark.master, spark.forbidden]" } else { "[]" };
    format!("livy:\n  local_dir_allow_list: [{}]\n  conf_deny_list: {denied}\n", jobs.display())
}

/// A scenario in which no batch runs.
#[track_caller]
fn check_without_spark(scenario: &str, steps_left_out: usize) {
    let spark = FakeSpark::new().unwrap();
    check(scenario, spark.home(), steps_left_out);
}

#[track_caller]
fn check_with_spark(scenario: &str, steps_left_out: usize) {
    if let Some(spark_home) = needed(&format!("livy replay of {scenario}"), SPARK_35) {
        check(scenario, spark_home, steps_left_out);
    }
}

#[test]
fn root() {
    check_without_spark("root", 16);
}

#[test]
fn methods() {
    check_without_spark("methods", 0);
}

#[test]
fn negotiation() {
    check_without_spark("negotiation", 0);
}

#[test]
fn http() {
    check_without_spark("http", 3);
}

#[test]
fn batch_bodies() {
    check_without_spark("batch-bodies", 0);
}

#[test]
fn variant_csrf() {
    check_without_spark("variant-csrf", 8);
}

#[test]
fn variant_impersonation() {
    check_without_spark("variant-impersonation", 5);
}

#[test]
fn variant_limits() {
    check_without_spark("variant-limits", 9);
}

#[test]
fn batch_reject() {
    check_with_spark("batch-reject", 8);
}

#[test]
fn batch_python() {
    check_with_spark("batch-python", 0);
}

#[test]
fn batch_jar() {
    check_with_spark("batch-jar", 0);
}

#[test]
fn batch_fail() {
    check_with_spark("batch-fail", 0);
}

#[test]
fn batch_options() {
    check_with_spark("batch-options", 2);
}

#[test]
fn batch_paging() {
    check_with_spark("batch-paging", 0);
}

#[test]
fn batch_log() {
    check_with_spark("batch-log", 0);
}

#[test]
fn batch_delete() {
    check_with_spark("batch-delete", 0);
}

#[test]
fn delete_watched() {
    check_with_spark("delete-watched", 0);
}
