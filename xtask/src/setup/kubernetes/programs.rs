//! Kubernetes, etcd and CoreDNS, compiled here from Go modules that `go.sum` pins.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, anyhow};

use super::super::cache::{Cache, Recipe};
use crate::process::{self, find_in_path};

/// The combined program of Kubernetes and etcd.
pub(super) const COMBINED: &str = "hyperkube";
/// The names that the combined program is called by.
const PARTS: &[&str] = &["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl"];

/// A Go module below `e2e/cluster`, with one program.
struct Module {
    folder: &'static str,
    program: &'static str,
}

const KUBERNETES: Module = Module { folder: "kubernetes", program: COMBINED };
const COREDNS: Module = Module { folder: "coredns", program: "coredns" };

/// The folder of the programs, compiled if the cache has none from the same sources.
pub(super) fn ensure(cache: &Cache) -> Result<PathBuf> {
    let mut sources = Vec::new();
    for module in [KUBERNETES, COREDNS] {
        for file in ["go.mod", "go.sum", "main.go"] {
            sources.push(read(&module.source().join(file))?);
        }
    }
    let parts: Vec<&[u8]> = sources.iter().map(String::as_bytes).collect();
    cache.ensure(&Recipe { name: "kubernetes-programs", parts: &parts, proof: COMBINED }, compile)
}

/// Go's caches grow to gigabytes, which nothing needs again before the versions change: they go with the build.
fn compile(folder: &Path) -> Result<()> {
    let caches = tempfile::tempdir_in(folder)?;
    let version = kubernetes_version(&read(&KUBERNETES.source().join("go.mod"))?)?;
    KUBERNETES.compile(folder, caches.path(), &version_flags(&version))?;
    COREDNS.compile(folder, caches.path(), "-s -w")?;
    for part in PARTS {
        std::os::unix::fs::symlink(COMBINED, folder.join(part))?;
    }
    Ok(())
}

impl Module {
    fn source(&self) -> PathBuf {
        super::sources().join(self.folder)
    }

    fn compile(&self, folder: &Path, caches: &Path, linker_flags: &str) -> Result<()> {
        let go = find_in_path("go").ok_or_else(|| anyhow!("Go is needed to compile {}", self.program))?;
        let mut build = Command::new(go);
        build.args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", linker_flags, "-o"]);
        build.arg(folder.join(self.program)).arg(".").current_dir(self.source());
        build.env("GOCACHE", caches.join("build")).env("GOMODCACHE", caches.join("modules"));
        // Modules are read-only unless it is said: then they could not be removed.
        build.env("GOFLAGS", "-modcacherw").env("CGO_ENABLED", "0").env("GOWORK", "off");
        process::capture(&mut build).map(drop)
    }
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("read {}", file.display()))
}

/// `v1.2.3`, as `go.mod` requires it.
fn kubernetes_version(go_mod: &str) -> Result<String> {
    let required = go_mod.lines().find_map(|line| line.trim().strip_prefix("require k8s.io/kubernetes "));
    Ok(required.ok_or_else(|| anyhow!("go.mod requires no k8s.io/kubernetes"))?.trim().to_owned())
}

/// Smaller by its symbols, and with the version that the program is to report.
fn version_flags(version: &str) -> String {
    let package = "k8s.io/component-base/version";
    let numbers: Vec<&str> = version.trim_start_matches('v').split('.').collect();
    let (major, minor) = (numbers.first().unwrap_or(&"0"), numbers.get(1).unwrap_or(&"0"));
    format!(
        "-s -w -X {package}.gitVersion={version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor} \
         -X {package}.gitTreeState=clean -X k8s.io/client-go/pkg/version.gitVersion={version}"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn the_version_is_the_one_that_is_required() {
        let go_mod = "module x\n\nrequire k8s.io/kubernetes v1.36.3\n\nrequire (\n\tk8s.io/api v0.36.3\n)\n";
        assert_eq!(kubernetes_version(go_mod).unwrap(), "v1.36.3");
        assert!(kubernetes_version("module x").is_err());
        let flags = version_flags("v1.36.3");
        assert!(flags.contains("gitVersion=v1.36.3 ") && flags.contains("gitMinor=36 "), "{flags}");
    }
}
