//! Plays the requests of a scenario in their order and collects what is answered otherwise.
//!
//! Livy uses up an id for a refused create and the gateway doesn't, so ids of batches are translated: in requests to
//! the gateway's, in answers back to the recorded ones.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::gateway::{Gateway, PATIENCE};

use super::compare::Rules;
use super::recording::{Answer, Exchange, Recording};
use super::wire;

/// How often a polled request is repeated.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The creates that were sent before `batch-paging`, and not recorded.
const UNRECORDED_BATCHES: u64 = 5;

pub(crate) struct Player<'a> {
    recording: &'a Recording,
    rules: Rules,
    address: SocketAddr,
    /// Folders and what stands for them in the recording; the longest first.
    places: Vec<(String, &'static str)>,
    /// Recorded ids of batches and the gateway's.
    ids: BTreeMap<u64, u64>,
    /// Whether the step before was a create, so that its batch may or may not run yet.
    just_created: bool,
    differences: Vec<String>,
    left_out: usize,
}

impl<'a> Player<'a> {
    pub(crate) fn new(recording: &'a Recording, gateway: &Gateway) -> Self {
        let address: SocketAddr = gateway.url().trim_start_matches("http://").parse().unwrap();
        Self {
            recording,
            rules: Rules::new(&recording.volatile),
            address,
            places: places(&recording.jobs, address),
            ids: BTreeMap::new(),
            just_created: false,
            differences: Vec::new(),
            left_out: 0,
        }
    }

    /// What differed, and how many steps were not compared.
    pub(crate) fn outcome(self) -> (Vec<String>, usize) {
        (self.differences, self.left_out)
    }

    pub(crate) fn play(&mut self, scenario: &str) {
        if scenario == "batch-paging" {
            self.create_unrecorded_batches();
        }
        let exchanges = self.recording.scenario(scenario);
        let mut steps = exchanges.iter();
        while let Some(exchange) = steps.next() {
            if exchange.poll && exchange.answer.status == 404 {
                // It was polled while the next step, a DELETE, was under way.
                let deletion = steps.next().unwrap();
                self.watch_deletion(exchange, deletion);
            } else if exchange.poll {
                let answer = self.poll(exchange);
                self.judge(exchange, &answer);
            } else {
                let answer = self.send(exchange);
                self.judge(exchange, &answer);
            }
        }
    }

    fn create_unrecorded_batches(&mut self) {
        let sample = self.recording.scenario("batch-python").into_iter().find(|it| it.method == "POST").unwrap();
        for number in 0..UNRECORDED_BATCHES {
            let body = json!({ "file": "${DIR}/plain.py", "name": format!("n{number}") }).to_string();
            let answer = self.send(&Exchange { body: body.into_bytes(), ..sample.clone() });
            assert_eq!(answer.status, 201);
            self.remember_id(number, &answer);
        }
    }

    fn remember_id(&mut self, recorded: u64, answer: &Answer) {
        let view: Value = serde_json::from_slice(&answer.body).unwrap();
        self.ids.insert(recorded, view["id"].as_u64().unwrap());
    }

    fn send(&self, exchange: &Exchange) -> Answer {
        wire::send(self.address, &self.translated(exchange))
    }

