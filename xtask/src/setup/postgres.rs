//! PostgreSQL's server programs: the operating system's package, which tests start unprivileged on loopback.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, anyhow};

use crate::process::{self, find_in_path, is_executable};

/// Where Debian keeps them, one folder per version, and not in `PATH`.
const DEBIAN: &str = "/usr/lib/postgresql";

const NEEDED: &str = "PostgreSQL's server programs are needed for the tests: apt-get install postgresql";

/// The folder of `initdb` and `postgres`; root on Debian gets the package installed when there is none.
pub(crate) fn programs() -> Result<PathBuf> {
    if let Some(folder) = find() {
        return Ok(folder);
    }
    let apt = find_in_path("apt-get").filter(|_| rustix::process::geteuid().is_root());
    install(&apt.ok_or_else(|| anyhow!(NEEDED))?)?;
    find().ok_or_else(|| anyhow!(NEEDED))
}

fn find() -> Option<PathBuf> {
    let in_path = find_in_path("initdb").and_then(|initdb| initdb.canonicalize().ok());
    let beside_initdb = in_path.and_then(|initdb| Some(initdb.parent()?.to_owned())).filter(|folder| has_both(folder));
    beside_initdb.or_else(|| newest(Path::new(DEBIAN)))
}

/// The programs of the highest version below `folder`.
fn newest(folder: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(folder).ok()?.filter_map(|entry| {
        let entry = entry.ok()?;
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    versions.filter(|(_, folder)| has_both(folder)).max().map(|(_, folder)| folder)
}

fn has_both(folder: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|program| is_executable(&folder.join(program)))
}

fn install(apt: &Path) -> Result<()> {
    eprintln!("setup: postgresql is being installed with apt-get");
    process::capture(Command::new(apt).args(["--quiet", "update"]))?;
    let mut install = Command::new(apt);
    install.args(["--quiet", "install", "--yes", "--no-install-recommends", "postgresql"]);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    process::capture(&mut install).map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_highest_complete_version_is_taken() {
        let home = tempfile::tempdir().unwrap();
        for (version, programs) in
            [("9", ["initdb", "postgres"]), ("15", ["initdb", "postgres"]), ("17", ["psql", "initdb"])]
        {
            let folder = home.path().join(version).join("bin");
            fs::create_dir_all(&folder).unwrap();
            for program in programs {
                fs::write(folder.join(program), "").unwrap();
                fs::set_permissions(folder.join(program), PermissionsExt::from_mode(0o755)).unwrap();
            }
        }
        assert_eq!(newest(home.path()), Some(home.path().join("15/bin")));
        assert_eq!(newest(&home.path().join("nothing")), None);
    }
}
