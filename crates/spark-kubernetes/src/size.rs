//! How much of a node a driver takes, by Spark's own rules.

use crate::files::Language;
use crate::reader::Reader;
use crate::version::{Feature, SparkVersion};

/// The least overhead in MiB where nothing says otherwise.
const MIN_OVERHEAD_MIB: u64 = 384;
/// More MiB than any driver has; Spark itself counts them in a Java `int`.
const MEBIBYTES_MAX: u64 = i32::MAX as u64;
const MEMORY: &str = "spark.driver.memory";

/// What a driver asks its node for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DriverSize {
    /// CPUs it asks for, as Kubernetes writes them.
    pub(crate) cpu_request: String,
    /// CPUs it may not exceed.
    pub(crate) cpu_limit: Option<String>,
    /// Heap and overhead, asked for and not to be exceeded.
    pub(crate) memory_mib: u64,
    /// The part of the heap that is added to it, which executors are told.
    pub(crate) overhead_factor: f64,
    /// Devices and the like: the resource's full name and the amount.
    pub(crate) devices: Vec<(String, String)>,
}

impl DriverSize {
    pub(crate) fn read(reader: &mut Reader<'_>, language: Language, version: SparkVersion) -> Self {
        let overhead_factor =
            reader.factor("spark.kubernetes.memoryOverheadFactor").unwrap_or_else(|| default_overhead_factor(language));
        let heap = reader.mebibytes(MEMORY).unwrap_or(1024);
        let overhead = overhead_mib(reader, heap, overhead_factor, version);
        let memory_mib = heap.saturating_add(overhead);
        if memory_mib > MEBIBYTES_MAX {
            reader.problem(MEMORY, "is more than any node has");
        }
        let cores = reader.count("spark.driver.cores").unwrap_or(1);
        let cpu_request = reader.quantity("spark.kubernetes.driver.request.cores");
        Self {
            cpu_request: cpu_request.map_or_else(|| cores.to_string(), str::to_owned),
            cpu_limit: reader.quantity("spark.kubernetes.driver.limit.cores").map(str::to_owned),
            memory_mib,
            overhead_factor,
            devices: devices(reader),
        }
    }
}

/// Programs that aren't the JVM's own live in the overhead.
const fn default_overhead_factor(language: Language) -> f64 {
    match language {
        Language::Java => 0.1,
        Language::Python => 0.4,
    }
}

fn overhead_mib(reader: &mut Reader<'_>, heap_mib: u64, factor: f64, version: SparkVersion) -> u64 {
    let factor = reader.factor("spark.driver.memoryOverheadFactor").unwrap_or(factor);
    let least = reader.mebibytes("spark.driver.minMemoryOverhead").filter(|_| version.has(Feature::MinMemoryOverhead));
    let explicit = reader.mebibytes("spark.driver.memoryOverhead");
    explicit.unwrap_or_else(|| part(heap_mib, factor).max(least.unwrap_or(MIN_OVERHEAD_MIB)))
}

/// `factor` of `mebibytes`, rounded down as Spark does.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "both are small and not negative; too large a product saturates and is refused"
)]
fn part(mebibytes: u64, factor: f64) -> u64 {
    (mebibytes as f64 * factor) as u64
}

/// `spark.driver.resource.gpu.amount` and `.vendor` as `nvidia.com/gpu`.
fn devices(reader: &mut Reader<'_>) -> Vec<(String, String)> {
    const PREFIX: &str = "spark.driver.resource.";
    let mut devices = Vec::new();
    for (name, amount) in reader.family(PREFIX) {
        let Some(device) = name.strip_suffix(".amount") else { continue };
        let vendor = reader.text(&format!("{PREFIX}{device}.vendor"));
        let resource = vendor.map(|vendor| format!("{vendor}/{device}"));
        let amount_fits = amount.parse::<u32>().is_ok_and(|amount| amount > 0);
        match resource.filter(|resource| amount_fits && crate::labels::is_key(resource)) {
            Some(resource) => devices.push((resource, amount.to_owned())),
            None => reader.problem(
                &format!("{PREFIX}{name}"),
                format!("must be a whole number beside `{PREFIX}{device}.vendor`, such as nvidia.com"),
            ),
        }
    }
    devices
}
