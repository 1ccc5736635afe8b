//! Answers that go on: watches and logs that are followed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::faults::Faults;
use super::objects::{Change, Objects, Refusal};
use super::selector::Selector;

/// Pieces of an answer that wait for their client.
const PIECES_WAITING_MAX: usize = 64;

/// An answer that grows.
pub(super) type Growing = StreamBody<Pieces>;

/// The pieces of a growing answer.
pub(super) struct Pieces(mpsc::Receiver<Bytes>);

impl futures::Stream for Pieces {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }
}

fn growing() -> (mpsc::Sender<Bytes>, Growing) {
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    (sender, StreamBody::new(Pieces(receiver)))
}

/// What a watch asks for.
pub(super) struct WatchQuery {
    pub(super) resource: &'static str,
    pub(super) namespace: Option<String>,
    pub(super) selector: Selector,
    /// Absent or 0: begin with what exists.
    pub(super) version: Option<u64>,
    pub(super) send_initial_events: bool,
    pub(super) bookmarks: bool,
    pub(super) timeout: Duration,
}

/// Answers a watch.
pub(super) fn watch(objects: Arc<Objects>, faults: &Faults, query: WatchQuery, bookmark_every: Duration) -> Growing {
    let (pieces, body) = growing();
    let mut cuts = faults.cuts();
    cuts.mark_unchanged();
    tokio::spawn(async move {
        let watch = Watch { objects, query, pieces: &pieces, bookmark_every };
        tokio::select! {
            () = watch.run() => {}
            _ = cuts.changed() => {}
            () = pieces.closed() => {}
        }
    });
    body
}

struct Watch<'a> {
    objects: Arc<Objects>,
    query: WatchQuery,
    pieces: &'a mpsc::Sender<Bytes>,
    bookmark_every: Duration,
}

impl Watch<'_> {
    async fn run(&self) {
        let deadline = Instant::now() + self.query.timeout;
        let mut changes = self.objects.changes();
        let mut version = match self.query.version {
            Some(version) if version > 0 => version,
            _ => self.send_what_exists().await,
        };
        loop {
            changes.mark_unchanged();
            let Some(news) = self.objects.since(version) else {
                let gone = Refusal::new(410, "Expired", format!("too old resource version: {version}"));
                return self.send("ERROR", gone.status()).await;
            };
            for change in news {
                version = change.version;
                if let Some((kind, object)) = self.seen(change) {
                    self.send(kind, object).await;
                }
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(self.bookmark_every) => {
                    version = self.objects.version();
                    self.send_bookmark(version, false).await;
                }
                () = tokio::time::sleep_until(deadline) => return,
            }
        }
    }

    async fn send_what_exists(&self) -> u64 {
        let (found, version) =
            self.objects.list(self.query.resource, self.query.namespace.as_deref(), &self.query.selector);
        for object in found {
            self.send("ADDED", object).await;
        }
        if self.query.send_initial_events {
            self.send_bookmark(version, true).await;
        }
        version
    }

    /// What a watcher that selects is told of a change.
    fn seen(&self, change: Change) -> Option<(&'static str, Value)> {
        let query = &self.query;
        let elsewhere = query.namespace.as_ref().is_some_and(|wanted| *wanted != change.key.namespace);
        if change.key.resource != query.resource || elsewhere {
            return None;
        }
        let was_selected = change.before.as_ref().is_some_and(|before| query.selector.selects(before));
        let is_selected = !change.removed && query.selector.selects(&change.object);
        match (was_selected, is_selected) {
            (false, false) => None,
            (false, true) => Some(("ADDED", change.object)),
            (true, true) => Some(("MODIFIED", change.object)),
            (true, false) => Some(("DELETED", change.object)),
        }
    }

    async fn send_bookmark(&self, version: u64, initial_end: bool) {
        if !self.query.bookmarks && !initial_end {
            return;
        }
        let mut metadata = json!({ "resourceVersion": version.to_string(), "creationTimestamp": null });
        if initial_end {
            metadata["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
        }
        let kind = super::objects::KINDS.iter().find(|(plural, _)| *plural == self.query.resource);
        let kind = kind.map_or("", |(_, kind)| kind);
        self.send("BOOKMARK", json!({ "kind": kind, "apiVersion": "v1", "metadata": metadata })).await;
    }

    async fn send(&self, kind: &str, object: Value) {
        let line = format!("{}\n", json!({ "type": kind, "object": object }));
        // Without a client the whole watch is dropped.
        let _ = self.pieces.send(line.into()).await;
    }
}

