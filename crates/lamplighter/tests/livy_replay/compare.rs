//! What counts as the same answer: the rules of `volatile.json`, and those that follow from HTTP.

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::{GzDecoder, ZlibDecoder};
use regex::{NoExpand, Regex};
use serde_json::Value;

use super::recording::{Answer, Difference, Exchange};

/// Headers that aren't compared, besides those that volatile.json drops: how a body is framed is the server's
/// business, and every answer of the gateway has an id.
const NOT_COMPARED: [&str; 2] = ["transfer-encoding", "x-request-id"];
/// How many lines Livy keeps of a log, with two headings.
const FULL_LOG: u64 = 202;

pub(crate) struct Rules {
    dropped_headers: Vec<String>,
    /// Patterns with their replacements.
    replaced: Vec<(Regex, String)>,
    /// Patterns of what has to be there, but not exactly so.
    loose: Vec<Regex>,
    log_noise: Regex,
}

impl Rules {
    pub(crate) fn new(volatile: &Value) -> Self {
        let regex = |value: &Value| Regex::new(value.as_str().unwrap()).unwrap();
        let list = |value: &Value| value.as_array().unwrap().clone();
        let mut dropped_headers: Vec<String> =
            list(&volatile["headers"]["drop"]).iter().map(|name| name.as_str().unwrap().to_ascii_lowercase()).collect();
        dropped_headers.extend(NOT_COMPARED.map(str::to_owned));
        Self {
            dropped_headers,
            replaced: list(&volatile["regex"])
                .iter()
                .map(|rule| (regex(&rule["p"]), rule["r"].as_str().unwrap().to_owned()))
                .collect(),
            loose: list(&volatile["loose"]).iter().map(|rule| regex(&rule["p"])).collect(),
            log_noise: regex(&volatile["log_noise"]["p"]),
        }
    }

    /// What differs, in words; nothing when the answers are the same by the rules. `racing` says that a batch was
    /// created a moment ago.
    pub(crate) fn compare(
        &self,
        exchange: &Exchange,
        answer: &Answer,
        difference: Option<&Difference>,
        racing: bool,
    ) -> Option<String> {
        if let Some((status, body)) = difference.and_then(|difference| difference.instead.as_ref()) {
            let found: Option<Value> = body.as_ref().and_then(|_| serde_json::from_slice(&answer.body).ok());
            return told("instead", &(status, body), &(&answer.status, &found));
        }
        let mut ignored = difference.map(|difference| difference.ignore.clone()).unwrap_or_default();
        if racing && is_under_way(&answer.body) {
            ignored.push("state".to_owned());
        }
        let recorded = &exchange.answer;
        told("status", &(recorded.status, &recorded.reason), &(answer.status, &answer.reason))
            .or_else(|| told("headers", &self.headers(recorded), &self.headers(answer)))
            .or_else(|| {
                let (recorded, found) = self.bodies(exchange, answer, &ignored);
                if exchange.method == "HEAD" { None } else { told("body", &recorded, &found) }
            })
    }

    /// Whether a polled answer is the one that was waited for: its state, or the lines of its log.
    pub(crate) fn has_reached(&self, exchange: &Exchange, answer: &Answer) -> bool {
        let parsed = |answer: &Answer| serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        let (wanted, found) = (parsed(&exchange.answer), parsed(answer));
        match wanted.get("state") {
            Some(state) => found.get("state") == Some(state),
            None => {
                let (wanted, found) = self.bodies(exchange, answer, &[]);
                wanted == found
            }
        }
    }

    fn headers(&self, answer: &Answer) -> BTreeMap<String, Vec<String>> {
        let mut compared: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &answer.headers {
            let name = name.to_ascii_lowercase();
            if self.dropped_headers.contains(&name) {
                continue;
            }
            // The order of the methods follows a hash map of the recorded server.
            let mut values: Vec<String> = if name == "allow" {
                value.split(',').map(|it| it.trim().to_owned()).collect()
            } else {
                vec![value.clone()]
            };
            values.sort();
            compared.entry(name).or_default().extend(values);
        }
        compared
    }

    /// Both bodies as far as they are compared: text, or JSON as text so that the order of members counts.
    fn bodies(&self, exchange: &Exchange, answer: &Answer, ignored: &[String]) -> (String, String) {
        let mut bodies = [&exchange.answer, answer].map(|answer| self.body(exchange, answer, ignored));
        if let [Body::Json(recorded), Body::Json(found)] = &mut bodies {
            align_logs(recorded, found);
        }
        let [recorded, found] = bodies.map(Body::into_text);
        (recorded, found)
    }

