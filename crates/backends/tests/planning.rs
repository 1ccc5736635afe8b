//! How drivers are started, and what is refused before: as data, without starting anything.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};

use backends::local::{Installation, Installations, PlanInput, WorkPolicy, missing_files, notation_problems, plan};
use backends::log::LogLimits;
use engine::backend::{Backend as _, Problem};
use expect_test::{Expect, expect};
use model::id::{ApplicationId, ApplicationKind, AttemptId};
use model::properties;
use model::spark_conf::SparkConf;
use model::spec::ApplicationSpec;
use proptest::prelude::*;
use support::{World, spec};
use testkit::fake_spark::FakeSpark;
use uuid::Uuid;

fn installation(python: Option<&str>) -> Installation {
    Installation {
        name: "3.5".parse().unwrap(),
        home: PathBuf::from("/opt/spark"),
        version: Some("3.5.9".to_owned()),
        python: python.map(PathBuf::from),
        found_by: "SPARK_HOME".to_owned(),
    }
}

fn input<'a>(spec: &'a ApplicationSpec, installation: &'a Installation, defaults: &'a SparkConf) -> PlanInput<'a> {
    PlanInput {
        attempt: AttemptId::new(Uuid::nil()),
        application: ApplicationId::new(ApplicationKind::Batch, 12).unwrap(),
        spec,
        installation,
        installation_defaults: defaults,
        dir: Path::new("/data/attempts/one"),
        environment_added: &[],
        environment: &[],
        log: LogLimits::default(),
        work: WorkPolicy::default(),
    }
}

fn with_conf(mut spec: ApplicationSpec, conf: &[(&str, &str)]) -> ApplicationSpec {
    spec.conf = SparkConf::from_entries(conf.iter().copied()).unwrap();
    spec
}

