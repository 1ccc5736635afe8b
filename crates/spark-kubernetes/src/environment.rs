//! Environment variables of driver and executors. Those that look like secrets are kept in the Secret and only
//! referred to, so that nobody reads them in a pod.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector, SecretKeySelector};
use model::spark_conf::is_secret;

use crate::files::Language;
use crate::reader::Reader;

const DRIVER_FAMILY: &str = "spark.kubernetes.driverEnv.";
const EXECUTOR_FAMILY: &str = "spark.executorEnv.";
/// What the gateway and Spark tell the driver themselves.
const RESERVED: [&str; 5] =
    ["SPARK_USER", "SPARK_APPLICATION_ID", "SPARK_DRIVER_BIND_ADDRESS", "SPARK_LOCAL_DIRS", "SPARK_CONF_DIR"];

/// The variables that an application asks for.
pub(crate) struct Environment<'a> {
    /// Of the driver.
    pub(crate) driver: Vec<Variable<'a>>,
    /// Which Python the driver runs, in Spark's own variables.
    pub(crate) python: Vec<Variable<'a>>,
    /// Of executors, only those that look like secrets.
    pub(crate) executor_secrets: Vec<Variable<'a>>,
}

/// One variable.
pub(crate) struct Variable<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: &'a str,
    /// Where the Secret holds it, if it looks like one.
    pub(crate) secret_key: Option<String>,
}

impl<'a> Variable<'a> {
    fn new(role: &str, name: &'a str, value: &'a str) -> Self {
        let secret = is_secret(name) || is_secret(value);
        Self { name, value, secret_key: secret.then(|| format!("{role}-env.{name}")) }
    }

    /// The variable as a pod has it, its value in `secret_name` if it is a secret.
    pub(crate) fn to_pod(&self, secret_name: &str) -> EnvVar {
        match &self.secret_key {
            None => literal(self.name, self.value),
            Some(key) => EnvVar {
                name: self.name.to_owned(),
                value_from: Some(EnvVarSource {
                    secret_key_ref: Some(SecretKeySelector {
                        key: key.clone(),
                        name: secret_name.to_owned(),
                        optional: None,
                    }),
                    ..EnvVarSource::default()
                }),
                ..EnvVar::default()
            },
        }
    }
}

impl<'a> Environment<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>, language: Language) -> Self {
        let mut driver = variables(reader, DRIVER_FAMILY, "driver");
        let executor = variables(reader, EXECUTOR_FAMILY, "executor");
        let python = if language == Language::Python { python(reader) } else { Vec::new() };
        // In Spark's pods they come later and win; a name is listed once here.
        driver.retain(|variable| python.iter().all(|other| other.name != variable.name));
        Self {
            driver,
            python,
            executor_secrets: executor.into_iter().filter(|variable| variable.secret_key.is_some()).collect(),
        }
    }

    /// Everything that the Secret holds beside the driver's configuration.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.driver.iter().chain(&self.python).chain(&self.executor_secrets);
        all.filter_map(|variable| Some((variable.secret_key.as_deref()?, variable.value)))
    }

    /// The conf keys whose place is taken by a reference to the Secret, and the keys and values that refer to it.
    pub(crate) fn executor_references(&self, secret_name: &str) -> Vec<ExecutorReference> {
        let reference = |variable: &Variable<'_>| {
            let key = variable.secret_key.as_ref()?;
            Some(ExecutorReference {
                instead_of: format!("{EXECUTOR_FAMILY}{}", variable.name),
                key: format!("spark.kubernetes.executor.secretKeyRef.{}", variable.name),
                value: format!("{secret_name}:{key}"),
            })
        };
        self.executor_secrets.iter().filter_map(reference).collect()
    }
}

/// How Spark is told to take a variable of executors from the Secret.
pub(crate) struct ExecutorReference {
    pub(crate) instead_of: String,
    pub(crate) key: String,
    pub(crate) value: String,
}

fn variables<'a>(reader: &mut Reader<'a>, family: &str, role: &str) -> Vec<Variable<'a>> {
    let pairs = reader.family(family);
    for (name, value) in &pairs {
        let key = format!("{family}{name}");
        if !is_variable(name) {
            reader.problem(&key, "is not the name of an environment variable");
        }
        if RESERVED.contains(name) {
            reader.problem(&key, "is a variable that the gateway sets; leave it out");
        }
        if value.contains('\0') {
            reader.problem(&key, "contains a NUL character, which no variable can");
        }
    }
    pairs.into_iter().map(|(name, value)| Variable::new(role, name, value)).collect()
}

fn python<'a>(reader: &Reader<'a>) -> Vec<Variable<'a>> {
    let everywhere = reader.text("spark.pyspark.python");
    let driver = reader.text("spark.pyspark.driver.python").or(everywhere);
    let pairs = [("PYSPARK_PYTHON", everywhere), ("PYSPARK_DRIVER_PYTHON", driver)];
    pairs.into_iter().filter_map(|(name, value)| Some(Variable::new("driver", name, value?))).collect()
}

fn is_variable(name: &str) -> bool {
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    begins && name.len() <= 200 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// A variable with a value that Kubernetes takes as it is.
pub(crate) fn literal(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(verbatim(value)), ..EnvVar::default() }
}

/// A variable with a field of the pod.
pub(crate) fn field(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector { api_version: Some("v1".to_owned()), field_path: path.to_owned() }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

/// `text` written so that Kubernetes, which replaces `$(NAME)` and `$$` in arguments and values, gives back `text`.
pub(crate) fn verbatim(text: &str) -> String {
    text.replace('$', "$$")
}
