//! Clients that never give up: each request is repeated until the gateway acknowledges it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::job::{Door, Fate, Job, Jobs};
use super::progress::Progress;
use crate::gateway::{Answer, Client, PATIENCE};

/// The pause before a request is repeated.
const AGAIN_AFTER: Duration = Duration::from_millis(2);

/// All clients.
pub(super) struct Clients<'a> {
    pub(super) url: String,
    pub(super) jobs: &'a Jobs,
    pub(super) progress: &'a Progress,
    pub(super) count: u32,
}

/// The id that the gateway gave to each job.
pub(super) type Acknowledged = BTreeMap<u32, String>;

impl Clients<'_> {
    /// Submits every job; returns when the last request was acknowledged.
    pub(super) fn run(&self) -> Result<Acknowledged> {
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            let clients: Vec<_> = (0..self.count).map(|_| scope.spawn(|| self.work(&next))).collect();
            let mut all = Acknowledged::new();
            for client in clients {
                all.extend(client.join().ok().context("a client panicked")??);
            }
            Ok(all)
        })
    }

    fn work(&self, next: &AtomicUsize) -> Result<Acknowledged> {
        let client = Client::new(&self.url);
        let count = u32::try_from(self.jobs.all.len())?;
        let mut acknowledged = Acknowledged::new();
        while let Some(job) = self.jobs.all.get(next.fetch_add(1, Ordering::Relaxed)) {
            self.progress.wait_for_turn(job.number, count);
            let id = submit(&client, self.jobs, job)?;
            self.progress.acknowledged();
            match job.fate {
                Fate::IsCancelled => cancel(&client, &id)?,
                Fate::IsDeleted => delete(&client, &id)?,
                Fate::Exits(_) | Fate::KillsItself => {}
            }
            acknowledged.insert(job.number, id);
        }
        Ok(acknowledged)
    }
}

/// Submits a job, again and again with the same key, and answers its application's id.
pub(super) fn submit(client: &Client, jobs: &Jobs, job: &Job) -> Result<String> {
    let body = jobs.body(job);
    let path = match job.door {
        Door::V1 => "/api/v1/applications",
        Door::Livy => "/batches",
    };
    let answer = until_acknowledged(&[200, 201], || client.post_once(path, &body, &job.key))?;
    let told = &answer.json()?["id"];
    match job.door {
        Door::V1 => Ok(told.as_str().context("an id")?.to_owned()),
        Door::Livy => Ok(format!("batch-{}", told.as_u64().context("an id")?)),
    }
}

fn cancel(client: &Client, id: &str) -> Result<()> {
    let path = format!("/api/v1/applications/{id}/cancel");
    until_acknowledged(&[200, 202], || client.post(&path, "")).map(drop)
}

fn delete(client: &Client, id: &str) -> Result<()> {
    let path = format!("/api/v1/applications/{id}?cancel=true");
    // When the answer to the one before was lost, it may be gone already.
    until_acknowledged(&[202, 204, 404], || client.delete(&path)).map(drop)
}

/// Asks until one of these statuses comes. No answer, and "not now", mean to ask again.
fn until_acknowledged(good: &[u16], ask: impl Fn() -> Result<Answer>) -> Result<Answer> {
    let started = Instant::now();
    loop {
        match ask() {
            Ok(answer) if good.contains(&answer.status) => return Ok(answer),
            Ok(answer) if answer.status != 503 => bail!("unexpected answer {} {}", answer.status, answer.body),
            Err(error) if started.elapsed() > PATIENCE => return Err(error.context("the gateway never answered")),
            Ok(_) | Err(_) => thread::sleep(AGAIN_AFTER),
        }
    }
}
