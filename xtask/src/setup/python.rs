//! Python environments: one virtual environment per lock file, installed with every hash checked.
//!
//! An environment is moved once after it was built, so its interpreter is run (`bin/python -m …`), never its scripts.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, anyhow};

use super::cache::{Cache, Recipe};
use crate::process::{self, find_in_path};

/// What builds source archives; installed before them, so that nothing unpinned is downloaded for a build.
const BUILD_LOCK: &str = include_str!("../../requirements/build.lock");

/// pylivy, as its author's users install it.
pub(crate) const CLIENTS: VirtualEnvironment = VirtualEnvironment {
    name: "clients",
    lock: include_str!("../../requirements/clients.lock"),
    packages: Packages::Wheels,
};

/// Airflow with its Livy provider: far too many packages to share an environment with anything.
pub(crate) const AIRFLOW: VirtualEnvironment = VirtualEnvironment {
    name: "airflow",
    lock: include_str!("../../requirements/airflow.lock"),
    packages: Packages::Wheels,
};

/// A virtual environment in the cache.
pub(crate) struct VirtualEnvironment {
    /// The name of its folder.
    pub(crate) name: &'static str,
    /// Its lock file: every package with its version and hashes.
    pub(crate) lock: &'static str,
    /// How its packages come.
    pub(crate) packages: Packages,
}

/// How the packages of an environment come.
#[derive(Clone, Copy)]
pub(crate) enum Packages {
    /// As wheels only: nothing is built.
    Wheels,
    /// As source archives, built with the tools of the build lock.
    Sources,
}

impl VirtualEnvironment {
    /// The interpreter of the environment, installed if the cache has none that fits the lock file.
    pub(crate) fn interpreter(&self, cache: &Cache) -> Result<PathBuf> {
        Ok(self.folder(cache)?.join("bin/python"))
    }

    /// The folder of its installed packages.
    pub(crate) fn site_packages(&self, cache: &Cache) -> Result<PathBuf> {
        let libraries = self.folder(cache)?.join("lib");
        let entries = fs::read_dir(&libraries).with_context(|| format!("list {}", libraries.display()))?;
        entries
            .filter_map(|entry| Some(entry.ok()?.path().join("site-packages")))
            .find(|folder| folder.is_dir())
            .ok_or_else(|| anyhow!("{} holds no site-packages", libraries.display()))
    }

    fn folder(&self, cache: &Cache) -> Result<PathBuf> {
        let parts = match self.packages {
            Packages::Wheels => &[self.lock.as_bytes()][..],
            Packages::Sources => &[self.lock.as_bytes(), BUILD_LOCK.as_bytes()][..],
        };
        let recipe = Recipe { name: self.name, parts, proof: "bin/python" };
        cache.ensure(&recipe, |folder| self.install(folder))
    }

    fn install(&self, folder: &Path) -> Result<()> {
        process::capture(Command::new(find()?).args(["-m", "venv"]).arg(folder))
            .context("create a virtual environment; on Debian that needs the package python3-venv")?;
        match self.packages {
            Packages::Wheels => pip_install(folder, self.lock, &["--only-binary", ":all:"]),
            Packages::Sources => {
                pip_install(folder, BUILD_LOCK, &["--only-binary", ":all:"])?;
                pip_install(folder, self.lock, &["--no-build-isolation"])
            }
        }
    }
}

fn pip_install(folder: &Path, lock: &str, options: &[&str]) -> Result<()> {
    let requirements = folder.join("requirements.lock");
    fs::write(&requirements, lock)?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]);
    pip.args(options).arg("--requirement").arg(&requirements);
    process::capture(&mut pip).map(drop)
}

/// A Python that Spark and Airflow support: `$PYTHON`, or the first fitting one in `PATH`.
pub(crate) fn find() -> Result<PathBuf> {
    let chosen = std::env::var("PYTHON").ok().filter(|python| !python.is_empty());
    let candidates = chosen.iter().map(String::as_str).chain(["python3.11", "python3.12", "python3"]);
    let fits = candidates.filter_map(find_in_path_or_file).find_map(|python| interpreter_if_supported(&python));
    fits.ok_or_else(|| {
        anyhow!(
            "Python 3.11 or newer is needed for PySpark and the clients: apt-get install python3 python3-venv, or set PYTHON"
        )
    })
}

fn find_in_path_or_file(python: &str) -> Option<PathBuf> {
    if python.contains('/') { Some(PathBuf::from(python)) } else { find_in_path(python) }
}

/// The interpreter behind `python`, which may be a shim that looks at the current folder, if its version is supported.
fn interpreter_if_supported(python: &Path) -> Option<PathBuf> {
    let program = "import sys; print(sys.executable if sys.version_info >= (3, 11) else '')";
    let said = process::capture(Command::new(python).args(["-c", program])).ok()?;
    let executable = String::from_utf8(said).ok()?.trim().to_owned();
    (!executable.is_empty()).then(|| PathBuf::from(executable))
}
