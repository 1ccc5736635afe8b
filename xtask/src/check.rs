//! The checks of `make check`: format, lints, generated files, licences. All run, also after one failed.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::{
    licences,
    process::{self, cargo},
};

/// Files that the binary writes itself: where each lies in the repository, and the arguments that print it.
const GENERATED: &[(&str, &[&str])] = &[
    ("docs/openapi.json", &["openapi"]),
    ("docs/configuration.md", &["config", "reference"]),
    ("docs/lamplighter.yaml", &["config", "sample"]),
];

/// Runs every check and fails if one did.
pub(crate) fn run() -> Result<()> {
    let outcomes = [
        ("format", format()),
        ("lints", lints()),
        ("generated files", generated_files()),
        ("licences", licences::check()),
    ];
    let mut failed = Vec::new();
    for (name, outcome) in outcomes {
        match outcome {
            Ok(()) => println!("{name}: ok"),
            Err(error) => {
                println!("{name}: {error:#}");
                failed.push(name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("not in order: {}", failed.join(", "));
    }
    Ok(())
}

/// Writes the generated files anew.
pub(crate) fn generate() -> Result<()> {
    for (path, arguments) in GENERATED {
        fs::write(process::repository().join(path), print_with_binary(arguments)?)
            .with_context(|| format!("write {path}"))?;
        println!("{path}");
    }
    Ok(())
}

fn format() -> Result<()> {
    process::run(cargo().args(["fmt", "--all", "--check"]))
}

fn lints() -> Result<()> {
    process::run(cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))
}

fn generated_files() -> Result<()> {
    for (path, arguments) in GENERATED {
        let kept = fs::read(process::repository().join(path)).with_context(|| format!("read {path}"))?;
        if kept != print_with_binary(arguments)? {
            bail!("{path} is not what the code says: run `cargo xtask generate` and commit it");
        }
    }
    Ok(())
}

fn print_with_binary(arguments: &[&str]) -> Result<Vec<u8>> {
    process::capture(cargo().args(["run", "--quiet", "--package", "lamplighter", "--"]).args(arguments))
}
