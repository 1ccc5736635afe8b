//! The process that stands between the gateway and one driver, so that the driver survives the gateway.
//!
//! Start with [`supervise`]. It claims the attempt, starts the driver, keeps its output, ends it when told, makes
//! sure that no descendant is left, records how it ended, and exits. It has one thread and one loop, and it needs
//! nobody: a gateway that wants to know something reads the attempt's folder, see `attempt_dir`.

mod capture;
mod children;
mod ending;

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use model::time::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::process::{Pid, Signal, getpid};
use signal_hook::consts::signal::{SIGCHLD, SIGTERM};

use self::capture::Capture;
use self::children::{Driver, Reaped};
use self::ending::Ending;
use super::attempt_dir::{AttemptDir, AttemptLock, ExitRecord, ExitStatus, Identity, Place, StopRequest, Temporary};
use super::open_files;
use super::plan::Order;
use super::process::{ProcessId, boot};
use crate::log::LogWriter;

/// What the supervisor tells whoever started it, as one line on its standard output.
pub(crate) mod answer {
    /// The driver was started, or it was tried and the failure is recorded.
    pub(crate) const STARTED: &str = "started";
    /// Another supervisor has the attempt, or had it.
    pub(crate) const TAKEN: &str = "taken";
    /// The attempt was made never to start.
    pub(crate) const FENCED: &str = "fenced";
    /// Followed by the reason why nothing was started.
    pub(crate) const FAILED: &str = "failed";
}

/// The grace of a stop that says nothing about it, because somebody signalled the supervisor by hand.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// How long the lock of an attempt may be held by somebody who decides whether it starts.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// How often recording the end is tried on a disk that is full, and how long between.
const RECORD_TRIES: u32 = 600;
const RECORD_PAUSE: Duration = Duration::from_millis(100);
/// Room that is taken for the record of the end: more than its longest evidence needs, however it is escaped.
const RECORD_BYTES: u64 = 16 << 10;

/// Runs the attempt in the folder `dir` to its end; what `lamplighter supervise DIR` does.
///
/// Call it before anything starts a thread. It makes the process the leader of a new session and the parent of
/// all orphans below it.
pub fn supervise(dir: &Path) -> ExitCode {
    let dir = AttemptDir::at(dir);
    let claim = match claim(&dir) {
        Ok(claim) => claim,
        Err(refusal) => {
            say(&refusal.line());
            return refusal.exit_code();
        }
    };
    match run(&dir, claim) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be listening any more, but a person may look at it.
            eprintln!("supervise {}: {error}", dir.path().display());
            ExitCode::FAILURE
        }
    }
}

/// Why the attempt was not started by this supervisor.
enum Refusal {
    Taken,
    Fenced,
    Failed(io::Error),
}

impl Refusal {
    fn line(&self) -> String {
        match self {
            Self::Taken => answer::TAKEN.to_owned(),
            Self::Fenced => answer::FENCED.to_owned(),
            Self::Failed(error) => format!("{} {error}", answer::FAILED),
        }
    }

    fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Taken => 3,
            Self::Fenced => 4,
            Self::Failed(_) => 1,
        })
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// The right to start the attempt, once.
struct Claim {
    order: Order,
    capture: Capture,
    signals: Signals,
    identity: Identity,
    /// What the gateway lets others do with files it makes; the driver's files are its users' own.
    umask: Mode,
    /// Held as long as this process lives.
    _lock: AttemptLock,
}

/// Decides whether the attempt is ours, and if it is, writes down that it started.
fn claim(dir: &AttemptDir) -> Result<Claim, Refusal> {
    let order: Order = dir.read()?.ok_or_else(|| io::Error::other("there is no order"))?;
    detach(dir)?;
    // Everything we write is for the gateway alone.
    let umask = rustix::process::umask(Mode::RWXG | Mode::RWXO);
    open_files::restore();
    let lock = take_lock(dir)?;
    if dir.is_fenced()? {
        return Err(Refusal::Fenced);
    }
    if dir.has_begun()? {
        return Err(Refusal::Taken);
    }
    let capture = Capture::new(LogWriter::create(&dir.log(), order.log)?);
    // Whoever reads the identity may send signals at once.
    let signals = Signals::catch()?;
    let identity =
        Identity { boot: boot()?, supervisor: ProcessId::of(getpid())?, driver: None, started_at: current_time() };
    dir.write(&identity)?;
    Ok(Claim { order, capture, signals, identity, umask, _lock: lock })
}

/// Becomes independent of who started us, and the parent of all orphans among our descendants.
fn detach(dir: &AttemptDir) -> io::Result<()> {
    // Fails for the leader of a process group, which then is the leader of its session too or was started by hand.
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"lamp-supervise");
    rustix::process::set_child_subreaper(Some(getpid()))?;
    Ok(rustix::process::chdir(dir.path())?)
}