    fn body(&self, exchange: &Exchange, answer: &Answer, ignored: &[String]) -> Body {
        let mut text = String::from_utf8_lossy(&decoded(answer)).into_owned();
        for loose in &self.loose {
            text = loose.replace_all(&text, NoExpand("<loose>")).into_owned();
        }
        let Ok(mut value) = serde_json::from_str::<Value>(&text) else { return Body::Text(self.settled(&text)) };
        if exchange.target.starts_with("/version") {
            return Body::Json(value["version"].take());
        }
        if let Some(members) = value.as_object_mut() {
            settle_members(exchange, members);
        }
        self.settle(&mut value, ignored);
        Body::Json(value)
    }

    fn settle(&self, value: &mut Value, ignored: &[String]) {
        match value {
            Value::String(text) => *text = self.settled(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.settle(item, ignored)),
            Value::Object(members) => {
                for name in ignored {
                    members.remove(name);
                }
                if let Some(Value::Array(lines)) = members.get_mut("log") {
                    lines.retain(|line| !self.log_noise.is_match(line.as_str().unwrap_or_default()));
                }
                members.values_mut().for_each(|member| self.settle(member, ignored));
            }
            _ => {}
        }
    }

    fn settled(&self, text: &str) -> String {
        let replaced = self.replaced.iter();
        replaced.fold(text.to_owned(), |text, (pattern, replacement)| {
            pattern.replace_all(&text, NoExpand(replacement)).into_owned()
        })
    }
}

/// A body as far as it is compared.
enum Body {
    Json(Value),
    Text(String),
}

impl Body {
    fn into_text(self) -> String {
        match self {
            Self::Json(value) => serde_json::to_string_pretty(&value).unwrap(),
            Self::Text(text) => text,
        }
    }
}

/// Whether a batch's state is one of those that follow each other within a moment.
fn is_under_way(body: &[u8]) -> bool {
    let view: Value = serde_json::from_slice(body).unwrap_or_default();
    matches!(view["state"].as_str(), Some("starting" | "running"))
}

/// Cuts logs at their front to the length of the shorter one. What is shown of a log are its last lines, and how
/// many of them are left without Spark's own depends on how many Spark wrote.
fn align_logs(recorded: &mut Value, found: &mut Value) {
    match (recorded, found) {
        (Value::Object(recorded), Value::Object(found)) => {
            for (name, recorded) in recorded {
                match (recorded, found.get_mut(name)) {
                    (Value::Array(recorded), Some(Value::Array(found))) if name == "log" => {
                        let length = recorded.len().min(found.len());
                        // None at all is no shorter log.
                        if length > 0 {
                            recorded.drain(..recorded.len() - length);
                            found.drain(..found.len() - length);
                        }
                    }
                    (recorded, Some(found)) => align_logs(recorded, found),
                    (_, None) => {}
                }
            }
        }
        (Value::Array(recorded), Value::Array(found)) => {
            recorded.iter_mut().zip(found).for_each(|(recorded, found)| align_logs(recorded, found));
        }
        _ => {}
    }
}

/// The rules about members of an answer as a whole.
fn settle_members(exchange: &Exchange, members: &mut serde_json::Map<String, Value>) {
    if members.contains_key("total") && members.contains_key("log") {
        let query = exchange.target.split_once('?').map_or("", |(_, query)| query);
        let from_given =
            query.split('&').any(|item| item.strip_prefix("from=").is_some_and(|from| !from.starts_with('-')));
        if !from_given {
            members.remove("from");
        }
        if members["total"] != FULL_LOG {
            members.remove("total");
        }
    }
}

fn told<T: std::fmt::Debug + ?Sized, U: std::fmt::Debug + ?Sized>(
    what: &str,
    recorded: &T,
    found: &U,
) -> Option<String> {
    let (recorded, found) = (format!("{recorded:?}"), format!("{found:?}"));
    let shown = |text: &str| text.replace("\\n", "\n");
    (recorded != found).then(|| format!("{what} recorded: {}\n{what} found: {}", shown(&recorded), shown(&found)))
}

fn decoded(answer: &Answer) -> Vec<u8> {
    let mut plain = Vec::new();
    match answer.header("content-encoding") {
        Some("gzip") => GzDecoder::new(answer.body.as_slice()).read_to_end(&mut plain).unwrap(),
        Some("deflate") => ZlibDecoder::new(answer.body.as_slice()).read_to_end(&mut plain).unwrap(),
        _ => return answer.body.clone(),
    };
    plain
}
