//! Livy's own clients, unmodified from PyPI, against the real gateway and real Spark.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use testkit::environment::{AIRFLOW_PYTHON, CLIENTS_PYTHON, SPARK_4, SPARK_35, needed};
use testkit::gateway::{Gateway, Options};

/// Runs a file of Python tests against a fresh gateway with that Spark.
fn check(test: &str, python: &str, spark: &str, version: &str, file: &str) {
    let (Some(python), Some(spark_home)) = (needed(test, python), needed(test, spark)) else { return };
    let gateway = Gateway::start(Options::new(env!("CARGO_BIN_EXE_lamplighter"), spark_home)).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/python").canonicalize().unwrap();
    let output = Command::new(python)
        .args(["-m", "pytest", "-q", "-rs", file])
        .current_dir(folder)
        .env("LAMPLIGHTER_URL", gateway.url())
        .env("LAMPLIGHTER_SPARK_VERSION", version)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    let passed = output.status.success() && said.contains(" passed") && !said.contains("skipped");
    assert!(passed, "{test} failed:\n{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn pylivy_on_spark_4() {
    check("pylivy_on_spark_4", CLIENTS_PYTHON, SPARK_4, "4.", "test_pylivy.py");
}

#[test]
fn pylivy_on_spark_35() {
    check("pylivy_on_spark_35", CLIENTS_PYTHON, SPARK_35, "3.5", "test_pylivy.py");
}

#[test]
fn airflow_on_spark_4() {
    check("airflow_on_spark_4", AIRFLOW_PYTHON, SPARK_4, "4.", "test_airflow.py");
}

#[test]
fn airflow_on_spark_35() {
    check("airflow_on_spark_35", AIRFLOW_PYTHON, SPARK_35, "3.5", "test_airflow.py");
}
