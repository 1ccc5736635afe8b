//! Licences and sources of the dependencies, against the policy in `deny.toml`.
//!
//! `cargo deny` does it when it is installed. Without it the same file is read here, so that the check needs neither an
//! installation nor a network. Advisories need the advisory database, which is no part of this repository: they are
//! checked with `cargo deny check advisories` where there is a network.

use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use spdx::{Expression, ParseMode};

use crate::process::{self, cargo, find_in_path};

/// The one registry that dependencies may come from, as Cargo names it.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The part of `deny.toml` that is needed here.
#[derive(Deserialize)]
struct Policy {
    graph: Graph,
    licenses: Licenses,
}

#[derive(Deserialize)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<Exception>,
}

/// Licences allowed for one crate alone.
#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    package: String,
    allow: Vec<String>,
}

/// What `cargo metadata` says.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// Where it was downloaded from; none for the packages of this workspace.
    source: Option<String>,
}

/// Fails with the list of dependencies that the policy doesn't allow.
pub(crate) fn check() -> Result<()> {
    if find_in_path("cargo-deny").is_some() {
        return process::run(cargo().args(["deny", "--offline", "check", "licenses", "bans", "sources"]));
    }
    let policy = fs::read_to_string(process::repository().join("deny.toml")).context("read deny.toml")?;
    let policy: Policy = toml::from_str(&policy).context("read deny.toml")?;
    let mut command = cargo();
    command.args(["metadata", "--format-version", "1", "--locked"]);
    for target in &policy.graph.targets {
        command.args(["--filter-platform", target]);
    }
    let metadata: Metadata = serde_json::from_slice(&process::capture(&mut command)?).context("read cargo metadata")?;
    let refused = refused(&metadata.packages, &policy.licenses);
    if !refused.is_empty() {
        bail!("deny.toml doesn't allow\n  {}", refused.join("\n  "));
    }
    println!(
        "{} packages fit deny.toml; advisories were not checked, that needs cargo-deny and a network",
        metadata.packages.len()
    );
    Ok(())
}

/// One line for each package that isn't allowed.
fn refused(packages: &[Package], policy: &Licenses) -> Vec<String> {
    let complaint = |package: &Package| {
        let reason = complaint_about(package, policy)?;
        Some(format!("{} {}: {reason}", package.name, package.version))
    };
    packages.iter().filter_map(complaint).collect()
}

fn complaint_about(package: &Package, policy: &Licenses) -> Option<String> {
    if let Some(source) = package.source.as_deref().filter(|&source| source != CRATES_IO) {
        return Some(format!("comes from {source}"));
    }
    let Some(licence) = &package.license else {
        return Some("names no licence".to_owned());
    };
    let exceptions = policy.exceptions.iter().filter(|exception| exception.package == package.name);
    let allowed: Vec<&String> = policy.allow.iter().chain(exceptions.flat_map(|exception| &exception.allow)).collect();
    match Expression::parse_mode(licence, ParseMode::LAX) {
        Ok(expression) => {
            let fits = expression.evaluate(|required| allowed.iter().any(|name| **name == required.to_string()));
            (!fits).then(|| format!("is licensed as {licence}"))
        }
        Err(error) => Some(format!("has a licence that can't be read, {licence:?}: {}", error.reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Judges a crates.io package `it` under a policy of MIT, Apache-2.0 and one exception for `odd`.
    fn check(name: &str, licence: Option<&str>, source: Option<&str>, expected: Option<&str>) {
        let package = Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: licence.map(str::to_owned),
            source: source.map(str::to_owned),
        };
        let policy = Licenses {
            allow: ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).to_vec(),
            exceptions: vec![Exception { package: "odd".to_owned(), allow: vec!["MPL-2.0".to_owned()] }],
        };
        let found = complaint_about(&package, &policy);
        assert_eq!(found.as_deref(), expected, "{licence:?}");
    }

    #[test]
    fn licences_are_judged_as_expressions() {
        let here = Some(CRATES_IO);
        check("it", Some("MIT"), here, None);
        check("it", Some("MIT"), None, None);
        check("it", Some("MIT OR GPL-3.0-only"), here, None);
        check("it", Some("MIT/Apache-2.0"), here, None);
        check("it", Some("MIT AND Apache-2.0 WITH LLVM-exception"), here, None);
        check("it", Some("MIT AND GPL-3.0-only"), here, Some("is licensed as MIT AND GPL-3.0-only"));
        check("it", Some("MPL-2.0"), here, Some("is licensed as MPL-2.0"));
        check("odd", Some("MPL-2.0"), here, None);
        check("it", None, here, Some("names no licence"));
    }

    #[test]
    fn only_one_registry_is_allowed() {
        let git = "git+https://example.org/it.git#abc";
        check("it", Some("MIT"), Some(git), Some(&format!("comes from {git}")));
    }
}
