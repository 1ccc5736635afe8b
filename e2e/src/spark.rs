//! The real spark-submit, in cluster mode: what the gateway's own way is compared with.

use std::{env, path::PathBuf, process::Stdio};

use anyhow::{Context, Result, anyhow};
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use tokio::process::Command;

use crate::{cluster::Cluster, namespace::Namespace};

/// A line of Spark releases that there is an image of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// The last one before Spark 4.
    V3_5,
    /// The newest.
    V4,
}

impl Line {
    /// The variable that names its `SPARK_HOME` on this machine.
    #[must_use]
    pub fn home_variable(self) -> &'static str {
        match self {
            Self::V3_5 => testkit::environment::SPARK_35,
            Self::V4 => testkit::environment::SPARK_4,
        }
    }

    /// Its image, by the name that the nodes have it under: the one that setup made, or what
    /// `LAMPLIGHTER_E2E_SPARK_35_IMAGE` or `LAMPLIGHTER_E2E_SPARK_4_IMAGE` says for a cluster that was joined.
    #[must_use]
    pub fn image(self) -> String {
        let (variable, ours) = match self {
            Self::V3_5 => ("LAMPLIGHTER_E2E_SPARK_35_IMAGE", "lamplighter.test/spark:3.5"),
            Self::V4 => ("LAMPLIGHTER_E2E_SPARK_4_IMAGE", "lamplighter.test/spark:4"),
        };
        env::var(variable).unwrap_or_else(|_| ours.to_owned())
    }
}

/// A program that is in the images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `examples/java`, which takes the number of tasks.
    JavaPi,
    /// Spark's own example, which takes the number of partitions.
    PythonPi,
}

impl Program {
    /// As spark-submit takes it, with what has to stand before it.
    #[must_use]
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::JavaPi => &["--class", "examples.Pi", "local:///opt/spark/examples/jars/examples.jar"],
            Self::PythonPi => &["local:///opt/spark/examples/src/main/python/pi.py"],
        }
    }
}

/// One submission by spark-submit.
#[derive(Clone, Debug)]
pub struct SparkSubmit {
    line: Line,
    name: String,
    conf: Vec<String>,
    program: Vec<String>,
}

impl SparkSubmit {
    /// Of a program with its arguments, under a name that is the driver's pod's, too. Two executors, and of everything as
    /// little as will do.
    #[must_use]
    pub fn new(line: Line, name: &str, program: Program, arguments: &[&str]) -> Self {
        let submit = Self {
            line,
            name: name.to_owned(),
            conf: Vec::new(),
            program: program.words().iter().chain(arguments).map(|&word| word.to_owned()).collect(),
        };
        let small = submit.conf("spark.driver.memory", "512m").conf("spark.executor.memory", "512m");
        let small = small.conf("spark.kubernetes.driver.request.cores", "0.2");
        small.conf("spark.kubernetes.executor.request.cores", "0.2").conf("spark.executor.instances", "2")
    }

    /// With a conf of one's own; of two with one key, spark-submit takes the last.
    #[must_use]
    pub fn conf(mut self, key: &str, value: &str) -> Self {
        self.conf.push(format!("{key}={value}"));
        self
    }

    /// Runs it to its end, which is the driver's.
    ///
    /// # Errors
    /// When there is no Spark on this machine, or spark-submit can't be started. That it fails is no error.
    pub async fn run(&self, cluster: &Cluster, namespace: &Namespace) -> Result<Submission> {
        let mut command = self.command(cluster, namespace).await?;
        let output = command.output().await.context("start spark-submit")?;
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        Ok(Submission { driver: self.driver(), is_success: output.status.success(), said })
    }

    /// The name of the driver's pod.
    #[must_use]
    pub fn driver(&self) -> String {
        format!("{}-driver", self.name)
    }

    /// The command, which ends when it is let go; what it made on the cluster stays.
    ///
    /// # Errors
    /// When there is no Spark on this machine.
    pub async fn command(&self, cluster: &Cluster, namespace: &Namespace) -> Result<Command> {
        let variable = self.line.home_variable();
        let home = PathBuf::from(env::var_os(variable).ok_or_else(|| anyhow!("{variable} is not set"))?);
        let mut command = Command::new(home.join("bin/spark-submit"));
        command.env("SPARK_HOME", &home).env("KUBECONFIG", cluster.kubeconfig()).env("SPARK_LOCAL_IP", "127.0.0.1");
        command.env_remove("SPARK_CONF_DIR").env_remove("HADOOP_CONF_DIR");
        command.stdin(Stdio::null()).kill_on_drop(true);
        command.args(["--master", &format!("k8s://{}", cluster.server().await?), "--deploy-mode", "cluster"]);
        command.args(["--name", &self.name]);
        let fixed = [
            ("spark.kubernetes.namespace", namespace.name()),
            ("spark.kubernetes.authenticate.driver.serviceAccountName", "spark"),
            ("spark.kubernetes.container.image", &self.line.image()),
            ("spark.kubernetes.driver.pod.name", &self.driver()),
        ];
        for (key, value) in fixed {
            command.args(["--conf", &format!("{key}={value}")]);
        }
        for conf in &self.conf {
            command.args(["--conf", conf]);
        }
        command.args(&self.program);
        Ok(command)
    }
}

/// What came of a submission.
#[derive(Debug)]
pub struct Submission {
    /// The name of the driver's pod.
    pub driver: String,
    /// Whether spark-submit ended well. Not all of its versions tell a failed driver from another.
    pub is_success: bool,
    /// Its output, standard error at the end.
    pub said: String,
}

impl Submission {
    /// The driver's pod and its whole log.
    ///
    /// # Errors
    /// When there is none; the error then has what spark-submit said.
    pub async fn driver(&self, namespace: &Namespace) -> Result<(Pod, String)> {
        let pods = namespace.api::<Pod>();
        let pod = pods.get(&self.driver).await.with_context(|| self.said.clone())?;
        let log = pods.logs(&self.driver, &LogParams::default()).await?;
        Ok((pod, log))
    }
}
