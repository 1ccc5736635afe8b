//! Keeps the output of drivers: each is followed from its start into a stored log, so that it is there when the pod
//! is gone, and whole although the kubelet keeps only the newest megabytes.
//!
//! Start with [`Shared::follow_log`]. Only so many pods are followed at once; the others wait for their turn, and what
//! the kubelet has dropped by then is missing. Where lines may be missing, the log says so. The log API joins standard
//! output and standard error; all of it is stored as standard output.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::backend::AttemptRef;
use futures::AsyncReadExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use model::id::AttemptId;
use spark_kubernetes::names::DRIVER_CONTAINER;
use spark_kubernetes::status::{self, PodState};
use tokio::task::AbortHandle;

use super::KubernetesBackend;
use super::cluster::place;
use super::folder::Folder;
use super::stored_output::{Intake, Stored};
use super::{Shared, lock};
use crate::evidence::evidence;
use crate::log::{LogCursor, LogDir, LogError, LogFrom, LogItem, LogPage, LogQuery, LogSource, LogWriter, now};

/// Bytes read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// The wait before a log is asked for again.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Lines of the end of a log among which the driver's last error line is looked for, and how long they may take.
const TELLING_LINES: i64 = 400;
const TELLING_BYTES: usize = 64 * 1024;
const TELLING_MAX: Duration = Duration::from_secs(3);
/// Lines of a stored log that are looked at to find out where it stands.
const RESUMED_LINES: usize = 1_000;

impl Shared {
    /// Follows the log of a pod whose driver has started, unless that is done or under way.
    pub(super) fn follow_log(self: &Arc<Self>, attempt: AttemptId, pod: &Pod) {
        if !matches!(status::read(pod), PodState::Running { .. } | PodState::Ended(_)) {
            return;
        }
        let mut followed = lock(&self.followed);
        if followed.contains_key(&attempt) {
            return;
        }
        let folder = self.folder(attempt);
        // Of an attempt that has no folder here another gateway keeps the log, or nobody asks for it yet.
        if !folder.exists() || folder.log_is_over().unwrap_or(true) {
            return;
        }
        let (shared, pod) = (Arc::clone(self), pod.clone());
        let follower = self.spawn(async move {
            if let Err(error) = shared.copy_log(attempt, &folder, &pod).await {
                tracing::warn!(%attempt, error = &error as &dyn std::error::Error, "can't keep the log of an attempt");
            }
            lock(&shared.followed).remove(&attempt);
        });
        followed.insert(attempt, follower);
    }

    /// Ends the following of a log that is removed.
    pub(super) fn forget_log(&self, attempt: AttemptId) {
        if let Some(follower) = lock(&self.followed).remove(&attempt) {
            AbortHandle::abort(&follower);
        }
    }

