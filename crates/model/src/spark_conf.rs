//! Spark's configuration keys and values.

use std::collections::BTreeMap;

/// Keys and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SparkConf(BTreeMap<String, String>);
