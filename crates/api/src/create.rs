//! What a client sends to run an application, and everything that can be wrong with it at once.
//!
//! Start with [`NewApplication::parse`].

mod checks;

use std::collections::BTreeMap;
use std::fmt;

use model::id::{BackendName, SparkName};
use model::spec::{ATTEMPTS_MAX, ApplicationSpec, Limits};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::FieldProblem;
use crate::value::ObjectReader;

use self::checks::Checks;

/// Bytes a name may have.
pub const NAME_BYTES_MAX: usize = 1_024;
/// Bytes an external id may have.
pub const EXTERNAL_ID_BYTES_MAX: usize = 255;

/// An application to run. Only `resource` must be given. Unknown fields are refused.
///
/// The fields for memory, cores, executors, queue and files are short for keys of `conf`; a key may be given
/// either way, or both ways with the same value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApplicationCreate {
    /// The program: absolute path on the backend, or URI, of a Python file or a jar.
    #[schema(required, example = "/srv/jobs/daily.py")]
    pub resource: String,
    /// Main class of a Java or Scala program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_name: Option<String>,
    /// Arguments of the program, verbatim.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Python files, eggs, wheels and zips for the program (`spark.submit.pyFiles`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub py_files: Vec<String>,
    /// Jars for driver and executors (`spark.jars`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jars: Vec<String>,
    /// Files for the working folders of the executors (`spark.files`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Archives to unpack there (`spark.archives`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub archives: Vec<String>,
    /// Maven coordinates, `group:artifact:version` (`spark.jars.packages`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Memory of the driver (`spark.driver.memory`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2g")]
    pub driver_memory: Option<String>,
    /// Cores of the driver (`spark.driver.cores`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub driver_cores: Option<u32>,
    /// Memory of each executor (`spark.executor.memory`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor_memory: Option<String>,
    /// Cores of each executor (`spark.executor.cores`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub executor_cores: Option<u32>,
    /// Number of executors (`spark.executor.instances`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub num_executors: Option<u32>,
    /// Queue of the cluster manager (`spark.yarn.queue`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Spark's configuration.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub conf: BTreeMap<String, String>,
    /// A name, unique among the applications that the gateway holds; not all digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Labels to find it by, spelled as in Kubernetes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The submitter's own identifier for it, for instance a workflow's run id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The backend to run on; the gateway chooses when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "local")]
    pub backend: Option<String>,
    /// The Spark to run with; the backend's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spark: Option<String>,
    /// Attempts in all, 1 when absent. Only a lost driver is tried again, a failed program isn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 20)]
    pub max_attempts: Option<u32>,
    /// Longest time one attempt may run; a bare number means seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2h")]
    pub run_timeout: Option<String>,
    /// Longest time it may wait for its first start; a bare number means seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "10m")]
    pub queue_timeout: Option<String>,
    /// User that the driver impersonates towards Hadoop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_user: Option<String>,
}

/// What a client wants to run, checked as far as it can be without a backend.
#[derive(Clone, Debug, PartialEq)]
pub struct NewApplication {
    /// What to run.
    pub spec: ApplicationSpec,
    /// Where; the gateway chooses when absent.
    pub backend: Option<BackendName>,
}

/// Why a body can't become an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateError {
    /// It isn't JSON; the sentence tells where.
    Malformed(String),
    /// These fields are wrong: all of them, in the order of [`ApplicationCreate`].
    Invalid(Vec<FieldProblem>),
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(detail) => f.write_str(detail),
            Self::Invalid(problems) => write!(f, "{} fields are wrong", problems.len()),
        }
    }
}

impl std::error::Error for CreateError {}

impl NewApplication {
    /// Reads the body of `POST /api/v1/applications`.
    ///
    /// # Errors
    /// [`CreateError`] with everything that is wrong.
    pub fn parse(body: &[u8]) -> Result<Self, CreateError> {
        let value = serde_json::from_slice(body).map_err(|error| CreateError::Malformed(error.to_string()))?;
        let mut reader = ObjectReader::new(value);
        let create = read_fields(&mut reader);
        let mistyped = reader.finish();
        match create.check() {
            Ok(new) if mistyped.is_empty() => Ok(new),
            outcome => Err(CreateError::Invalid(all_problems(mistyped, outcome.err().unwrap_or_default()))),
        }
    }
}

impl ApplicationCreate {
    /// Checks the fields' values.
    ///
    /// # Errors
    /// Every problem, in the order of the fields.
    pub fn check(&self) -> Result<NewApplication, Vec<FieldProblem>> {
        let mut checks = Checks::default();
        checks.program(self);
        let mut conf = checks.conf(&self.conf);
        checks.shorthands(self, &mut conf);
        let spec = ApplicationSpec {
            name: checks.name(self.name.as_deref()),
            resource: self.resource.clone(),
            class_name: self.class_name.clone(),
            args: self.args.clone(),
            conf,
            proxy_user: self.proxy_user.clone(),
            spark: checks.named("spark", self.spark.as_deref(), SparkName::new),
            labels: checks.labels(&self.labels),
            external_id: checks.external_id(self.external_id.as_deref()),
            limits: Limits {
                max_attempts: checks.attempts(self.max_attempts),
                run_timeout: checks.timeout("run_timeout", self.run_timeout.as_deref()),
                queue_timeout: checks.timeout("queue_timeout", self.queue_timeout.as_deref()),
            },
        };
        let backend = checks.named("backend", self.backend.as_deref(), BackendName::new);
        if checks.problems.is_empty() { Ok(NewApplication { spec, backend }) } else { Err(checks.problems) }
    }
}

