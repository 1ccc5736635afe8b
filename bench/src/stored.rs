//! How the gateway does when it remembers much: its start, its memory, its lists.

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use testkit::fake_spark::FakeSpark;
use testkit::gateway::{Gateway, Options};

use crate::report::{Section, Target};
use crate::sample::Sample;
use crate::{Context, lists, load, seed};

/// Applications stored where lists are measured.
const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// With so many, start and memory are measured.
const MANY: u64 = 100_000;
/// Nothing is started, and nothing is let go, while it is looked at.
const CONFIG: &str = "local:\n  places: 0\n  queue_max: 1000000\n\
                      retention:\n  age: forever\n  count: 100000000\n  events: 100000000\n";
/// Clients of the burst after which memory is looked at again.
const BURST_CLIENTS: usize = 64;

/// Measures start, memory and lists.
pub(crate) fn measure(context: &Context) -> Result<Vec<Section>> {
    let spark = FakeSpark::new()?;
    let mut options = Options::new(&context.binary, spark.home());
    CONFIG.clone_into(&mut options.config);
    let mut sections = start_and_memory(context, &options)?;
    sections.push(lists(context, &options)?);
    Ok(sections)
}

fn start_and_memory(context: &Context, options: &Options) -> Result<Vec<Section>> {
    let mut start = Section::new("start");
    let mut memory = Section::new("memory");
    let mut data = Data::new(options.clone())?;
    data.gateway.restart()?;
    memory.figure("idle, nothing stored", Target::AtMost(50.0), resident_mib(&data.gateway)?, "MiB");
    data.gateway.kill9()?;
    data.fill(MANY)?;
    start.times("exec → ready, 100,000 stored", Target::AtMost(100.0), &data.starts(context.times(30))?);
    data.gateway.restart()?;
    memory.figure("idle, 100,000 stored", Target::AtMost(64.0), resident_mib(&data.gateway)?, "MiB");
    burst(&data.gateway, context.times(20_000))?;
    let after = resident_mib(&data.gateway)?;
    memory.figure("100,000 stored, after a burst of 64 clients", Target::AtMost(64.0), after, "MiB");
    Ok(vec![start, memory])
}

fn lists(context: &Context, options: &Options) -> Result<Section> {
    let mut stocked = Vec::new();
    for size in SIZES.into_iter().take(if context.quick { 3 } else { SIZES.len() }) {
        let mut data = Data::new(options.clone())?;
        data.fill(size)?;
        data.gateway.restart()?;
        stocked.push((size, data));
    }
    let gateways: Vec<_> = stocked.iter().map(|(size, data)| (*size, data.gateway.client())).collect();
    lists::measure(&gateways, context.times(300))
}

/// Many clients list and submit at once.
fn burst(gateway: &Gateway, requests: usize) -> Result<()> {
    load::run(gateway, BURST_CLIENTS, requests, |client, number| {
        let answer = match number % 2 {
            0 => client.get("/api/v1/applications?limit=100")?,
            _ => client.post("/batches", r#"{"file": "/srv/jobs/daily.py"}"#)?,
        };
        ensure!(matches!(answer.status, 200 | 201), "{} {}", answer.status, answer.body);
        Ok(())
    })
    .map(drop)
}

/// A gateway's data folder, which is filled while the gateway is down.
struct Data {
    gateway: Gateway,
    instance: String,
}

impl Data {
    fn new(options: Options) -> Result<Self> {
        let mut gateway = Gateway::start(options)?;
        gateway.stop()?;
        let instance = fs::read_to_string(gateway.data_dir().join("instance"))?.trim().to_owned();
        Ok(Self { gateway, instance })
    }

    fn fill(&self, size: u64) -> Result<()> {
        let started = Instant::now();
        seed::fill(&self.gateway.data_dir().join("lamplighter.db"), &self.instance, size)?;
        println!("{size} applications are stored after {:.1} s", started.elapsed().as_secs_f64());
        Ok(())
    }

    /// From starting the process to its first yes, each time after it was killed.
    fn starts(&mut self, times: usize) -> Result<Sample> {
        let mut all = Vec::with_capacity(times);
        for _ in 0..times {
            let started = Instant::now();
            self.gateway.restart()?;
            all.push(started.elapsed());
            self.gateway.kill9()?;
        }
        Ok(all.into_iter().collect())
    }
}

/// Memory that the gateway's process holds.
fn resident_mib(gateway: &Gateway) -> Result<f64> {
    let pid = gateway.pid().context("the gateway is down")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1_024.0)
}
