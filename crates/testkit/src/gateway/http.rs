//! A small client for tests: one connection, plain answers, no opinion about statuses.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Longer than any handler takes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it isn't.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("answer {} {}", self.status, self.body))
    }
}

/// Talks to one gateway and keeps its connection. Not for sharing between threads: each has its own.
#[derive(Clone, Debug)]
pub struct Client {
    url: String,
    agent: ureq::Agent,
    /// What proves who asks, if anything does.
    authorization: Option<String>,
}

impl Client {
    /// A client of the gateway at `url`, which has no slash at its end.
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), agent: agent(Some(ANSWER_TIMEOUT)), authorization: None }
    }

    /// The same for the user of a token.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        Self { authorization: Some(format!("Bearer {token}")), ..self }
    }

    /// `GET`.
    ///
    /// # Errors
    /// When no answer came.
    pub fn get(&self, path: &str) -> Result<Answer> {
        answer(self.signed(self.agent.get(self.at(path))).call()?)
    }

    /// `GET` of a text rather than of JSON.
    ///
    /// # Errors
    /// When no answer came.
    pub fn get_text(&self, path: &str) -> Result<Answer> {
        answer(self.signed(self.agent.get(self.at(path))).header("accept", "text/plain").call()?)
    }

    /// `POST` of a JSON text.
    ///
    /// # Errors
    /// When no answer came.
    pub fn post(&self, path: &str, body: &str) -> Result<Answer> {
        answer(self.signed(self.agent.post(self.at(path))).content_type("application/json").send(body)?)
    }

    /// `POST` that may be repeated: the gateway does it once per key.
    ///
    /// # Errors
    /// When no answer came.
    pub fn post_once(&self, path: &str, body: &str, key: &str) -> Result<Answer> {
        let request = self.signed(self.agent.post(self.at(path))).content_type("application/json");
        answer(request.header("idempotency-key", key).send(body)?)
    }

    /// `DELETE`.
    ///
    /// # Errors
    /// When no answer came.
    pub fn delete(&self, path: &str) -> Result<Answer> {
        answer(self.signed(self.agent.delete(self.at(path))).call()?)
    }

    /// `GET` of a stream of server-sent events, to be read line by line for as long as it lasts.
    ///
    /// # Errors
    /// When no answer came.
    pub fn follow(&self, path: &str) -> Result<impl BufRead + Send + use<>> {
        let request = self.signed(agent(None).get(self.at(path))).header("accept", "text/event-stream");
        Ok(BufReader::new(request.call()?.into_body().into_reader()))
    }

    fn signed<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.authorization {
            Some(authorization) => request.header("authorization", authorization),
            None => request,
        }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

/// Talks to loopback only: no proxy, whatever the environment says; a refusal is an answer, not an error.
fn agent(timeout: Option<Duration>) -> ureq::Agent {
    let config = ureq::Agent::config_builder().proxy(None).http_status_as_error(false);
    config.timeout_global(timeout).build().into()
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer> {
    let status = response.status().as_u16();
    Ok(Answer { status, body: response.body_mut().read_to_string()? })
}
