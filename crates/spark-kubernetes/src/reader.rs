//! Reading typed values out of a configuration, collecting every problem on the way.

use model::memory_size::{ByteUnit, MemorySize};
use model::properties;
use model::spark_conf::{SparkConf, is_secret};

use crate::Problem;

/// A configuration and what was found wrong in it.
pub(crate) struct Reader<'a> {
    pub(crate) conf: &'a SparkConf,
    pub(crate) problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(conf: &'a SparkConf) -> Self {
        Self { conf, problems: Vec::new() }
    }

    pub(crate) fn problem(&mut self, field: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(field, message));
    }

    /// The value of `key` as Spark reads it from a properties file.
    pub(crate) fn text(&self, key: &str) -> Option<&'a str> {
        self.conf.get(key).map(properties::as_spark_reads)
    }

    /// The keys that begin with `prefix`, without it, and their values.
    pub(crate) fn family(&self, prefix: &str) -> Vec<(&'a str, &'a str)> {
        let pairs = self.conf.iter().filter_map(|(key, value)| Some((key.strip_prefix(prefix)?, value)));
        pairs.map(|(name, value)| (name, properties::as_spark_reads(value))).collect()
    }

    /// A size in whole MiB.
    pub(crate) fn mebibytes(&mut self, key: &str) -> Option<u64> {
        match MemorySize::parse(self.text(key)?, ByteUnit::Mebibyte) {
            Ok(size) => Some(size.whole(ByteUnit::Mebibyte)),
            Err(error) => {
                self.problem(key, error.to_string());
                None
            }
        }
    }

    /// A finite number that isn't negative.
    pub(crate) fn factor(&mut self, key: &str) -> Option<f64> {
        let text = self.text(key)?;
        let factor = text.parse::<f64>().ok().filter(|factor| factor.is_finite() && *factor >= 0.0);
        if factor.is_none() {
            self.problem(key, "must be a number that is not negative, such as 0.1");
        }
        factor
    }

    /// A count of at least one.
    pub(crate) fn count(&mut self, key: &str) -> Option<u32> {
        let text = self.text(key)?;
        let count = text.parse::<u32>().ok().filter(|count| *count > 0);
        if count.is_none() {
            self.problem(key, "must be a whole number of at least 1");
        }
        count
    }

    /// A port that a user other than root may listen on.
    pub(crate) fn port(&mut self, key: &str, default: u16) -> u16 {
        let Some(text) = self.text(key) else { return default };
        match text.parse::<u16>() {
            Ok(port) if port >= 1024 => port,
            _ => {
                self.problem(
                    key,
                    "must be a port from 1024 to 65535, because it becomes a port of the driver's service",
                );
                default
            }
        }
    }

    /// An amount of a resource as Kubernetes writes it: `2`, `0.5`, `500m`.
    pub(crate) fn quantity(&mut self, key: &str) -> Option<&'a str> {
        let text = self.text(key)?;
        if is_quantity(text) {
            return Some(text);
        }
        self.problem(key, "must be an amount as Kubernetes writes it, such as 2, 0.5 or 500m");
        None
    }

    /// Objects to a value that everybody who may list pods could read.
    pub(crate) fn require_public(&mut self, key: &str, value: &str) {
        if is_secret(key) || is_secret(value) {
            self.problem(
                key,
                "looks like a secret and would be readable in the pod; put it into another conf key or into \
                 an environment variable (`spark.kubernetes.driverEnv.NAME`, `spark.executorEnv.NAME`), which are kept \
                 in a Secret",
            );
        }
    }
}

fn is_quantity(text: &str) -> bool {
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits_end);
    let number_fits = number.parse::<f64>().is_ok_and(|number| number > 0.0) && number.len() <= 16;
    number_fits && ["", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"].contains(&suffix)
}
