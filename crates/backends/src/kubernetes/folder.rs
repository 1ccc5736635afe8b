//! What the gateway keeps of an attempt on its own disk: its output, and how it ended once its pod is gone.
//!
//! | file | says |
//! |---|---|
//! | `application` | which application it is of |
//! | `end.json` | how it ended, written before anybody is told |
//! | `log/` | the driver's output |
//! | `log-over` | nothing more comes into `log/` |

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::backend::{BackendError, Ended, Observation, Owned};
use model::id::{ApplicationId, AttemptId};
use model::state::{Exit, ReasonCode};
use model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The folder of one attempt.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

/// `end.json`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum End {
    Exited {
        code: Option<i32>,
        signal: Option<i32>,
        started_at: Timestamp,
        ended_at: Timestamp,
        stopped: bool,
        cause: Option<String>,
        evidence: Option<String>,
    },
    NeverRan,
    Lost {
        reason: String,
        evidence: Option<String>,
    },
}

impl Folder {
    pub(super) fn of(attempts: &Path, attempt: AttemptId) -> Self {
        Self { path: attempts.join(attempt.to_string()) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Makes it, or does nothing when it exists.
    pub(super) fn create(&self, application: Option<ApplicationId>) -> io::Result<()> {
        private_folder(&self.log())?;
        if let Some(application) = application {
            self.write("application", application.to_string().as_bytes(), false)?;
        }
        Ok(())
    }

    pub(super) fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// Whether nothing more comes into the log.
    pub(super) fn log_is_over(&self) -> io::Result<bool> {
        self.path.join("log-over").try_exists()
    }

    /// Whether nothing more can come: all of it is there, or the driver never ran.
    pub(super) fn log_cannot_grow(&self) -> io::Result<bool> {
        Ok(self.log_is_over()? || self.end()? == Some(Observation::NeverRan))
    }

    /// Notes that nothing more comes into the log.
    pub(super) fn close_log(&self) -> io::Result<()> {
        self.write("log-over", b"", false)
    }

    /// How the attempt ended, once that is known.
    pub(super) fn end(&self) -> io::Result<Option<Observation>> {
        let text = match fs::read(self.path.join("end.json")) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        Ok(Some(serde_json::from_slice::<End>(&text)?.into()))
    }

    /// Writes down how the attempt ended, durably.
    pub(super) fn write_end(&self, end: &Observation) -> io::Result<()> {
        let Some(end) = End::of(end) else { return Ok(()) };
        self.write("end.json", &serde_json::to_vec(&end)?, true)?;
        File::open(&self.path)?.sync_all()
    }

    /// Removes the folder, also while somebody still writes in it: that was told to end and may be about to create
    /// one more file, which it can't where the folder had its name.
    pub(super) fn remove(&self) -> io::Result<()> {
        let going = self.path.with_extension("gone");
        // Of a removal that was cut off.
        absent_is_fine(fs::remove_dir_all(&going))?;
        absent_is_fine(fs::rename(&self.path, &going))?;
        absent_is_fine(fs::remove_dir_all(&going))
    }

    fn write(&self, name: &str, content: &[u8], durably: bool) -> io::Result<()> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // Two may write the same at once.
        let temporary = self.path.join(format!("{name}.{}.new", NEXT.fetch_add(1, Ordering::Relaxed)));
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        if durably {
            file.sync_data()?;
        }
        fs::rename(temporary, self.path.join(name))
    }

    fn application(&self) -> Option<ApplicationId> {
        fs::read_to_string(self.path.join("application")).ok()?.parse().ok()
    }
}

/// Everything that is kept below `attempts`.
pub(super) fn list(attempts: &Path) -> io::Result<Vec<Owned>> {
    let mut owned = Vec::new();
    for entry in fs::read_dir(attempts)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Ok(attempt) = AttemptId::from_str(name) else { continue };
        let folder = Folder { path };
        let place = folder.path.display().to_string();
        owned.push(Owned { attempt, application: folder.application(), running: false, place });
    }
    Ok(owned)
}

impl End {
    fn of(observation: &Observation) -> Option<Self> {
        Some(match observation {
            Observation::Exited(ended) => {
                let (code, signal) = match ended.exit {
                    Exit::Code(code) => (Some(code), None),
                    Exit::Signal(signal) => (None, Some(signal)),
                };
                Self::Exited {
                    code,
                    signal,
                    started_at: ended.started_at,
                    ended_at: ended.at,
                    stopped: ended.stopped,
                    cause: ended.cause.map(|cause| cause.to_string()),
                    evidence: ended.evidence.clone(),
                }
            }
            Observation::NeverRan => Self::NeverRan,
            Observation::Lost { reason, evidence } => {
                Self::Lost { reason: reason.to_string(), evidence: evidence.clone() }
            }
            Observation::Absent | Observation::Pending { .. } | Observation::Running { .. } => return None,
        })
    }
}

impl From<End> for Observation {
    fn from(end: End) -> Self {
        match end {
            End::Exited { code, signal, started_at, ended_at, stopped, cause, evidence } => Self::Exited(Ended {
                exit: signal.map_or(Exit::Code(code.unwrap_or_default()), Exit::Signal),
                started_at,
                at: ended_at,
                stopped,
                cause: cause.and_then(|cause| cause.parse().ok()),
                evidence,
            }),
            End::NeverRan => Self::NeverRan,
            End::Lost { reason, evidence } => {
                Self::Lost { reason: reason.parse().unwrap_or(ReasonCode::DriverLost), evidence }
            }
        }
    }
}

/// Makes a folder, and those above it, that only the gateway may read.
pub(super) fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Does file work away from the runtime's threads.
pub(super) async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, BackendError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(BackendError::unavailable(what, error)),
        Err(error) => Err(BackendError::unavailable(what, error)),
    }
}

/// That something is gone already.
fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn ends_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::of(dir.path(), "0198f0c0-0000-7000-8000-000000000001".parse().unwrap());
        folder.create(Some("batch-3".parse().unwrap())).unwrap();
        assert_eq!(folder.end().unwrap(), None);
        let at = Timestamp::from_millis(5_000);
        let ended =
            |exit, cause| Ended { exit, started_at: at, at, stopped: true, cause, evidence: Some("why".into()) };
        for end in [
            Observation::Exited(ended(Exit::Code(3), None)),
            Observation::Exited(ended(Exit::Signal(9), Some(ReasonCode::OutOfMemory))),
            Observation::NeverRan,
            Observation::Lost { reason: ReasonCode::Evicted, evidence: None },
        ] {
            folder.write_end(&end).unwrap();
            assert_eq!(folder.end().unwrap(), Some(end));
        }
        let [owned] = list(dir.path()).unwrap().try_into().unwrap();
        assert_eq!((owned.running, owned.application.map(|id| id.to_string())), (false, Some("batch-3".to_owned())));
        folder.remove().unwrap();
        folder.remove().unwrap();
        assert!(!folder.exists());
    }
}