    /// Copies a pod's log until its container has ended and all of it is stored.
    async fn copy_log(self: &Arc<Self>, attempt: AttemptId, folder: &Folder, pod: &Pod) -> io::Result<()> {
        let Ok(_turn) = self.followers.acquire().await else { return Ok(()) };
        let (dir, limits) = (folder.log(), self.config.log);
        let (writer, mut stored) = blocking(move || {
            let writer = LogWriter::resume(&dir, limits)?;
            Ok((writer, where_it_stands(&dir)?))
        })
        .await?;
        let mut keeper = Keeper { writer: Some(writer) };
        let mut pause = PAUSE_MIN;
        loop {
            // Asked before reading: what is written after that is read again.
            let over = self.container_is_over(attempt, pod).await;
            let end = self.copy_answer(pod, &mut stored, !over, &mut keeper).await?;
            match end {
                Answer::Whole if over => break,
                Answer::Gone => {
                    keeper.tell("the end of the log may be missing: its pod is gone").await?;
                    break;
                }
                Answer::Whole | Answer::Broken => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        keeper.sync().await?;
        let folder = folder.clone();
        blocking(move || folder.close_log()).await
    }

    async fn container_is_over(&self, attempt: AttemptId, pod: &Pod) -> bool {
        let is_same = |known: &Pod| known.metadata.uid == pod.metadata.uid;
        let ended = |known: &Pod| matches!(status::read(known), PodState::Ended(_));
        if let Some(known) = self.pods.get(attempt) {
            return !is_same(&known) || ended(&known);
        }
        let (namespace, name) = place(pod);
        match self.cluster.pod(namespace, name).await {
            Ok(Some(known)) => !is_same(&known) || ended(&known),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    async fn copy_answer(
        &self,
        pod: &Pod,
        stored: &mut Stored,
        follow: bool,
        keeper: &mut Keeper,
    ) -> io::Result<Answer> {
        let (namespace, name) = place(pod);
        let parameters = LogParams {
            container: Some(DRIVER_CONTAINER.to_owned()),
            follow,
            timestamps: true,
            // The second in which the last line was written, because the client would round it up.
            since_time: stored
                .last
                .and_then(|last| jiff::Timestamp::from_second(last.timestamp().as_millis().div_euclid(1_000)).ok()),
            ..LogParams::default()
        };
        let api = Api::<Pod>::namespaced(self.cluster.client().await, namespace);
        let answer = match api.log_stream(name, &parameters).await {
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(Answer::Gone),
            Err(_) => return Ok(Answer::Broken),
            Ok(answer) => answer,
        };
        let mut answer = std::pin::pin!(answer);
        let mut intake = Intake::new(*stored);
        let (mut piece, mut told) = (vec![0; PIECE_BYTES], false);
        loop {
            let Ok(length) = answer.read(&mut piece).await else { return Ok(Answer::Broken) };
            if length == 0 {
                return Ok(Answer::Whole);
            }
            let mut lines = Vec::new();
            intake.push(&piece[..length], &mut lines);
            if intake.found_gap() && !told {
                told = true;
                keeper.tell("lines may be missing here: they were dropped on the node before they were read").await?;
            }
            keeper.append(lines).await?;
            *stored = intake.stored();
        }
    }

    /// The driver's own last error line, from its pod or else from the stored log.
    pub(super) async fn last_error_line(&self, attempt: AttemptId, pod: &Pod) -> Option<String> {
        let (namespace, name) = place(pod);
        let parameters = LogParams {
            container: Some(DRIVER_CONTAINER.to_owned()),
            tail_lines: Some(TELLING_LINES),
            ..LogParams::default()
        };
        let asked = async {
            let api = Api::<Pod>::namespaced(self.cluster.client().await, namespace);
            let mut answer = std::pin::pin!(api.log_stream(name, &parameters).await.ok()?);
            let mut end = Vec::new();
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                match answer.read(&mut piece).await.ok()? {
                    0 => return Some(String::from_utf8_lossy(&end).into_owned()),
                    length => end.extend_from_slice(&piece[..length]),
                }
                end.drain(..end.len().saturating_sub(TELLING_BYTES));
            }
        };
        let text = match tokio::time::timeout(TELLING_MAX, asked).await {
            Ok(Some(text)) => text,
            _ => self.stored_end(attempt).await?,
        };
        evidence(&text, &text)
    }

    async fn stored_end(&self, attempt: AttemptId) -> Option<String> {
        let dir = self.folder(attempt).log();
        let lines = usize::try_from(TELLING_LINES).unwrap_or(usize::MAX);
        let query = LogQuery { from: LogFrom::Tail(lines), bytes_max: TELLING_BYTES, ..LogQuery::default() };
        let page = blocking(move || LogDir::open(&dir)?.map(|log| log.read(&query, false)).transpose()).await;
        Some(page.ok()??.lines().join("\n"))
    }
}

/// How an answer of the log API ended.
enum Answer {
    /// It came to its end.
    Whole,
    /// It broke off, or there was none.
    Broken,
    /// There is no such pod.
    Gone,
}

/// Writes away from the runtime's threads.
struct Keeper {
    writer: Option<LogWriter>,
}

impl Keeper {
    async fn append(&mut self, lines: Vec<u8>) -> io::Result<()> {
        self.with(move |writer| writer.append(&lines)).await
    }

    async fn sync(&mut self) -> io::Result<()> {
        self.with(LogWriter::sync).await
    }

    /// Says something in the log that the driver didn't.
    async fn tell(&mut self, what: &str) -> io::Result<()> {
        self.append(format!("{} stderr F [… {what} …]\n", now()).into_bytes()).await
    }

    async fn with(&mut self, work: impl FnOnce(&mut LogWriter) + Send + 'static) -> io::Result<()> {
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        let writer = tokio::task::spawn_blocking(move || {
            work(&mut writer);
            writer
        });
        self.writer = Some(writer.await.map_err(io::Error::other)?);
        Ok(())
    }
}

fn where_it_stands(dir: &std::path::Path) -> io::Result<Stored> {
    let query = LogQuery { from: LogFrom::Tail(RESUMED_LINES), ..LogQuery::default() };
    let Some(log) = LogDir::open(dir)? else { return Ok(Stored::default()) };
    let page = log.read(&query, false)?;
    // What the gateway itself put between has times of its own and its own stream.
    let times = page.items.iter().rev().filter_map(|item| match item {
        LogItem::Entry(entry) if entry.stream == crate::log::Stream::Stdout && !entry.partial => Some(entry.time),
        _ => None,
    });
    let mut times = times.peekable();
    let last = times.peek().copied();
    Ok(Stored { last, with_that_time: times.take_while(|time| Some(*time) == last).count() })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[async_trait]
impl LogSource for KubernetesBackend {
    async fn read(&self, attempt: &AttemptRef, query: &LogQuery) -> Result<LogPage, LogError> {
        let (folder, query) = (self.shared.folder(attempt.id), query.clone());
        let page = blocking(move || {
            // Asked before reading: what is written between the two is seen, or the page isn't called complete.
            let over = folder.log_cannot_grow()?;
            LogDir::open(&folder.log())?.map(|log| log.read(&query, over)).transpose()
        });
        page.await.map_err(LogError::Unreadable)?.ok_or(LogError::NotFound)
    }

    async fn grown(&self, attempt: &AttemptRef, after: LogCursor) -> Result<(), LogError> {
        let folder = self.shared.folder(attempt.id);
        let follow = |path: &std::path::Path| {
            self.shared.follower.follow(path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => LogError::NotFound,
                _ => LogError::Unreadable(error),
            })
        };
        // Followed before looking, so that no change falls between.
        let (mut output, mut records) = (follow(&folder.log())?, follow(folder.path())?);
        loop {
            let folder = folder.clone();
            let more = blocking(move || {
                if folder.log_cannot_grow()? {
                    return Ok(Some(true));
                }
                LogDir::open(&folder.log())?.map(|log| Ok(log.end()? > after)).transpose()
            });
            if more.await.map_err(LogError::Unreadable)?.ok_or(LogError::NotFound)? {
                return Ok(());
            }
            tokio::select! {
                () = output.changed() => {}
                () = records.changed() => {}
            }
        }
    }
}
