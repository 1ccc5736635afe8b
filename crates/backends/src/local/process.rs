//! Processes named so that a number used again can't be mistaken for them, and what `/proc` tells about them.
//!
//! A pid alone names nothing: it is reused. Together with its start time it names one process of one boot.
//! Signals go through a pidfd that was opened before the start time was compared, so they can't go astray.
//!
//! Being gone and being unable to tell are different answers: a gateway short of file descriptors must not take
//! what runs for dead. Only `ENOENT` and `ESRCH` mean gone; everything else is an error.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// One process of the current boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    /// Its number, positive.
    pub(crate) pid: i32,
    /// When it was started, in clock ticks since boot.
    pub(crate) start_time: u64,
}

impl ProcessId {
    /// The process that has this number now, zombies included.
    ///
    /// # Errors
    /// Also when there is none.
    pub(crate) fn of(pid: Pid) -> io::Result<Self> {
        let status = Status::read(pid.as_raw_nonzero().get())?;
        status.map(|status| status.id()).ok_or_else(|| Errno::SRCH.into())
    }

    /// A handle on it; `None` when it is gone. It may have ended and wait to be reaped.
    pub(crate) fn open(self) -> io::Result<Option<OwnedFd>> {
        // Numbers come from files that a driver can write to.
        let Some(pid) = Some(self.pid).filter(|&pid| pid > 0).and_then(Pid::from_raw) else { return Ok(None) };
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Compared after opening: from here on the handle can't come to mean another process.
        let now = Status::read(self.pid)?;
        Ok(now.is_some_and(|status| status.id() == self).then_some(handle))
    }

    /// Whether it runs: it is there and not a zombie.
    pub(crate) fn is_alive(self) -> io::Result<bool> {
        Ok(Status::read(self.pid)?.is_some_and(|status| status.id() == self && !status.is_dead()))
    }

    /// Sends a signal; `false` when the process is gone.
    pub(crate) fn signal(self, signal: Signal) -> io::Result<bool> {
        let Some(handle) = self.open()? else { return Ok(false) };
        match pidfd_send_signal(handle, signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// What `/proc/PID/stat` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// Its number.
    pub(crate) pid: i32,
    /// The letter of its state, `Z` for a zombie.
    pub(crate) state: u8,
    /// Who would be told of its end.
    pub(crate) parent: i32,
    /// The process group it belongs to, named by its leader's number.
    pub(crate) group: i32,
    /// The session it belongs to, named by its leader's number.
    pub(crate) session: i32,
    /// When it was started, in clock ticks since boot.
    pub(crate) start_time: u64,
}

impl Status {
    /// Reads it; `None` when there is no such process.
    fn read(pid: i32) -> io::Result<Option<Self>> {
        let Some(text) = unless_gone(fs::read(format!("/proc/{pid}/stat")))? else { return Ok(None) };
        let status = Self::parse(&text);
        status.map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unreadable process status"))
    }

    /// The name of the program stands in parentheses and may contain anything, parentheses included.
    fn parse(text: &[u8]) -> Option<Self> {
        let name_start = text.iter().position(|&b| b == b'(')?;
        let name_end = text.iter().rposition(|&b| b == b')')?;
        let pid = std::str::from_utf8(text.get(..name_start)?).ok()?.trim().parse().ok()?;
        let fields = std::str::from_utf8(text.get(name_end + 1..)?).ok()?;
        let mut fields = fields.split_ascii_whitespace();
        Some(Self {
            pid,
            state: *fields.next()?.as_bytes().first()?,
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
            session: fields.next()?.parse().ok()?,
            start_time: fields.nth(15)?.parse().ok()?,
        })
    }

    /// Whether its main thread is gone. Other threads of a zombie may still run.
    pub(crate) const fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }

    pub(crate) const fn id(&self) -> ProcessId {
        ProcessId { pid: self.pid, start_time: self.start_time }
    }
}

/// `None` for what the kernel says of a process that is gone.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Every process that can be seen. One that starts meanwhile may be missing, and so may those of other users.
pub(crate) fn list() -> io::Result<Vec<Status>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        match Status::read(pid) {
            // `/proc` may be mounted so that it hides what isn't ours to signal anyway.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            status => found.extend(status?),
        }
    }
    Ok(found)
}

/// The descendants of `ancestor` among `processes`, nearest first.
pub(crate) fn descendants(ancestor: i32, processes: &[Status]) -> Vec<Status> {
    let mut children: HashMap<i32, Vec<Status>> = HashMap::new();
    for process in processes {
        children.entry(process.parent).or_default().push(*process);
    }
    let mut found = Vec::new();
    let mut parents = vec![ancestor];
    while let Some(parent) = parents.pop() {
        // Removing makes this end even if reused numbers formed a circle.
        for child in children.remove(&parent).unwrap_or_default() {
            parents.push(child.pid);
            found.push(child);
        }
    }
    found
}

/// What can be said about the environment that a process was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carries {
    /// It has the variable with the value.
    Yes,
    /// It hasn't, or it is gone.
    No,
    /// It belongs to somebody else, or has privileges that hide it.
    Hidden,
}

/// Whether the process was started with `name=value` in its environment.
pub(crate) fn carries(pid: i32, name_and_value: &str) -> io::Result<Carries> {
    match unless_gone(fs::read(format!("/proc/{pid}/environ"))) {
        Ok(Some(all)) if all.split(|&b| b == 0).any(|entry| entry == name_and_value.as_bytes()) => Ok(Carries::Yes),
        Ok(_) => Ok(Carries::No),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Carries::Hidden),
        Err(error) => Err(error),
    }
}

/// What a process id of this machine is valid in: the boot, and the namespace that counts the processes.
///
/// A container that is started again is a new namespace: whatever ran in the old one is gone, as after a reboot.
pub(crate) fn boot() -> io::Result<String> {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let namespace = fs::read_link("/proc/self/ns/pid")?;
    Ok(format!("{} {}", boot_id.trim(), namespace.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_program_may_be_named_like_the_rest_of_the_line() {
        let text = b"42 (a) R 1 (b) S 7 42 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0";
        let status = Status::parse(text).unwrap();
        let expected = Status { pid: 42, state: b'S', parent: 7, group: 42, session: 9, start_time: 777 };
        assert_eq!(status, expected);
    }

    #[test]
    fn garbage_is_no_status() {
        for garbage in ["", "1", "1 (", "1 (a)", "1 (a) S", ") (", "x (a) S 1 1 1"] {
            assert_eq!(Status::parse(garbage.as_bytes()), None, "{garbage}");
        }
    }

    #[test]
    fn this_process_is_alive_and_a_reused_number_is_not_it() {
        let own = ProcessId::of(rustix::process::getpid()).unwrap();
        assert!(own.is_alive().unwrap() && own.open().unwrap().is_some());
        let other = ProcessId { start_time: own.start_time + 1, ..own };
        assert!(!other.is_alive().unwrap() && other.open().unwrap().is_none());
        assert!(ProcessId { pid: -1, start_time: 0 }.open().unwrap().is_none());
    }

    #[test]
    fn descendants_are_found_through_generations_and_circles_end() {
        let process = |pid, parent| Status { pid, state: b'S', parent, group: 1, session: 1, start_time: 1 };
        let processes = [process(2, 1), process(3, 2), process(4, 3), process(9, 8), process(1, 4)];
        let mut found: Vec<i32> = descendants(2, &processes).into_iter().map(|id| id.pid).collect();
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3, 4]);
    }
}
