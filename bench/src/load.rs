//! Many clients at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use testkit::gateway::{Client, Gateway};

use crate::sample::Sample;

/// What came of it.
#[derive(Debug)]
pub(crate) struct Load {
    /// How long each request took.
    pub(crate) times: Sample,
    /// How long all of them took together.
    pub(crate) elapsed: Duration,
    /// How many there were.
    pub(crate) requests: usize,
}

impl Load {
    /// Requests in a second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }
}

/// Has `clients` send `requests` in all, as fast as answers come, each over a connection that it keeps. `send` gets
/// the number of its request.
pub(crate) fn run(
    gateway: &Gateway,
    clients: usize,
    requests: usize,
    send: impl Fn(&Client, usize) -> Result<()> + Sync,
) -> Result<Load> {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let times = thread::scope(|scope| {
        let work = || {
            let client = gateway.client();
            let mut times = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return Ok::<_, anyhow::Error>(times);
                }
                let started = Instant::now();
                send(&client, number)?;
                times.push(started.elapsed());
            }
        };
        let workers: Vec<_> = (0..clients).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::with_capacity(requests);
        for worker in workers {
            all.extend(worker.join().ok().context("a client panicked")??);
        }
        Ok::<_, anyhow::Error>(all)
    })?;
    Ok(Load { times: times.into_iter().collect(), elapsed: started.elapsed(), requests })
}
