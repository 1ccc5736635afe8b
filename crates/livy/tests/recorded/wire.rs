//! Reads the recording and the list of deliberate differences.

use std::fs;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// What the placeholder of the jobs' folder is replaced with; `${DIR}` itself is no legal path in a URI.
pub(crate) const JOBS: &str = "/jobs";

/// One request and its answer.
pub(crate) struct Exchange {
    pub(crate) scenario: String,
    pub(crate) step: u64,
    pub(crate) method: String,
    /// Path without query, as sent.
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    request: Value,
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) headers: Vec<(String, String)>,
    /// The answer's body, when it is text.
    pub(crate) body: Option<String>,
}

impl Exchange {
    fn parse(line: &str) -> Self {
        let value: Value = serde_json::from_str(&line.replace("${DIR}", JOBS)).unwrap();
        let (request, response) = (value["request"].clone(), &value["response"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let target = text(&request["path"]).split('#').next().unwrap().to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let headers = response["headers"].as_array().unwrap().iter().map(|pair| (text(&pair[0]), text(&pair[1])));
        Self {
            scenario: text(&value["scenario"]),
            step: value["step"].as_u64().unwrap(),
            method: text(&request["method"]),
            path: path.to_owned(),
            query: pairs.map(|(key, value)| (decoded(key), decoded(value))).collect(),
            status: response["status"].as_u64().unwrap().try_into().unwrap(),
            reason: text(&response["reason"]),
            headers: headers.collect(),
            body: response["body"].as_str().map(str::to_owned),
            request,
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.scenario, self.step)
    }

    pub(crate) fn request_header(&self, name: &str) -> Option<&str> {
        self.request["headers"][name].as_str()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        livy::query::first(self.query.iter().map(|(key, value)| (key.as_str(), value.as_str())), name)
    }

    /// The path's segment that names a batch, decoded.
    pub(crate) fn batch_segment(&self) -> Option<String> {
        let segment = self.path.strip_prefix("/batches/")?.split('/').next()?;
        (!segment.is_empty()).then(|| decoded(segment))
    }

    /// The body as its reader saw it: cut to its length, out of its chunks, nothing of a form.
    pub(crate) fn request_body(&self) -> Vec<u8> {
        let sent = match (self.request["body"].as_str(), self.request["body_b64"].as_str()) {
            (Some(text), _) => text.as_bytes().to_vec(),
            (None, Some(encoded)) => STANDARD.decode(encoded).unwrap(),
            (None, None) => Vec::new(),
        };
        if livy::http::is_form(self.request_header("Content-Type")) {
            return Vec::new();
        }
        if self.request_header("Transfer-Encoding").is_some() {
            return first_chunk(&sent).to_vec();
        }
        match self.request_header("Content-Length").map(|length| length.parse::<usize>().unwrap()) {
            None => Vec::new(),
            // The length of a body with a placeholder is that of the original folder's name.
            Some(_) if String::from_utf8_lossy(&sent).contains(JOBS) => sent,
            Some(length) => sent[..length.min(sent.len())].to_vec(),
        }
    }
}

fn first_chunk(sent: &[u8]) -> &[u8] {
    let line = sent.windows(2).position(|pair| pair == b"\r\n").unwrap();
    let length = usize::from_str_radix(std::str::from_utf8(&sent[..line]).unwrap(), 16).unwrap();
    &sent[line + 2..line + 2 + length]
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8().unwrap().into_owned()
}

/// One entry of `differences.json`.
pub(crate) struct Difference {
    pub(crate) scenario: String,
    /// None for all of them.
    pub(crate) steps: Option<Vec<u64>>,
    pub(crate) by_contract: bool,
    /// The status and the body that come instead.
    pub(crate) instead: Option<(u16, Option<Value>)>,
}

impl Difference {
    pub(crate) fn covers(&self, exchange: &Exchange) -> bool {
        self.scenario == exchange.scenario && self.steps.as_ref().is_some_and(|steps| steps.contains(&exchange.step))
    }
}

fn folder() -> PathBuf {
    match std::env::var_os("LAMPLIGHTER_LIVY_WIRE") {
        Some(folder) => folder.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/wire"),
    }
}

/// Every exchange, in order.
pub(crate) fn exchanges() -> Vec<Exchange> {
    let text = fs::read_to_string(folder().join("batch.jsonl")).unwrap();
    text.lines().map(Exchange::parse).collect()
}

/// Every deliberate difference; what and why must be said.
pub(crate) fn differences() -> Vec<Difference> {
    let text = fs::read_to_string(folder().join("differences.json")).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    list["differences"].as_array().unwrap().iter().map(difference).collect()
}

fn difference(entry: &Value) -> Difference {
    for member in ["scenario", "what", "reason"] {
        assert!(entry[member].as_str().is_some_and(|text| !text.is_empty()), "{member} missing in {entry}");
    }
    let instead = &entry["instead"];
    Difference {
        scenario: entry["scenario"].as_str().unwrap().to_owned(),
        steps: entry["steps"].as_array().map(|steps| steps.iter().map(|step| step.as_u64().unwrap()).collect()),
        by_contract: match entry["decided_by"].as_str() {
            Some("contract") => true,
            Some("gateway") => false,
            other => panic!("decided_by is {other:?} in {entry}"),
        },
        instead: instead.as_object().map(|instead| {
            let status = instead["status"].as_u64().unwrap().try_into().unwrap();
            (status, instead.get("body").cloned())
        }),
    }
}
