//! One session with the server: it connects when it must, keeps prepared statements, and sends writes without
//! waiting for each answer.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use engine::store::StoreError;
use futures::future::BoxFuture;
use tokio::time::Instant;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, Error, NoTls, Statement};

use crate::schema::Scripts;
use crate::sql::connection::{Dialect, Reads, Writes};
use crate::sql::value::{Row, Value, corrupt};

/// How long a session tries to connect before its caller is told.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// The waits between tries, doubled from the first to the last.
const RETRY_WAIT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// Statements kept prepared; lists with unusual filters would otherwise pile up.
const STATEMENTS_MAX: usize = 200;
/// Any number that no other program is likely to lock.
const MIGRATION_LOCK: i64 = 0x1a6f_1196_7e72;

/// What every session sets. A gateway that froze in a transaction must not stop the others for long, and an answer
/// means durable even where the server's default says otherwise.
const SETTINGS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '10s'; \
     SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// Whatever the server's defaults are: a stricter isolation would fail on what others committed while this waited for
/// its turn.
const BEGIN_WRITING: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// A session, connected or not.
pub(super) struct Session {
    config: Arc<Config>,
    live: Option<Live>,
    in_transaction: bool,
}

struct Live {
    client: Arc<Client>,
    statements: HashMap<String, Statement>,
    /// Sent, and not yet answered.
    writes: Vec<BoxFuture<'static, Result<u64, Error>>>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("connected", &!self.is_lost()).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) const fn new(config: Arc<Config>) -> Self {
        Self { config, live: None, in_transaction: false }
    }

    /// Begins a transaction that no other gateway's migration runs beside.
    pub(super) async fn begin_migration(&mut self) -> Result<(), StoreError> {
        self.begin_with(&format!("{BEGIN_WRITING}; SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")).await
    }

    /// Begins a transaction that sees one state of the data.
    pub(super) async fn begin_snapshot(&mut self) -> Result<(), StoreError> {
        self.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
    }

    async fn begin_with(&mut self, sql: &str) -> Result<(), StoreError> {
        let kept = self.live.is_some();
        let mut begun = self.script(sql).await;
        if begun.is_err() && kept {
            // The session had been cut while nobody used it, as by a restart of the server. Nothing has begun.
            self.live = None;
            begun = self.script(sql).await;
        }
        self.in_transaction = begun.is_ok();
        begun
    }

    /// The connection; a new one if the old one was lost, except in a transaction, which was lost with it.
    async fn live(&mut self) -> Result<&mut Live, StoreError> {
        if self.is_lost() {
            self.live = None;
        }
        let live = match self.live.take() {
            Some(live) => live,
            None if self.in_transaction => {
                return Err(StoreError::unavailable("the connection was lost in a transaction"));
            }
            None => connect(&self.config).await?,
        };
        Ok(self.live.insert(live))
    }
}

/// Connects, trying again for a while.
async fn connect(config: &Config) -> Result<Live, StoreError> {
    let end = Instant::now() + CONNECT_PATIENCE;
    let (mut wait, wait_max) = RETRY_WAIT;
    loop {
        match connect_once(config).await {
            Ok(live) => return Ok(live),
            Err(error) if Instant::now() + wait >= end => return Err(StoreError::unavailable(error)),
            Err(_) => tokio::time::sleep(wait).await,
        }
        wait = (2 * wait).min(wait_max);
    }
}

async fn connect_once(config: &Config) -> Result<Live, Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move {
        // Whoever uses the client is told by its calls.
        if let Err(error) = connection.await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a connection to PostgreSQL ended");
        }
    });
    client.batch_execute(SETTINGS).await?;
    Ok(Live { client: Arc::new(client), statements: HashMap::new(), writes: Vec::new() })
}

impl Live {
    async fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<tokio_postgres::Row>, Error> {
        let statement = self.prepare(sql).await?;
        let values: Vec<_> = values.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        self.client.query(&statement, &values).await
    }

