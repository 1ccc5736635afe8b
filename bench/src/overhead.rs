//! What going through the gateway costs a real PySpark job, in wall time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use testkit::gateway::{Client, Gateway, Options};

use crate::Context;
use crate::latency::Ends;
use crate::report::{Section, Target};
use crate::sample::Sample;

const JOB: &str = "from pyspark.sql import SparkSession\n\
                   spark = SparkSession.builder.getOrCreate()\n\
                   print(spark.range(1000).selectExpr('sum(id)').first()[0])\n\
                   spark.stop()\n";

/// Runs the job in pairs, once bare and once through the gateway.
pub(crate) fn measure(context: &Context) -> Result<Vec<Section>> {
    let mut section = Section::new("overhead");
    let Some(home) = std::env::var_os("SPARK_HOME").filter(|home| !home.is_empty()).map(PathBuf::from) else {
        println!("overhead is not measured: SPARK_HOME is not set");
        return Ok(Vec::new());
    };
    let mut options = Options::new(&context.binary, &home);
    options.environment = python();
    let gateway = Gateway::start(options)?;
    let program = gateway.scratch().join("job.py");
    std::fs::write(&program, JOB)?;
    let (client, ends) = (gateway.client(), Ends::follow(&gateway.client())?);
    let (mut bare, mut through) = (Vec::new(), Vec::new());
    // The first of each finds cold caches and doesn't count.
    for pair in 0..=context.times(10) {
        // Whatever comes second in a pair may find the machine otherwise, so they take turns.
        let bare_first = if pair % 2 == 0 { Some(run_bare(&home, &program)?) } else { None };
        let through_time = run_through(&client, &ends, &program)?;
        let bare_time = bare_first.map_or_else(|| run_bare(&home, &program), Ok)?;
        if pair > 0 {
            bare.push(bare_time);
            through.push(through_time);
        }
    }
    let differences: Sample =
        bare.iter().zip(&through).map(|(bare, through)| (through.as_secs_f64() - bare.as_secs_f64()) * 1e3).collect();
    section.times("`spark-submit` alone", Target::Nothing, &bare.into_iter().collect());
    section.times("submitted, and its end seen by a subscriber", Target::Nothing, &through.into_iter().collect());
    section.times("difference within a pair", Target::Nothing, &differences);
    Ok(vec![section])
}

/// The interpreter that fits the Spark, if the environment names one.
fn python() -> Vec<(String, String)> {
    std::env::var("PYSPARK_PYTHON").map(|python| ("PYSPARK_PYTHON".to_owned(), python)).into_iter().collect()
}

fn run_bare(home: &Path, program: &Path) -> Result<Duration> {
    let started = Instant::now();
    let mut command = Command::new(home.join("bin/spark-submit"));
    command.args(["--conf", "spark.driver.bindAddress=127.0.0.1", "--conf", "spark.driver.host=127.0.0.1"]);
    command.args(["--conf", "spark.ui.port=0"]).arg(program);
    let output = command.stdin(Stdio::null()).output().context("start spark-submit")?;
    ensure!(output.status.success(), "spark-submit: {}", String::from_utf8_lossy(&output.stderr));
    Ok(started.elapsed())
}

fn run_through(client: &Client, ends: &Ends, program: &Path) -> Result<Duration> {
    let started = Instant::now();
    let answer = client.post("/api/v1/applications", &json!({ "resource": program }).to_string())?;
    let id = answer.json()?["id"].as_str().context("an id")?.to_owned();
    ends.wait_for(&id)?;
    let elapsed = started.elapsed();
    let application = client.get(&format!("/api/v1/applications/{id}"))?.json()?;
    ensure!(application["state"] == "succeeded", "{application}");
    Ok(elapsed)
}
