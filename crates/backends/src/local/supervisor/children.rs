//! The driver and everything it started.
//!
//! The supervisor adopts orphans (it is a subreaper), so every process that descends from the driver is below it
//! in the tree of processes, whatever session or group it moved itself to. When `wait` says that there are no
//! children, there are no descendants: that is the proof that nothing is left.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpgrp, getpid, getsid, kill_process_group, wait};

use super::capture::Capture;
use super::ending::Action;
use super::raw;
use crate::local::attempt_dir::ExitStatus;
use crate::local::plan::Order;
use crate::local::process::{self, ProcessId, Status};

/// Whether the supervisor has any children, the driver's orphans included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaped {
    /// At least one.
    SomeLeft,
    /// None: everything that was started is gone.
    NoneLeft,
}

/// A started driver.
pub(super) struct Driver {
    pid: Pid,
    id: ProcessId,
    exit: Option<ExitStatus>,
}

impl Driver {
    /// Starts the driver in a process group of its own, with its output going to `capture`.
    ///
    /// What it writes elsewhere belongs to its users, so it gets the `umask` of the gateway, not ours.
    pub(super) fn spawn(order: &Order, work: &Path, umask: Mode, capture: &mut Capture) -> io::Result<Self> {
        let mut command = Command::new(&order.program);
        let work = order.work_dir.as_deref().unwrap_or(work);
        command.args(&order.args).env_clear().envs(&order.environment).current_dir(work);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        before_exec(&mut command, umask);
        let mut child = command.spawn()?;
        Self::take(&mut child, capture).inspect_err(|_| end_everything())
    }

    /// From here on the driver runs: an error must not leave it alone.
    fn take(child: &mut Child, capture: &mut Capture) -> io::Result<Self> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        if let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) {
            capture.attach(OwnedFd::from(stdout), OwnedFd::from(stderr))?;
        }
        Ok(Self { pid, id: ProcessId::of(pid)?, exit: None })
    }

    pub(super) const fn id(&self) -> ProcessId {
        self.id
    }

    /// How the driver's own process ended, once it was reaped.
    pub(super) const fn exit(&self) -> Option<ExitStatus> {
        self.exit
    }

    /// Reaps whatever ended.
    pub(super) fn reap(&mut self) -> Reaped {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.pid => {
                    let signal = status.terminating_signal().map(ExitStatus::Signal);
                    self.exit = signal.or(status.exit_status().map(ExitStatus::Code));
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return Reaped::SomeLeft,
                Err(_) => return Reaped::NoneLeft,
            }
        }
    }

    pub(super) fn act(&self, action: Action) {
        match action {
            Action::Nothing => {}
            Action::AskDriver => self.ask(),
            Action::AskDescendants => ask_descendants(),
            Action::KillDescendants => kill_descendants(),
        }
    }

    fn ask(&self) {
        // Its number can't be reused before it is reaped, and then there is nobody to ask.
        if self.exit.is_none() {
            let _ = kill_process_group(self.pid, Signal::TERM);
        }
    }
}

/// How often descendants are looked for in one go that start new ones while they are killed.
const KILL_ROUNDS_MAX: u32 = 1_000;

/// Every descendant of this process; none when that can't be told now, for it will be asked again.
fn descendants() -> Vec<Status> {
    process::list().map(|processes| process::descendants(raw(getpid()), &processes)).unwrap_or_default()
}

fn ask_descendants() {
    for descendant in descendants() {
        let _ = descendant.id().signal(Signal::TERM);
    }
}

/// Kills every descendant, and whoever they start meanwhile. Zombies too: their other threads may still run.
///
/// One that forks faster than `/proc` can be read would outrun us, so process groups are killed as well: that the
/// kernel does at one stroke.
fn kill_descendants() {
    let mut known = HashSet::new();
    for _ in 0..KILL_ROUNDS_MAX {
        let found = descendants();
        let groups: HashSet<i32> = found.iter().map(|process| process.group).collect();
        for group in groups {
            kill_group(group);
        }
        let mut any_new = false;
        for process in found {
            let _ = process.id().signal(Signal::KILL);
            any_new |= known.insert(process.id());
        }
        if !any_new {
            return;
        }
    }
}

/// Kills a group of descendants. In a session of our own there are only they and we.
fn kill_group(group: i32) {
    let own = getpid();
    let leads_session = getsid(None).is_ok_and(|session| session == own);
    if let Some(group) = Pid::from_raw(group).filter(|&group| group != getpgrp() && leads_session) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Kills and reaps until there are no descendants.
fn end_everything() {
    loop {
        kill_descendants();
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => std::thread::sleep(Duration::from_millis(1)),
            Err(_) => return,
        }
    }
}

#[allow(unsafe_code, reason = "only a step between fork and exec can tie the driver's life to the supervisor's")]
fn before_exec(command: &mut Command, umask: Mode) {
    let parent = getpid();
    let step = move || {
        rustix::process::umask(umask);
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the tie was made.
        if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(Errno::SRCH.into()) }
    };
    // SAFETY: the closure only makes system calls; it neither allocates nor takes locks.
    unsafe {
        command.pre_exec(step);
    }
}
