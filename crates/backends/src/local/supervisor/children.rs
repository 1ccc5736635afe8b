//! The driver and everything it started.
//!
//! The supervisor adopts orphans (it is a subreaper), so every process that descends from the driver is below it
//! in the tree of processes, whatever session or group it moved itself to. When `wait` says that there are no
//! children, there are no descendants: that is the proof that nothing is left.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process_group, wait};

use super::capture::Capture;
use super::ending::Action;
use super::raw;
use crate::local::attempt_dir::ExitStatus;
use crate::local::plan::Order;
use crate::local::process::{self, ProcessId};

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
    pub(super) fn spawn(order: &Order, work: &Path, capture: &mut Capture) -> io::Result<Self> {
        let mut command = Command::new(&order.program);
        command.args(&order.args).env_clear().envs(&order.environment).current_dir(work);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        die_with_parent(&mut command);
        let mut child = command.spawn()?;
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
            Action::AskDescendants => signal_descendants(Signal::TERM),
            Action::KillDescendants => signal_descendants(Signal::KILL),
        }
    }

    fn ask(&self) {
        // Its number can't be reused before it is reaped, and then there is nobody to ask.
        if self.exit.is_none() {
            let _ = kill_process_group(self.pid, Signal::TERM);
        }
    }
}

/// Signals every descendant of this process. Zombies are signalled too: their other threads may still run.
fn signal_descendants(signal: Signal) {
    for descendant in process::descendants(raw(getpid()), &process::list()) {
        descendant.signal(signal);
    }
}

#[allow(unsafe_code, reason = "only a step between fork and exec can tie the driver's life to the supervisor's")]
fn die_with_parent(command: &mut Command) {
    let parent = getpid();
    let tie = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the tie was made.
        if rustix::process::getppid() == Some(parent) { Ok(()) } else { Err(Errno::SRCH.into()) }
    };
    // SAFETY: the closure only makes system calls; it neither allocates nor takes locks.
    unsafe {
        command.pre_exec(tie);
    }
}
