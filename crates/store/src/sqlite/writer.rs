//! The thread that owns the writing connection. It takes what waits and lets it share a commit.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use engine::store::StoreError;
use model::id::EventId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::complete;
use super::connection::SqliteConnection;
use crate::sql::command::Command;
use crate::sql::group::{self, GROUP_MAX};
use crate::sql::query::{LastEvent, Query};

/// Commands that may wait; more wait for room before they are queued.
const QUEUE_MAX: usize = 2 * GROUP_MAX;
/// How often an idle writer looks for what another process wrote.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Where commands are handed in. The thread ends when this is dropped and everything handed in was answered.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
}

/// A command with the room it takes.
struct Queued(Command, OwnedSemaphorePermit);

impl Writer {
    pub(super) fn start(connection: SqliteConnection, newest_event: watch::Sender<EventId>) -> std::io::Result<Self> {
        let (queue, commands) = mpsc::channel();
        thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || write(connection, &commands, &newest_event))?;
        Ok(Self { queue, room: Arc::new(Semaphore::new(QUEUE_MAX)) })
    }

    pub(super) async fn submit(&self, command: Command) -> Result<(), StoreError> {
        let place = Arc::clone(&self.room).acquire_owned().await.map_err(StoreError::unavailable)?;
        self.queue.send(Queued(command, place)).map_err(|_| StoreError::unavailable("the store's writer ended"))
    }
}

fn write(mut connection: SqliteConnection, commands: &mpsc::Receiver<Queued>, newest_event: &watch::Sender<EventId>) {
    loop {
        match commands.recv_timeout(LOOK_INTERVAL) {
            Ok(first) => {
                let waiting = std::iter::once(first).chain(commands.try_iter()).take(GROUP_MAX);
                let (group, places): (Vec<_>, Vec<_>) = waiting.map(|Queued(command, place)| (command, place)).unzip();
                let served = complete(group::serve(&mut connection, newest_event, group));
                drop((served, places));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => look(&mut connection, newest_event),
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn look(connection: &mut SqliteConnection, newest_event: &watch::Sender<EventId>) {
    match complete(LastEvent.run(connection)) {
        Ok(Ok(newest)) => group::publish(newest_event, newest),
        Ok(Err(error)) | Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the store could not look for new events");
        }
    }
}
