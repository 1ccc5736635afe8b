//! Finds the Spark installations of this machine, without starting a JVM or a Python.
//!
//! Start with [`Installations::find`]. Configured ones come first, under the names they are given; then what the
//! environment points at: `SPARK_HOME`, the PySpark of `VIRTUAL_ENV` or of the `python3` on `PATH`, and the
//! `spark-submit` on `PATH`. Those are named after their version, `3.5`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use model::id::SparkName;
use model::spark_conf::{ConfFileError, SparkConf};

/// One Spark on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// What an application calls it.
    pub name: SparkName,
    /// The folder with `bin/spark-submit`.
    pub home: PathBuf,
    /// Its version, `3.5.9`, if the files tell.
    pub version: Option<String>,
    /// The Python it belongs to, when it is the PySpark of a Python environment.
    pub python: Option<PathBuf>,
    /// How it was found, for people.
    pub found_by: String,
}

impl Installation {
    /// The script that starts drivers.
    pub fn spark_submit(&self) -> PathBuf {
        self.home.join("bin/spark-submit")
    }

    /// The installation's `spark-defaults.conf`, from `conf_dir` (the value of `SPARK_CONF_DIR`) when given.
    ///
    /// # Errors
    /// When there is such a file and it can't be read.
    pub fn defaults(&self, conf_dir: Option<&OsStr>) -> Result<SparkConf, DefaultsError> {
        let folder = conf_dir.map_or_else(|| self.home.join("conf"), PathBuf::from);
        let path = folder.join("spark-defaults.conf");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(SparkConf::new()),
            Err(source) => return Err(DefaultsError::Read { path, source }),
        };
        SparkConf::from_properties(&text).map_err(|source| DefaultsError::Parse { path, source })
    }

    /// The installation at `path`, which is a `SPARK_HOME` or a Python environment with PySpark.
    fn at(path: &Path) -> Option<Found> {
        let path = fs::canonicalize(path).ok().filter(|_| path.is_absolute())?;
        if is_home(&path) {
            return Some(Found { python: python_of(&path), home: path });
        }
        pyspark_below(&path)
    }
}

/// Why an installation's defaults can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DefaultsError {
    /// The file can't be read.
    #[error("read {}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its content is no configuration.
    #[error("understand {}", .path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: ConfFileError,
    },
}

/// The installations that applications can choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installations {
    by_name: BTreeMap<SparkName, Installation>,
    default: Option<SparkName>,
}

/// A configured installation that isn't there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Spark `{name}` is not at {}: neither that folder nor a PySpark in it has bin/spark-submit", .path.display())]
pub struct NoSparkThere {
    /// The configured name.
    pub name: SparkName,
    /// The configured path.
    pub path: PathBuf,
}

