//! Reads the recorded exchanges, the rules of comparison and the list of deliberate differences.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;

/// What was recorded.
pub(crate) struct Recording {
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) differences: Vec<Difference>,
    /// `volatile.json`.
    pub(crate) volatile: Value,
    /// The folder of the programs that the requests name: a copy, because Python leaves files beside its programs.
    pub(crate) jobs: PathBuf,
    _jobs: TempDir,
}

/// One request and its answer.
#[derive(Clone)]
pub(crate) struct Exchange {
    pub(crate) scenario: String,
    pub(crate) step: u64,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: String,
    pub(crate) headers: Vec<(String, String)>,
    /// With placeholders in place.
    pub(crate) body: Vec<u8>,
    /// Whether the request was repeated until its answer was this one.
    pub(crate) poll: bool,
    pub(crate) states_seen: Vec<Value>,
    pub(crate) answer: Answer,
}

/// An answer, recorded or received.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// One entry of `differences.json`.
pub(crate) struct Difference {
    scenario: String,
    /// None for all of them.
    steps: Option<Vec<u64>>,
    /// What is answered instead: a status, and perhaps a body.
    pub(crate) instead: Option<(u16, Option<Value>)>,
    /// Members of the body that aren't compared.
    pub(crate) ignore: Vec<String>,
}

impl Difference {
    /// Whether the step isn't compared at all.
    pub(crate) fn leaves_out(&self) -> bool {
        self.instead.is_none() && self.ignore.is_empty()
    }
}

impl Recording {
    pub(crate) fn read() -> Self {
        let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../livy/tests/wire");
        let folder = std::env::var_os("LAMPLIGHTER_LIVY_WIRE").map_or(default, PathBuf::from).canonicalize().unwrap();
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        let json = |name: &str| serde_json::from_str::<Value>(&read(name)).unwrap();
        let differences = json("differences.json");
        let jobs = copy_of(&folder.join("jobs"));
        Self {
            exchanges: read("batch.jsonl").lines().map(|line| exchange(&serde_json::from_str(line).unwrap())).collect(),
            differences: differences["differences"].as_array().unwrap().iter().map(difference).collect(),
            volatile: json("volatile.json"),
            jobs: jobs.path().to_owned(),
            _jobs: jobs,
        }
    }

    pub(crate) fn scenario(&self, name: &str) -> Vec<Exchange> {
        let steps: Vec<Exchange> = self.exchanges.iter().filter(|it| it.scenario == name).cloned().collect();
        assert!(!steps.is_empty(), "{name} is not recorded");
        steps
    }

    /// What is said about a step. Entries about everything only explain rules that `compare` has anyway.
    pub(crate) fn difference(&self, exchange: &Exchange) -> Option<&Difference> {
        self.differences.iter().find(|entry| {
            entry.scenario == exchange.scenario
                && entry.steps.as_ref().is_none_or(|steps| steps.contains(&exchange.step))
        })
    }
}

/// A copy of the files in a folder.
fn copy_of(folder: &Path) -> TempDir {
    let copy = tempfile::Builder::new().prefix("livy-jobs-").tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    copy
}

fn exchange(line: &Value) -> Exchange {
    let (request, response) = (&line["request"], &line["response"]);
    let headers = request["headers"].as_object().unwrap().iter();
    let answer_headers = response["headers"].as_array().unwrap().iter();
    Exchange {
        scenario: text(&line["scenario"]),
        step: line["step"].as_u64().unwrap(),
        method: text(&request["method"]),
        target: text(&request["path"]),
        version: request["version"].as_str().unwrap_or("HTTP/1.1").to_owned(),
        headers: headers.map(|(name, value)| (name.clone(), text(value))).collect(),
        body: body(request),
        poll: line["poll"] == true,
        states_seen: line["states_seen"].as_array().cloned().unwrap_or_default(),
        answer: Answer {
            status: u16::try_from(response["status"].as_u64().unwrap()).unwrap(),
            reason: text(&response["reason"]),
            headers: answer_headers.map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
            body: body(response),
        },
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn body(message: &Value) -> Vec<u8> {
    match (message["body"].as_str(), message["body_b64"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(encoded)) => STANDARD.decode(encoded).unwrap(),
        (None, None) => Vec::new(),
    }
}

fn difference(entry: &Value) -> Difference {
    let instead = entry["instead"].as_object().map(|instead| {
        let status = u16::try_from(instead["status"].as_u64().unwrap()).unwrap();
        (status, instead.get("body").cloned())
    });
    let names = entry["ignore"].as_array().into_iter().flatten();
    let steps = entry["steps"].as_array().map(|steps| steps.iter().map(|step| step.as_u64().unwrap()).collect());
    Difference { scenario: text(&entry["scenario"]), steps, instead, ignore: names.map(text).collect() }
}