/// The output of containers.
pub(super) struct Logs {
    by_uid: Mutex<HashMap<String, PodLog>>,
    changed: watch::Sender<()>,
}

#[derive(Clone, Default)]
struct PodLog {
    lines: Vec<(Timestamp, String)>,
    /// Lines that were rotated away, before the first one here.
    rotated: usize,
    closed: bool,
}

/// What a reader of a log asks for.
pub(super) struct LogQuery {
    pub(super) follow: bool,
    pub(super) timestamps: bool,
    pub(super) since: Option<Timestamp>,
    pub(super) tail_lines: Option<usize>,
}

impl Logs {
    pub(super) fn new() -> Self {
        Self { by_uid: Mutex::default(), changed: watch::Sender::new(()) }
    }

    pub(super) fn append(&self, uid: &str, at: Timestamp, line: &str) {
        self.lock().entry(uid.to_owned()).or_default().lines.push((at, line.to_owned()));
        self.changed.send_replace(());
    }

    /// Nothing more is written.
    pub(super) fn close(&self, uid: &str) {
        self.lock().entry(uid.to_owned()).or_default().closed = true;
        self.changed.send_replace(());
    }

    /// Forgets all but the last `kept` lines, as rotation does.
    pub(super) fn rotate(&self, uid: &str, kept: usize) {
        if let Some(log) = self.lock().get_mut(uid) {
            let surplus = log.lines.len().saturating_sub(kept);
            log.lines.drain(..surplus);
            log.rotated += surplus;
        }
    }

    /// Answers a reader; a log that is followed goes on until its container ended.
    pub(super) fn read(self: &Arc<Self>, faults: &Faults, uid: String, query: LogQuery) -> Growing {
        let (pieces, body) = growing();
        let mut cuts = faults.cuts();
        cuts.mark_unchanged();
        let logs = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                () = logs.send(&uid, &query, &pieces) => {}
                _ = cuts.changed() => {}
                () = pieces.closed() => {}
            }
        });
        body
    }

    async fn send(&self, uid: &str, query: &LogQuery, pieces: &mpsc::Sender<Bytes>) {
        let mut changed = self.changed.subscribe();
        let mut next = None;
        loop {
            changed.mark_unchanged();
            let log = self.lock().get(uid).cloned().unwrap_or_default();
            let total = log.rotated + log.lines.len();
            let first = *next.get_or_insert_with(|| query.first(&log));
            let mut text = String::new();
            for (at, line) in log.lines.iter().skip(first.saturating_sub(log.rotated)) {
                if query.since.is_some_and(|since| *at < since) {
                    continue;
                }
                if query.timestamps {
                    text.push_str(&format!("{at:.9} "));
                }
                text.push_str(line);
                text.push('\n');
            }
            next = Some(total);
            if !text.is_empty() && pieces.send(text.into()).await.is_err() {
                return;
            }
            if !query.follow || log.closed || changed.changed().await.is_err() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, PodLog>> {
        self.by_uid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogQuery {
    /// The number of the first line to send, counted from the container's first.
    fn first(&self, log: &PodLog) -> usize {
        let kept = self.tail_lines.map_or(log.lines.len(), |tail| tail.min(log.lines.len()));
        log.rotated + log.lines.len() - kept
    }
}
