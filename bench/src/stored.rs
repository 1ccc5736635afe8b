//! How the gateway does when it remembers much: its start, its memory, its lists.

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use model::id::Shard;
use testkit::fake_spark::FakeSpark;
use testkit::gateway::{Gateway, Options};

use crate::report::{Section, Target};
use crate::sample::Sample;
use crate::{Context, lists, load, seed};

/// Applications stored, one step after the other.
const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// With so many, start and memory are measured.
const MANY: u64 = 100_000;
/// Nothing is started, and nothing is let go, while it is looked at.
const CONFIG: &str = "local:\n  places: 0\n  queue_max: 1000000\n\
                      retention:\n  age: forever\n  count: 100000000\n  events: 100000000\n";
/// Clients of the burst after which memory is looked at again.
const BURST_CLIENTS: usize = 64;

/// Measures at each size.
pub(crate) fn measure(context: &Context) -> Result<Vec<Section>> {
    let spark = FakeSpark::new()?;
    let mut options = Options::new(&context.binary, spark.home());
    CONFIG.clone_into(&mut options.config);
    let mut start = Section::new("start");
    let mut memory = Section::new("memory");
    let empty = Gateway::start(options.clone())?;
    memory.figure("idle, nothing stored", Target::AtMost(50.0), resident_mib(&empty)?, "MiB");
    drop(empty);

    let mut data = Data::new(options)?;
    let mut lists = lists::Lists::default();
    for size in SIZES.into_iter().take(if context.quick { 2 } else { SIZES.len() }) {
        data.grow(size)?;
        if size == MANY {
            start.times("exec → ready, 100,000 stored", Target::AtMost(100.0), &data.starts(context.times(30))?);
            data.memory(&mut memory, context.times(20_000))?;
        }
        data.gateway.restart()?;
        lists.measure(&data.gateway.client(), size, context.times(300))?;
        data.gateway.kill9()?;
    }
    Ok(vec![start, memory, lists.into_section()])
}

/// A data folder that grows while no gateway uses it.
struct Data {
    gateway: Gateway,
    shard: Shard,
    size: u64,
}

impl Data {
    fn new(options: Options) -> Result<Self> {
        let mut gateway = Gateway::start(options)?;
        gateway.stop()?;
        let instance = fs::read_to_string(gateway.data_dir().join("instance"))?;
        let shard = Shard::new(&format!("local/{}", instance.trim()))?;
        Ok(Self { gateway, shard, size: 0 })
    }

    fn grow(&mut self, size: u64) -> Result<()> {
        let started = Instant::now();
        seed::fill(&self.gateway.data_dir().join("lamplighter.db"), &self.shard, self.size, size)?;
        self.size = size;
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

    fn memory(&mut self, section: &mut Section, requests: usize) -> Result<()> {
        self.gateway.restart()?;
        section.figure("idle, 100,000 stored", Target::AtMost(64.0), resident_mib(&self.gateway)?, "MiB");
        load::run(&self.gateway, BURST_CLIENTS, requests, |client, number| {
            let answer =
                client.get(&format!("/api/v1/applications?limit=100&label=team=t{}", number as u64 % seed::TEAMS))?;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
            Ok(())
        })?;
        let after = resident_mib(&self.gateway)?;
        section.figure("100,000 stored, after a burst of 64 clients", Target::AtMost(64.0), after, "MiB");
        self.gateway.kill9()
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
