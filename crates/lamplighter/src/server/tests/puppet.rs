//! A backend whose drivers run until a test ends them, with logs that a test writes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use ::backends::log::{LogCursor, LogEntry, LogError, LogFrom, LogItem, LogPage, LogQuery, LogSource, LogTime, Stream};
use async_trait::async_trait;
use engine::backend::{AttemptRef, Backend, BackendError, Ended, LaunchOrder, Observation, Owned, Problem};
use engine::runtime::now;
use model::id::{AttemptId, BackendName, Shard};
use model::spec::ApplicationSpec;
use model::state::{Exit, ReasonCode};
use tokio::sync::{mpsc, watch};

pub(super) fn name() -> BackendName {
    BackendName::new("local").unwrap()
}

/// What the tests' gateway tells submitters beforehand.
pub(super) fn preflight(spec: &ApplicationSpec) -> Vec<Problem> {
    let missing = spec.resource.contains("missing");
    let problem = || Problem { field: "resource".to_owned(), message: "there is no such file".to_owned() };
    if missing { vec![problem()] } else { Vec::new() }
}

pub(super) struct Puppet {
    name: BackendName,
    shard: Shard,
    drivers: Mutex<BTreeMap<AttemptId, Driver>>,
    changes: mpsc::Sender<(AttemptId, Observation)>,
    receiver: Mutex<Option<mpsc::Receiver<(AttemptId, Observation)>>>,
    written: watch::Sender<()>,
    /// Lines that a read looks at, at most.
    scan_lines_max: AtomicUsize,
}

/// Whether the log of a lost driver is there still.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum KeepsLog {
    Yes,
    No,
}

struct Driver {
    observation: Observation,
    lines: Vec<(Stream, String)>,
    log_lost: bool,
}

impl Default for Puppet {
    fn default() -> Self {
        let (changes, receiver) = mpsc::channel(64);
        Self {
            name: name(),
            shard: Shard::new("local/test").unwrap(),
            drivers: Mutex::default(),
            changes,
            receiver: Mutex::new(Some(receiver)),
            written: watch::Sender::new(()),
            scan_lines_max: AtomicUsize::new(usize::MAX),
        }
    }
}

impl Puppet {
    fn drivers(&self) -> MutexGuard<'_, BTreeMap<AttemptId, Driver>> {
        self.drivers.lock().unwrap()
    }

    /// Lets the newest driver print a line.
    pub(super) fn print(&self, stream: Stream, line: &str) {
        self.drivers().values_mut().next_back().unwrap().lines.push((stream, line.to_owned()));
        self.written.send_replace(());
    }

    /// Lets reads of logs give up after this many lines, whether they found anything or not.
    pub(super) fn scan_at_most(&self, lines: usize) {
        self.scan_lines_max.store(lines, Ordering::Relaxed);
    }

    /// Loses the newest driver.
    pub(super) async fn lose(&self, log: KeepsLog) {
        let observation = Observation::Lost { reason: ReasonCode::DriverLost, evidence: None };
        let id = {
            let mut drivers = self.drivers();
            let (id, driver) = drivers.iter_mut().next_back().unwrap();
            driver.log_lost = log == KeepsLog::No;
            driver.observation = observation.clone();
            *id
        };
        self.changes.send((id, observation)).await.unwrap();
    }

    /// Lets the newest driver end.
    pub(super) async fn end(&self, exit: Exit) {
        let id = *self.drivers().keys().next_back().unwrap();
        self.end_one(id, exit, false).await;
    }

    async fn end_one(&self, id: AttemptId, exit: Exit, stopped: bool) {
        let ended = Ended { exit, started_at: now(), at: now(), stopped, cause: None, evidence: None };
        let observation = Observation::Exited(ended);
        if let Some(driver) = self.drivers().get_mut(&id) {
            driver.observation = observation.clone();
        }
        self.written.send_replace(());
        self.changes.send((id, observation)).await.unwrap();
    }

    fn observation(&self, id: AttemptId) -> Observation {
        self.drivers().get(&id).map_or(Observation::Absent, |driver| driver.observation.clone())
    }
}

