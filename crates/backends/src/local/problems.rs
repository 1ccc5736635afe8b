//! What is wrong with a specification before it is tried here: pure but for the look at files.
//!
//! [`problems`] are what can't run in this backend at all. [`missing_files`] and [`notation_problems`] are apart,
//! because Livy accepts such applications and lets the driver fail, and so does our door for Livy's clients.

use std::path::Path;

use engine::backend::Problem;
use model::duration::{SparkDuration, TimeUnit};
use model::memory_size::{ByteUnit, MemorySize};
use model::properties::check_representable;
use model::spec::ApplicationSpec;

use super::installation::Installations;
use super::plan::{OWN_CONF_PREFIX, WORK_DIR_KEY, command_line, is_local};
use crate::causes::with_causes;

/// Conf keys with amounts of memory, and what a bare number means.
const SIZES: &[(&str, ByteUnit)] = &[
    ("spark.driver.memory", ByteUnit::Mebibyte),
    ("spark.driver.memoryOverhead", ByteUnit::Mebibyte),
    ("spark.driver.maxResultSize", ByteUnit::Byte),
    ("spark.executor.memory", ByteUnit::Mebibyte),
    ("spark.executor.memoryOverhead", ByteUnit::Mebibyte),
    ("spark.executor.pyspark.memory", ByteUnit::Mebibyte),
    ("spark.memory.offHeap.size", ByteUnit::Byte),
];

/// Conf keys with spans of time, and what a bare number means.
const DURATIONS: &[(&str, TimeUnit)] = &[
    ("spark.network.timeout", TimeUnit::Second),
    ("spark.executor.heartbeatInterval", TimeUnit::Millisecond),
    ("spark.dynamicAllocation.executorIdleTimeout", TimeUnit::Second),
    ("spark.locality.wait", TimeUnit::Millisecond),
    ("spark.sql.broadcastTimeout", TimeUnit::Second),
];

/// Conf keys with positive whole numbers.
const COUNTS: &[&str] = &["spark.driver.cores", "spark.executor.cores", "spark.executor.instances", "spark.cores.max"];

/// Conf keys with lists of files.
const FILE_LISTS: &[&str] = &["spark.jars", "spark.files", "spark.submit.pyFiles", "spark.archives"];

/// Everything that keeps the specification from running here.
pub(super) fn problems(spec: &ApplicationSpec, installations: &Installations) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(spark_problem(spec, installations));
    problems.extend(command_line_problem(spec));
    problems.extend(master_problem(spec));
    if spec.conf.get("spark.submit.deployMode").is_some_and(|mode| mode != "client") {
        let message = "the local backend runs drivers on this machine, in deploy mode `client`; remove the key";
        problems.push(problem("spark.submit.deployMode", message));
    }
    if let Some(dir) = spec.conf.get(WORK_DIR_KEY).filter(|dir| !Path::new(dir).is_absolute()) {
        problems.push(problem(WORK_DIR_KEY, format!("`{dir}` must be an absolute path")));
    }
    for (key, value) in spec.conf.iter().filter(|(key, _)| !key.starts_with(OWN_CONF_PREFIX)) {
        problems.extend(check_representable(key, value).err().map(|error| problem(key, error.to_string())));
    }
    problems
}

fn problem(field: &str, message: impl Into<String>) -> Problem {
    Problem { field: field.to_owned(), message: message.into() }
}

fn spark_problem(spec: &ApplicationSpec, installations: &Installations) -> Option<Problem> {
    if installations.get(spec.spark.as_ref()).is_some() {
        return None;
    }
    let known: Vec<&str> = installations.iter().map(|installation| installation.name.as_str()).collect();
    let message = match &spec.spark {
        _ if known.is_empty() => {
            "no Spark was found on this machine; set SPARK_HOME, install PySpark, or configure an installation"
                .to_owned()
        }
        Some(name) => format!("there is no Spark `{name}` here; choose one of {}", known.join(", ")),
        None => format!("no Spark is the default here; choose one of {}", known.join(", ")),
    };
    Some(problem("spark", message))
}

fn command_line_problem(spec: &ApplicationSpec) -> Option<Problem> {
    let error = command_line(spec, Path::new("spark-submit"), Path::new("conf")).arguments().err()?;
    Some(problem("resource", with_causes(&error)))
}

fn master_problem(spec: &ApplicationSpec) -> Option<Problem> {
    let master = spec.conf.get("spark.master").filter(|master| !is_local(master))?;
    let message =
        format!("the local backend runs local[…] masters, not `{master}`; remove the key or choose another backend");
    Some(problem("spark.master", message))
}

/// Files of this machine that the specification names and that don't exist.
pub fn missing_files(spec: &ApplicationSpec) -> Vec<Problem> {
    let lists = FILE_LISTS.iter().flat_map(|key| {
        let list = spec.conf.get(key).unwrap_or_default();
        list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(move |entry| (*key, entry))
    });
    // Behind `#` stands the name that an archive is unpacked under; a program's own name may contain it.
    let listed = lists.map(|(key, entry)| (key, entry.split_once('#').map_or(entry, |(path, _)| path)));
    std::iter::once(("resource", spec.resource.as_str()))
        .chain(listed)
        .filter_map(|(field, entry)| {
            let path = local_path(entry)?;
            // Spark takes patterns in lists; which files they mean is Spark's business.
            let missing = !path.contains(['*', '?', '[', '{']) && !Path::new(path).exists();
            missing.then(|| problem(field, format!("there is no file {path}")))
        })
        .collect()
}

/// The path of a file on this machine; `None` for what is elsewhere.
fn local_path(entry: &str) -> Option<&str> {
    match entry.split_once(':') {
        Some(("file" | "local", path)) => Some(path.strip_prefix("//").unwrap_or(path)),
        Some((scheme, _))
            if scheme.len() > 1 && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) =>
        {
            None
        }
        _ => Some(entry),
    }
}

/// Values of well-known conf keys that Spark won't be able to read.
pub fn notation_problems(spec: &ApplicationSpec) -> Vec<Problem> {
    let value = |key: &str| spec.conf.get(key);
    let sizes = SIZES.iter().filter_map(|(key, unit)| {
        let error = MemorySize::parse(value(key)?, *unit).err()?;
        Some(problem(key, error.to_string()))
    });
    let durations = DURATIONS.iter().filter_map(|(key, unit)| {
        let error = SparkDuration::parse(value(key)?, *unit).err()?;
        Some(problem(key, error.to_string()))
    });
    let counts = COUNTS.iter().filter_map(|key| {
        let text = value(key)?;
        let positive = text.parse::<i32>().is_ok_and(|count| count > 0);
        (!positive).then(|| problem(key, format!("`{text}` is not a positive whole number")))
    });
    sizes.chain(durations).chain(counts).collect()
}
