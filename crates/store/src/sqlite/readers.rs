//! The reading side: a few connections, each used by one blocking task at a time and opened when first needed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::store::StoreError;

use super::complete;
use super::connection::{Access, SqliteConnection};
use crate::sql::places::Places;
use crate::sql::query::Query;

/// More would only wait for the same disk.
const READERS_MAX: usize = 3;

/// Connections that nobody uses at the moment.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<SqliteConnection>>,
    places: Places,
    /// How long a query may take once it has a connection.
    patience: Duration,
}

impl Readers {
    pub(super) fn new(path: &Path, patience: Duration) -> Self {
        Self { path: path.to_owned(), idle: Mutex::default(), places: Places::new(READERS_MAX), patience }
    }

    pub(super) async fn read<Q: Query>(self: Arc<Self>, query: Q) -> Result<Q::Output, StoreError> {
        let place = self.places.take::<Q>().await?;
        let read = move || {
            let answer = self.with_connection(|connection| run(connection, query));
            drop(place);
            answer
        };
        tokio::task::spawn_blocking(read).await.map_err(StoreError::unavailable)?
    }

    fn with_connection<T>(
        &self,
        read: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let mut connection = kept.map_or_else(|| SqliteConnection::open(&self.path, Access::Read), Ok)?;
        connection.limit(Instant::now() + self.patience)?;
        // A connection that failed is closed: the next reader opens a sound one.
        let answer = read(&mut connection)?;
        idle().push(connection);
        Ok(answer)
    }
}

fn run<Q: Query>(connection: &mut SqliteConnection, query: Q) -> Result<Q::Output, StoreError> {
    if !Q::SNAPSHOT {
        return complete(query.run(connection))?;
    }
    connection.begin_snapshot()?;
    let answer = complete(query.run(connection))??;
    connection.end_snapshot()?;
    Ok(answer)
}
