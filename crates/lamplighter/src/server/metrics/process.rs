//! The process's own figures, under the names that Prometheus's clients give them everywhere.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Looks at the process whenever somebody asks.
#[derive(Debug)]
pub(super) struct Process {
    start_seconds: f64,
}

impl Process {
    /// This process, which has just been started.
    pub(super) fn started_now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start_seconds: since_epoch.as_secs_f64() }
    }

    /// Names, explanations and values; what can't be found out is left out.
    fn gauges(&self) -> Vec<(&'static str, &'static str, f64)> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limit = getrlimit(Resource::Nofile).current;
        let figures = [
            ("process_resident_memory_bytes", "Resident memory", number(&status, "VmRSS:").map(|kib| kib * 1024.0)),
            ("process_virtual_memory_bytes", "Virtual memory", number(&status, "VmSize:").map(|kib| kib * 1024.0)),
            ("process_threads", "Threads", number(&status, "Threads:")),
            ("process_open_fds", "Open file descriptors", open_descriptors()),
            ("process_max_fds", "Most file descriptors that may be open", limit.map(float)),
            ("process_start_time_seconds", "Start of the process since the epoch", Some(self.start_seconds)),
        ];
        figures.into_iter().filter_map(|(name, help, value)| Some((name, help, value?))).collect()
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, help, value) in self.gauges() {
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let help = "Processor time used";
        let cpu = encoder.encode_descriptor("process_cpu_seconds", help, None, MetricType::Counter)?;
        ConstCounter::new(cpu_seconds()).encode(cpu)
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    std::time::Duration::try_from(time).unwrap_or_default().as_secs_f64()
}

/// The descriptors, without the one that lists them.
fn open_descriptors() -> Option<f64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    u64::try_from(count).ok().map(float)
}

fn number(status: &str, key: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Figures of this size are exact in a float.
#[allow(clippy::cast_precision_loss, reason = "limits and counts stay far below 2^53")]
fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_there_and_makes_sense() {
        let process = Process::started_now();
        let figures: Vec<(&str, f64)> = process.gauges().into_iter().map(|(name, _, value)| (name, value)).collect();
        assert_eq!(figures.len(), 6);
        for (name, value) in figures {
            assert!(value >= 1.0, "{name} is {value}");
        }
        assert!(cpu_seconds() > 0.0);
    }
}
