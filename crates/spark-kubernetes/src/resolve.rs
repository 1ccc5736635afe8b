//! An application at a placement with every question answered, or every problem told.

use std::collections::BTreeMap;

use model::properties;
use model::spec::ApplicationSpec;

use crate::Problem;
use crate::environment::Environment;
use crate::files::{self, Language};
use crate::keys;
use crate::labels;
use crate::placement::{EventLog, Placement};
use crate::reader::Reader;
use crate::service::ServiceOptions;
use crate::size::DriverSize;
use crate::version::{Feature, SparkVersion};

/// Bytes that a driver's configuration may have. A Secret holds 1 MiB, of which the gateway's own keys take some.
const SECRET_BYTES_MAX: usize = 1_000_000;
/// Bytes that one argument may have, as in Linux.
const ARGUMENT_BYTES_MAX: usize = 128 * 1024 - 1;
/// Bytes that all arguments may have together, so that the pod fits into the API server's store.
const ARGUMENTS_BYTES_MAX: usize = 512 * 1024;

/// An application that can be built.
pub(crate) struct Resolved<'a> {
    pub(crate) spec: &'a ApplicationSpec,
    pub(crate) placement: &'a Placement,
    pub(crate) language: Language,
    pub(crate) version: SparkVersion,
    pub(crate) app_name: &'a str,
    pub(crate) class_name: &'a str,
    /// The image of the driver.
    pub(crate) driver_image: &'a str,
    /// The image of executors, unless they have one of their own.
    pub(crate) image: &'a str,
    pub(crate) size: DriverSize,
    pub(crate) ports: Ports,
    pub(crate) environment: Environment<'a>,
    pub(crate) scheduler: Option<&'a str>,
    pub(crate) labels: BTreeMap<&'a str, &'a str>,
    pub(crate) annotations: BTreeMap<&'a str, &'a str>,
    pub(crate) node_selector: BTreeMap<String, String>,
    pub(crate) local_dirs: Vec<&'a str>,
    pub(crate) local_dirs_in_memory: bool,
    pub(crate) service: ServiceOptions<'a>,
    pub(crate) event_log: Option<&'a EventLog>,
}

/// The ports of a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    pub(crate) driver: u16,
    pub(crate) block_manager: u16,
    pub(crate) ui: u16,
    pub(crate) connect: Option<u16>,
}

impl Ports {
    fn read(reader: &mut Reader<'_>, version: SparkVersion) -> Self {
        let connect = reader.port("spark.connect.grpc.binding.port", 15002);
        let ports = Self {
            driver: reader.port("spark.driver.port", 7078),
            block_manager: reader.port("spark.driver.blockManager.port", 7079),
            ui: reader.port("spark.ui.port", 4040),
            connect: version.has(Feature::ConnectPort).then_some(connect),
        };
        let mut all: Vec<u16> = ports.named().map(|(_, port)| port).collect();
        all.sort_unstable();
        if all.windows(2).any(|pair| pair[0] == pair[1]) {
            reader.problem("spark.driver.port", "is a port that the driver needs for something else too");
        }
        ports
    }

    /// Spark's names of the ports, in its order.
    pub(crate) fn named(self) -> impl Iterator<Item = (&'static str, u16)> {
        let connect = self.connect.map(|port| (CONNECT_PORT, port));
        [("driver-rpc-port", self.driver), ("blockmanager", self.block_manager), ("spark-ui", self.ui)]
            .into_iter()
            .chain(connect)
    }
}

/// The name of Spark Connect's port.
pub(crate) const CONNECT_PORT: &str = "spark-connect";

/// Answers every question about `spec` at `placement`.
///
/// # Errors
/// All problems at once, in the order of fields and keys.
pub(crate) fn resolve<'a>(spec: &'a ApplicationSpec, placement: &'a Placement) -> Result<Resolved<'a>, Vec<Problem>> {
    let mut reader = Reader::new(&spec.conf);
    let class_name = files::check(&mut reader, spec);
    check_sizes(&mut reader, spec);
    keys::check(&mut reader, placement);
    let language = Language::of(&spec.resource);
    let (line_image, version) = spark(&mut reader, spec, placement);
    let image = reader.text("spark.kubernetes.container.image").unwrap_or(line_image);
    let resolved = Resolved {
        spec,
        placement,
        language,
        version,
        app_name: app_name(spec, class_name),
        class_name,
        driver_image: reader.text("spark.kubernetes.driver.container.image").unwrap_or(image),
        image,
        size: DriverSize::read(&mut reader, language, version),
        ports: Ports::read(&mut reader, version),
        environment: Environment::read(&mut reader, language),
        scheduler: scheduler(&mut reader),
        labels: reader.family("spark.kubernetes.driver.label.").into_iter().collect(),
        annotations: reader.family("spark.kubernetes.driver.annotation.").into_iter().collect(),
        node_selector: node_selector(&reader, placement),
        local_dirs: local_dirs(&mut reader),
        local_dirs_in_memory: flag(&mut reader, "spark.kubernetes.local.dirs.tmpfs").unwrap_or(false),
        service: ServiceOptions::read(&mut reader),
        event_log: event_log(&mut reader, placement),
    };
    check_executors(&mut reader);
    if reader.problems.is_empty() { Ok(resolved) } else { Err(reader.problems) }
}

