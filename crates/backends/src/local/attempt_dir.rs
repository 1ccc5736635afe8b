//! The folder of one attempt: everything that is known about it outside the store.
//!
//! | file | written by | says |
//! |---|---|---|
//! | `order.json`, `spark.properties` | gateway | what to run; removed with the folder |
//! | `lock` | – | held by the supervisor as long as it lives, and by whoever decides that it never starts |
//! | `fenced.json` | gateway, holding `lock` | the attempt never starts |
//! | `identity.json` | supervisor, before the driver is started | the attempt began; never again |
//! | `stop.json` | gateway | it shall end |
//! | `exit.json` | supervisor, when nothing of the driver is left | how it ended |
//! | `lost.json` | gateway | its supervisor died without `exit.json`; nothing of it runs |
//! | `log/`, `work/` | supervisor, driver | its output, its working folder |
//!
//! When the attempt is discarded the folder is replaced by an empty file of the same name, the tombstone. It stays
//! for [`TOMBSTONE_AGE`], so that a launch that comes late finds that it must not start anything.
//!
//! The driver runs as the same user and may tamper with all of it. So whatever is read here is bounded, links
//! aren't followed, nothing is opened that could block, and what stands where a file of ours belongs is moved
//! aside. Whether an attempt runs is told by its lock and by the processes a gateway watches, never by a record
//! alone; and any trace of a record, whether it can be understood or not, means that the attempt began.

use std::fs::{self, DirBuilder, DirEntry, File};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use model::id::{ApplicationId, AttemptId};
use model::state::Exit;
use model::time::Timestamp;
use rustix::fs::{FallocateFlags, FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::plan::{Order, WorkPolicy};
use super::process::ProcessId;

/// No file of an attempt is larger; arguments and environment of a process have 2 MiB together.
const RECORD_BYTES_MAX: u64 = 8 << 20;

/// How long a tombstone stays: longer than any launch can be on its way.
const TOMBSTONE_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Begins the name of a folder that is being removed.
const HIDDEN_PREFIX: &str = ".removed-";

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
    file: OwnedFd,
}

impl Drop for AttemptLock {
    fn drop(&mut self) {
        // Closing isn't enough: a child that was forked meanwhile has the file open until it runs its program.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// What stands where an attempt's folder belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing: it wasn't launched yet.
    Empty,
    /// Its folder.
    Folder,
    /// A tombstone: it was discarded and must not start any more.
    Tombstone,
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
    ///
    /// # Errors
    /// Also when the attempt was discarded: a tombstone has no folders in it.
    pub(crate) fn create(&self) -> io::Result<()> {
        for path in [&self.path, &self.log(), &self.work()] {
            match DirBuilder::new().mode(0o700).create(path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                other => other?,
            }
        }
        Ok(())
    }

    pub(crate) fn place(&self) -> io::Result<Place> {
        match fs::symlink_metadata(&self.path) {
            Ok(metadata) if metadata.is_dir() => Ok(Place::Folder),
            Ok(_) => Ok(Place::Tombstone),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Place::Empty),
            Err(error) => Err(error),
        }
    }

    /// Does something with the folder; if its permissions forbid that, they are mended first, for the driver can
    /// take them away.
    pub(crate) fn mending<T>(&self, mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        match work() {
            Err(error) if error.kind() == ErrorKind::PermissionDenied && self.place()? == Place::Folder => {
                fs::set_permissions(&self.path, fs::Permissions::from_mode(0o700))?;
                work()
            }
            other => other,
        }
    }

