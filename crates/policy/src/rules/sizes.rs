//! How large an application may be: the limits, asked about the conf as it will run.
//!
//! What a driver does with its place afterwards is the cluster's to bound; this is about what the gateway asks of the
//! cluster at a submitter's word. What a limit is about can't be left unsaid where Spark's own default is "no limit":
//! then the limit itself is set.

use model::id::BackendKind;
use model::memory_size::{ByteUnit, MemorySize};
use model::spark_conf::SparkConf;
use model::spark_submit::{LocalThreads, Master};

use super::Review;
use super::layer::Sizes;
use crate::verdict::{ChangeKind, excerpt};

/// What Spark gives a JVM that asks for nothing.
const DEFAULT_HEAP_MIB: u64 = 1_024;

/// The keys by which one of the two roles asks for memory and cores.
struct Asks {
    memory_limit: &'static str,
    heap: &'static str,
    /// Under its current and its old name.
    overhead: [&'static str; 2],
    overhead_min: &'static str,
    overhead_factors: [&'static str; 2],
    /// Whether off-heap memory and Python's come on top.
    has_more: bool,
    cores_limit: &'static str,
    cores: [&'static str; 3],
}

const DRIVER: Asks = Asks {
    memory_limit: "driver_memory",
    heap: "spark.driver.memory",
    overhead: ["spark.driver.memoryOverhead", "spark.yarn.driver.memoryOverhead"],
    overhead_min: "spark.driver.minMemoryOverhead",
    overhead_factors: ["spark.driver.memoryOverheadFactor", "spark.kubernetes.memoryOverheadFactor"],
    has_more: false,
    cores_limit: "driver_cores",
    cores: ["spark.driver.cores", "spark.kubernetes.driver.request.cores", "spark.kubernetes.driver.limit.cores"],
};

const EXECUTOR: Asks = Asks {
    memory_limit: "executor_memory",
    heap: "spark.executor.memory",
    overhead: ["spark.executor.memoryOverhead", "spark.yarn.executor.memoryOverhead"],
    overhead_min: "spark.executor.minMemoryOverhead",
    overhead_factors: ["spark.executor.memoryOverheadFactor", "spark.kubernetes.memoryOverheadFactor"],
    has_more: true,
    cores_limit: "executor_cores",
    cores: ["spark.executor.cores", "spark.kubernetes.executor.request.cores", "spark.kubernetes.executor.limit.cores"],
};

/// Every key that is a number of executors.
const EXECUTOR_COUNTS: [&str; 7] = [
    "spark.executor.instances",
    "spark.dynamicAllocation.initialExecutors",
    "spark.dynamicAllocation.maxExecutors",
    "spark.dynamicAllocation.minExecutors",
    "spark.streaming.dynamicAllocation.initialExecutors",
    "spark.streaming.dynamicAllocation.maxExecutors",
    "spark.streaming.dynamicAllocation.minExecutors",
];

/// The key by which a driver on this machine gets threads.
const MASTER: &str = "spark.master";

/// What turns on a way to allocate executors without bound, with the key that bounds it.
const UNBOUNDED: [(&str, &str); 2] = [
    ("spark.dynamicAllocation.enabled", "spark.dynamicAllocation.maxExecutors"),
    ("spark.streaming.dynamicAllocation.enabled", "spark.streaming.dynamicAllocation.maxExecutors"),
];

impl Review<'_> {
    /// Applies every limit.
    pub(super) fn sizes(&mut self) {
        self.bytes();
        self.memory(&DRIVER, |sizes| sizes.driver_memory);
        self.cores(&DRIVER, |sizes| sizes.driver_cores);
        if self.place.kind == BackendKind::Local {
            self.local_threads();
        } else {
            self.memory(&EXECUTOR, |sizes| sizes.executor_memory);
            self.cores(&EXECUTOR, |sizes| sizes.executor_cores);
            self.executors();
        }
    }

    /// What a limit itself puts into a key that is left unsaid.
    pub(super) fn bound(&self, key: &str) -> Option<String> {
        let is_local = self.place.kind == BackendKind::Local;
        if is_local && key == MASTER {
            return self.limit(DRIVER.cores_limit, |sizes| sizes.driver_cores).map(|(limit, _)| local_master(limit));
        }
        let bounds_executors = !is_local && UNBOUNDED.iter().any(|(_, bound)| *bound == key);
        let limit = bounds_executors.then(|| self.limit("executors", |sizes| sizes.executors))?;
        limit.map(|(limit, _)| limit.to_string())
    }

    /// The smallest of the layers' limits, with its rule.
    fn limit<T: Ord>(&self, name: &str, limit: impl Fn(&Sizes) -> Option<T>) -> Option<(T, String)> {
        let stated = self.layers.iter().filter_map(|layer| Some((limit(&layer.sizes)?, layer)));
        let (smallest, layer) = stated.min_by(|(left, _), (right, _)| left.cmp(right))?;
        Some((smallest, format!("{}.limits.{name}", layer.path)))
    }

    fn bytes(&mut self) {
        let args: u64 = self.spec.args.iter().map(|arg| arg.len() as u64).sum();
        let conf: u64 = self.spec.conf.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
        let limits = [
            ("args", args, self.limit("argument_bytes", |sizes| sizes.argument_bytes)),
            ("conf", conf, self.limit("conf_bytes", |sizes| sizes.conf_bytes)),
        ];
        for (field, bytes, limit) in limits {
            if let Some((limit, rule)) = limit.filter(|(limit, _)| bytes > *limit) {
                self.refuse(field, rule, format!("has {bytes} bytes; at most {limit} are allowed"));
            }
        }
    }

    fn memory(&mut self, asks: &Asks, limit: impl Fn(&Sizes) -> Option<MemorySize>) {
        let Some((limit, rule)) = self.limit(asks.memory_limit, limit) else { return };
        match asked_memory(&self.spec.conf, asks) {
            Ok(asked) if asked <= limit.bytes() as f64 => {}
            Ok(asked) => {
                let asked_gib = asked / ByteUnit::Gibibyte.bytes() as f64;
                let message =
                    format!("asks for {asked_gib:.2}g with all that comes on top; at most {limit} is allowed");
                self.refuse(asks.heap, rule, message);
            }
            Err((key, why)) => self.refuse(key, rule, why),
        }
    }

    fn cores(&mut self, asks: &Asks, limit: impl Fn(&Sizes) -> Option<u32>) {
        let Some((limit, rule)) = self.limit(asks.cores_limit, limit) else { return };
        for key in asks.cores {
            match self.spec.conf.get(key).map(|value| (cores(value), excerpt(value))) {
                None => {}
                Some((Some(count), _)) if count <= f64::from(limit) => {}
                Some((Some(count), _)) => {
                    self.refuse(key, &rule, format!("asks for {count} cores; at most {limit} are allowed"));
                }
                Some((None, text)) => {
                    self.refuse(key, &rule, format!("`{text}` is no number of cores such as 2 or 500m"));
                }
            }
        }
    }

    /// On this machine the driver runs the tasks itself, in as many threads as its master says; without one, in as
    /// many as there are cores.
    fn local_threads(&mut self) {
        let Some((limit, rule)) = self.limit(DRIVER.cores_limit, |sizes| sizes.driver_cores) else { return };
        if self.forced(MASTER).is_some() {
            return;
        }
        let bounded = local_master(limit);
        match self.spec.conf.get(MASTER).map(|master| master.trim().parse()) {
            Some(Ok(Master::Local { threads: LocalThreads::Count(count), .. })) if count <= limit => {}
            Some(Ok(Master::Local { .. })) => {
                self.refuse(MASTER, rule, format!("asks for more cores than the {limit} allowed"));
            }
            // The backend would put `local[*]` in its place.
            Some(_) => self.set(MASTER, &bounded, rule, ChangeKind::Forced),
            None => self.set(MASTER, &bounded, rule, ChangeKind::Defaulted),
        }
    }

    fn executors(&mut self) {
        let Some((limit, rule)) = self.limit("executors", |sizes| sizes.executors) else { return };
        for key in EXECUTOR_COUNTS {
            match self.spec.conf.get(key).map(|value| (value.trim().parse::<i64>(), excerpt(value))) {
                None => {}
                Some((Ok(count), _)) if count <= i64::from(limit) => {}
                Some((Ok(count), _)) => {
                    self.refuse(key, &rule, format!("asks for {count} executors; at most {limit} are allowed"));
                }
                Some((Err(_), text)) => self.refuse(key, &rule, format!("`{text}` is no whole number")),
            }
        }
        for (switch, bound) in UNBOUNDED {
            if is_true(&self.spec.conf, switch) && !self.spec.conf.contains(bound) {
                self.set(bound, &limit.to_string(), rule.clone(), ChangeKind::Defaulted);
            }
        }
    }
}

fn local_master(threads: u32) -> String {
    format!("local[{threads}]")
}

/// Bytes that a driver or an executor asks for: its heap, and what is said about memory beside it. What is left to
/// Spark (its own overhead factor) isn't counted. On failure the key with what is wrong about it.
fn asked_memory(conf: &SparkConf, asks: &Asks) -> Result<f64, (&'static str, String)> {
    let mebibytes = |key: &'static str| size(conf, key, ByteUnit::Mebibyte);
    let heap = mebibytes(asks.heap)?.unwrap_or((DEFAULT_HEAP_MIB * ByteUnit::Mebibyte.bytes()) as f64);
    let [current, old] = asks.overhead;
    let overhead = match mebibytes(current)? {
        Some(overhead) => Some(overhead),
        None => mebibytes(old)?,
    };
    let overhead = match overhead {
        Some(overhead) => overhead,
        None => {
            let [own, common] = asks.overhead_factors;
            let factor = match factor(conf, own)? {
                Some(factor) => Some(factor),
                None => factor(conf, common)?,
            };
            (heap * factor.unwrap_or(0.0)).max(mebibytes(asks.overhead_min)?.unwrap_or(0.0))
        }
    };
    let more = if asks.has_more {
        let uses_off_heap = is_true(conf, "spark.memory.offHeap.enabled") || is_true(conf, "spark.unsafe.offHeap");
        let off_heap = if uses_off_heap { size(conf, "spark.memory.offHeap.size", ByteUnit::Byte)? } else { None };
        off_heap.unwrap_or(0.0) + mebibytes("spark.executor.pyspark.memory")?.unwrap_or(0.0)
    } else {
        0.0
    };
    Ok(heap + overhead + more)
}

fn size(conf: &SparkConf, key: &'static str, unit: ByteUnit) -> Result<Option<f64>, (&'static str, String)> {
    let Some(text) = conf.get(key) else { return Ok(None) };
    match MemorySize::parse(text, unit) {
        Ok(size) => Ok(Some(size.bytes() as f64)),
        Err(_) => Err((key, format!("`{}` is no size such as 512m or 4g", excerpt(text)))),
    }
}

fn factor(conf: &SparkConf, key: &'static str) -> Result<Option<f64>, (&'static str, String)> {
    let Some(text) = conf.get(key) else { return Ok(None) };
    match text.trim().parse::<f64>() {
        Ok(factor) if factor.is_finite() && factor >= 0.0 => Ok(Some(factor)),
        _ => Err((key, format!("`{}` is no factor such as 0.1", excerpt(text)))),
    }
}

/// A number of cores as Spark and Kubernetes write it: `2`, `0.5`, `500m`.
fn cores(text: &str) -> Option<f64> {
    let text = text.trim();
    let (digits, divisor) = text.strip_suffix('m').map_or((text, 1.0), |milli| (milli, 1_000.0));
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let count: f64 = digits.parse().ok().filter(|_| plain)?;
    Some(count / divisor)
}

/// Whether a switch is on, as Spark reads it.
fn is_true(conf: &SparkConf, key: &str) -> bool {
    conf.get(key).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}
