//! The gateway's HTTP API as the command line uses it.
//!
//! Start with [`Client`]; what it follows as it happens is a [`Subscription`].

mod connect;
mod error;
mod sse;
mod subscription;

use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep};

pub(crate) use connect::{Connect, Token};
pub(crate) use error::ClientError;
pub(crate) use subscription::{Received, Subscription};

/// How long one request may take. The gateway answers each within half of it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a submission whose answer was lost is repeated.
const REPEAT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a cancellation that nobody hears is repeated.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(300);
/// The first wait before a repetition; doubled up to [`BACKOFF_MAX`].
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Applications in one page of a list, the most that the API gives.
const PAGE_MAX: usize = 1_000;

/// An answer as it was sent and as it is understood.
#[derive(Clone, Debug)]
pub(crate) struct Answer<T> {
    /// The JSON document, fields this version doesn't know included.
    pub(crate) json: Value,
    /// The same, typed.
    pub(crate) value: T,
}

/// Which applications to list; empty lists and `None` don't restrict.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListFilter {
    /// Words of states.
    pub(crate) states: Vec<String>,
    /// `key=value`; all of them must be there.
    pub(crate) labels: Vec<String>,
}

/// Whether the gateway can take work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// Whether it can.
    pub(crate) ready: bool,
    /// What it said, usually why not.
    pub(crate) body: String,
}

/// A gateway at an address. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
}

impl Client {
    /// A client of a gateway; nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::InvalidUrl`], [`ClientError::BadCertificates`], [`ClientError::BadToken`].
    pub(crate) fn new(connect: &Connect) -> Result<Self, ClientError> {
        let (base, http) = connect.build()?;
        Ok(Self { http, base })
    }

    /// The address, for messages.
    pub(crate) fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Submits an application. Lost answers are asked for again with the same key, so nothing is submitted twice.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn create(
        &self,
        create: &api::ApplicationCreate,
        key: &str,
    ) -> Result<Answer<api::Application>, ClientError> {
        let request = || self.request(Method::POST, &["applications"], &[]).header("Idempotency-Key", key).json(create);
        self.repeated(request).await
    }

