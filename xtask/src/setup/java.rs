//! The Java toolchain: found, never installed.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Result, anyhow, bail};

use crate::process::{find_in_path, is_executable};

/// The oldest Java that the newest Spark line runs on.
const OLDEST: u32 = 17;

/// Fails with one sentence when there is no Java that runs Spark.
pub(crate) fn require() -> Result<()> {
    let java = tool("java").ok_or_else(|| missing("to run Spark"))?;
    // A Java that keeps its version to itself may be new enough; Spark says so if not.
    match release_of(&java).filter(|&found| found < OLDEST) {
        Some(found) => bail!("{} is Java {found}: {}", java.display(), missing("to run Spark")),
        None => Ok(()),
    }
}

/// A program of the development kit, such as `javac`.
pub(crate) fn development_tool(name: &str) -> Result<PathBuf> {
    tool(name).ok_or_else(|| missing("to compile the Java example"))
}

/// `name` in `$JAVA_HOME/bin`, as Spark prefers it, or in `PATH`.
fn tool(name: &str) -> Option<PathBuf> {
    let home = env::var_os("JAVA_HOME").filter(|home| !home.is_empty());
    let at_home = home.map(|home| Path::new(&home).join("bin").join(name)).filter(|file| is_executable(file));
    at_home.or_else(|| find_in_path(name))
}

fn missing(purpose: &str) -> anyhow::Error {
    anyhow!(
        "Java {OLDEST} or newer is needed {purpose}: apt-get install openjdk-{OLDEST}-jdk-headless, or set JAVA_HOME"
    )
}

/// The major version of the Java installation that `java` belongs to, from the file that each one carries: asking the
/// program itself costs more than all the rest of a warm setup.
fn release_of(java: &Path) -> Option<u32> {
    let program = java.canonicalize().ok()?;
    let home = program.parent()?.parent()?;
    major_version(&fs::read_to_string(home.join("release")).ok()?)
}

/// The major version in the text of a `release` file; Java 8 and older call themselves 1.8 and so on.
fn major_version(release: &str) -> Option<u32> {
    let version = release.lines().find_map(|line| line.strip_prefix("JAVA_VERSION="))?.trim_matches('"');
    let version = version.strip_prefix("1.").unwrap_or(version);
    version.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major_version;

    #[test]
    fn major_versions() {
        for (release, expected) in [
            ("IMPLEMENTOR=\"Debian\"\nJAVA_VERSION=\"17.0.15\"\n", Some(17)),
            ("JAVA_VERSION=\"21\"", Some(21)),
            ("JAVA_VERSION=\"1.8.0_432\"", Some(8)),
            ("JAVA_VERSION=\"26-ea\"", Some(26)),
            ("JAVA_VERSION=\"\"", None),
            ("SOURCE=\"\"", None),
            ("", None),
        ] {
            assert_eq!(major_version(release), expected, "{release:?}");
        }
    }
}