fn read_fields(reader: &mut ObjectReader) -> ApplicationCreate {
    ApplicationCreate {
        resource: reader.text("resource").unwrap_or_default(),
        class_name: reader.text("class_name"),
        args: reader.texts("args"),
        py_files: reader.texts("py_files"),
        jars: reader.texts("jars"),
        files: reader.texts("files"),
        archives: reader.texts("archives"),
        packages: reader.texts("packages"),
        driver_memory: reader.text("driver_memory"),
        driver_cores: reader.count("driver_cores", u32::MAX),
        executor_memory: reader.text("executor_memory"),
        executor_cores: reader.count("executor_cores", u32::MAX),
        num_executors: reader.count("num_executors", u32::MAX),
        queue: reader.text("queue"),
        conf: reader.text_map("conf"),
        name: reader.text("name"),
        labels: reader.text_map("labels"),
        external_id: reader.text("external_id"),
        backend: reader.text("backend"),
        spark: reader.text("spark"),
        max_attempts: reader.count("max_attempts", ATTEMPTS_MAX),
        run_timeout: reader.text("run_timeout"),
        queue_timeout: reader.text("queue_timeout"),
        proxy_user: reader.text("proxy_user"),
    }
}

/// Both lists; a field that couldn't even be read isn't called missing as well.
fn all_problems(mistyped: Vec<FieldProblem>, mut invalid: Vec<FieldProblem>) -> Vec<FieldProblem> {
    invalid
        .retain(|problem| !mistyped.iter().any(|known| known.pointer == problem.pointer || known.pointer.is_empty()));
    let mut problems = mistyped;
    problems.append(&mut invalid);
    problems
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    fn check(body: &str, expected: &Expect) {
        let shown = match NewApplication::parse(body.as_bytes()) {
            Ok(new) => format!("{:?}", new.spec.conf),
            Err(CreateError::Malformed(detail)) => detail,
            Err(CreateError::Invalid(problems)) => problems.iter().map(line).collect::<Vec<_>>().join("\n"),
        };
        expected.assert_eq(&shown);
    }

    fn line(problem: &FieldProblem) -> String {
        let fix = problem.fix.as_ref().map(|fix| format!(" ({fix})")).unwrap_or_default();
        format!("{}: {}{fix}", problem.pointer, problem.detail)
    }

    #[test]
    fn one_field_is_enough() {
        check(r#"{"resource":"/x.py"}"#, &expect!["{}"]);
        check(r#"{"resource":"s3a://b/x.jar","class_name":null}"#, &expect!["{}"]);
        check(r#"{"resource":"spark-internal","class_name":"a.B"}"#, &expect!["{}"]);
    }

    #[test]
    fn fields_become_conf() {
        check(
            r#"{"resource":"/x.py","jars":["/a.jar","/b.jar"],"driver_memory":"2g","executor_cores":2,"conf":{"spark.driver.memory":"2g"}}"#,
            &expect![[r#"{"spark.driver.memory": "2g", "spark.executor.cores": "2", "spark.jars": "/a.jar,/b.jar"}"#]],
        );
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        check(
            r#"{"file":"/x.py","args":[1,"a",null],"driverMemory":"1g","driver_memory":"1.5g","max_attempts":99,"name":"12",
                "conf":{"a":"b","spark.x":true},"labels":{"-":"x"},"run_timeout":"soon","jars":["rel.jar","/a,b"],"backend":"no such"}"#,
            &expect![[r#"
                /args/0: expected a text, found a number (write "1")
                /args/2: expected a text, found null
                /conf/spark.x: expected a text, found true or false (write "true")
                /max_attempts: expected a whole number from 1 to 20, found 99
                /file: there is no such field (did you mean `resource`?)
                /driverMemory: there is no such field (did you mean `driver_memory`?)
                /resource: the program is missing (give the absolute path or URI of a Python file or a jar)
                /conf/a: Spark ignores keys that don't begin with `spark.` (a key for Hadoop is written `spark.hadoop.a`; anything else goes into args)
                /jars/0: `rel.jar` is relative, and the gateway doesn't know your folder (write an absolute path or a URI with a scheme)
                /jars/1: contains a comma, at which Spark splits lists (make it two items, or rename the file)
                /driver_memory: size `1.5g` has a fraction, which Spark refuses (write a whole number with a unit, such as 512m or 4g)
                /name: is all digits, as an id is (add a letter)
                /labels/-: label key `-` must be 1 to 63 letters, digits, `-`, `_`, `.` or `/`, beginning and ending with a letter or digit
                /run_timeout: time `soon` is not a whole number with a unit, such as 30s or 2h
                /backend: `no such` is not a valid backend name"#]],
        );
    }

    #[test]
    fn what_is_no_object_says_so() {
        check("", &expect!["EOF while parsing a value at line 1 column 0"]);
        check("{\n \"resource\": }", &expect!["expected value at line 2 column 14"]);
        check("[]", &expect![": expected an object, found a list"]);
        check("null", &expect![": expected an object, found null"]);
    }

    #[test]
    fn two_ways_to_say_it_must_agree() {
        check(
            r#"{"resource":"/x.py","queue":"a","conf":{"spark.yarn.queue":"b"}}"#,
            &expect!["/queue: disagrees with `spark.yarn.queue` in conf (give one of the two)"],
        );
    }

    proptest! {
        #[test]
        fn no_body_is_trouble(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = NewApplication::parse(&body);
        }

        #[test]
        fn what_our_own_client_writes_is_read_back(resource in "/[a-z]{1,8}", args in proptest::collection::vec("[^\0]{0,8}", 0..4), cores in 1..99_u32) {
            let sent = ApplicationCreate { resource, args, driver_cores: Some(cores), ..ApplicationCreate::default() };
            let read = NewApplication::parse(&serde_json::to_vec(&sent).unwrap()).unwrap();
            prop_assert_eq!(Ok(read), sent.check());
        }
    }
}
