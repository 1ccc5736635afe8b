//! `make demo`: two real Spark jobs on real input through a gateway on this machine, with nothing to install by hand.
//!
//! [`run`] is the story from top to bottom. One loop, [`show`], owns the screen and hears of everything that happens (a
//! line of a job, a job's end, ^C) through one channel.

mod gateway;
mod job;
mod screen;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use signal_hook::{consts::TERM_SIGNALS, iterator::Signals};

use self::{
    gateway::Gateway,
    job::{Job, Stream, Submission},
    screen::{Colour, Screen},
};
use crate::{
    process::{cargo, remove_folder, repository},
    setup::{self, Cache, DemoSpark, java},
};

/// How often the jobs' states are asked for and the status line is drawn anew.
const TICK: Duration = Duration::from_millis(200);

/// What happens during the demo.
enum Event {
    /// A job printed a line.
    Line { job: usize, stream: Stream, text: String },
    /// Nothing more comes from a job.
    Closed { job: usize },
    /// Someone wants the demo to end.
    Interrupted,
}

/// Builds, sets up, runs both jobs, shows them and their results, and ends everything it started.
pub(crate) fn run() -> Result<()> {
    let started = Instant::now();
    let port = env::var("DEMO_PORT").ok().map_or(Ok(8998), |port| port.parse().context("read DEMO_PORT"))?;
    gateway::require_free_port(port)?;
    java::require()?;
    let scene = Scene::prepare()?;
    let binary = build_release_binary()?;

    let (sender, events) = mpsc::channel();
    listen_for_signals(sender.clone())?;
    let mut screen = Screen::of_stdout();
    let mut gateway = Gateway::start(&binary, port, &scene.folder.join("gateway"), &scene.spark.home)?;
    screen.heading(&format!("gateway ready at {}, Spark at {}", gateway.url(), scene.spark.home.display()));

    let submissions = scene.submissions();
    let mut jobs = Vec::new();
    for (number, submission) in submissions.into_iter().enumerate() {
        jobs.push(Job::submit(&binary, gateway.url(), number, submission, sender.clone())?);
    }
    if !show(&mut screen, &gateway, &mut jobs, &events)? {
        return interrupted(&gateway, &jobs);
    }
    finish(&mut screen, &jobs, &scene, &gateway)?;
    screen.text(&format!("\nAll this took {} s.", started.elapsed().as_secs()));
    if env::var_os("DEMO_KEEP").is_some_and(|keep| keep == "1") {
        screen.text("The gateway stays up until you press ^C.");
        while !matches!(events.recv()?, Event::Interrupted) {}
    } else {
        screen.text("The gateway stops now; DEMO_KEEP=1 make demo keeps it up.");
    }
    gateway.stop()
}

/// What the jobs need.
struct Scene {
    /// Emptied at the start: the gateway's data and the jobs' output.
    folder: PathBuf,
    spark: DemoSpark,
    flights: PathBuf,
    jar: PathBuf,
}

impl Scene {
    fn prepare() -> Result<Self> {
        let cache = Cache::locate()?;
        let spark = setup::demo_spark(&cache)?;
        let flights = setup::Component::Data.ensure(&cache)?;
        let jar = setup::demo_jar(&cache, &spark.home)?;
        let folder = cache.root().join("demo");
        remove_folder(&folder)?;
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(Self { folder, spark, flights, jar })
    }

    fn output(&self) -> PathBuf {
        self.folder.join("delays.parquet")
    }

    fn submissions(&self) -> Vec<Submission> {
        let mut flights = Submission::new("flights", Colour::Cyan);
        flights.conf("spark.sql.shuffle.partitions", "8");
        if let Some(python) = &self.spark.python {
            flights.conf("spark.pyspark.python", &python.display().to_string());
        }
        flights.program(&repository().join("examples/flights.py"), &[&self.flights, &self.output()]);
        let mut pi = Submission::new("pi", Colour::Magenta);
        pi.class(setup::DEMO_JAR_MAIN_CLASS).program(&self.jar, &[Path::new("4")]);
        vec![flights, pi]
    }
}

/// The path of the release binary, built if anything changed; Cargo itself says where it put it.
fn build_release_binary() -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }
    let mut build = cargo();
    build.args(["build", "--release", "--package", "lamplighter", "--bin", "lamplighter"]);
    build.args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let output = build.output().context("start cargo build")?;
    if !output.status.success() {
        bail!("the release build failed");
    }
    let said = String::from_utf8(output.stdout).context("read what cargo build says")?;
    let mut executables = said.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok()?.executable);
    executables.next_back().ok_or_else(|| anyhow!("cargo build made no binary"))
}

fn listen_for_signals(events: Sender<Event>) -> Result<()> {
    let mut signals = Signals::new(TERM_SIGNALS).context("listen for signals")?;
    thread::spawn(move || {
        for _ in signals.forever() {
            if events.send(Event::Interrupted).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Shows the jobs until both ended; false when someone wants to stop before that.
fn show(screen: &mut Screen, gateway: &Gateway, jobs: &mut [Job], events: &Receiver<Event>) -> Result<bool> {
    while jobs.iter().any(Job::is_open) {
        match events.recv_timeout(TICK) {
            Ok(Event::Line { job, stream, text }) => jobs[job].show_line(screen, stream, text),
            Ok(Event::Closed { job }) => jobs[job].close()?,
            Ok(Event::Interrupted) | Err(RecvTimeoutError::Disconnected) => return Ok(false),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if screen.is_tick_due(TICK) || !jobs.iter().any(Job::is_open) {
            jobs.iter_mut().for_each(|job| job.show_state(screen, gateway));
            screen.status(&jobs.iter().map(Job::status).collect::<Vec<_>>().join("   "));
        }
    }
    screen.status("");
    Ok(true)
}

/// Ends what still runs in the gateway, which would outlive it otherwise; the gateway itself ends when it is dropped.
fn interrupted(gateway: &Gateway, jobs: &[Job]) -> Result<()> {
    for id in jobs.iter().filter(|job| job.is_open()).filter_map(Job::id) {
        gateway.delete(id)?;
    }
    bail!("interrupted")
}

/// Prints the results and where to look further. A job that failed is an error.
fn finish(screen: &mut Screen, jobs: &[Job], scene: &Scene, gateway: &Gateway) -> Result<()> {
    for job in jobs {
        job.show_result(screen)?;
    }
    let (files, bytes) = parquet_files(&scene.output())?;
    let (output, kilobytes) = (scene.output(), bytes.div_ceil(1000));
    screen.text(&format!("\nParquet written by flights: {kilobytes} kB in {files} file(s), {}", output.display()));
    let url = gateway.url();
    screen.heading("look at it");
    screen.text(&format!("  {url}/batches  (Livy's API)"));
    for id in jobs.iter().filter_map(Job::id) {
        screen.text(&format!("  {url}/api/v1/applications/{id}\n  {url}/api/v1/applications/{id}/logs"));
    }
    screen.heading("the same with curl");
    for job in jobs {
        screen.text(&format!("  {}", job.curl(url)));
    }
    Ok(())
}

/// The number of Parquet files in `folder` and their size in bytes.
fn parquet_files(folder: &Path) -> Result<(usize, u64)> {
    let mut found = (0, 0);
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "parquet") {
            found = (found.0 + 1, found.1 + entry.metadata()?.len());
        }
    }
    Ok(found)
}