/// The image and version of the Spark that `spec` asks for.
fn spark<'a>(reader: &mut Reader<'_>, spec: &'a ApplicationSpec, placement: &'a Placement) -> (&'a str, SparkVersion) {
    let (image, version) = match placement.images.resolve(spec.spark.as_ref()) {
        Some((line, version)) => (line.image.as_str(), version),
        None => {
            let names: Vec<&str> = placement.images.lines.keys().map(|name| name.as_str()).collect();
            reader.problem("spark", format!("is none of the Sparks of this backend: {}", names.join(", ")));
            ("", SparkVersion::NEWEST)
        }
    };
    if version < SparkVersion::OLDEST {
        reader.problem("spark", format!("is {version}; this backend runs {} and newer", SparkVersion::OLDEST));
    }
    (image, version)
}

/// What spark-submit takes for the name when none is given.
fn app_name<'a>(spec: &'a ApplicationSpec, class_name: &'a str) -> &'a str {
    let given = spec.name.as_deref().or_else(|| spec.conf.get("spark.app.name")).map(properties::as_spark_reads);
    given.filter(|name| !name.is_empty()).unwrap_or_else(|| match Language::of(&spec.resource) {
        Language::Java => class_name,
        Language::Python => spec.resource.rsplit('/').next().unwrap_or(&spec.resource),
    })
}

fn check_sizes(reader: &mut Reader<'_>, spec: &ApplicationSpec) {
    if properties::serialize(spec.conf.iter()).len() > SECRET_BYTES_MAX {
        reader.problem("conf", format!("is larger than the {SECRET_BYTES_MAX} bytes that a Secret has room for"));
    }
    let longest = spec.args.iter().map(String::len).max().unwrap_or(0);
    if longest > ARGUMENT_BYTES_MAX {
        reader.problem("args", format!("have one longer than {ARGUMENT_BYTES_MAX} bytes"));
    }
    if spec.args.iter().map(String::len).sum::<usize>() > ARGUMENTS_BYTES_MAX {
        reader.problem("args", format!("are longer than {ARGUMENTS_BYTES_MAX} bytes together"));
    }
}

/// What the driver would only find out when it asks for its first executor.
fn check_executors(reader: &mut Reader<'_>) {
    reader.mebibytes("spark.executor.memory");
    reader.mebibytes("spark.executor.memoryOverhead");
    reader.count("spark.executor.cores");
    reader.quantity("spark.kubernetes.executor.request.cores");
    reader.quantity("spark.kubernetes.executor.limit.cores");
}

fn scheduler<'a>(reader: &mut Reader<'a>) -> Option<&'a str> {
    const KEYS: [&str; 2] = ["spark.kubernetes.driver.scheduler.name", "spark.kubernetes.scheduler.name"];
    for key in KEYS {
        if reader.text(key).is_some_and(|name| !labels::is_subdomain(name)) {
            reader.problem(key, "is not the name of a scheduler");
        }
    }
    KEYS.into_iter().find_map(|key| reader.text(key))
}

fn node_selector(reader: &Reader<'_>, placement: &Placement) -> BTreeMap<String, String> {
    let families = ["spark.kubernetes.node.selector.", "spark.kubernetes.driver.node.selector."];
    let asked = families.into_iter().flat_map(|family| reader.family(family));
    let mut selector: BTreeMap<String, String> = asked.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    selector.extend(placement.node_selector.clone());
    selector
}

/// The folders for shuffles and spills that an application asks for; each becomes a volume.
fn local_dirs<'a>(reader: &mut Reader<'a>) -> Vec<&'a str> {
    const KEY: &str = "spark.local.dir";
    /// What a volume there would hide.
    const TAKEN: [&str; 4] = ["/opt", "/usr", "/etc", "/var/run"];
    let listed = reader.text(KEY).unwrap_or_default();
    let dirs: Vec<&str> = listed.split(',').map(str::trim).filter(|dir| !dir.is_empty()).collect();
    let wrong = |dir: &&&str| {
        let plain = dir.starts_with("/") && dir.len() > 1 && !dir.contains([':', '\0']) && !dir.ends_with('/');
        let steps = dir.split('/').skip(1).any(|step| matches!(step, "" | "." | ".."));
        let taken = TAKEN.iter().any(|taken| *dir == taken || dir.starts_with(&format!("{taken}/")));
        !plain || steps || taken
    };
    if dirs.iter().find(wrong).is_some() {
        reader.problem(KEY, format!("must list absolute paths outside {}", TAKEN.join(", ")));
    }
    let distinct: std::collections::BTreeSet<&str> = dirs.iter().copied().collect();
    if distinct.len() != dirs.len() || dirs.len() > 16 {
        reader.problem(KEY, "must list at most 16 folders, each once");
    }
    dirs
}

fn flag(reader: &mut Reader<'_>, key: &str) -> Option<bool> {
    let text = reader.text(key)?;
    // Spark reads these words in any case.
    let parsed = text.to_ascii_lowercase().parse().ok();
    if parsed.is_none() {
        reader.problem(key, "must be true or false");
    }
    parsed
}

/// Where the driver writes its event log, if the placement decides it.
fn event_log<'a>(reader: &mut Reader<'_>, placement: &'a Placement) -> Option<&'a EventLog> {
    let wanted = flag(reader, "spark.eventLog.enabled").unwrap_or(true);
    placement.event_log.as_ref().filter(|_| wanted && !reader.conf.contains("spark.eventLog.dir"))
}
