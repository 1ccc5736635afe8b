//! Counts how often the gateway syncs, without slowing it down as tracing it would.
//!
//! A few lines of C, compiled on the spot by the compiler that the build needs anyway, are loaded into the gateway
//! and count its calls of `fsync` and `fdatasync` in a file that both share.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

const SOURCE: &str = include_str!("count_syncs.c");

/// A counter for one gateway.
#[derive(Debug)]
pub(crate) struct SyncCounter {
    folder: TempDir,
}

impl SyncCounter {
    pub(crate) fn new() -> Result<Self> {
        let counter = Self { folder: tempfile::tempdir()? };
        let source = counter.folder.path().join("count_syncs.c");
        fs::write(&source, SOURCE)?;
        fs::write(counter.file(), 0_u64.to_ne_bytes())?;
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut command = Command::new(compiler);
        command.args(["-shared", "-fPIC", "-O2", "-o"]).arg(counter.library()).arg(source).arg("-ldl");
        let status = command.status().context("start the C compiler")?;
        ensure!(status.success(), "the C compiler ended with {status}");
        Ok(counter)
    }

    /// What the gateway's environment needs.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let path = |path: PathBuf| path.display().to_string();
        vec![("LD_PRELOAD".into(), path(self.library())), ("COUNT_SYNCS_FILE".into(), path(self.file()))]
    }

    /// How often it has synced so far.
    pub(crate) fn count(&self) -> Result<u64> {
        let bytes = fs::read(self.file())?;
        Ok(u64::from_ne_bytes(bytes.as_slice().try_into().context("read the counter of syncs")?))
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("count_syncs.so")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("syncs")
    }
}