impl Installations {
    /// Finds every installation. `configured` are names with absolute paths; the first of them is the default,
    /// or else the first that `variable`, a look at the environment, leads to. There may be none.
    ///
    /// # Errors
    /// All configured ones that aren't there.
    pub fn find(
        configured: &[(SparkName, PathBuf)],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<NoSparkThere>> {
        let mut found = Self::default();
        let mut missing = Vec::new();
        for (name, path) in configured {
            match Installation::at(path) {
                Some(at) => found.add(name.clone(), at, "configuration"),
                None => missing.push(NoSparkThere { name: name.clone(), path: path.clone() }),
            }
        }
        for (found_by, at) in discovered(variable) {
            let known = found.by_name.values().any(|installation| installation.home == at.home);
            if let (false, Some(name)) = (known, name_of(&at.home)) {
                found.add(name, at, found_by);
            }
        }
        if missing.is_empty() { Ok(found) } else { Err(missing) }
    }

    /// The installation of that name, or the default one.
    pub fn get(&self, name: Option<&SparkName>) -> Option<&Installation> {
        self.by_name.get(name.or(self.default.as_ref())?)
    }

    /// The default one's name; `None` when no Spark was found.
    pub fn default_name(&self) -> Option<&SparkName> {
        self.default.as_ref()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Installation> {
        self.by_name.values()
    }

    /// Adds an installation unless its name is taken: who was found first is nearer to what the user meant.
    fn add(&mut self, name: SparkName, found: Found, found_by: &str) {
        let version = version(&found.home);
        let Found { home, python } = found;
        self.default.get_or_insert_with(|| name.clone());
        self.by_name.entry(name.clone()).or_insert_with(|| Installation {
            name,
            home,
            version,
            python,
            found_by: found_by.to_owned(),
        });
    }
}

struct Found {
    home: PathBuf,
    python: Option<PathBuf>,
}

fn discovered(variable: &dyn Fn(&str) -> Option<String>) -> Vec<(&'static str, Found)> {
    let mut found = Vec::new();
    let mut look = |found_by, at: Option<Found>| found.extend(at.map(|at| (found_by, at)));
    look("SPARK_HOME", variable("SPARK_HOME").and_then(|home| Installation::at(Path::new(&home))));
    look("VIRTUAL_ENV", variable("VIRTUAL_ENV").and_then(|prefix| pyspark_below(Path::new(&prefix))));
    let path = variable("PATH").unwrap_or_default();
    look("the python3 on PATH", on_path(&path, "python3").and_then(|python| pyspark_of(&python)));
    look("the spark-submit on PATH", on_path(&path, "spark-submit").and_then(|script| home_of(&script)));
    found
}

fn on_path(path: &str, program: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(program)).find(|program| program.is_file())
}

/// The PySpark of a Python interpreter: of the environment it is called through, or of the one it really is in.
fn pyspark_of(python: &Path) -> Option<Found> {
    let prefix = |python: &Path| python.parent()?.parent().and_then(pyspark_below);
    prefix(python).or_else(|| prefix(&fs::canonicalize(python).ok()?))
}

/// The PySpark of the Python environment at `prefix`.
fn pyspark_below(prefix: &Path) -> Option<Found> {
    let versions = fs::read_dir(prefix.join("lib")).ok()?;
    let packages = versions
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3")))
        .flat_map(|path| ["site-packages", "dist-packages"].map(|folder| path.join(folder).join("pyspark")));
    let home = packages.filter(|home| is_home(home)).max()?;
    let home = fs::canonicalize(home).ok()?;
    Some(Found { python: python_of(&home), home })
}

/// The Python of the environment that has `home` among its packages: `PREFIX/lib/python3.11/site-packages/pyspark`.
fn python_of(home: &Path) -> Option<PathBuf> {
    let packages = home.parent()?;
    let is_package = matches!(packages.file_name()?.to_str()?, "site-packages" | "dist-packages");
    let python = packages.parent()?.parent()?.parent()?.join("bin/python3");
    (is_package && python.is_file()).then_some(python)
}

/// The installation whose script this is: the script of PySpark's `bin` folder, or one beside `jars`.
fn home_of(script: &Path) -> Option<Found> {
    // Pip puts a copy of the script into PREFIX/bin, far from the jars.
    let real = fs::canonicalize(script).ok()?;
    let above = |script: &Path| Some(script.parent()?.parent()?.to_owned());
    Installation::at(&above(&real)?).or_else(|| Installation::at(&above(script)?))
}

fn is_home(path: &Path) -> bool {
    path.join("bin/spark-submit").is_file()
}

/// The name of an installation that nobody named: the line of its version.
fn name_of(home: &Path) -> Option<SparkName> {
    let version = version(home);
    let line = version.as_deref().map_or("default", line_of);
    SparkName::new(line).ok()
}

/// `3.5` of `3.5.9`.
fn line_of(version: &str) -> &str {
    version.match_indices('.').nth(1).map_or(version, |(index, _)| &version[..index])
}

/// The version of the installation at `home`, from the files that distributions and packages carry.
fn version(home: &Path) -> Option<String> {
    from_release(home).or_else(|| from_python(home)).or_else(|| from_jar(home))
}

/// A distribution's `RELEASE` begins `Spark 3.5.9 (git revision …) built for Hadoop 3.3.4`.
fn from_release(home: &Path) -> Option<String> {
    let text = fs::read_to_string(home.join("RELEASE")).ok()?;
    as_version(text.strip_prefix("Spark ")?.split_ascii_whitespace().next()?)
}

/// PySpark's `version.py` has a line `__version__: str = "3.5.9"`.
fn from_python(home: &Path) -> Option<String> {
    let text = fs::read_to_string(home.join("version.py")).ok()?;
    let line = text.lines().find(|line| line.starts_with("__version__"))?;
    as_version(line.split_once('=')?.1.trim().trim_matches(['"', '\'']))
}

/// `jars/spark-core_2.13-4.1.4.jar`.
fn from_jar(home: &Path) -> Option<String> {
    let jars = fs::read_dir(home.join("jars")).ok()?;
    jars.filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find_map(|name| as_version(name.strip_prefix("spark-core_")?.strip_suffix(".jar")?.split_once('-')?.1))
}

fn as_version(text: &str) -> Option<String> {
    let plausible = text.starts_with(|c: char| c.is_ascii_digit()) && text.len() <= 32 && SparkName::new(text).is_ok();
    plausible.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use expect_test::{Expect, expect};

    /// Makes files (and the folders above them) in a folder of their own, then shows what is found there.
    fn check(files: &[(&str, &str)], configured: &[(&str, &str)], variables: &[(&str, &str)], expected: &Expect) {
        let root = tempfile::tempdir().unwrap();
        let root_path = fs::canonicalize(root.path()).unwrap();
        let inside = |text: &str| text.replace('^', root_path.to_str().unwrap());
        for (path, content) in files {
            let path = root_path.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let configured: Vec<(SparkName, PathBuf)> =
            configured.iter().map(|(name, path)| (name.parse().unwrap(), inside(path).into())).collect();
        let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| inside(value));
        let shown = match Installations::find(&configured, &variable) {
            Ok(found) => found.iter().map(|found_one| describe(found_one, &found)).collect::<String>(),
            Err(missing) => missing.iter().map(|one| format!("{one}\n")).collect(),
        };
        expected.assert_eq(&shown.replace(root_path.to_str().unwrap(), "^"));
    }

    fn describe(one: &Installation, all: &Installations) -> String {
        let default = if all.default_name() == Some(&one.name) { " (default)" } else { "" };
        let python = one.python.as_ref().map_or(String::new(), |python| format!(" with {}", python.display()));
        let version = one.version.as_deref().unwrap_or("?");
        format!("{}{default}: {version} at {}{python}, by {}\n", one.name, one.home.display(), one.found_by)
    }

    const PYSPARK: &[(&str, &str)] = &[
        ("venv/bin/python3", ""),
        ("venv/lib/python3.11/site-packages/pyspark/bin/spark-submit", ""),
        ("venv/lib/python3.11/site-packages/pyspark/version.py", "# licence\n__version__: str = '3.5.9'\n"),
    ];
    const DISTRIBUTION: &[(&str, &str)] =
        &[("spark/bin/spark-submit", ""), ("spark/RELEASE", "Spark 4.1.4 (git revision 4f) built for Hadoop 3.4.1\n")];
    const BUILT: &[(&str, &str)] =
        &[("built/bin/spark-submit", ""), ("built/jars/spark-core_2.13-4.2.0-SNAPSHOT.jar", "")];

    #[test]
    fn the_environment_leads_to_several() {
        check(
            &[PYSPARK, DISTRIBUTION, BUILT].concat(),
            &[],
            &[("SPARK_HOME", "^/spark"), ("VIRTUAL_ENV", "^/venv"), ("PATH", "^/nowhere:^/built/bin")],
            &expect![[r#"
                3.5: 3.5.9 at ^/venv/lib/python3.11/site-packages/pyspark with ^/venv/bin/python3, by VIRTUAL_ENV
                4.1 (default): 4.1.4 at ^/spark, by SPARK_HOME
                4.2: 4.2.0-SNAPSHOT at ^/built, by the spark-submit on PATH
            "#]],
        );
    }

    #[test]
    fn configured_ones_have_their_names_and_come_first() {
        check(
            &[PYSPARK, DISTRIBUTION].concat(),
            &[("old", "^/venv"), ("new", "^/spark")],
            &[("SPARK_HOME", "^/spark")],
            &expect![[r#"
                new: 4.1.4 at ^/spark, by configuration
                old (default): 3.5.9 at ^/venv/lib/python3.11/site-packages/pyspark with ^/venv/bin/python3, by configuration
            "#]],
        );
    }

    #[test]
    fn a_python_on_the_path_brings_its_pyspark() {
        check(
            PYSPARK,
            &[],
            &[("PATH", "^/venv/bin")],
            &expect![[r#"
                3.5 (default): 3.5.9 at ^/venv/lib/python3.11/site-packages/pyspark with ^/venv/bin/python3, by the python3 on PATH
            "#]],
        );
    }

    #[test]
    fn all_configured_ones_that_are_missing_are_told() {
        check(
            DISTRIBUTION,
            &[("a", "^/spark/bin"), ("b", "^/spark"), ("c", "relative")],
            &[],
            &expect![[r#"
                Spark `a` is not at ^/spark/bin: neither that folder nor a PySpark in it has bin/spark-submit
                Spark `c` is not at relative: neither that folder nor a PySpark in it has bin/spark-submit
            "#]],
        );
    }

    #[test]
    fn no_spark_is_no_error() {
        check(&[], &[], &[("SPARK_HOME", "^/gone"), ("PATH", "")], &expect![""]);
    }

    #[test]
    fn an_unreadable_version_is_unknown() {
        check(
            &[("spark/bin/spark-submit", ""), ("spark/RELEASE", "Spark ../../x (")],
            &[],
            &[("SPARK_HOME", "^/spark")],
            &expect![[r#"
                default (default): ? at ^/spark, by SPARK_HOME
            "#]],
        );
    }
}
