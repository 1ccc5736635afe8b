//! Apache Spark as PyPI carries it: the package `pyspark` is a whole `SPARK_HOME`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::{
    cache::Cache,
    python::{Packages, VirtualEnvironment},
};
use crate::process::is_executable;

/// A line of Spark releases that is tested.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Line {
    /// The last one before Spark 4.
    V3_5,
    /// The newest.
    V4,
}

impl Line {
    fn environment(self) -> VirtualEnvironment {
        let (name, lock) = match self {
            Self::V3_5 => ("spark-3.5", include_str!("../../requirements/spark-3.5.lock")),
            Self::V4 => ("spark-4", include_str!("../../requirements/spark-4.lock")),
        };
        VirtualEnvironment { name, lock, packages: Packages::Sources }
    }
}

/// The `SPARK_HOME` of a line, installed if need be.
pub(crate) fn home(cache: &Cache, line: Line) -> Result<PathBuf> {
    check_home(&line.environment().site_packages(cache)?.join("pyspark"))
}

/// The Python that a line was installed with.
pub(crate) fn interpreter(cache: &Cache, line: Line) -> Result<PathBuf> {
    line.environment().interpreter(cache)
}

/// `home` itself if it holds a Spark.
pub(crate) fn check_home(home: &Path) -> Result<PathBuf> {
    if !is_executable(&home.join("bin/spark-submit")) {
        bail!("{} is no SPARK_HOME: it has no bin/spark-submit that can be run", home.display());
    }
    Ok(home.to_owned())
}
