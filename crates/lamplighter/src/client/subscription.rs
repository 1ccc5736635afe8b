//! Following an event stream over lost connections.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::{Response, Url};
use tokio::time::{Instant, sleep, timeout};

use super::sse::{Decoder, Message};
use super::{BACKOFF_FIRST, BACKOFF_MAX, ClientError};

/// A stream this quiet is dead: the gateway sends a comment each 15 seconds.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// How long a lost stream is tried to be taken up again.
const OUTAGE_MAX: Duration = Duration::from_secs(300);

/// What a subscription brings.
#[derive(Debug)]
pub(crate) enum Received {
    /// A message; each exactly once and in order.
    Message(Message),
    /// The connection was lost; the next call tries to take the stream up again where it was. Told once per outage.
    Lost,
}

/// An event stream that goes on, where it was, when the connection is lost.
#[derive(Debug)]
pub(crate) struct Subscription {
    http: reqwest::Client,
    gateway: String,
    url: Url,
    connection: Option<Connection>,
    /// The id of the last message handed out: what the gateway is asked to go on after.
    last_id: Option<String>,
    outage: Option<Outage>,
    /// Whether there ever was a connection.
    was_open: bool,
}

#[derive(Debug)]
struct Connection {
    response: Response,
    decoder: Decoder,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    wait: Duration,
    told: bool,
}

impl Subscription {
    /// A subscription to `url`; the first call of [`Subscription::next`] connects.
    pub(super) fn new(http: reqwest::Client, gateway: String, url: Url) -> Self {
        Self { http, gateway, url, connection: None, last_id: None, outage: None, was_open: false }
    }

    /// The next message, or the news that the connection was lost. Cancelling the call loses nothing.
    ///
    /// # Errors
    /// [`ClientError::Lost`] after an outage that lasts too long; others when the gateway refuses.
    pub(crate) async fn next(&mut self) -> Result<Received, ClientError> {
        loop {
            if let Some(message) = self.connection.as_mut().and_then(|connection| connection.decoder.next()) {
                self.last_id.clone_from(&message.id);
                return Ok(Received::Message(message));
            }
            self.open().await?;
            if !self.read().await? && self.lose().await? {
                return Ok(Received::Lost);
            }
        }
    }

    /// Connects if there is no connection. A gateway that can't be reached now is left to [`Subscription::next`].
    ///
    /// # Errors
    /// [`ClientError`] when the gateway refuses.
    pub(crate) async fn open(&mut self) -> Result<(), ClientError> {
        if self.connection.is_none() {
            match self.connect().await {
                Ok(connection) => {
                    self.connection = Some(connection);
                    self.was_open = true;
                }
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether there ever was a connection, so that what is followed was there.
    pub(crate) const fn was_open(&self) -> bool {
        self.was_open
    }

    /// All messages that have arrived and weren't handed out, without waiting.
    pub(crate) fn arrived(&mut self) -> VecDeque<Message> {
        let Some(connection) = self.connection.as_mut() else { return VecDeque::new() };
        let messages: VecDeque<Message> = std::iter::from_fn(|| connection.decoder.next()).collect();
        if let Some(last) = messages.back() {
            self.last_id.clone_from(&last.id);
        }
        messages
    }

    async fn connect(&self) -> Result<Connection, ClientError> {
        let mut request = self.http.get(self.url.clone()).header("Accept", "text/event-stream");
        if let Some(id) = &self.last_id {
            request = request.header("Last-Event-ID", id);
        }
        let unreachable = |source| ClientError::Unreachable { url: self.gateway.clone(), source };
        let silent = || ClientError::Lost { url: self.gateway.clone() };
        let response = timeout(SILENCE_MAX, request.send()).await.map_err(|_| silent())?.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(ClientError::refusal(&self.gateway, response).await);
        }
        Ok(Connection { response, decoder: Decoder::default() })
    }

    /// Reads some more; false when there is no connection, or no more of it.
    async fn read(&mut self) -> Result<bool, ClientError> {
        let Some(connection) = &mut self.connection else { return Ok(false) };
        match timeout(SILENCE_MAX, connection.response.chunk()).await {
            Ok(Ok(Some(bytes))) => {
                let unreadable = |source| ClientError::UnreadableStream { url: self.gateway.clone(), source };
                connection.decoder.push(&bytes).map_err(unreadable)?;
                self.outage = None;
                Ok(true)
            }
            _ => {
                self.connection = None;
                Ok(false)
            }
        }
    }

    /// Notes that the stream is lost. The first time nothing else happens: gateways end streams that nobody read for
    /// a while, and the next try will do. The second time is news, told by `true`; later ones wait for the next try.
    async fn lose(&mut self) -> Result<bool, ClientError> {
        let Some(outage) = &mut self.outage else {
            self.outage = Some(Outage { since: Instant::now(), wait: BACKOFF_FIRST, told: false });
            return Ok(false);
        };
        if !std::mem::replace(&mut outage.told, true) {
            return Ok(true);
        }
        if outage.since.elapsed() > OUTAGE_MAX {
            return Err(ClientError::Lost { url: self.gateway.clone() });
        }
        let wait = outage.wait;
        outage.wait = (wait * 2).min(BACKOFF_MAX);
        sleep(wait).await;
        Ok(false)
    }
}
