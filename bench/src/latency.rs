//! How long the gateway takes between the outside world's steps: from accepting to the driver's start, and from
//! the driver's end to whoever subscribed to events.

use std::io::BufRead;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use testkit::gateway::{Client, Gateway, Options, PATIENCE};

use crate::report::{Section, Target};
use crate::sample::Sample;
use crate::{Context, spark_submit};

/// Applications before the first that counts.
const WARM_UP: usize = 20;

/// Runs applications one after the other and times each.
pub(crate) fn measure(context: &Context) -> Result<Vec<Section>> {
    let spark = spark_submit::install()?;
    let program = spark.program("job.py", "")?;
    let gateway = Gateway::start(Options::new(&context.binary, spark.home()))?;
    let ends = Ends::follow(&gateway.client())?;
    let client = gateway.client();
    let mut lives = Vec::new();
    for number in 0..WARM_UP + context.times(300) {
        let file = gateway.scratch().join(format!("times-{number}"));
        let body = json!({ "resource": program, "args": [file] }).to_string();
        let sent = spark_submit::now();
        let answer = client.post("/api/v1/applications", &body)?;
        let answered = spark_submit::now();
        let seen = ends.wait_for(answer.json()?["id"].as_str().context("an id")?)?;
        let (started, ended) = spark_submit::told(&file)?;
        lives.push(Life { sent, answered, started, ended, seen });
    }
    let sample = |time: fn(&Life) -> f64| lives.iter().skip(WARM_UP).map(time).collect::<Sample>();
    let mut section = Section::new("latency");
    let accepted = sample(|life| millis(life.answered, life.started));
    section.times("accept answered → `spark-submit` executed", Target::AtMost(15.0), &accepted);
    section.times(
        "request sent → `spark-submit` executed",
        Target::Nothing,
        &sample(|life| millis(life.sent, life.started)),
    );
    section.times(
        "driver's end → seen by a subscriber",
        Target::AtMost(20.0),
        &sample(|life| millis(life.ended, life.seen)),
    );
    Ok(vec![section])
}

/// When the steps of one application were.
struct Life {
    sent: Duration,
    answered: Duration,
    started: Duration,
    ended: Duration,
    seen: Duration,
}

/// The time from one instant to another; below zero when they came the other way round.
fn millis(from: Duration, to: Duration) -> f64 {
    (to.as_secs_f64() - from.as_secs_f64()) * 1e3
}

/// Hears of ends through the gateway's stream of events.
pub(crate) struct Ends {
    heard: Receiver<(String, Duration)>,
}

impl Ends {
    /// Subscribes. The subscription lasts as long as the gateway.
    pub(crate) fn follow(client: &Client) -> Result<Self> {
        let (sender, heard) = mpsc::channel();
        let mut lines = client.follow("/api/v1/events")?.lines();
        thread::spawn(move || {
            while let Some(Ok(line)) = lines.next() {
                let at = spark_submit::now();
                let ended = line.strip_prefix("data:").and_then(ended);
                if ended.is_some_and(|id| sender.send((id, at)).is_err()) {
                    return;
                }
            }
        });
        Ok(Self { heard })
    }

    /// When the end of the application was heard of.
    pub(crate) fn wait_for(&self, id: &str) -> Result<Duration> {
        loop {
            match self.heard.recv_timeout(PATIENCE) {
                Ok((heard, at)) if heard == id => return Ok(at),
                Ok(_) => {}
                Err(_) => bail!("the end of {id} was not heard of"),
            }
        }
    }
}

/// The application whose end this event tells.
fn ended(data: &str) -> Option<String> {
    let event: Value = serde_json::from_str(data).ok()?;
    let terminal = matches!(event["state"].as_str()?, "succeeded" | "failed" | "cancelled");
    (terminal && event["type"] == "state").then(|| Some(event["application"].as_str()?.to_owned())).flatten()
}
