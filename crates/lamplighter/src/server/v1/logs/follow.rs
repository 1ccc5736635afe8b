//! Follows the log of an application: from where the client was, through later attempts, to the application's end.

use std::collections::VecDeque;

use ::backends::log::{LogCursor, LogFrom, LogQuery};
use axum::response::sse::Event as Message;
use engine::events::Subscription;
use futures::Stream;
use model::application::{Application, Attempt};
use model::id::ApplicationId;

use super::{AttemptLog, Wanted};
use crate::server::AppState;
use crate::server::v1::stream;

/// Entries read at once.
const BATCH_ENTRIES: usize = 512;

/// One client that follows one log.
pub(super) struct Follower {
    app: AppState,
    id: ApplicationId,
    /// Taken before the application is looked at, so that no change is missed.
    changes: Subscription,
    /// The attempt being read; the last one when absent, for who wants the end of the log only.
    number: Option<u32>,
    /// Whether to go on into the next attempt.
    whole_application: bool,
    query: LogQuery,
    waiting: VecDeque<Message>,
    ended: bool,
}

impl Follower {
    pub(super) fn new(app: AppState, id: ApplicationId, wanted: &Wanted) -> Self {
        let query =
            LogQuery { from: wanted.from, stream: wanted.stream, entries_max: BATCH_ENTRIES, ..LogQuery::default() };
        // Whoever wants everything begins with the first attempt, even if that one is over before the first look.
        let first = (wanted.from == LogFrom::Start).then_some(1);
        Self {
            changes: app.engine.events().subscribe(None),
            app,
            id,
            number: wanted.attempt.or(wanted.cursor_attempt).or(first),
            whole_application: wanted.attempt.is_none(),
            query,
            waiting: VecDeque::new(),
            ended: false,
        }
    }

    pub(super) fn into_messages(self) -> impl Stream<Item = Message> + Send {
        futures::stream::unfold(self, |mut follower| async move {
            loop {
                if let Some(message) = follower.waiting.pop_front() {
                    return Some((message, follower));
                }
                if follower.ended {
                    return None;
                }
                follower.advance().await?;
            }
        })
    }

    /// Reads on, or waits until that is worth while. `None` ends the stream without an `end`: the client may
    /// take it up again.
    async fn advance(&mut self) -> Option<()> {
        let application = match self.app.engine.get(self.id).await {
            Ok(Some(application)) => application,
            Ok(None) => {
                self.end(None);
                return Some(());
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "look at a followed application");
                return None;
            }
        };
        let Some(log) = AttemptLog::of(&self.app, &application, self.number) else {
            return self.wait_or_end(&application).await;
        };
        let page = log.read(&self.query).await.ok()?;
        self.number = Some(log.number);
        self.query.from = LogFrom::After(page.next);
        if !page.items.is_empty() {
            let entries = page.items.iter().map(|item| log.entry(item));
            self.waiting.extend(entries.map(|entry| stream::message("log", &entry).id(&entry.cursor)));
            return Some(());
        }
        if !page.at_end {
            return Some(());
        }
        if page.complete || is_over(&application, log.number) {
            return self.leave_attempt(&application, log.number).await;
        }
        self.wait_for_growth(&log, page.next).await
    }

    /// The log of an attempt is over: the next attempt, or the end, or a wait for either.
    async fn leave_attempt(&mut self, application: &Application, number: u32) -> Option<()> {
        if !self.whole_application {
            self.end(Some(application));
            return Some(());
        }
        if let Some(later) = application.attempts.iter().find(|attempt| attempt.number > number) {
            self.number = Some(later.number);
            self.query.from = LogFrom::Start;
            return Some(());
        }
        self.wait_or_end(application).await
    }

    async fn wait_or_end(&mut self, application: &Application) -> Option<()> {
        if application.state.is_terminal() {
            self.end(Some(application));
            return Some(());
        }
        self.changed().await
    }

    async fn wait_for_growth(&mut self, log: &AttemptLog, after: LogCursor) -> Option<()> {
        let (source, attempt) = (log.source.clone(), log.attempt.clone());
        let grown = async move {
            // Without a log there is nothing to wait for but the application itself.
            if source.grown(&attempt, after).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = grown => {}
            changed = self.changed() => changed?,
        }
        Some(())
    }

    /// Returns once something happened to the application.
    async fn changed(&mut self) -> Option<()> {
        loop {
            let events = self.changes.next().await.ok()?;
            if events.iter().any(|event| event.application == self.id) {
                return Some(());
            }
        }
    }

    fn end(&mut self, application: Option<&Application>) {
        self.ended = true;
        let body = application.map(api::Application::from);
        self.waiting.push_back(stream::message("end", &body));
    }
}

/// Whether nothing more is printed by an attempt, whatever its log says: one that was lost never completes its log.
fn is_over(application: &Application, number: u32) -> bool {
    let over = |attempt: &Attempt| attempt.number > number || (attempt.number == number && attempt.ended_at.is_some());
    application.state.is_terminal() || application.attempts.iter().any(over)
}