    /// Whether there is anything with the record's name, even if it can't be understood.
    fn has<R: Record>(&self) -> io::Result<bool> {
        match fs::symlink_metadata(self.path.join(R::FILE)) {
            Ok(_) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether a supervisor had the attempt: its driver may have run and must not be started again.
    pub(crate) fn has_begun(&self) -> io::Result<bool> {
        Ok(self.has::<Identity>()? || self.has::<ExitRecord>()? || self.has::<LostRecord>()?)
    }

    /// Reads a record; `None` when it is absent or makes no sense.
    pub(crate) fn read<R: Record>(&self) -> io::Result<Option<R>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(self.path.join(R::FILE), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            // Sockets and devices without driver can't be opened.
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO | Errno::NODEV) => return Ok(None),
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

    /// Writes a record so that it also survives a crash of the machine; into `reserved`, if there is one.
    pub(crate) fn write_durably<R: Record>(&self, record: &R, reserved: Option<Temporary>) -> io::Result<()> {
        let content = serde_json::to_vec(record)?;
        let temporary = match reserved {
            Some(reserved) => reserved,
            None => self.temporary(R::FILE)?,
        };
        temporary.fill(&content)?;
        temporary.file.sync_data()?;
        self.rename(temporary, R::FILE)?;
        File::open(&self.path)?.sync_all()
    }

    /// Takes room for a record that is to be written later, maybe on a disk that is full by then.
    pub(crate) fn reserve<R: Record>(&self, bytes: u64) -> io::Result<Temporary> {
        let temporary = self.temporary(R::FILE)?;
        // Where it can't be done, the disk decides later.
        let _ = rustix::fs::fallocate(&temporary.file, FallocateFlags::empty(), 0, bytes);
        Ok(temporary)
    }

    /// Writes a file that the owner alone may read.
    pub(crate) fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let temporary = self.temporary(name)?;
        temporary.fill(content)?;
        self.rename(temporary, name)
    }

    /// A new file, so that it is no pipe on which opening or writing would wait.
    fn temporary(&self, name: &str) -> io::Result<Temporary> {
        let path = self.path.join(format!(".{name}.{}", unique()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || rustix::fs::open(&path, flags | OFlags::NONBLOCK, Mode::RUSR | Mode::WUSR);
        let file = match open() {
            Err(Errno::EXIST) => {
                self.move_aside(&path)?;
                open()?
            }
            other => other?,
        };
        Ok(Temporary { file: File::from(file), path, keep: false })
    }

    fn rename(&self, mut temporary: Temporary, name: &str) -> io::Result<()> {
        let target = self.path.join(name);
        let renamed = match fs::rename(&temporary.path, &target) {
            Err(error) if matches!(error.kind(), ErrorKind::IsADirectory | ErrorKind::DirectoryNotEmpty) => {
                self.move_aside(&target)?;
                fs::rename(&temporary.path, &target)
            }
            other => other,
        };
        temporary.keep = renamed.is_ok();
        renamed
    }

    /// Gives a name to what the driver put in our way, whatever it is.
    fn move_aside(&self, path: &Path) -> io::Result<()> {
        fs::rename(path, self.path.join(format!(".aside.{}", unique())))
    }

    /// Where the supervisor may complain; `None` when that can't be opened, for complaints aren't worth failing.
    pub(crate) fn open_complaints(&self) -> Option<File> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = self.path.join("supervisor.log");
        let file = rustix::fs::open(path, flags | OFlags::NONBLOCK, Mode::RUSR | Mode::WUSR).ok().map(File::from)?;
        file.metadata().is_ok_and(|metadata| metadata.is_file()).then_some(file)
    }

    /// Whether the attempt was made never to start.
    pub(crate) fn is_fenced(&self) -> io::Result<bool> {
        self.has::<FencedRecord>()
    }

    /// Makes the attempt never start. Only with the lock of an attempt that hasn't begun.
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
        let path = self.path.join("lock");
        let file = match open_lock(&path)? {
            Some(file) => file,
            // Not our file, so whoever had the lock can't be seen by it any more.
            None => {
                self.move_aside(&path)?;
                open_lock(&path)?.ok_or_else(|| io::Error::other("the lock of the attempt is no file"))?
            }
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(AttemptLock { file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
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

    /// Puts the folder out of sight and a tombstone into its place. Only with the lock of what has ended, and
    /// while nobody creates the folder.
    pub(crate) fn bury(&self) -> io::Result<()> {
        let hidden = self.hidden();
        if self.place()? == Place::Folder {
            remove_tree(&hidden)?;
            fs::rename(&self.path, &hidden)?;
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::open(&self.path, flags, Mode::RUSR | Mode::WUSR) {
            Ok(_) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what [`Self::bury`] put out of sight.
    pub(crate) fn remove_buried(&self) -> io::Result<()> {
        remove_tree(&self.hidden())
    }

    /// Where a folder waits that is being removed; whoever finds it may go on removing it.
    fn hidden(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!("{HIDDEN_PREFIX}{name}"))
    }
}

/// Removes tombstones that are old enough, and what an earlier removal left; as much of it as possible.
///
/// # Errors
/// One of those that happened.
pub(crate) fn purge(attempts: &Path, now: SystemTime) -> io::Result<()> {
    let mut done = Ok(());
    for entry in fs::read_dir(attempts)? {
        done = purge_one(&entry?, now).and(done);
    }
    done
}

fn purge_one(entry: &DirEntry, now: SystemTime) -> io::Result<()> {
    if entry.file_name().to_string_lossy().starts_with(HIDDEN_PREFIX) {
        return remove_tree(&entry.path());
    }
    // Not followed if it is a link.
    let metadata = match entry.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let is_old = now.duration_since(metadata.modified()?).is_ok_and(|age| age > TOMBSTONE_AGE);
    if metadata.is_file() && is_old { fs::remove_file(entry.path()) } else { Ok(()) }
}

/// Removes a folder with everything in it, even if the driver took permissions away. What is gone is removed.
fn remove_tree(path: &Path) -> io::Result<()> {
    let remove = || match fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    };
    match remove() {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            open_up(path)?;
            remove()
        }
        other => other,
    }
}

/// Gives the owner every permission on the folders of a tree.
fn open_up(path: &Path) -> io::Result<()> {
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(())
}

/// Opens the file of a lock; `None` when something else has its name.
fn open_lock(path: &Path) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => {
            let file = File::from(file);
            Ok(file.metadata()?.is_file().then(|| file.into()))
        }
        Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO | Errno::NODEV) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A part of a file's name that nobody else uses.
fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A file on its way to become a record; removed unless it does.
pub(crate) struct Temporary {
    file: File,
    path: PathBuf,
    keep: bool,
}

impl Temporary {
    fn fill(&self, content: &[u8]) -> io::Result<()> {
        let mut file = &self.file;
        file.write_all(content)?;
        // What was reserved may be longer.
        file.set_len(content.len() as u64)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn folder() -> (tempfile::TempDir, AttemptDir) {
        let attempts = tempfile::tempdir().unwrap();
        let dir = AttemptDir::at(&attempts.path().join("attempt"));
        (attempts, dir)
    }

    #[test]
    fn a_tombstone_stays_a_day_and_what_was_hidden_goes() {
        let (attempts, dir) = folder();
        dir.create().unwrap();
        dir.bury().unwrap();
        dir.bury().unwrap();
        assert_eq!(dir.place().unwrap(), Place::Tombstone);
        assert!(dir.create().is_err());
        purge(attempts.path(), SystemTime::now()).unwrap();
        assert_eq!(dir.place().unwrap(), Place::Tombstone);
        assert!(!dir.hidden().exists());
        purge(attempts.path(), SystemTime::now() + TOMBSTONE_AGE + Duration::from_secs(60)).unwrap();
        assert_eq!(dir.place().unwrap(), Place::Empty);
    }

    #[test]
    fn any_trace_of_a_record_means_that_it_began() {
        for name in [Identity::FILE, ExitRecord::FILE, LostRecord::FILE] {
            let (_attempts, dir) = folder();
            assert!(!dir.has_begun().unwrap());
            dir.create().unwrap();
            assert!(!dir.has_begun().unwrap());
            std::os::unix::fs::symlink("nowhere", dir.path().join(name)).unwrap();
            assert!(dir.has_begun().unwrap(), "{name}");
        }
    }

    #[test]
    fn a_record_replaces_whatever_stands_in_its_way() {
        let (_attempts, dir) = folder();
        dir.create().unwrap();
        fs::create_dir_all(dir.path().join("lost.json/x")).unwrap();
        let record = LostRecord { evidence: "x".to_owned() };
        let reserved = dir.reserve::<LostRecord>(1 << 14).unwrap();
        dir.write_durably(&record, Some(reserved)).unwrap();
        assert_eq!(dir.read::<LostRecord>().unwrap(), Some(record));
        let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let temporary = |name: &&std::ffi::OsString| name.to_string_lossy().starts_with(".lost");
        assert_eq!(names.iter().filter(temporary).count(), 0, "{names:?}");
    }

    #[test]
    fn a_lock_that_is_no_file_is_replaced() {
        let (_attempts, dir) = folder();
        dir.create().unwrap();
        fs::create_dir_all(dir.path().join("lock/x")).unwrap();
        let lock = dir.try_lock().unwrap();
        assert!(lock.is_some() && dir.try_lock().unwrap().is_none());
    }
}
