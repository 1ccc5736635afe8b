//! How fast `POST /batches` is answered. An answer means that the batch is on the disk.

use anyhow::{Result, ensure};
use serde_json::json;
use testkit::fake_spark::FakeSpark;
use testkit::gateway::{Client, Gateway, Options};

use crate::load::{self, Load};
use crate::report::{Section, Target};
use crate::syncs::SyncCounter;
use crate::{Context, sample::Sample};

/// Clients that submit at once.
const CLIENTS: usize = 64;
/// Requests before the first that counts.
const WARM_UP: usize = 200;

/// Measures accepting alone, and while accepted applications run.
pub(crate) fn measure(context: &Context) -> Result<Vec<Section>> {
    let mut section = Section::new("accept");
    let alone = Round::new(context, "local:\n  places: 0\n  queue_max: 1000000\n")?;
    let (one, _) = alone.one_client(context.times(2_000))?;
    section.times("1 client", Target::AtMost(2.0), &one);
    let (many, syncs) = alone.many_clients(context.times(30_000))?;
    section.figure("64 clients, in total", Target::AtLeast(2_000.0), many.rate(), "/s");
    section.times("64 clients, each answer", Target::Nothing, &many.times);
    section.figure("64 clients, syncs per accept", Target::AtMost(0.25), syncs, "");
    drop(alone);
    let running = Round::new(context, "local:\n  queue_max: 1000000\n")?;
    let (one, _) = running.one_client(context.times(500))?;
    section.times("1 client, while applications run", Target::Nothing, &one);
    let (many, syncs) = running.many_clients(context.times(5_000))?;
    section.figure("64 clients, while applications run, in total", Target::Nothing, many.rate(), "/s");
    section.times("64 clients, while applications run, each answer", Target::Nothing, &many.times);
    section.figure("64 clients, while applications run, syncs per accept", Target::Nothing, syncs, "");
    Ok(vec![section])
}

/// One gateway and what is sent to it.
struct Round {
    gateway: Gateway,
    counter: SyncCounter,
    program: String,
    _spark: FakeSpark,
}

impl Round {
    fn new(context: &Context, config: &str) -> Result<Self> {
        let spark = FakeSpark::new()?;
        let counter = SyncCounter::new()?;
        let program = spark.program("job.sh", "exit 0\n")?.display().to_string();
        let mut options = Options::new(&context.binary, spark.home());
        config.clone_into(&mut options.config);
        options.environment = counter.environment();
        let round = Self { gateway: Gateway::start(options)?, counter, program, _spark: spark };
        round.send_all("warm-up", 1, WARM_UP)?;
        Ok(round)
    }

    fn one_client(&self, requests: usize) -> Result<(Sample, f64)> {
        let (load, syncs) = self.counted("one", 1, requests)?;
        Ok((load.times, syncs))
    }

    fn many_clients(&self, requests: usize) -> Result<(Load, f64)> {
        self.counted("many", CLIENTS, requests)
    }

    /// Sends batches, and says how many syncs each took.
    fn counted(&self, name: &str, clients: usize, requests: usize) -> Result<(Load, f64)> {
        let before = self.counter.count()?;
        let load = self.send_all(name, clients, requests)?;
        let syncs = self.counter.count()? - before;
        ensure!(syncs > 0, "no sync was counted");
        Ok((load, syncs as f64 / requests as f64))
    }

    fn send_all(&self, name: &str, clients: usize, requests: usize) -> Result<Load> {
        load::run(&self.gateway, clients, requests, |client, number| self.send(client, &format!("{name}-{number}")))
    }

    /// A batch as a scheduler sends it.
    fn send(&self, client: &Client, name: &str) -> Result<()> {
        let body = json!({
            "file": self.program,
            "name": name,
            "args": ["--date", "2026-11-21"],
            "driverMemory": "1g",
            "conf": { "spark.sql.shuffle.partitions": "8", "spark.ui.enabled": "false" },
        });
        let answer = client.post("/batches", &body.to_string())?;
        ensure!(answer.status == 201, "{} {}", answer.status, answer.body);
        Ok(())
    }
}
