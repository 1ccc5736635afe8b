//! Hands stored events to any number of subscribers.
//!
//! One task reads new events from the store, in order, and keeps the newest in memory. A subscriber that is up to
//! date reads from there; one that fell behind reads from the store. Nobody ever sees an event that isn't stored,
//! and a slow subscriber costs nobody anything.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::event::Event;
use model::id::EventId;
use tokio::sync::watch;

use crate::store::{DynStore, StoreError};

/// Events kept in memory.
const RECENT_MAX: usize = 4_096;
/// Events read or handed over at once.
const BATCH: u32 = 256;

/// The store's log, followed.
pub struct EventHub {
    store: DynStore,
    recent: Mutex<Recent>,
    newest: watch::Sender<EventId>,
}

/// The end of the log: every event after `after`, in order.
struct Recent {
    after: EventId,
    events: VecDeque<Arc<Event>>,
}

impl EventHub {
    /// A hub that knows the events after the newest one of now.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn new(store: DynStore) -> Result<Arc<Self>, StoreError> {
        let after = store.last_event().await?;
        let recent = Mutex::new(Recent { after, events: VecDeque::new() });
        Ok(Arc::new(Self { store, recent, newest: watch::Sender::new(after) }))
    }

    /// Follows the store's log for as long as the store lives.
    pub async fn follow(self: Arc<Self>) {
        let mut stored = self.store.newest_event();
        loop {
            let known = *self.newest.borrow();
            if *stored.borrow_and_update() <= known && stored.changed().await.is_err() {
                return;
            }
            let newest = *stored.borrow();
            if let Err(error) = self.read_new(known, newest).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "read new events");
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        }
    }

    async fn read_new(&self, known: EventId, newest: EventId) -> Result<(), StoreError> {
        let events = self.store.events(known, BATCH).await?;
        // Nothing to read although there was something: it was trimmed already.
        let last = events.last().map_or(newest, |event| event.id);
        self.recent().append(events);
        self.newest.send_replace(last);
        Ok(())
    }

    /// The newest event that can be read.
    pub fn newest(&self) -> EventId {
        *self.newest.borrow()
    }

    /// Events after `after`, or from now on.
    pub fn subscribe(self: &Arc<Self>, after: Option<EventId>) -> Subscription {
        let newest = self.newest.subscribe();
        let position = after.unwrap_or(*newest.borrow());
        Subscription { hub: Arc::clone(self), newest, position }
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn append(&mut self, events: Vec<Event>) {
        self.events.extend(events.into_iter().map(Arc::new));
        while self.events.len() > RECENT_MAX {
            if let Some(dropped) = self.events.pop_front() {
                self.after = dropped.id;
            }
        }
    }

    /// The events after `position`; `None` when some of them aren't in memory.
    fn since(&self, position: EventId) -> Option<Vec<Arc<Event>>> {
        if position < self.after {
            return None;
        }
        let start = self.events.partition_point(|event| event.id <= position);
        Some(self.events.iter().skip(start).take(BATCH as usize).cloned().collect())
    }
}

/// One reader of the log.
pub struct Subscription {
    hub: Arc<EventHub>,
    newest: watch::Receiver<EventId>,
    position: EventId,
}

impl Subscription {
    /// The next events, at least one, in the order of their ids; waits for them.
    ///
    /// # Errors
    /// When the store can't be read; calling again continues at the same place.
    pub async fn next(&mut self) -> Result<Vec<Arc<Event>>, StoreError> {
        loop {
            self.newest.borrow_and_update();
            let recent = self.hub.recent().since(self.position);
            let events = match recent {
                Some(events) => events,
                None => self.hub.store.events(self.position, BATCH).await?.into_iter().map(Arc::new).collect(),
            };
            if let Some(last) = events.last() {
                self.position = last.id;
                return Ok(events);
            }
            if self.newest.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
