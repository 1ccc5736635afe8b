//! A store in one SQLite file: one thread writes, in groups; a few connections read.
//!
//! A command's answer means that its group's commit has been synced. [`SqliteStore`]'s `open` is where to start.

mod connection;
mod readers;
mod writer;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::store::StoreError;
use futures::FutureExt;
use model::id::EventId;
use tokio::sync::watch;

use self::connection::{Access, SqliteConnection};
use self::readers::Readers;
use self::writer::Writer;
use crate::error::OpenError;
use crate::schema::{self, Migrations};
use crate::sql::command::Command;
use crate::sql::connection::Writes;
use crate::sql::query::{LastEvent, Query};
use crate::sql::{Driver, SqlStore};

const MIGRATIONS: Migrations =
    &[include_str!("../migrations/sqlite-1.sql"), include_str!("../migrations/sqlite-2.sql")];

/// How long a query may take: a filter that leaves few of very many must not hold a connection for ever.
const READ_PATIENCE: Duration = Duration::from_secs(5);

/// A store in a file.
pub type SqliteStore = SqlStore<Sqlite>;

/// The driver of a [`SqliteStore`].
#[derive(Debug)]
pub struct Sqlite {
    writer: Writer,
    readers: Arc<Readers>,
    newest_event: watch::Sender<EventId>,
}

impl SqliteStore {
    /// Opens the file, or makes it with mode 600, and brings its tables to this version's format. Takes
    /// milliseconds, however much is stored.
    ///
    /// # Errors
    /// [`OpenError`]; a file of a newer version is left as it is.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        create_private(path)?;
        Self::start(SqliteConnection::open(path, Access::Write)?, path)
    }

    fn start(mut connection: SqliteConnection, path: &Path) -> Result<Self, OpenError> {
        complete(migrate(&mut connection))??;
        let newest_event = watch::Sender::new(complete(LastEvent.run(&mut connection))??);
        let writer =
            Writer::start(connection, newest_event.clone()).map_err(|error| OpenError::Database(error.into()))?;
        let readers = Arc::new(Readers::new(path, READ_PATIENCE));
        Ok(Self { driver: Sqlite { writer, readers, newest_event } })
    }
}

/// The conf of applications stands in it, so nobody else may read it; SQLite gives its other files the same mode.
fn create_private(path: &Path) -> Result<(), OpenError> {
    let created = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    created.map(drop).map_err(|source| OpenError::File { path: path.to_owned(), source })
}

async fn migrate(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    connection.begin().await?;
    let migrated = schema::migrate(connection, MIGRATIONS).await;
    match migrated {
        Ok(()) => connection.commit().await.map_err(Into::into),
        Err(error) => {
            connection.rollback().await;
            Err(error)
        }
    }
}

/// The output of a future on SQLite connections, which never wait.
fn complete<T>(future: impl Future<Output = T>) -> Result<T, StoreError> {
    future.now_or_never().ok_or_else(|| StoreError::unavailable("a statement did not finish"))
}

impl Driver for Sqlite {
    async fn submit(&self, command: Command) -> Result<(), StoreError> {
        self.writer.submit(command).await
    }

    async fn read<Q: Query>(&self, query: Q) -> Result<Q::Output, StoreError> {
        Arc::clone(&self.readers).read(query).await
    }

    fn newest_event(&self) -> watch::Receiver<EventId> {
        self.newest_event.subscribe()
    }
}

#[cfg(test)]
mod full_tests;
#[cfg(test)]
mod leftover_tests;
#[cfg(test)]
mod migration_tests;
#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod turn_tests;
