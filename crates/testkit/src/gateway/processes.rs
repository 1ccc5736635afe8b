//! Finds and ends the processes that belong to a data folder.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How long killed processes may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Every living process that works in the folder or was started with its path in arguments or environment.
pub(super) fn of(folder: &Path) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| belongs(*pid, folder)).collect()
}

fn belongs(pid: i32, folder: &Path) -> bool {
    let works_there = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(folder));
    works_there || ["cmdline", "environ"].iter().any(|file| mentions(&format!("/proc/{pid}/{file}"), folder))
}

fn mentions(file: &str, folder: &Path) -> bool {
    let path = folder.as_os_str().as_encoded_bytes();
    fs::read(file).is_ok_and(|text| text.windows(path.len()).any(|window| window == path))
}

/// Kills them until none is left.
pub(super) fn end_all(folder: &Path) {
    let patient_until = Instant::now() + PATIENCE;
    loop {
        let left = of(folder);
        if left.is_empty() {
            return;
        }
        if Instant::now() > patient_until {
            eprintln!("processes {left:?} of {} could not be killed", folder.display());
            return;
        }
        left.into_iter().for_each(|pid| kill(pid, folder));
        thread::sleep(Duration::from_millis(5));
    }
}

/// Looks again with the process in hand, because its number may mean another one by now.
fn kill(pid: i32, folder: &Path) {
    let handle = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    if let Some(handle) = handle.filter(|_| belongs(pid, folder)) {
        // It may have ended by itself.
        let _ = pidfd_send_signal(&handle, Signal::KILL);
    }
}
