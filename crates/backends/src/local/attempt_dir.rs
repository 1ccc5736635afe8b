//! The folder of one attempt: everything that is known about it outside the store.
//!
//! | file | written by | says |
//! |---|---|---|
//! | `order.json`, `spark.properties` | gateway | what to run; removed with the folder |
//! | `lock` | – | held by the supervisor as long as it lives, and by whoever decides that it never starts |
//! | `fenced.json` | gateway, holding `lock` | the attempt never starts |
//! | `identity.json` | supervisor, before the driver is started | the attempt started; never again |
//! | `stop.json` | gateway | it shall end |
//! | `exit.json` | supervisor, as the last thing | how it ended |
//! | `lost.json` | gateway | its supervisor died without `exit.json`; nothing of it runs |
//! | `log/`, `work/` | supervisor, driver | its output, its working folder |
//!
//! The driver runs as the same user and may tamper with all of it. So whatever is read here is bounded, links
//! aren't followed, and a file that makes no sense counts as absent.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use model::id::{ApplicationId, AttemptId};
use model::state::Exit;
use model::time::Timestamp;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::plan::{Order, WorkPolicy};
use super::process::ProcessId;

/// No file of an attempt is larger; arguments and environment of a process have 2 MiB together.
const RECORD_BYTES_MAX: u64 = 8 << 20;

/// Who supervises an attempt and who runs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Where the process ids are valid, see [`super::process::boot`].
    pub(crate) boot: String,
    /// The supervisor.
    pub(crate) supervisor: ProcessId,
    /// The driver; absent before it was started.
    pub(crate) driver: Option<ProcessId>,
    /// When the supervisor began.
    pub(crate) started_at: Timestamp,
}

/// A wish to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StopRequest {
    /// How long the driver may take.
    pub(crate) grace_ms: u64,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExitRecord {
    /// How the driver's process ended.
    pub(crate) exit: ExitStatus,
    /// When it was started.
    pub(crate) started_at: Timestamp,
    /// When it ended.
    pub(crate) ended_at: Timestamp,
    /// Whether it was told to end before it did.
    pub(crate) stopped: bool,
    /// The driver's own last error line.
    pub(crate) evidence: Option<String>,
}

/// [`Exit`] as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExitStatus {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        match status {
            ExitStatus::Code(code) => Self::Code(code),
            ExitStatus::Signal(signal) => Self::Signal(signal),
        }
    }
}

/// The attempt never starts. Its order may not have been written, so this says whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FencedRecord {
    /// The application's id.
    pub(crate) application: String,
}

/// What shows that the supervisor died.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LostRecord {
    /// A sentence.
    pub(crate) evidence: String,
}

/// A record of an attempt: its file's name and its form.
pub(crate) trait Record: Serialize + DeserializeOwned {
    /// The file's name.
    const FILE: &'static str;
}

macro_rules! records {
    ($($record:ty => $file:literal),* $(,)?) => {
        $(impl Record for $record { const FILE: &'static str = $file; })*
    };
}

records! {
    Order => "order.json",
    Identity => "identity.json",
    StopRequest => "stop.json",
    ExitRecord => "exit.json",
    FencedRecord => "fenced.json",
    LostRecord => "lost.json",
}

/// The lock of an attempt; free again when this is dropped or the process dies.
pub(crate) struct AttemptLock {
    _file: OwnedFd,
}

/// The folder of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttemptDir {
    path: PathBuf,
}

impl AttemptDir {
    /// The folder of `attempt` below `attempts`, whether it exists or not.
    pub(crate) fn of(attempts: &Path, attempt: AttemptId) -> Self {
        Self { path: attempts.join(attempt.to_string()) }
    }

    /// The folder at `path`.
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.path.join("work")
    }

    /// Creates the folder and those in it, readable for their owner alone, if they don't exist.
    pub(crate) fn create(&self) -> io::Result<()> {
        for path in [&self.path, &self.log(), &self.work()] {
            match DirBuilder::new().mode(0o700).create(path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                other => other?,
            }
        }
        Ok(())
    }

    pub(crate) fn exists(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.is_dir())
    }

    /// Reads a record; `None` when it is absent or makes no sense.
    pub(crate) fn read<R: Record>(&self) -> io::Result<Option<R>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(self.path.join(R::FILE), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut text = Vec::new();
        file.take(RECORD_BYTES_MAX).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text).ok())
    }

    /// Writes a record, so that a reader sees either all of it or none.
    pub(crate) fn write<R: Record>(&self, record: &R) -> io::Result<()> {
        self.replace(R::FILE, &serde_json::to_vec(record)?)
    }

    /// Writes a record so that it also survives a crash of the machine.
    pub(crate) fn write_durably<R: Record>(&self, record: &R) -> io::Result<()> {
        let temporary = self.write_temporary(R::FILE, &serde_json::to_vec(record)?)?;
        temporary.file.sync_data()?;
        fs::rename(&temporary.path, self.path.join(R::FILE))?;
        File::open(&self.path)?.sync_all()
    }

    /// Writes a file that the owner alone may read.
    pub(crate) fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let temporary = self.write_temporary(name, content)?;
        fs::rename(temporary.path, self.path.join(name))
    }

    fn write_temporary(&self, name: &str, content: &[u8]) -> io::Result<Temporary> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(format!(".{name}.{}.{number}", std::process::id()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(content)?;
        Ok(Temporary { file, path })
    }

    /// Whether the attempt was made never to start.
    pub(crate) fn is_fenced(&self) -> bool {
        fs::symlink_metadata(self.path.join(FencedRecord::FILE)).is_ok()
    }

    /// Makes the attempt never start. Only with the lock of an attempt that has no identity.
    pub(crate) fn fence(&self, _lock: &AttemptLock, application: ApplicationId) -> io::Result<()> {
        self.write(&FencedRecord { application: application.to_string() })
    }

    /// The application that the attempt is of, as far as the folder tells.
    pub(crate) fn application(&self) -> io::Result<Option<ApplicationId>> {
        let told = match self.read::<Order>()? {
            Some(order) => Some(order.application),
            None => self.read::<FencedRecord>()?.map(|record| record.application),
        };
        Ok(told.and_then(|application| application.parse().ok()))
    }

    /// Takes the lock; `None` when somebody has it.
    pub(crate) fn try_lock(&self) -> io::Result<Option<AttemptLock>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(self.path.join("lock"), flags, Mode::RUSR | Mode::WUSR)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(AttemptLock { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the working folder if the policy says so. Links in it are removed, not followed.
    pub(crate) fn clean_work(&self, policy: WorkPolicy, success: bool) {
        let clean = match policy {
            WorkPolicy::Always => true,
            WorkPolicy::OnSuccess => success,
            WorkPolicy::Never => false,
        };
        if clean {
            let _ = fs::remove_dir_all(self.work());
        }
    }

    /// Removes the folder: out of sight at once, then for good. Removing what is gone succeeds.
    pub(crate) fn remove(&self) -> io::Result<()> {
        let hidden = self.hidden();
        match fs::rename(&self.path, &hidden) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => other?,
        }
        match fs::remove_dir_all(&hidden) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Where a folder waits that is being removed; whoever finds it may go on removing it.
    fn hidden(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".removed-{name}"))
    }
}

struct Temporary {
    file: File,
    path: PathBuf,
}