    /// Repeats a request until the answer is the recorded one, or for long enough.
    fn poll(&self, exchange: &Exchange) -> Answer {
        let started = Instant::now();
        loop {
            let answer = self.send(exchange);
            let reached = self.rules.has_reached(exchange, &self.back_translated(&answer));
            if reached || started.elapsed() > PATIENCE {
                return answer;
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn watch_deletion(&mut self, watching: &Exchange, deletion: &Exchange) {
        let (address, request) = (self.address, self.translated(deletion));
        let deleting = thread::spawn(move || wire::send(address, &request));
        let started = Instant::now();
        let last = loop {
            let answer = self.send(watching);
            if answer.status != 200 || started.elapsed() > PATIENCE {
                break answer;
            }
            let state: Value = serde_json::from_slice(&answer.body).unwrap();
            if !watching.states_seen.contains(&state["state"]) {
                self.differences.push(format!("while it is deleted, a batch is {}", state["state"]));
            }
        };
        self.judge(watching, &last);
        let deleted = deleting.join().unwrap();
        self.judge(deletion, &deleted);
    }

    /// Compares an answer with the recorded one.
    fn judge(&mut self, exchange: &Exchange, answer: &Answer) {
        let is_create = exchange.method == "POST" && answer.status == 201;
        let racing = std::mem::replace(&mut self.just_created, is_create) || is_create;
        if is_create && exchange.answer.status == 201 {
            let recorded: Value = serde_json::from_slice(&exchange.answer.body).unwrap();
            self.remember_id(recorded["id"].as_u64().unwrap(), answer);
        }
        let difference = self.recording.difference(exchange);
        if difference.is_some_and(super::recording::Difference::leaves_out) {
            self.left_out += 1;
            return;
        }
        let answer = self.back_translated(answer);
        if let Some(told) = self.rules.compare(exchange, &answer, difference, racing) {
            let request =
                format!("{} {} {}", exchange.method, exchange.target, String::from_utf8_lossy(&exchange.body));
            self.differences.push(format!("{}/{} {request}\n{told}", exchange.scenario, exchange.step));
        }
    }

    /// The request as this gateway has to be asked.
    fn translated(&self, exchange: &Exchange) -> Exchange {
        let mut asked = exchange.clone();
        asked.target = self.translated_target(&exchange.target);
        if let Ok(text) = std::str::from_utf8(&exchange.body)
            && text.contains("${DIR}")
        {
            asked.body = text.replace("${DIR}", &self.recording.jobs.to_string_lossy()).into_bytes();
            for (name, value) in &mut asked.headers {
                if name == "Content-Length" {
                    *value = asked.body.len().to_string();
                }
            }
        }
        asked
    }

    fn translated_target(&self, target: &str) -> String {
        let Some((id, rest)) = named_id(target) else { return target.to_owned() };
        let Some(ours) = self.ids.get(&id) else { return target.to_owned() };
        format!("/batches/{ours}{rest}")
    }

    /// The answer as the recorded server would have written it.
    fn back_translated(&self, answer: &Answer) -> Answer {
        let mut translated = answer.clone();
        if let Ok(text) = std::str::from_utf8(&answer.body) {
            let mut text = text.to_owned();
            for (place, placeholder) in &self.places {
                text = text.replace(place, placeholder);
            }
            translated.body = match serde_json::from_str::<Value>(&text) {
                Ok(mut value) if value.is_object() => {
                    self.back_translate_ids(&mut value);
                    serde_json::to_vec(&value).unwrap()
                }
                _ => text.into_bytes(),
            };
        }
        for (name, value) in &mut translated.headers {
            if name.eq_ignore_ascii_case("location") {
                *value = value.replace(&self.address.to_string(), "127.0.0.1:8998");
                if let Some((id, rest)) = named_id(value) {
                    *value = format!("/batches/{}{rest}", self.recorded_id(id));
                }
            }
        }
        translated
    }

    fn back_translate_ids(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member.as_u64() {
                        Some(id) if name == "id" => *member = self.recorded_id(id).into(),
                        _ if name == "msg" => self.back_translate_message(member),
                        _ => self.back_translate_ids(member),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.back_translate_ids(item)),
            _ => {}
        }
    }

    /// "Session '2' not found." names an id.
    fn back_translate_message(&self, message: &mut Value) {
        let text = message.as_str().unwrap_or_default();
        let id = text
            .strip_prefix("Session '")
            .and_then(|rest| rest.split_once('\''))
            .and_then(|(id, _)| id.parse::<u64>().ok());
        if let Some(id) = id {
            *message = text.replace(&format!("'{id}'"), &format!("'{}'", self.recorded_id(id))).into();
        }
    }

    fn recorded_id(&self, ours: u64) -> u64 {
        // The newest wins: an id that was translated once may be recorded again for another batch.
        self.ids.iter().rev().find(|(_, id)| **id == ours).map_or(ours, |(recorded, _)| *recorded)
    }
}

/// The id in `/batches/7/log`, if it is spelled as usual, and what follows it.
fn named_id(target: &str) -> Option<(u64, &str)> {
    let rest = target.strip_prefix("/batches/")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let id: u64 = rest[..end].parse().ok()?;
    (id.to_string() == rest[..end]).then_some((id, &rest[end..]))
}

fn spark_home() -> PathBuf {
    std::env::var_os(testkit::environment::SPARK_35).map(PathBuf::from).unwrap_or_default()
}

/// The virtual environment of the real Spark, which is in its lib/pythonX.Y/site-packages/pyspark.
pub(crate) fn virtual_environment() -> PathBuf {
    spark_home().ancestors().nth(4).unwrap_or(Path::new("")).to_owned()
}

fn places(jobs: &Path, address: SocketAddr) -> Vec<(String, &'static str)> {
    let named = [
        (jobs.to_owned(), "${DIR}"),
        (spark_home(), "${SPARK_HOME}"),
        (virtual_environment(), "${VENV}"),
        (std::env::temp_dir(), "${TMP}"),
    ];
    let mut places: Vec<(String, &str)> =
        named.into_iter().map(|(place, name)| (place.to_string_lossy().into_owned(), name)).collect();
    places.retain(|(place, _)| place.len() > 1);
    places.push((address.to_string(), "127.0.0.1:8998"));
    places
}
