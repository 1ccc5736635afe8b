//! What this machine has: Spark, Java, Python, a folder to write to.
//!
//! It sees the environment of this command, which needn't be the gateway's.

use std::path::{Path, PathBuf};
use std::process::Command;

use backends::local::{Installation, Installations};

use super::Check;
use crate::config::{self, ServeArgs};

/// The oldest Java that Spark 4 runs on, and the newest that Spark 3 was made for.
const JAVA_OF_SPARK_4: u32 = 17;

/// The configuration that a gateway would start with, and its data folder, Spark, Java and Python.
pub(super) fn checks(args: &ServeArgs) -> Vec<Check> {
    let environment = config::environment();
    let variable = |name: &str| environment.get(name).cloned();
    let config = match config::load(args, &variable) {
        Ok(config) => config,
        Err(problems) => {
            let told = problems.sentences().collect::<Vec<_>>().join("; ");
            return vec![Check::fail("config", told, "correct it; a gateway doesn't start with it")];
        }
    };
    let mut checks = vec![data_folder(&config.data_dir)];
    let installations = match Installations::find(&config.sparks, &variable) {
        Ok(installations) => installations,
        Err(missing) => {
            checks.extend(
                missing.iter().map(|spark| Check::fail("spark", spark.to_string(), "correct the configuration")),
            );
            Installations::default()
        }
    };
    let version = installations.get(None).and_then(|spark| spark.version.as_deref());
    checks.push(spark(&installations));
    checks.push(java(&java_program(), version));
    checks.push(python());
    checks
}

fn spark(installations: &Installations) -> Check {
    let describe = |spark: &Installation| {
        let version = spark.version.as_deref().unwrap_or("of unknown version");
        format!("{version} at {} ({}, by {})", spark.home.display(), spark.name, spark.found_by)
    };
    let found: Vec<String> = installations.iter().map(describe).collect();
    if found.is_empty() {
        return Check::fail(
            "spark",
            "none found in SPARK_HOME, VIRTUAL_ENV, the python3 on PATH or on PATH",
            "set SPARK_HOME, or `python3 -m pip install pyspark` in a virtual environment and activate it",
        );
    }
    Check::ok("spark", found.join("; "))
}

/// The Java that Spark's scripts would take.
fn java_program() -> PathBuf {
    match std::env::var_os("JAVA_HOME").filter(|home| !home.is_empty()) {
        Some(home) => Path::new(&home).join("bin/java"),
        None => PathBuf::from("java"),
    }
}

fn java(program: &Path, spark: Option<&str>) -> Check {
    let advice = "install a JRE 17, for instance `apt install openjdk-17-jre-headless`, or set JAVA_HOME";
    let output = match Command::new(program).arg("-version").output() {
        Ok(output) if output.status.success() => output,
        Ok(output) => {
            return Check::fail("java", format!("{} -version ended with {}", program.display(), output.status), advice);
        }
        Err(error) => return Check::fail("java", format!("{}: {error}", program.display()), advice),
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    judge_java(said.lines().next().unwrap_or_default(), spark)
}

/// Judges the first line of `java -version` for a Spark of version `spark`.
fn judge_java(line: &str, spark: Option<&str>) -> Check {
    let Some(major) = java_major(line) else {
        return Check::warn("java", format!("can't tell the version from `{line}`"), "Spark needs Java 17");
    };
    let spark_major: Option<u32> = spark.and_then(|version| version.split('.').next()?.parse().ok());
    match spark_major {
        Some(4..) if major < JAVA_OF_SPARK_4 => Check::fail(
            "java",
            line,
            format!("Spark {} needs Java {JAVA_OF_SPARK_4} or newer", spark.unwrap_or_default()),
        ),
        Some(..=3) if major > JAVA_OF_SPARK_4 => Check::warn(
            "java",
            line,
            format!(
                "Spark {} was made for Java 8, 11 and {JAVA_OF_SPARK_4}; set JAVA_HOME if programs fail",
                spark.unwrap_or_default()
            ),
        ),
        _ => Check::ok("java", line),
    }
}

/// `17` of `openjdk version "17.0.11" 2024-04-16`, `8` of `java version "1.8.0_402"`.
fn java_major(line: &str) -> Option<u32> {
    let version = line.split('"').nth(1)?;
    let mut numbers = version.split(['.', '-', '+', '_']);
    match numbers.next()?.parse().ok()? {
        1 => numbers.next()?.parse().ok(),
        major => Some(major),
    }
}

fn python() -> Check {
    match Command::new("python3").arg("--version").output() {
        Ok(output) if output.status.success() => Check::ok("python", String::from_utf8_lossy(&output.stdout).trim()),
        _ => Check::warn("python", "no python3 on PATH", "install Python 3 unless only jars are run"),
    }
}

fn data_folder(folder: &Path) -> Check {
    // What doesn't exist yet is made by the gateway, below what does.
    let existing = folder.ancestors().find(|ancestor| ancestor.exists());
    let writable = existing.is_some_and(|ancestor| {
        ancestor.is_dir()
            && rustix::fs::access(ancestor, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
    });
    let finding = folder.display().to_string();
    match (writable, existing == Some(folder)) {
        (true, true) => Check::ok("data", finding),
        (true, false) => Check::ok("data", format!("{finding}, which the gateway makes when it starts")),
        (false, _) => Check::fail(
            "data",
            format!("{finding} can't be written"),
            "give its rights to the gateway's user, or name another with --data-dir",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::render;
    use expect_test::expect;

    #[test]
    fn java_is_judged_by_the_spark_that_runs_on_it() {
        let lines = [
            (r#"openjdk version "17.0.11" 2024-04-16"#, Some("4.1.0")),
            (r#"openjdk version "11.0.2" 2019-01-15"#, Some("4.1.0")),
            (r#"java version "1.8.0_402""#, Some("3.5.9")),
            (r#"openjdk version "21-ea" 2023-09-19"#, Some("3.5.9")),
            (r#"openjdk version "21" 2023-09-19"#, None),
            ("no idea", Some("4.1.0")),
        ];
        let checks: Vec<Check> = lines.into_iter().map(|(line, spark)| judge_java(line, spark)).collect();
        expect![[r#"
            ok    java        openjdk version "17.0.11" 2024-04-16
            fail  java        openjdk version "11.0.2" 2019-01-15
                              Spark 4.1.0 needs Java 17 or newer
            ok    java        java version "1.8.0_402"
            warn  java        openjdk version "21-ea" 2023-09-19
                              Spark 3.5.9 was made for Java 8, 11 and 17; set JAVA_HOME if programs fail
            ok    java        openjdk version "21" 2023-09-19
            warn  java        can't tell the version from `no idea`
                              Spark needs Java 17
        "#]]
        .assert_eq(&render(&checks, false));
    }

    #[test]
    fn a_missing_java_is_told_with_what_to_install() {
        expect![[r"
            fail  java        /no/such/java: No such file or directory (os error 2)
                              install a JRE 17, for instance `apt install openjdk-17-jre-headless`, or set JAVA_HOME
        "]]
        .assert_eq(&render(&[java(Path::new("/no/such/java"), None)], false));
    }

    #[test]
    fn a_data_folder_that_does_not_exist_yet_is_fine() {
        let folder = std::env::temp_dir().join("not-there-yet/below");
        assert_eq!(data_folder(&folder).verdict, super::super::Verdict::Ok);
        assert_eq!(data_folder(Path::new("/proc/version/below")).verdict, super::super::Verdict::Fail);
    }
}
