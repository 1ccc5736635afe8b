//! A job of the demo: submitted with the real command line, followed through what that prints.

use std::{
    ffi::OsString,
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::Sender,
    thread,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::{
    Event,
    gateway::Gateway,
    screen::{Colour, Screen},
};

/// What is submitted: a `spark-submit` command line, kept in parts because Livy's API wants the same in JSON.
pub(super) struct Submission {
    name: &'static str,
    colour: Colour,
    class: Option<&'static str>,
    conf: Vec<(&'static str, String)>,
    file: String,
    arguments: Vec<String>,
}

impl Submission {
    /// A submission without a program yet.
    pub(super) fn new(name: &'static str, colour: Colour) -> Self {
        Self { name, colour, class: None, conf: Vec::new(), file: String::new(), arguments: Vec::new() }
    }

    /// Sets a conf key.
    pub(super) fn conf(&mut self, key: &'static str, value: &str) -> &mut Self {
        self.conf.push((key, value.to_owned()));
        self
    }

    /// Sets the main class.
    pub(super) fn class(&mut self, class: &'static str) -> &mut Self {
        self.class = Some(class);
        self
    }

    /// Sets the program and its arguments.
    pub(super) fn program(&mut self, file: &Path, arguments: &[&Path]) -> &mut Self {
        self.file = file.display().to_string();
        self.arguments = arguments.iter().map(|argument| argument.display().to_string()).collect();
        self
    }

    fn command_line(&self) -> Vec<OsString> {
        let mut words = vec!["--name".to_owned(), self.name.to_owned()];
        for (key, value) in &self.conf {
            words.extend(["--conf".to_owned(), format!("{key}={value}")]);
        }
        if let Some(class) = self.class {
            words.extend(["--class".to_owned(), class.to_owned()]);
        }
        words.push(self.file.clone());
        words.extend(self.arguments.iter().cloned());
        words.into_iter().map(OsString::from).collect()
    }

    /// The body of Livy's `POST /batches`.
    fn livy_body(&self) -> Value {
        let mut body = json!({ "file": self.file, "args": self.arguments, "name": self.name });
        if let Some(class) = self.class {
            body["className"] = json!(class);
        }
        let conf: Map<String, Value> = self.conf.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        if !conf.is_empty() {
            body["conf"] = Value::Object(conf);
        }
        body
    }
}

/// Where a line was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Standard output: what the driver printed there.
    Output,
    /// Standard error: the driver's log, and what the command line says itself.
    Error,
}

/// A submission under way; dropping it ends the command line that follows it, not the application.
pub(super) struct Job {
    submission: Submission,
    follower: Child,
    started: Instant,
    id: Option<String>,
    state: String,
    tasks: Option<Tasks>,
    output: Vec<String>,
    ended: Option<(ExitStatus, u64)>,
}

impl Job {
    /// Starts the command line; its lines and its end go to `events`, under `number`.
    pub(super) fn submit(
        binary: &Path,
        url: &str,
        number: usize,
        submission: Submission,
        events: Sender<Event>,
    ) -> Result<Self> {
        let mut command = Command::new(binary);
        command.args(["submit", "--url", url]).args(submission.command_line());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut follower = command.spawn().with_context(|| format!("start {}", binary.display()))?;
        let (output, error) = (follower.stdout.take(), follower.stderr.take());
        thread::spawn(move || {
            thread::scope(|scope| {
                scope.spawn(|| forward(error, number, Stream::Error, &events));
                forward(output, number, Stream::Output, &events);
            });
            // The receiver is gone when the demo ends early: then nobody waits for this.
            let _ = events.send(Event::Closed { job: number });
        });
        let state = "submitting".to_owned();
        Ok(Self {
            submission,
            follower,
            started: Instant::now(),
            id: None,
            state,
            tasks: None,
            output: Vec::new(),
            ended: None,
        })
    }

    /// Whether more may come from it.
    pub(super) fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// The application's id, as soon as the command line said it.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Takes notice that the command line has closed its output.
    pub(super) fn close(&mut self) -> Result<()> {
        let status = self.follower.wait().with_context(|| format!("wait for {}", self.submission.name))?;
        self.ended = Some((status, self.started.elapsed().as_secs()));
        Ok(())
    }

    /// Shows a line and keeps what matters later.
    pub(super) fn show_line(&mut self, screen: &mut Screen, stream: Stream, text: String) {
        if self.id.is_none() && stream == Stream::Error {
            self.id = application_id(&text);
        }
        self.tasks = Tasks::read(&text).or(self.tasks);
        let is_detail = stream == Stream::Error && !text.contains(" WARN ") && !text.contains(" ERROR ");
        screen.line(self.submission.name, self.submission.colour, &text, is_detail);
        if stream == Stream::Output {
            self.output.push(text);
        }
    }

    /// Asks the gateway for the state and shows it when it changed.
    pub(super) fn show_state(&mut self, screen: &mut Screen, gateway: &Gateway) {
        let application = self.id.as_deref().and_then(|id| gateway.application(id));
        let state = application.as_ref().and_then(|application| application["state"].as_str());
        if let Some(state) = state.filter(|&state| state != self.state) {
            self.state = state.to_owned();
            screen.state(self.submission.name, self.submission.colour, state);
        }
    }

    /// What the status line says of it.
    pub(super) fn status(&self) -> String {
        let seconds = self.ended.map_or_else(|| self.started.elapsed().as_secs(), |(_, seconds)| seconds);
        let tasks = self.tasks.filter(|_| self.is_open()).map(|tasks| tasks.to_string()).unwrap_or_default();
        format!("{} {} {seconds} s{tasks}", self.submission.name, self.state)
    }

    /// Prints what the job printed, or fails with how it ended.
    pub(super) fn show_result(&self, screen: &mut Screen) -> Result<()> {
        let name = self.submission.name;
        match self.ended {
            Some((status, seconds)) if status.success() => {
                screen.heading(&format!("{name}: done in {seconds} s"));
            }
            Some((status, _)) => bail!("{name} failed: its command line ended with {status}"),
            None => bail!("{name} has not ended"),
        }
        self.output.iter().for_each(|line| screen.text(&format!("  {line}")));
        Ok(())
    }

    /// How to submit the same to Livy's API by hand.
    pub(super) fn curl(&self, url: &str) -> String {
        let body = self.submission.livy_body().to_string().replace('\'', r"'\''");
        format!("curl {url}/batches -H 'Content-Type: application/json' -d '{body}'")
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if self.is_open() {
            // It may have ended by itself just now; either way it is reaped.
            let _ = self.follower.kill().and_then(|()| self.follower.wait());
        }
    }
}

fn forward(from: Option<impl Read>, job: usize, stream: Stream, events: &Sender<Event>) {
    let Some(from) = from else { return };
    for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if events.send(Event::Line { job, stream, text }).is_err() {
            return;
        }
    }
}