    async fn prepare(&mut self, sql: &str) -> Result<Statement, Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        if self.statements.len() >= STATEMENTS_MAX {
            self.statements.clear();
        }
        let statement = self.client.prepare(&sql.replace('?', "$")).await?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    /// What a statement failed of: if an earlier write broke the transaction, that is what the caller must hear.
    async fn failed(&mut self, error: Error) -> StoreError {
        if error.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION) {
            for write in std::mem::take(&mut self.writes) {
                if let Err(first) = write.await {
                    return failed(first);
                }
            }
        }
        failed(error)
    }
}

impl Reads for Session {
    const DIALECT: Dialect = Dialect::Postgres;

    async fn read(&mut self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        // PostgreSQL has no such texts and refuses to compare with them; so nothing equals one.
        if values.iter().any(|value| matches!(value, Value::Text(text) if text.contains('\0'))) {
            return Ok(Vec::new());
        }
        let live = self.live().await?;
        match live.query(sql, &values).await {
            Ok(rows) => rows.iter().map(owned).collect(),
            Err(error) => Err(live.failed(error).await),
        }
    }
}

impl Writes for Session {
    async fn begin(&mut self) -> Result<(), StoreError> {
        self.begin_with(&format!("{BEGIN_WRITING}; SELECT 1 FROM counters WHERE name = 'events' FOR UPDATE")).await
    }

    async fn write(&mut self, sql: &str, values: Vec<Value>) -> Result<(), StoreError> {
        let live = self.live().await?;
        let statement = match live.prepare(sql).await {
            Ok(statement) => statement,
            Err(error) => return Err(live.failed(error).await),
        };
        let client = Arc::clone(&live.client);
        let mut write: BoxFuture<'static, _> = Box::pin(async move { client.execute_raw(&statement, &values).await });
        // The first poll sends it; the server answers in order, so what is read later sees it.
        match futures::poll!(write.as_mut()) {
            std::task::Poll::Ready(written) => written.map(drop).map_err(failed),
            std::task::Poll::Pending => {
                live.writes.push(write);
                Ok(())
            }
        }
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        let Some(live) = &mut self.live else { return Ok(()) };
        for write in std::mem::take(&mut live.writes) {
            write.await.map_err(failed)?;
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        self.flush().await?;
        self.script("COMMIT").await?;
        self.in_transaction = false;
        Ok(())
    }

    async fn rollback(&mut self) {
        self.in_transaction = false;
        let Some(live) = &mut self.live else { return };
        live.writes.clear();
        if let Err(error) = live.client.batch_execute("ROLLBACK").await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a transaction ended with its connection");
            self.live = None;
        }
    }

    fn is_lost(&self) -> bool {
        self.live.as_ref().is_none_or(|live| live.client.is_closed())
    }
}

impl Scripts for Session {
    async fn script(&mut self, sql: &str) -> Result<(), StoreError> {
        self.live().await?.client.batch_execute(sql).await.map_err(failed)
    }
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) => value.to_sql(ty, out),
            Self::Text(value) => value.to_sql(ty, out),
            Self::Bytes(value) => value.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::BYTEA].contains(ty)
    }

    to_sql_checked!();
}

fn owned(row: &tokio_postgres::Row) -> Result<Row, StoreError> {
    let value = |(index, column): (usize, &tokio_postgres::Column)| match *column.type_() {
        Type::INT8 => row.try_get::<_, Option<i64>>(index).map(Value::from).map_err(corrupt),
        Type::TEXT => row.try_get::<_, Option<String>>(index).map(Value::from).map_err(corrupt),
        Type::BYTEA => row
            .try_get::<_, Option<Vec<u8>>>(index)
            .map(|bytes| bytes.map_or(Value::Null, Value::Bytes))
            .map_err(corrupt),
        ref other => Err(corrupt(format_args!("column `{}` has the type {other}", column.name()))),
    };
    Ok(Row::new(row.columns().iter().enumerate().map(value).collect::<Result<_, _>>()?))
}

/// Whether the server refused a value of the caller's (SQLSTATE classes 22 and 23); the session is as sound as before.
pub(super) fn is_refused_value(error: &StoreError) -> bool {
    let StoreError::Unavailable(cause) = error else { return false };
    let code = cause.downcast_ref::<Error>().and_then(Error::code).map_or("", SqlState::code);
    code.starts_with("22") || code.starts_with("23")
}

fn failed(error: Error) -> StoreError {
    StoreError::unavailable(error)
}
