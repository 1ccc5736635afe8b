//! The rules about the values of an application's fields.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use model::duration::{SparkDuration, TimeUnit};
use model::label::Labels;
use model::memory_size::{ByteUnit, MemorySize};
use model::spark_conf::SparkConf;
use model::spec::{ATTEMPTS_MAX, Limits};

use super::{ApplicationCreate, EXTERNAL_ID_BYTES_MAX, NAME_BYTES_MAX};
use crate::problem::{FieldProblem, pointer};
use crate::value::shortened;

/// What spark-submit takes instead of a program when the class comes with Spark.
const SPARK_INTERNAL: &str = "spark-internal";

/// The rules about values, and what broke them so far.
#[derive(Default)]
pub(super) struct Checks {
    pub(super) problems: Vec<FieldProblem>,
}

impl Checks {
    fn refuse(&mut self, problem: FieldProblem) {
        self.problems.push(problem);
    }

    pub(super) fn program(&mut self, create: &ApplicationCreate) {
        if create.resource.is_empty() {
            let problem = FieldProblem::new("/resource", "the program is missing");
            self.refuse(problem.fix("give the absolute path or URI of a Python file or a jar"));
        } else {
            self.location("/resource", &create.resource);
        }
        for (name, value) in [("class_name", &create.class_name), ("proxy_user", &create.proxy_user)] {
            match value.as_deref() {
                Some("") => self.refuse(FieldProblem::new(pointer("", name), "is empty").fix("leave it out")),
                Some(text) => self.printable(&pointer("", name), text),
                None => {}
            }
        }
        for (index, arg) in create.args.iter().enumerate() {
            if arg.contains('\0') {
                self.refuse(FieldProblem::new(
                    format!("/args/{index}"),
                    "contains a NUL character, which no argument can",
                ));
            }
        }
    }

    pub(super) fn conf(&mut self, entries: &BTreeMap<String, String>) -> SparkConf {
        let mut conf = SparkConf::new();
        for (key, value) in entries {
            if let Err(error) = conf.set(key.as_str(), value.as_str()) {
                self.refuse(FieldProblem::new(pointer("/conf", &shortened(key)), error.to_string()));
            }
        }
        let ignored: Vec<String> = conf.ignored_by_spark().map(str::to_owned).collect();
        for key in ignored {
            let problem =
                FieldProblem::new(pointer("/conf", &key), "Spark ignores keys that don't begin with `spark.`");
            self.refuse(
                problem.fix(format!("a key for Hadoop is written `spark.hadoop.{key}`; anything else goes into args")),
            );
        }
        conf
    }

    pub(super) fn shorthands(&mut self, create: &ApplicationCreate, conf: &mut SparkConf) {
        self.list("py_files", &create.py_files, "spark.submit.pyFiles", conf);
        self.list("jars", &create.jars, "spark.jars", conf);
        self.list("files", &create.files, "spark.files", conf);
        self.list("archives", &create.archives, "spark.archives", conf);
        self.packages(&create.packages, conf);
        self.memory("driver_memory", create.driver_memory.as_deref(), "spark.driver.memory", conf);
        self.short("driver_cores", create.driver_cores.map(|n| n.to_string()), "spark.driver.cores", conf);
        self.memory("executor_memory", create.executor_memory.as_deref(), "spark.executor.memory", conf);
        self.short("executor_cores", create.executor_cores.map(|n| n.to_string()), "spark.executor.cores", conf);
        self.short("num_executors", create.num_executors.map(|n| n.to_string()), "spark.executor.instances", conf);
        self.short("queue", create.queue.clone(), "spark.yarn.queue", conf);
    }

    fn list(&mut self, name: &str, items: &[String], key: &str, conf: &mut SparkConf) {
        let field = pointer("", name);
        for (index, item) in items.iter().enumerate() {
            self.location(&pointer(&field, &index.to_string()), item);
            self.no_comma(&pointer(&field, &index.to_string()), item);
        }
        self.short(name, (!items.is_empty()).then(|| items.join(",")), key, conf);
    }

    fn packages(&mut self, items: &[String], conf: &mut SparkConf) {
        for (index, item) in items.iter().enumerate() {
            let at = format!("/packages/{index}");
            self.no_comma(&at, item);
            if item.split(':').count() < 3 || item.split(':').any(str::is_empty) {
                self.refuse(
                    FieldProblem::new(at, format!("`{}` is not a Maven coordinate", shortened(item)))
                        .fix("write group:artifact:version"),
                );
            }
        }
        self.short("packages", (!items.is_empty()).then(|| items.join(",")), "spark.jars.packages", conf);
    }

