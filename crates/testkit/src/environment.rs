//! What tests need of the machine is named by variables, which `make test` sets. A test whose need isn't met says so
//! and is skipped by name, unless nothing may be skipped.

use std::io::Write as _;
use std::path::PathBuf;

/// The `SPARK_HOME` of a Spark 3.5.
pub const SPARK_35: &str = "LAMPLIGHTER_TEST_SPARK_35";
/// The `SPARK_HOME` of the newest Spark 4.
pub const SPARK_4: &str = "LAMPLIGHTER_TEST_SPARK_4";
/// A Python with pylivy and pytest.
pub const CLIENTS_PYTHON: &str = "LAMPLIGHTER_TEST_CLIENTS_PYTHON";
/// A Python with Airflow, its Livy provider and pytest.
pub const AIRFLOW_PYTHON: &str = "LAMPLIGHTER_TEST_AIRFLOW_PYTHON";
/// Set to `1`, nothing may be skipped.
pub const REQUIRE_ALL: &str = "LAMPLIGHTER_TEST_REQUIRE_ALL";
/// Set to `1`, only one Spark line and what is quick are wanted.
pub const FAST: &str = "LAMPLIGHTER_TEST_FAST";

/// Whether only what is quick is wanted: fewer seeds and samples of long enumerations.
#[must_use]
pub fn is_fast() -> bool {
    std::env::var(FAST).as_deref() == Ok("1")
}

/// Whether the test, which takes long, is to run; when not, that is said.
#[must_use]
pub fn is_whole_run(test: &str) -> bool {
    if is_fast() {
        let _ = writeln!(std::io::stderr(), "skipped: {test}: left to the whole run");
    }
    !is_fast()
}

/// The path that the variable names; `None` when the test is to be skipped, which is said.
///
/// # Panics
/// When the variable isn't set although nothing may be skipped.
pub fn needed(test: &str, variable: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Some(path.into());
    }
    let may_skip = std::env::var(REQUIRE_ALL).as_deref() != Ok("1") || is_fast();
    assert!(may_skip, "{test}: {variable} is not set; `make test` sets it");
    // Past the capture of output, so that the summary of the run can name it.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {variable} is not set");
    None
}
