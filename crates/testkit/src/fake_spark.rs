//! A Spark that takes milliseconds: a `SPARK_HOME` whose `spark-submit` reads the same options as the real one
//! and runs the primary resource as a shell script.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Understands what the gateway passes and refuses what it doesn't know, as the real one does. The program finds
/// the properties file in `FAKE_SPARK_PROPERTIES` and the main class in `FAKE_SPARK_CLASS`.
const SPARK_SUBMIT: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
  case "$1" in
    --properties-file) export FAKE_SPARK_PROPERTIES="$2"; shift 2 ;;
    --class) export FAKE_SPARK_CLASS="$2"; shift 2 ;;
    --proxy-user) shift 2 ;;
    -*) echo "Error: Unrecognized option: $1" >&2; exit 1 ;;
    *) break ;;
  esac
done
resource="${1#file:}"; shift
[ -r "$resource" ] || { echo "can't open file '$resource': [Errno 2] No such file or directory" >&2; exit 2; }
exec /bin/sh "$resource" "$@"
"#;

/// A fake installation in a folder of its own, removed when this is dropped.
#[derive(Debug)]
pub struct FakeSpark {
    root: TempDir,
}

impl FakeSpark {
    /// Makes one that says it is Spark 3.5.9.
    ///
    /// # Errors
    /// When the files can't be written.
    pub fn new() -> io::Result<Self> {
        let root = tempfile::tempdir()?;
        let spark = Self { root };
        fs::create_dir_all(spark.home().join("bin"))?;
        fs::create_dir_all(spark.home().join("conf"))?;
        fs::write(spark.home().join("RELEASE"), "Spark 3.5.9 (git revision fake) built for Hadoop 3.3.4\n")?;
        write_executable(&spark.home().join("bin/spark-submit"), SPARK_SUBMIT)?;
        Ok(spark)
    }

    /// The folder to use as `SPARK_HOME`.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("spark")
    }

    /// Writes a program that this Spark can run: a POSIX shell script.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn program(&self, name: &str, script: &str) -> io::Result<PathBuf> {
        let path = self.root.path().join(name);
        write_executable(&path, script)?;
        Ok(path)
    }

    /// Replaces the installation's `spark-defaults.conf`.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn set_defaults(&self, text: &str) -> io::Result<()> {
        fs::write(self.home().join("conf/spark-defaults.conf"), text)
    }
}

/// Renamed into place, because a script that is still open for writing can't be run.
fn write_executable(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    fs::write(&temporary, text)?;
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o755))?;
    fs::rename(temporary, path)
}