#[async_trait]
impl Backend for Puppet {
    fn name(&self) -> &BackendName {
        &self.name
    }

    fn shard(&self) -> &Shard {
        &self.shard
    }

    fn binding(&self) -> String {
        "here".to_owned()
    }

    fn check(&self, spec: &ApplicationSpec) -> Vec<Problem> {
        let master = spec.conf.get("spark.master").filter(|master| !master.starts_with("local"));
        let problem = |master| Problem { field: "spark.master".to_owned(), message: format!("{master} is not local") };
        master.map(problem).into_iter().collect()
    }

    async fn launch(&self, order: LaunchOrder) -> Result<Observation, BackendError> {
        let new = || Driver { observation: Observation::Running { since: now() }, lines: Vec::new(), log_lost: false };
        self.drivers().entry(order.attempt.id).or_insert_with(new);
        Ok(self.observation(order.attempt.id))
    }

    async fn observe(&self, attempt: &AttemptRef) -> Result<Observation, BackendError> {
        Ok(self.observation(attempt.id))
    }

    async fn stop(&self, attempt: &AttemptRef, _grace: Duration) -> Result<Observation, BackendError> {
        let observation = self.observation(attempt.id);
        if matches!(observation, Observation::Running { .. }) {
            self.end_one(attempt.id, Exit::Signal(15), true).await;
        }
        Ok(observation)
    }

    async fn discard(&self, attempt: &AttemptRef) -> Result<(), BackendError> {
        self.drivers().remove(&attempt.id);
        Ok(())
    }

    async fn list_owned(&self) -> Result<Vec<Owned>, BackendError> {
        Ok(Vec::new())
    }

    fn take_changes(&self) -> Option<mpsc::Receiver<(AttemptId, Observation)>> {
        self.receiver.lock().unwrap().take()
    }
}

fn cursor(line: usize) -> LogCursor {
    format!("0-{line}").parse().unwrap()
}

#[async_trait]
impl LogSource for Puppet {
    async fn read(&self, attempt: &AttemptRef, query: &LogQuery) -> Result<LogPage, LogError> {
        let drivers = self.drivers();
        let driver = drivers.get(&attempt.id).filter(|driver| !driver.log_lost).ok_or(LogError::NotFound)?;
        let total = driver.lines.len();
        let start = match query.from {
            LogFrom::Start => 0,
            LogFrom::After(after) => (0..=total).find(|&line| cursor(line) >= after).unwrap_or(total),
            LogFrom::Tail(lines) => total.saturating_sub(lines),
        };
        let scanned = query.entries_max.min(self.scan_lines_max.load(Ordering::Relaxed));
        let end = total.min(start + scanned);
        let entries = driver.lines[start..end]
            .iter()
            .enumerate()
            .filter(|(_, (stream, _))| query.stream.is_none_or(|wanted| wanted == *stream));
        let items = entries.map(|(index, (stream, text))| {
            LogItem::Entry(LogEntry {
                cursor: cursor(start + index + 1),
                time: LogTime::at(now()),
                stream: *stream,
                partial: false,
                text: text.clone(),
            })
        });
        let over = matches!(driver.observation, Observation::Exited(_));
        Ok(LogPage { items: items.collect(), next: cursor(end), at_end: end == total, complete: over && end == total })
    }

    async fn grown(&self, attempt: &AttemptRef, after: LogCursor) -> Result<(), LogError> {
        let mut written = self.written.subscribe();
        loop {
            let page = self.read(attempt, &LogQuery { from: LogFrom::After(after), ..LogQuery::default() }).await?;
            if page.complete || !page.items.is_empty() {
                return Ok(());
            }
            written.changed().await.unwrap();
        }
    }
}