#[test]
fn a_java_program_with_everything() {
    let mut spec = with_conf(
        spec(Path::new("/jobs/pi.jar"), &["100", "--conf", "spark.mine=1", "with space"]),
        &[
            ("spark.driver.memory", "2g"),
            ("spark.hadoop.fs.s3a.secret.key", "hush"),
            ("spark.lamplighter.profile", "small"),
            ("spark.sql.shuffle.partitions", "8"),
        ],
    );
    spec.class_name = Some("examples.Pi".to_owned());
    spec.proxy_user = Some("ada".to_owned());
    spec.name = Some("nightly pi".to_owned());
    let defaults = [("spark.master", "yarn"), ("spark.driver.memory", "1g"), ("spark.ui.port", "4040")];
    let defaults = SparkConf::from_entries(defaults).unwrap();
    let environment = [("PATH", "/bin"), ("LC_ALL", "C"), ("AWS_SECRET_ACCESS_KEY", "hush"), ("DB_PASSWORD", "hush")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let installation = installation(None);
    let plan = plan(&PlanInput {
        environment: &environment,
        environment_added: &["DB_PASSWORD".to_owned()],
        ..input(&spec, &installation, &defaults)
    });
    expect![[r#"
        run /opt/spark/bin/spark-submit
          "--properties-file"
          "/data/attempts/one/spark.properties"
          "--class"
          "examples.Pi"
          "--proxy-user"
          "ada"
          "/jobs/pi.jar"
          "100"
          "--conf"
          "spark.mine=1"
          "with space"
        environment
          DB_PASSWORD=*********(redacted)
          LAMPLIGHTER_APPLICATION=batch-12
          LAMPLIGHTER_ATTEMPT=00000000-0000-0000-0000-000000000000
          LC_ALL=C
          PATH=/bin
          SPARK_HOME=/opt/spark
          SPARK_LOCAL_IP=127.0.0.1
        conf
          spark.app.name=nightly pi
          spark.driver.bindAddress=127.0.0.1
          spark.driver.host=127.0.0.1
          spark.driver.memory=2g
          spark.hadoop.fs.s3a.secret.key=*********(redacted)
          spark.master=local[*]
          spark.sql.shuffle.partitions=8
          spark.submit.deployMode=client
          spark.ui.port=4040
    "#]]
    .assert_eq(&plan.unwrap().to_string());
}

#[test]
fn a_bare_python_program_of_a_virtual_environment() {
    let spec = spec(Path::new("/jobs/job.py"), &[]);
    let (installation, defaults) = (installation(Some("/venv/bin/python3")), SparkConf::new());
    let plan = plan(&input(&spec, &installation, &defaults)).unwrap();
    expect![[r#"
        run /opt/spark/bin/spark-submit
          "--properties-file"
          "/data/attempts/one/spark.properties"
          "/jobs/job.py"
        environment
          LAMPLIGHTER_APPLICATION=batch-12
          LAMPLIGHTER_ATTEMPT=00000000-0000-0000-0000-000000000000
          LANG=C.UTF-8
          PYSPARK_PYTHON=/venv/bin/python3
          SPARK_HOME=/opt/spark
          SPARK_LOCAL_IP=127.0.0.1
        conf
          spark.driver.bindAddress=127.0.0.1
          spark.driver.host=127.0.0.1
          spark.master=local[*]
          spark.submit.deployMode=client
          spark.ui.port=0
    "#]]
    .assert_eq(&plan.to_string());
    expect![[r#"
        spark.driver.bindAddress=127.0.0.1
        spark.driver.host=127.0.0.1
        spark.master=local[*]
        spark.submit.deployMode=client
        spark.ui.port=0
    "#]]
    .assert_eq(&plan.properties());
}

#[test]
fn a_local_master_of_ones_own_is_kept() {
    let spec = with_conf(spec(Path::new("/jobs/job.py"), &[]), &[("spark.master", "local[2, 3]")]);
    let (installation, defaults) = (installation(None), SparkConf::new());
    let plan = plan(&input(&spec, &installation, &defaults)).unwrap();
    assert_eq!(plan.conf.get("spark.master"), Some("local[2, 3]"));
}

proptest! {
    #[test]
    fn spark_reads_exactly_the_conf_that_was_planned(
        pairs in prop::collection::btree_map("spark\\.[a-zA-Z0-9._:#!-]{1,20}", any::<String>(), 0..20),
    ) {
        let representable = pairs.iter().filter(|(key, value)| properties::check_representable(key, value).is_ok());
        let mut spec = spec(Path::new("/jobs/job.py"), &[]);
        spec.conf = SparkConf::from_entries(representable.map(|(key, value)| (key.as_str(), value.as_str()))).unwrap();
        let (installation, defaults) = (installation(None), SparkConf::new());
        let plan = plan(&input(&spec, &installation, &defaults)).unwrap();
        prop_assert_eq!(&SparkConf::from_properties(&plan.properties()).unwrap(), &plan.conf);
        for arg in &plan.order.args {
            prop_assert!(!spec.conf.iter().any(|(_, value)| value.len() > 20 && arg.contains(value)));
        }
    }
}

fn told(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{}: {}\n", problem.field, problem.message)).collect()
}

async fn check(spec: ApplicationSpec, expected: Expect) {
    let spark = FakeSpark::new().unwrap();
    let backend = World::new(&spark.home()).backend();
    expected.assert_eq(&told(&backend.check(&spec)));
}

#[tokio::test]
async fn all_problems_are_told_at_once() {
    let mut wrong = with_conf(
        spec(Path::new("--version"), &[]),
        &[
            ("spark.master", "yarn"),
            ("spark.submit.deployMode", "cluster"),
            ("spark.x", " blanks "),
            ("spark.lamplighter.x", " "),
        ],
    );
    wrong.spark = Some("9.9".parse().unwrap());
    check(wrong, expect![[r#"
        spark: there is no Spark `9.9` here; choose one of test
        resource: `--version` begins with a dash, so spark-submit takes it for an option; write ./--version for a file of that name
        spark.master: the local backend runs local[…] masters, not `yarn`; remove the key or choose another backend
        spark.submit.deployMode: the local backend runs drivers on this machine, in deploy mode `client`; remove the key
        spark.x: value of `spark.x` begins or ends with blanks, which Spark removes from a properties file; remove them
    "#]]).await;
}

#[tokio::test]
async fn what_can_run_has_no_problems() {
    let mut right = with_conf(spec(Path::new("/nowhere/job.py"), &["--x"]), &[("spark.master", "local[*]")]);
    right.spark = Some("test".parse().unwrap());
    check(right, expect![""]).await;
}

#[tokio::test]
async fn without_spark_nothing_can_run() {
    let spark = FakeSpark::new().unwrap();
    let mut world = World::new(&spark.home());
    world.config.installations = Installations::default();
    let problems = world.backend().check(&spec(Path::new("/jobs/job.py"), &[]));
    expect![[r#"
        spark: no Spark was found on this machine; set SPARK_HOME, install PySpark, or configure an installation
    "#]]
    .assert_eq(&told(&problems));
}

#[test]
fn files_of_this_machine_are_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("there.py"), "").unwrap();
    let there = folder.path().join("there.py");
    let text = there.to_str().unwrap();
    let conf = [
        ("spark.jars", "/gone/a.jar, /gone/*.jar,hdfs://n/b.jar"),
        ("spark.archives", "/gone/env.tar.gz#env"),
        ("spark.files", &format!("file://{text},file:/gone/c,local:///gone/d")),
    ];
    expect![[r#"
        spark.jars: there is no file /gone/a.jar
        spark.files: there is no file /gone/c
        spark.files: there is no file /gone/d
        spark.archives: there is no file /gone/env.tar.gz
    "#]]
    .assert_eq(&told(&missing_files(&with_conf(spec(&there, &[]), &conf))));
    expect![[r#"
        resource: there is no file /gone/job.py
    "#]]
    .assert_eq(&told(&missing_files(&spec(Path::new("/gone/job.py"), &[]))));
    expect![""].assert_eq(&told(&missing_files(&spec(Path::new("s3a://bucket/job.py"), &[]))));
}

#[test]
fn values_that_spark_cannot_read_are_told() {
    let conf = [
        ("spark.driver.memory", "10x"),
        ("spark.executor.memory", "1.5g"),
        ("spark.network.timeout", "soon"),
        ("spark.driver.cores", "0"),
        ("spark.executor.cores", "2"),
    ];
    expect![[r#"
        spark.driver.memory: size `10x` has an unknown unit; use b, k, m, g, t or p
        spark.executor.memory: size `1.5g` has a fraction, which Spark refuses
        spark.network.timeout: time `soon` is not a whole number with a unit, such as 30s or 2h
        spark.driver.cores: `0` is not a positive whole number
    "#]]
    .assert_eq(&told(&notation_problems(&with_conf(spec(Path::new("/jobs/job.py"), &[]), &conf))));
}
