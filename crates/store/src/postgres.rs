//! A store in PostgreSQL, which several gateways may share.
//!
//! Each gateway has one writing session. A writing transaction first locks a row of `counters`, so that there is one
//! at a time among all gateways: commits have the order of event ids, and no two commands interfere. That costs
//! little, because commands that wait meanwhile share the next commit. [`PostgresStore`]'s `connect` is where to start.

mod readers;
mod session;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use engine::store::StoreError;
use model::id::EventId;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use self::readers::Readers;
use self::session::Session;
use crate::error::OpenError;
use crate::schema::{self, Migrations};
use crate::sql::command::Command;
use crate::sql::connection::Writes;
use crate::sql::group::{self, GROUP_MAX};
use crate::sql::query::{LastEvent, Query};
use crate::sql::{Driver, SqlStore};

const MIGRATIONS: Migrations =
    &[include_str!("../migrations/postgres-1.sql"), include_str!("../migrations/postgres-2.sql")];
/// Commands that may wait; more wait for room before they are queued.
const QUEUE_MAX: usize = 2 * GROUP_MAX;
/// How often a gateway looks for what the others wrote.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// A store in a database server.
pub type PostgresStore = SqlStore<Postgres>;

/// The driver of a [`PostgresStore`].
#[derive(Debug)]
pub struct Postgres {
    queue: mpsc::Sender<Command>,
    readers: Arc<Readers>,
    newest_event: watch::Sender<EventId>,
    /// The writer and the one who looks for events; they end with the store.
    _tasks: JoinSet<()>,
}

impl PostgresStore {
    /// Connects by a URL (`postgres://user:password@host/database`) or a list of `key=value` as libpq knows them, and
    /// brings the tables to this version's format.
    ///
    /// # Errors
    /// [`OpenError`]; a database of a newer version is left as it is.
    pub async fn connect(connection: &str) -> Result<Self, OpenError> {
        let config = Arc::new(configure(connection)?);
        let mut session = Session::new(Arc::clone(&config));
        migrate(&mut session).await?;
        let newest_event = watch::Sender::new(LastEvent.run(&mut session).await?);
        let readers = Arc::new(Readers::new(config));
        let (queue, commands) = mpsc::channel(QUEUE_MAX);
        let mut tasks = JoinSet::new();
        tasks.spawn(write(session, commands, newest_event.clone()));
        tasks.spawn(look(Arc::clone(&readers), newest_event.clone()));
        Ok(Self { driver: Postgres { queue, readers, newest_event, _tasks: tasks } })
    }
}

fn configure(connection: &str) -> Result<Config, OpenError> {
    let mut config = Config::from_str(connection).map_err(|error| OpenError::Database(error.into()))?;
    if config.get_ssl_mode() == SslMode::Require {
        return Err(OpenError::NoTls);
    }
    if config.get_application_name().is_none() {
        config.application_name("lamplighter");
    }
    // A server that vanished without a word is noticed in seconds.
    config.connect_timeout(Duration::from_secs(3));
    config.keepalives_idle(Duration::from_secs(10));
    config.tcp_user_timeout(Duration::from_secs(15));
    Ok(config)
}

async fn migrate(session: &mut Session) -> Result<(), OpenError> {
    session.begin_migration().await?;
    let migrated = schema::migrate(session, MIGRATIONS).await;
    match migrated {
        Ok(()) => session.commit().await.map_err(Into::into),
        Err(error) => {
            session.rollback().await;
            Err(error)
        }
    }
}

async fn write(mut session: Session, mut commands: mpsc::Receiver<Command>, newest_event: watch::Sender<EventId>) {
    let mut waiting = Vec::new();
    while commands.recv_many(&mut waiting, GROUP_MAX).await > 0 {
        group::serve(&mut session, &newest_event, std::mem::take(&mut waiting)).await;
    }
}

async fn look(readers: Arc<Readers>, newest_event: watch::Sender<EventId>) {
    let mut interval = tokio::time::interval(LOOK_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        match readers.read(LastEvent).await {
            Ok(newest) => group::publish(&newest_event, newest),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the store could not look for new events");
            }
        }
    }
}

impl Driver for Postgres {
    async fn submit(&self, command: Command) -> Result<(), StoreError> {
        self.queue.send(command).await.map_err(|_| StoreError::unavailable("the store's writer ended"))
    }

    async fn read<Q: Query>(&self, query: Q) -> Result<Q::Output, StoreError> {
        self.readers.read(query).await
    }

    fn newest_event(&self) -> watch::Receiver<EventId> {
        self.newest_event.subscribe()
    }
}
