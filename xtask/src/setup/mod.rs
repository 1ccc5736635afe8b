//! Test environments: real components, pinned, installed once in the user's cache folder.
//!
//! [`Component`] is the list. Each can be asked for by several processes at once and as often as one likes: what is there
//! and fits its pin costs a file read ([`cache`]). Nothing is installed system-wide but PostgreSQL, on Debian, by root.

pub(crate) mod cache;
mod data;
mod demo_jar;
pub(crate) mod java;
mod kubernetes;
mod postgres;
mod python;
mod spark;

use std::{
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Result, anyhow, bail};
use clap::{Args, ValueEnum};

pub(crate) use self::{
    cache::Cache, demo_jar::MAIN_CLASS as DEMO_JAR_MAIN_CLASS, kubernetes::lacking as lacking_for_a_cluster,
};

/// What `cargo xtask setup` is asked for.
#[derive(Args)]
pub(crate) struct Request {
    /// What to install; everything when nothing is named
    #[arg(value_enum)]
    components: Vec<Component>,
    /// Print shell commands that set the tests' environment, for running one test by hand: eval "$(cargo xtask setup --env)"
    #[arg(long)]
    env: bool,
}

/// One thing that tests or the demo stand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Component {
    /// PySpark of the 3.5 line; found at its `SPARK_HOME`
    #[value(name = "spark-3.5")]
    Spark35,
    /// PySpark of the 4 line; found at its `SPARK_HOME`
    #[value(name = "spark-4")]
    Spark4,
    /// A Python with pylivy; found at its interpreter
    Clients,
    /// A Python with Airflow and its Livy provider; found at its interpreter
    Airflow,
    /// PostgreSQL's server programs; found at the folder of `initdb`
    Postgres,
    /// Three million flights; found at a Parquet file
    Data,
    /// The Java example; found at its jar
    DemoJar,
    /// What a Kubernetes cluster inside this machine is started from; found at its folder
    Kubernetes,
    /// An image of Spark's 3.5 line; found at its archive
    #[value(name = "spark-image-3.5")]
    SparkImage35,
    /// An image of Spark's 4 line; found at its archive
    #[value(name = "spark-image-4")]
    SparkImage4,
}

impl Component {
    /// The environment variable that tells tests where the component is.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Spark35 => "LAMPLIGHTER_TEST_SPARK_35",
            Self::Spark4 => "LAMPLIGHTER_TEST_SPARK_4",
            Self::Clients => "LAMPLIGHTER_TEST_CLIENTS_PYTHON",
            Self::Airflow => "LAMPLIGHTER_TEST_AIRFLOW_PYTHON",
            Self::Postgres => "LAMPLIGHTER_TEST_POSTGRES_BIN",
            Self::Data => "LAMPLIGHTER_TEST_DATA",
            Self::DemoJar => "LAMPLIGHTER_TEST_DEMO_JAR",
            Self::Kubernetes => "LAMPLIGHTER_TEST_KUBERNETES",
            Self::SparkImage35 => "LAMPLIGHTER_TEST_SPARK_35_IMAGE",
            Self::SparkImage4 => "LAMPLIGHTER_TEST_SPARK_4_IMAGE",
        }
    }

    /// Installs the component if the cache has none that fits, and returns where it is (see the variants).
    pub(crate) fn ensure(self, cache: &Cache) -> Result<PathBuf> {
        match self {
            Self::Spark35 => spark::home(cache, spark::Line::V3_5),
            Self::Spark4 => spark::home(cache, spark::Line::V4),
            Self::Clients => python::CLIENTS.interpreter(cache),
            Self::Airflow => python::AIRFLOW.interpreter(cache),
            Self::Postgres => postgres::programs(),
            Self::Data => data::flights(cache),
            Self::DemoJar => demo_jar::ensure(cache, &spark::home(cache, spark::Line::V4)?),
            Self::Kubernetes => kubernetes::home(cache),
            Self::SparkImage35 => kubernetes::spark_image::ensure(cache, spark::Line::V3_5),
            Self::SparkImage4 => kubernetes::spark_image::ensure(cache, spark::Line::V4),
        }
    }

    /// Whether it is of use only where a Kubernetes cluster can be started.
    pub(crate) fn is_of_a_cluster(self) -> bool {
        matches!(self, Self::Kubernetes | Self::SparkImage35 | Self::SparkImage4)
    }

    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Installs what is asked for and prints where each thing is.
pub(crate) fn run(request: &Request) -> Result<()> {
    for (component, path) in ensure_all(&wanted(request)?)? {
        if request.env {
            println!("export {}='{}'", component.variable(), path.display());
        } else {
            println!("{:<15} {}", component.name(), path.display());
        }
    }
    Ok(())
}

/// What is named; when nothing is, everything that this machine can use.
fn wanted(request: &Request) -> Result<Vec<Component>> {
    let is_named = !request.components.is_empty();
    let mut wanted = if is_named { request.components.clone() } else { Component::value_variants().to_vec() };
    if !wanted.iter().any(|component| component.is_of_a_cluster()) {
        return Ok(wanted);
    }
    match lacking_for_a_cluster() {
        Some(sentence) if is_named => bail!(sentence),
        Some(sentence) => {
            eprintln!("setup: left out: {sentence}");
            wanted.retain(|component| !component.is_of_a_cluster());
        }
        None => {}
    }
    Ok(wanted)
}

/// Installs several components, side by side since most of the time is spent waiting for a registry.
pub(crate) fn ensure_all(components: &[Component]) -> Result<Vec<(Component, PathBuf)>> {
    java::require()?;
    let cache = &Cache::locate()?;
    thread::scope(|scope| {
        let started: Vec<_> =
            components.iter().map(|&component| (component, scope.spawn(move || component.ensure(cache)))).collect();
        let ended = started.into_iter().map(|(component, thread)| {
            let path = thread.join().map_err(|_| anyhow!("setting up {} panicked", component.name()))??;
            Ok((component, path))
        });
        ended.collect()
    })
}

/// Spark for the demo: the user's own if `SPARK_HOME` says so, else the cached 4 line; with the interpreter that fits it.
pub(crate) fn demo_spark(cache: &Cache) -> Result<DemoSpark> {
    match std::env::var_os("SPARK_HOME").filter(|home| !home.is_empty()) {
        Some(home) => Ok(DemoSpark { home: spark::check_home(Path::new(&home))?, python: None }),
        None => Ok(DemoSpark {
            home: spark::home(cache, spark::Line::V4)?,
            python: Some(spark::interpreter(cache, spark::Line::V4)?),
        }),
    }
}

/// See [`demo_spark`].
pub(crate) struct DemoSpark {
    /// Its `SPARK_HOME`.
    pub(crate) home: PathBuf,
    /// The Python to run jobs with; none leaves the choice to Spark.
    pub(crate) python: Option<PathBuf>,
}

/// The Java example compiled against the jars of the Spark at `spark_home`.
pub(crate) fn demo_jar(cache: &Cache, spark_home: &Path) -> Result<PathBuf> {
    demo_jar::ensure(cache, spark_home)
}