/// The id in a line of the command line's own, such as `batch-12`.
fn application_id(line: &str) -> Option<String> {
    let mut words = line.split(|character: char| !character.is_ascii_alphanumeric() && character != '-');
    let is_id = |word: &&str| word.strip_prefix("batch-").is_some_and(|number| number.parse::<u64>().is_ok());
    words.find(is_id).map(str::to_owned)
}

/// How far a stage is: what Spark logs whenever a task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tasks {
    stage: u32,
    done: u32,
    total: u32,
}

impl Tasks {
    /// Reads a line like `… Finished task 3.0 in stage 1.0 (TID 5) in 120 ms on host (executor driver) (4/8)`.
    fn read(line: &str) -> Option<Self> {
        let (_, rest) = line.split_once("Finished task ")?;
        let (_, rest) = rest.split_once(" in stage ")?;
        let stage = rest.split('.').next()?.parse().ok()?;
        let (done, total) = rest.rsplit_once('(')?.1.strip_suffix(')')?.split_once('/')?;
        Some(Self { stage, done: done.parse().ok()?, total: total.parse().ok()? })
    }
}

impl std::fmt::Display for Tasks {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, ", stage {}: {}/{} tasks", self.stage, self.done, self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_from_the_log() {
        let finished = "26/11/21 12:49:02 INFO TaskSetManager: Finished task 0.0 in stage 3.0 (TID 7) in 461 ms on h";
        for (line, expected) in [
            (format!("{finished} (executor driver) (4/8)"), Some(Tasks { stage: 3, done: 4, total: 8 })),
            (format!("{finished} (executor driver)"), None),
            (
                "INFO Executor: Finished task 0.0 in stage 0.0 (TID 0). 2478 bytes result sent to driver".to_owned(),
                None,
            ),
            ("Finished task ".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(Tasks::read(&line), expected, "{line}");
        }
    }

    #[test]
    fn the_id_is_found_in_a_sentence() {
        for (line, expected) in [
            ("batch-0", Some("batch-0")),
            ("submitted batch-12: http://127.0.0.1:8998/ui/applications/batch-12", Some("batch-12")),
            ("batch-x is no id", None),
            ("", None),
        ] {
            assert_eq!(application_id(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn one_submission_gives_a_command_line_and_a_body() {
        let mut submission = Submission::new("pi", Colour::Cyan);
        submission.conf("spark.a", "b c").class("examples.Pi").program(Path::new("/e.jar"), &[Path::new("4")]);
        let expected = ["--name", "pi", "--conf", "spark.a=b c", "--class", "examples.Pi", "/e.jar", "4"];
        assert_eq!(submission.command_line(), expected);
        let body = json!({
            "file": "/e.jar", "args": ["4"], "name": "pi", "className": "examples.Pi", "conf": { "spark.a": "b c" }
        });
        assert_eq!(submission.livy_body(), body);
    }
}
