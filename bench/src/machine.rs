//! What the figures were measured on, its disk above all: a durable answer waits for one.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::report::{Section, number};
use crate::sample::Sample;

/// Syncs that are timed.
const SYNCS: usize = 500;

/// Describes this machine.
pub(crate) fn measure() -> Result<Vec<Section>> {
    let mut section = Section::with_columns("machine", ["", ""]);
    let cores = std::thread::available_parallelism()?.get();
    section.row(["processor".to_owned(), format!("{} × {}", cores, field("/proc/cpuinfo", "model name"))]);
    section.row(["memory".to_owned(), field("/proc/meminfo", "MemTotal")]);
    section.row(["system", fs::read_to_string("/proc/sys/kernel/osrelease")?.trim()]);
    let syncs = syncs()?;
    let shown = format!("p50 {} ms, p90 {} ms", number(syncs.p50()), number(syncs.p90()));
    section.row(["4 KiB appended and `fdatasync`".to_owned(), shown]);
    section.row(["commit".to_owned(), commit()]);
    Ok(vec![section])
}

fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    line.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
}

fn syncs() -> Result<Sample> {
    let folder = tempfile::tempdir()?;
    let mut file = File::create(folder.path().join("syncs"))?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let started = Instant::now();
        file.write_all(&[1; 4_096])?;
        file.sync_data()?;
        times.push(started.elapsed());
    }
    Ok(times.into_iter().collect())
}

fn commit() -> String {
    let git =
        Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    git.map_or_else(|_| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