fn take_lock(dir: &AttemptDir) -> Result<AttemptLock, Refusal> {
    let patient_until = Instant::now() + LOCK_PATIENCE;
    loop {
        if let Some(lock) = dir.try_lock()? {
            return Ok(lock);
        }
        if Instant::now() > patient_until || dir.has_begun()? {
            return Err(Refusal::Taken);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn run(dir: &AttemptDir, mut claim: Claim) -> io::Result<()> {
    let started_at = claim.identity.started_at;
    let driver = Driver::spawn(&claim.order, &dir.work(), claim.umask, &mut claim.capture);
    if let Ok(driver) = &driver {
        claim.identity.driver = Some(driver.id());
        // For people. That the attempt began is written down already.
        if let Err(error) = dir.write(&claim.identity) {
            eprintln!("write down which process is the driver: {error}");
        }
    }
    say(answer::STARTED);
    let reserved = dir.reserve::<ExitRecord>(RECORD_BYTES).ok();
    let record = match driver {
        Ok(driver) => {
            let End { exit, stopped, ended_at } = watch(dir, driver, &mut claim);
            ExitRecord { exit, started_at, ended_at, stopped, evidence: None }
        }
        Err(error) => could_not_start(&claim.order, started_at, &error),
    };
    claim.capture.finish();
    let success = record.exit == ExitStatus::Code(0);
    let evidence = record.evidence.clone().or_else(|| {
        let [stderr, stdout] = claim.capture.tails();
        if success { None } else { crate::evidence::evidence(&stderr, &stdout) }
    });
    // First of all, so that being killed while cleaning loses nothing; the end is told when we are gone.
    record_end(dir, &ExitRecord { evidence, ..record }, reserved)?;
    dir.clean_work(claim.order.work, success);
    Ok(())
}

/// What a shell would make of it: 127 for what isn't there, 126 for what can't be run.
fn could_not_start(order: &Order, started_at: Timestamp, error: &io::Error) -> ExitRecord {
    let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    ExitRecord {
        exit: ExitStatus::Code(code),
        started_at,
        ended_at: current_time(),
        stopped: false,
        evidence: Some(format!("can't start {}: {error}", order.program.display())),
    }
}

/// Records the end. A full disk may get room again; giving up would lose the exit code.
fn record_end(dir: &AttemptDir, record: &ExitRecord, mut reserved: Option<Temporary>) -> io::Result<()> {
    let mut tries = 1;
    loop {
        match dir.mending(|| dir.write_durably(record, reserved.take())) {
            Err(_) if tries < RECORD_TRIES && dir.place()? == Place::Folder => {
                tries += 1;
                std::thread::sleep(RECORD_PAUSE);
            }
            other => return other,
        }
    }
}

/// How and when the driver's own process ended, and whether it had been told to.
#[derive(Clone, Copy)]
struct End {
    exit: ExitStatus,
    stopped: bool,
    ended_at: Timestamp,
}

/// Waits until the driver and all its descendants are gone.
fn watch(dir: &AttemptDir, mut driver: Driver, claim: &mut Claim) -> End {
    let mut ending = Ending::Running;
    let mut end: Option<End> = None;
    let mut stopped = false;
    loop {
        // Before anything is looked at: a signal that comes later must be left to end the wait below.
        if claim.signals.told_to_stop() {
            stopped = true;
            let grace = claim.signals.grace(dir);
            driver.act(ending.stop(Instant::now(), grace));
        }
        let reaped = driver.reap();
        if let Some(exit) = driver.exit() {
            end.get_or_insert_with(|| End { exit, stopped, ended_at: current_time() });
        }
        let now = Instant::now();
        match (reaped, end) {
            (Reaped::NoneLeft, Some(end)) => return end,
            // Somebody else reaped the driver, which only a debugger could; all that is known is that it is gone.
            (Reaped::NoneLeft, None) => {
                return End { exit: ExitStatus::Signal(Signal::KILL.as_raw()), stopped, ended_at: current_time() };
            }
            (Reaped::SomeLeft, Some(_)) => driver.act(ending.driver_ended(now)),
            (Reaped::SomeLeft, None) => {}
        }
        driver.act(ending.tick(now));
        if claim.capture.pump() == 0 {
            wait(claim, ending.next_tick());
        }
    }
}

/// Waits for a signal, for output, or until `until`.
fn wait(claim: &Claim, until: Option<Instant>) {
    let mut fds: Vec<PollFd<'_>> = claim.signals.pipes().into_iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    fds.extend(claim.capture.open_pipes().map(|fd| PollFd::new(fd, PollFlags::IN)));
    let timeout = until.map(|until| {
        let left = until.saturating_duration_since(Instant::now());
        // Rounded up, or the last fraction of a tick would be spent in a loop.
        Timespec::try_from(left + Duration::from_micros(100)).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 })
    });
    // Whatever it returns, the loop looks at everything again.
    let _ = poll(&mut fds, timeout.as_ref());
}

/// Signals as bytes in pipes, so that they can be waited for together with everything else.
struct Signals {
    stop: UnixStream,
    child: UnixStream,
    stops_without_request: u32,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        Ok(Self { stop: pipe_of(SIGTERM)?, child: pipe_of(SIGCHLD)?, stops_without_request: 0 })
    }

    fn pipes(&self) -> [&UnixStream; 2] {
        [&self.stop, &self.child]
    }

    /// Whether a stop was asked for since the last call.
    fn told_to_stop(&mut self) -> bool {
        drain(&mut self.child);
        drain(&mut self.stop)
    }

    /// How long the driver may take to end. Without a request in the folder somebody signalled us by hand, and
    /// doing it twice means at once.
    fn grace(&mut self, dir: &AttemptDir) -> Duration {
        if let Ok(Some(request)) = dir.read::<StopRequest>() {
            return Duration::from_millis(request.grace_ms);
        }
        self.stops_without_request += 1;
        if self.stops_without_request == 1 { DEFAULT_GRACE } else { Duration::ZERO }
    }
}

fn pipe_of(signal: i32) -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    read.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(signal, write)?;
    Ok(read)
}

fn drain(pipe: &mut UnixStream) -> bool {
    let mut bytes = [0; 64];
    let mut any = false;
    while matches!(pipe.read(&mut bytes), Ok(length) if length > 0) {
        any = true;
    }
    any
}

/// Tells whoever started us; nobody may be listening any more.
fn say(line: &str) {
    let mut stdout = io::stdout();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

pub(super) fn current_time() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// The pid of a process as the kernel counts it.
fn raw(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}
