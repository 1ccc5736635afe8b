//! A real Kubernetes cluster for tests, as far as it is installed: `e2e/cluster` starts it, the crate `e2e` drives it.
//!
//! [`home`] holds the programs ([`programs`]), containerd and runc as Debian packages them ([`debian`]), the smallest image
//! and the cluster's keys. [`spark_image`] makes the images of Spark. Nothing of it is installed in the system.

mod debian;
mod image;
mod programs;
pub(super) mod spark_image;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::json;

use self::{debian::Apt, image::Layer};
use super::cache::{Cache, Recipe};
use crate::process::{self, find_in_path};

/// What runs containers, and a shell in one file for containers that only have to be there.
const PACKAGES: &[&str] = &["containerd", "runc", "containernetworking-plugins", "busybox-static"];

/// As `e2e/cluster/settings.sh` calls it.
const BUSYBOX_IMAGE: &str = "lamplighter.test/busybox:1";
const BUSYBOX_PROGRAMS: &[&str] =
    &["cat", "dd", "env", "id", "ls", "nc", "nslookup", "ps", "rm", "sh", "sleep", "touch"];

/// What starting a cluster needs of the machine, and where Debian has it.
const NEEDED_PROGRAMS: &[(&str, &str)] = &[
    ("apt-get", "a Debian-like distribution"),
    ("curl", "apt-get install curl"),
    ("flock", "apt-get install util-linux"),
    ("go", "Go 1.26 or newer, see https://go.dev/dl"),
    ("ip", "apt-get install iproute2"),
    ("openssl", "apt-get install openssl"),
    ("perl", "apt-get install perl"),
    ("setpriv", "apt-get install util-linux"),
    ("unshare", "apt-get install util-linux"),
];

/// Why this machine can't run a cluster, as a sentence; `None` when it can.
pub(crate) fn lacking() -> Option<String> {
    let sentence = |need: String| Some(format!("a Kubernetes cluster inside this machine needs {need}"));
    if !cfg!(target_os = "linux") {
        return sentence("Linux".to_owned());
    }
    if !rustix::process::geteuid().is_root() {
        return sentence("root, for its network and its mounts".to_owned());
    }
    if let Some((program, source)) = NEEDED_PROGRAMS.iter().find(|(program, _)| find_in_path(program).is_none()) {
        return sentence(format!("{program}: {source}"));
    }
    let mut namespaces = Command::new("unshare");
    namespaces.args(["--net", "--mount", "--pid", "--uts", "--ipc", "--fork", "mount", "-t", "tmpfs", "none", "/run"]);
    if process::capture(&mut namespaces).is_err() {
        return sentence("the right to make namespaces and mounts, which this container hasn't got".to_owned());
    }
    None
}

/// The folder `e2e/cluster`, which holds everything but the code that drives it.
fn sources() -> PathBuf {
    process::repository().join("e2e/cluster")
}

/// The folder that `e2e/cluster/settings.sh` calls `HOME_DIR`, installed if need be.
pub(super) fn home(cache: &Cache) -> Result<PathBuf> {
    let programs = programs::ensure(cache)?;
    let read = |file: &str| fs::read(sources().join(file)).with_context(|| format!("read {file}"));
    let (pki, settings) = (read("pki.sh")?, read("settings.sh")?);
    let packages = PACKAGES.join(" ");
    let parts: &[&[u8]] = &[programs.as_os_str().as_encoded_bytes(), &pki, &settings, packages.as_bytes()];
    let recipe = Recipe { name: "kubernetes", parts, proof: "bin/kubelet" };
    cache.ensure(&recipe, |folder| install(folder, &programs))
}

fn install(folder: &Path, programs: &Path) -> Result<()> {
    symlink(programs, folder.join("bin"))?;
    let packages = folder.join("packages");
    Apt::update(tempfile::tempdir_in(folder)?.path())?.unpack(PACKAGES, &packages)?;
    write_busybox_image(&folder.join("busybox.tar"), &packages.join("bin/busybox"))?;
    process::capture(Command::new(sources().join("pki.sh")).arg(folder.join("pki"))).map(drop)
}

/// The image of the container that holds each pod's network; it does for pods that need a shell, too.
fn write_busybox_image(archive: &Path, busybox: &Path) -> Result<()> {
    let file = tempfile::NamedTempFile::new_in(archive.parent().unwrap_or(archive))?;
    let mut layer = Layer::create(file.path())?;
    layer.folder("bin", 0o755)?;
    layer.copy(busybox, "bin/busybox", 0o755)?;
    for program in BUSYBOX_PROGRAMS {
        layer.link(&format!("bin/{program}"), "busybox")?;
    }
    layer.folder("tmp", 0o1777)?;
    layer.folder("etc", 0o755)?;
    layer.file("etc/passwd", 0o644, b"root:x:0:0::/:/bin/sh\n")?;
    layer.finish()?;
    let config = json!({"Entrypoint": ["/bin/sleep", "2147483647"], "Env": ["PATH=/bin"]});
    image::write(archive, BUSYBOX_IMAGE, &config, &[file.path()])
}