    fn memory(&mut self, name: &str, value: Option<&str>, key: &str, conf: &mut SparkConf) {
        if let Some(Err(error)) = value.map(|text| MemorySize::parse(text, ByteUnit::Mebibyte)) {
            self.refuse(
                FieldProblem::new(pointer("", name), shortened(&error.to_string()))
                    .fix("write a whole number with a unit, such as 512m or 4g"),
            );
            return;
        }
        self.short(name, value.map(str::to_owned), key, conf);
    }

    /// Puts a field into its key of the conf, unless the conf says something else.
    fn short(&mut self, name: &str, value: Option<String>, key: &str, conf: &mut SparkConf) {
        let Some(value) = value else { return };
        if conf.get(key).is_some_and(|given| given != value) {
            let problem = FieldProblem::new(pointer("", name), format!("disagrees with `{key}` in conf"));
            self.refuse(problem.fix("give one of the two"));
            return;
        }
        if let Err(error) = conf.set(key, value) {
            self.refuse(FieldProblem::new(pointer("", name), error.to_string()));
        }
    }

    pub(super) fn name(&mut self, name: Option<&str>) -> Option<String> {
        let name = name?;
        let problem = if name.is_empty() {
            Some(FieldProblem::new("/name", "is empty").fix("leave it out"))
        } else if name.chars().all(char::is_numeric) {
            Some(FieldProblem::new("/name", "is all digits, as an id is").fix("add a letter"))
        } else if name.len() > NAME_BYTES_MAX {
            Some(FieldProblem::new("/name", format!("is longer than {NAME_BYTES_MAX} bytes")))
        } else {
            self.printable("/name", name);
            None
        };
        self.problems.extend(problem);
        Some(name.to_owned())
    }

    pub(super) fn external_id(&mut self, id: Option<&str>) -> Option<String> {
        let id = id?;
        if id.is_empty() || id.len() > EXTERNAL_ID_BYTES_MAX {
            self.refuse(FieldProblem::new("/external_id", format!("must have 1 to {EXTERNAL_ID_BYTES_MAX} bytes")));
        } else {
            self.printable("/external_id", id);
        }
        Some(id.to_owned())
    }

    pub(super) fn labels(&mut self, entries: &BTreeMap<String, String>) -> Labels {
        let mut labels = Labels::default();
        for (key, value) in entries {
            if let Err(error) = labels.insert(key, value) {
                self.refuse(FieldProblem::new(pointer("/labels", &shortened(key)), error.to_string()));
            }
        }
        labels
    }

    pub(super) fn named<T, E: fmt::Display>(
        &mut self,
        field: &str,
        text: Option<&str>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        match text.map(parse)? {
            Ok(name) => Some(name),
            Err(error) => {
                self.refuse(FieldProblem::new(pointer("", field), error.to_string()));
                None
            }
        }
    }

    pub(super) fn attempts(&mut self, count: Option<u32>) -> u32 {
        let count = count.unwrap_or(Limits::default().max_attempts);
        if !(1..=ATTEMPTS_MAX).contains(&count) {
            self.refuse(FieldProblem::new(
                "/max_attempts",
                format!("expected a whole number from 1 to {ATTEMPTS_MAX}, found {count}"),
            ));
        }
        count
    }

    pub(super) fn timeout(&mut self, field: &str, text: Option<&str>) -> Option<Duration> {
        let at = pointer("", field);
        match SparkDuration::parse(text?, TimeUnit::Second) {
            Ok(span) if span.micros() == 0 => {
                self.refuse(FieldProblem::new(at, "is zero").fix("leave it out for no limit"));
                None
            }
            Ok(span) => Some(span.into()),
            Err(error) => {
                self.refuse(FieldProblem::new(at, shortened(&error.to_string())));
                None
            }
        }
    }

    /// A path or URI: never relative, because the gateway's folder isn't the submitter's.
    fn location(&mut self, at: &str, text: &str) {
        let absolute = text.starts_with('/') || has_scheme(text) || (at == "/resource" && text == SPARK_INTERNAL);
        if !absolute {
            let problem = FieldProblem::new(
                at,
                format!("`{}` is relative, and the gateway doesn't know your folder", shortened(text)),
            );
            self.refuse(problem.fix("write an absolute path or a URI with a scheme"));
        }
        self.printable(at, text);
    }

    fn no_comma(&mut self, at: &str, text: &str) {
        if text.contains(',') {
            self.refuse(
                FieldProblem::new(at, "contains a comma, at which Spark splits lists")
                    .fix("make it two items, or rename the file"),
            );
        }
    }

    fn printable(&mut self, at: &str, text: &str) {
        if let Some(control) = text.chars().find(|c| c.is_control()) {
            self.refuse(FieldProblem::new(at, format!("contains the control character {control:?}")));
        }
    }
}

/// Whether the text begins like a URI: `s3a://…`, `file:/…`, `local:///…`.
fn has_scheme(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let spelled = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
    scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(spelled)
        && rest.starts_with('/')
}
