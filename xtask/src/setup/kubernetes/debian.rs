//! Packages of the machine's own distribution, downloaded and unpacked but not installed.
//!
//! Lists and archives are kept apart from the system's, so that nothing here waits for, or disturbs, another apt. Where
//! packages come from is what the machine's apt is configured with.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::process;

/// An apt with lists of its own.
pub(super) struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Reads what there is now. `folder`, which exists and is empty, holds the lists; the caller removes it.
    pub(super) fn update(folder: &Path) -> Result<Self> {
        let apt = Self { folder: folder.to_owned() };
        for part in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        process::capture(apt.command().arg("update"))?;
        Ok(apt)
    }

    /// Downloads `packages` and unpacks them below `root`, without what they depend on and without running anything.
    pub(super) fn unpack(&self, packages: &[&str], root: &Path) -> Result<()> {
        let archives = self.folder.join("archives");
        process::capture(self.command().arg("download").args(packages).current_dir(&archives))?;
        for entry in fs::read_dir(&archives)? {
            let archive = entry?.path();
            if archive.extension().is_some_and(|extension| extension == "deb") {
                process::capture(Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(root))?;
                fs::remove_file(&archive)?;
            }
        }
        Ok(())
    }

    /// The distribution's sources as lines of a `sources.list`.
    pub(super) fn sources(&self) -> Result<String> {
        let release = fs::read_to_string("/etc/os-release").context("read /etc/os-release")?;
        let Some(codename) = codename(&release) else { bail!("/etc/os-release names no VERSION_CODENAME") };
        let format = "$(SITE) $(RELEASE) $(COMPONENT) $(ORIGIN)";
        let targets =
            process::capture(self.command().args(["indextargets", "--format", format, "Identifier: Packages"]))?;
        let lines = source_lines(&String::from_utf8_lossy(&targets), codename);
        if lines.is_empty() {
            bail!("apt has no sources for {codename}");
        }
        Ok(lines)
    }

    fn command(&self) -> Command {
        let mut apt = Command::new("apt-get");
        let set = |name: &str, part: &str| format!("{name}={}", self.folder.join(part).display());
        apt.args(["--quiet", "-o", &set("Dir::State::Lists", "lists"), "-o", &set("Dir::Cache", ".")]);
        // As root, apt would give up its rights for downloads, and then not reach a folder in root's home.
        apt.args(["-o", "APT::Sandbox::User=root"]);
        apt
    }
}

/// `bookworm`, from the text of `/etc/os-release`.
pub(super) fn codename(release: &str) -> Option<&str> {
    release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).map(|name| name.trim_matches('"'))
}

/// From lines of "site release component origin", those that are the distribution's own.
fn source_lines(targets: &str, codename: &str) -> String {
    let line = |target: &str| {
        let mut words = target.split_whitespace();
        let (site, release, component) = (words.next()?, words.next()?, words.next()?);
        let own = matches!(words.next()?, "Debian" | "Ubuntu")
            && release.strip_prefix(codename).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        (own && matches!(component, "main" | "universe")).then(|| format!("deb {site} {release} {component}\n"))
    };
    targets.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_distributions_own_sources_are_taken() {
        let targets = "http://a/debian bookworm main Debian\n\
                       http://a/debian bookworm non-free Debian\n\
                       http://a/debian bookworm-updates main Debian\n\
                       http://a/debian sid main Debian\n\
                       http://b/sdk bookworm main Somebody\n\
                       http://b/nothing\n";
        let expected = "deb http://a/debian bookworm main\ndeb http://a/debian bookworm-updates main\n";
        assert_eq!(source_lines(targets, "bookworm"), expected);
    }

    #[test]
    fn the_codename_is_read_with_and_without_quotes() {
        assert_eq!(codename("ID=debian\nVERSION_CODENAME=bookworm\n"), Some("bookworm"));
        assert_eq!(codename("VERSION_CODENAME=\"noble\""), Some("noble"));
        assert_eq!(codename("ID=arch\n"), None);
    }
}