    /// Runs an ended application again, as a new one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn retry(&self, id: &str, key: &str) -> Result<Answer<api::Application>, ClientError> {
        let request = || self.request(Method::POST, &["applications", id, "retry"], &[]).header("Idempotency-Key", key);
        self.repeated(request).await
    }

    /// One application.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::is_not_found`] when there is none.
    pub(crate) async fn get(&self, id: &str) -> Result<Answer<api::Application>, ClientError> {
        self.answer(self.request(Method::GET, &["applications", id], &[])).await
    }

    /// Wishes that an application ends.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn cancel(&self, id: &str) -> Result<Answer<api::Application>, ClientError> {
        self.answer(self.request(Method::POST, &["applications", id, "cancel"], &[])).await
    }

    /// The same, again and again until the gateway has heard it or has been away for long.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn cancel_surely(&self, id: &str) -> Result<Answer<api::Application>, ClientError> {
        let deadline = Instant::now() + CANCEL_TIMEOUT;
        self.until(deadline, || self.request(Method::POST, &["applications", id, "cancel"], &[])).await
    }

    /// Removes an application with its logs, after cancelling it if `cancel` and it hasn't ended.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn delete(&self, id: &str, cancel: bool) -> Result<(), ClientError> {
        let query = [("cancel", cancel.to_string())];
        self.send(self.request(Method::DELETE, &["applications", id], &query)).await.map(drop)
    }

    /// One page of the list, newest first, beginning after `cursor`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn list(
        &self,
        filter: &ListFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Answer<api::Page<api::Application>>, ClientError> {
        let mut query = vec![("limit", limit.clamp(1, PAGE_MAX).to_string())];
        if !filter.states.is_empty() {
            query.push(("state", filter.states.join(",")));
        }
        query.extend(filter.labels.iter().map(|label| ("label", label.clone())));
        query.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
        self.answer(self.request(Method::GET, &["applications"], &query)).await
    }

    /// A piece of a driver's output; `query` as in the API: `cursor`, `tail`, `stream`, `attempt`, `limit`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn logs(&self, id: &str, query: &[(&str, String)]) -> Result<Answer<api::LogPage>, ClientError> {
        let request = self.request(Method::GET, &["applications", id, "logs"], query);
        self.answer(request.header("Accept", "application/json")).await
    }

    /// Follows a driver's output to its end.
    pub(crate) fn follow_logs(&self, id: &str, query: &[(&str, String)]) -> Subscription {
        let mut query = query.to_vec();
        query.push(("follow", "true".to_owned()));
        Subscription::new(
            self.http.clone(),
            self.url().to_owned(),
            self.endpoint(&["applications", id, "logs"], &query),
        )
    }

    /// Follows what happens to an application, from now on.
    pub(crate) fn follow_events(&self, id: &str) -> Subscription {
        let query = [("application", id.to_owned())];
        Subscription::new(self.http.clone(), self.url().to_owned(), self.endpoint(&["events"], &query))
    }

    /// The gateway's version.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn version(&self) -> Result<Answer<api::Version>, ClientError> {
        self.answer(self.request(Method::GET, &["version"], &[])).await
    }

    /// The gateway's backends.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn backends(&self) -> Result<Answer<api::Page<api::backend::Backend>>, ClientError> {
        self.answer(self.request(Method::GET, &["backends"], &[])).await
    }

    /// A page of the record of audit; `query` as in the API.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn audit(
        &self,
        query: &[(&str, String)],
    ) -> Result<Answer<api::Page<api::AuditRecord>>, ClientError> {
        self.answer(self.request(Method::GET, &["audit"], query)).await
    }

    /// What would come of an application.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) async fn dry_run(&self, create: &api::ApplicationCreate) -> Result<Answer<api::DryRun>, ClientError> {
        let query = [("dry_run", "true".to_owned())];
        self.answer(self.request(Method::POST, &["applications"], &query).json(create)).await
    }

    /// Whether the gateway can take work.
    ///
    /// # Errors
    /// [`ClientError`] when it can't even say.
    pub(crate) async fn readiness(&self) -> Result<Readiness, ClientError> {
        let url = self.base.join("readyz").unwrap_or_else(|_| self.base.clone());
        let response =
            self.http.get(url).timeout(REQUEST_TIMEOUT).send().await.map_err(|error| self.unreachable(error))?;
        let ready = response.status().is_success();
        let known = ready || response.status() == StatusCode::SERVICE_UNAVAILABLE;
        if !known {
            return Err(ClientError::refusal(self.url(), response).await);
        }
        let body = response.text().await.map_err(|error| self.unreachable(error))?;
        Ok(Readiness { ready, body })
    }

    fn endpoint(&self, path: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> RequestBuilder {
        self.http.request(method, self.endpoint(path, query)).timeout(REQUEST_TIMEOUT)
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<Answer<T>, ClientError> {
        let body = self.send(request).await?;
        let unreadable =
            |error: serde_json::Error| ClientError::Unreadable { url: self.url().to_owned(), source: error };
        let json: Value = serde_json::from_slice(&body).map_err(unreadable)?;
        let value = T::deserialize(&json).map_err(unreadable)?;
        Ok(Answer { json, value })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Vec<u8>, ClientError> {
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        if !response.status().is_success() {
            return Err(ClientError::refusal(self.url(), response).await);
        }
        Ok(response.bytes().await.map_err(|error| self.unreachable(error))?.to_vec())
    }

    /// Sends a request that carries an idempotency key, again and again while its fate is unknown.
    ///
    /// A gateway that can't be reached at all is reported at once: then nothing has happened, and whoever typed
    /// the command is waiting.
    async fn repeated<T: DeserializeOwned>(
        &self,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Answer<T>, ClientError> {
        let first = self.answer(request()).await;
        match first {
            Err(error) if error.is_transient() && !error.is_connect() => {
                self.until(Instant::now() + REPEAT_TIMEOUT, request).await
            }
            answer => answer,
        }
    }

    /// Sends a request again, with growing waits, while it may succeed later, until `deadline`.
    async fn until<T: DeserializeOwned>(
        &self,
        deadline: Instant,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Answer<T>, ClientError> {
        let mut wait = BACKOFF_FIRST;
        loop {
            match self.answer(request()).await {
                Err(error) if error.is_transient() && Instant::now() + wait < deadline => sleep(wait).await,
                answer => return answer,
            }
            wait = (wait * 2).min(BACKOFF_MAX);
        }
    }

    fn unreachable(&self, source: reqwest::Error) -> ClientError {
        ClientError::Unreachable { url: self.url().to_owned(), source }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use expect_test::{Expect, expect};

    fn check(url: &str, expected: &Expect) {
        let connect = Connect { url: url.to_owned(), ..Connect::default() };
        let shown = match Client::new(&connect) {
            Ok(client) => client.endpoint(&["applications", "a/b?c"], &[("label", "k=v&w".to_owned())]).to_string(),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn addresses_are_checked_and_paths_escaped() {
        check("http://127.0.0.1:8998", &expect!["http://127.0.0.1:8998/api/v1/applications/a%2Fb%3Fc?label=k%3Dv%26w"]);
        check("http://proxy/lamp", &expect!["http://proxy/lamp/api/v1/applications/a%2Fb%3Fc?label=k%3Dv%26w"]);
        check("https://h", &expect!["https://h/api/v1/applications/a%2Fb%3Fc?label=k%3Dv%26w"]);
        check(
            "localhost:8998",
            &expect!["`localhost:8998` is no address of a gateway: it must begin with http:// or https://"],
        );
        check("", &expect!["`` is no address of a gateway: relative URL without a base"]);
    }
}
