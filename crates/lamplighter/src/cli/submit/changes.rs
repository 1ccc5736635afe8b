//! State changes of one application, for a person who watches.

use api::application::{Reason, State};

use crate::cli::view;
use crate::client::{Client, Received, Subscription};

/// The changes of an application, from how it stands when it is first looked at.
pub(super) struct Changes {
    client: Client,
    id: String,
    events: Option<Subscription>,
    /// State and attempt that were told last.
    told: Option<(State, u32)>,
}

impl Changes {
    /// Nothing is sent before the first [`Changes::next`].
    pub(super) fn new(client: &Client, id: &str) -> Self {
        Self { client: client.clone(), id: id.to_owned(), events: Some(client.follow_events(id)), told: None }
    }

    /// Waits for the next change and says it in a sentence. After the end, or when changes can't be followed, there is
    /// none for ever: they are a courtesy, and the end is known without them. Cancelling the call loses nothing.
    pub(super) async fn next(&mut self) -> String {
        loop {
            let change = if self.told.is_none() { self.look().await } else { self.wait().await };
            let Some((state, attempt, reason)) = change else {
                self.events = None;
                return std::future::pending().await;
            };
            let told = self.told.replace((state, attempt));
            let news = told.map_or(state != State::Accepted, |told| told != (state, attempt));
            if news && !state.is_terminal() {
                let again = if attempt > 1 { format!(" (attempt {attempt})") } else { String::new() };
                return format!("{} {}{again}", self.id, view::sentence(state, reason.as_ref()));
            }
        }
    }

    /// How it stands now. Changes between the submission and the subscription have no events here.
    async fn look(&mut self) -> Option<(State, u32, Option<Reason>)> {
        self.events.as_mut()?.open().await.ok()?;
        let application = self.client.get(&self.id).await.ok()?.value;
        let attempt = application.attempts.last().map_or(0, |attempt| attempt.number);
        Some((application.state, attempt, application.reason))
    }

    async fn wait(&mut self) -> Option<(State, u32, Option<Reason>)> {
        loop {
            if let Received::Message(message) = self.events.as_mut()?.next().await.ok()?
                && let Ok(event) = serde_json::from_str::<api::Event>(&message.data)
            {
                return Some((event.state, event.attempt, event.reason));
            }
        }
    }
}
