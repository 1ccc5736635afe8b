//! What a batch's fields mean to Spark.

use std::collections::BTreeMap;

use super::CreateBatch;

/// Keys whose values are lists of files, with the field that adds to each. The rest of
/// [`FILE_KEYS`] comes from the conf alone.
pub(super) const FILE_LISTS: [(&str, FileList); 4] = [
    ("spark.jars", |batch| &batch.jars),
    ("spark.files", |batch| &batch.files),
    ("spark.archives", |batch| &batch.archives),
    ("spark.submit.pyFiles", |batch| &batch.py_files),
];

pub(super) type FileList = fn(&CreateBatch) -> &[String];

/// Further keys with lists of files.
pub(super) const FILE_KEYS: [&str; 6] = [
    "spark.yarn.archive",
    "spark.yarn.dist.archives",
    "spark.yarn.dist.files",
    "spark.yarn.dist.jars",
    "spark.yarn.jar",
    "spark.yarn.jars",
];

/// The files in a list as it stands in a conf value.
pub(super) fn split_list(value: &str) -> impl Iterator<Item = &str> {
    value.split([',', ' ']).filter(|item| !item.is_empty())
}

/// Spark's configuration of a batch: its `conf`, overridden by its other fields as Livy does.
///
/// - A field and the key it stands for: the field wins; of file lists the field's come first, then the conf's.
/// - `spark.master` is the server's business: what the request says is dropped, as Livy overrides it.
/// - A null value says nothing.
/// - `queue` is `spark.yarn.queue`, which nothing but YARN reads.
///
/// Program, class, arguments and `proxyUser` are no conf and stay where they are.
pub fn to_conf(batch: &CreateBatch) -> BTreeMap<String, String> {
    let mut conf: BTreeMap<String, String> = batch
        .conf
        .iter()
        .filter(|(key, _)| key.as_str() != "spark.master")
        .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
        .collect();
    for (key, value) in scalar_fields(batch) {
        if let Some(value) = value {
            conf.insert(key.to_owned(), value);
        }
    }
    for (key, field) in FILE_LISTS {
        let from_conf = conf.remove(key).unwrap_or_default();
        let from_field = field(batch).iter().map(String::as_str).filter(|file| !file.is_empty());
        let files: Vec<&str> = from_field.chain(split_list(&from_conf)).collect();
        if !files.is_empty() {
            conf.insert(key.to_owned(), files.join(","));
        }
    }
    conf
}

fn scalar_fields(batch: &CreateBatch) -> [(&'static str, Option<String>); 7] {
    let number = |value: Option<i32>| value.map(|value| value.to_string());
    [
        ("spark.app.name", batch.name.clone()),
        ("spark.driver.memory", batch.driver_memory.clone()),
        ("spark.driver.cores", number(batch.driver_cores)),
        ("spark.executor.memory", batch.executor_memory.clone()),
        ("spark.executor.cores", number(batch.executor_cores)),
        ("spark.executor.instances", number(batch.num_executors)),
        ("spark.yarn.queue", batch.queue.clone()),
    ]
}
