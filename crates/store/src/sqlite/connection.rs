//! One SQLite connection. Its futures are ready at their first poll.

use std::path::Path;
use std::time::{Duration, Instant};

use engine::store::StoreError;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, params_from_iter};

use crate::schema::Scripts;
use crate::sql::connection::{Dialect, Reads, Writes};
use crate::sql::value::{Row, Value, corrupt};

/// Another process that has the file open (a backup, a person) may hold a lock for so long.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Statements kept ready on each connection.
const STATEMENTS: usize = 64;

/// Steps of SQLite's machine between two looks at the clock: well under a millisecond.
const LOOK_STEPS: i32 = 10_000;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// A connection with the project's settings.
#[derive(Debug)]
pub(super) struct SqliteConnection {
    inner: Connection,
}

impl SqliteConnection {
    pub(super) fn open(path: &Path, access: Access) -> Result<Self, StoreError> {
        let flags = match access {
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        let inner = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
        inner.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
        inner.set_prepared_statement_cache_capacity(STATEMENTS);
        // A full sync per commit is what makes an answer durable. Caches are small: the system has one too.
        let settings = match access {
            Access::Read => "PRAGMA query_only = ON; PRAGMA cache_size = -2048;",
            Access::Write => {
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -4096; \
                 PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 33554432;"
            }
        };
        inner.execute_batch(settings).map_err(failed)?;
        Ok(Self { inner })
    }

    /// Interrupts whatever still runs at `end`.
    pub(super) fn limit(&mut self, end: Instant) -> Result<(), StoreError> {
        self.inner.progress_handler(LOOK_STEPS, Some(move || Instant::now() >= end)).map_err(failed)
    }

    /// Begins a transaction that sees one state of the data.
    pub(super) fn begin_snapshot(&self) -> Result<(), StoreError> {
        self.execute("BEGIN DEFERRED", vec![])
    }

    /// Ends a transaction that only read.
    pub(super) fn end_snapshot(&self) -> Result<(), StoreError> {
        self.execute("COMMIT", vec![])
    }

    fn query(&self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let mut statement = self.inner.prepare_cached(sql).map_err(failed)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(values)).map_err(failed)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let value = |column| row.get_ref(column).map_err(failed).and_then(owned);
            found.push(Row::new((0..columns).map(value).collect::<Result<_, _>>()?));
        }
        Ok(found)
    }

    fn execute(&self, sql: &str, values: Vec<Value>) -> Result<(), StoreError> {
        let mut statement = self.inner.prepare_cached(sql).map_err(failed)?;
        statement.execute(params_from_iter(values)).map(drop).map_err(failed)
    }
}

impl Reads for SqliteConnection {
    const DIALECT: Dialect = Dialect::Sqlite;

    async fn read(&mut self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        self.query(sql, values)
    }
}

impl Writes for SqliteConnection {
    async fn begin(&mut self) -> Result<(), StoreError> {
        self.execute("BEGIN IMMEDIATE", vec![])
    }

    async fn write(&mut self, sql: &str, values: Vec<Value>) -> Result<(), StoreError> {
        self.execute(sql, values)
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        self.execute("COMMIT", vec![])
    }

    async fn rollback(&mut self) {
        // Some failures have undone the transaction already.
        if !self.inner.is_autocommit()
            && let Err(error) = self.execute("ROLLBACK", vec![])
        {
            tracing::error!(error = &error as &dyn std::error::Error, "the store could not undo a transaction");
        }
    }
}

impl Scripts for SqliteConnection {
    async fn script(&mut self, sql: &str) -> Result<(), StoreError> {
        self.inner.execute_batch(sql).map_err(failed)
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
        }))
    }
}

fn owned(value: ValueRef<'_>) -> Result<Value, StoreError> {
    match value {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(value) => Ok(Value::Int(value)),
        ValueRef::Text(bytes) => String::from_utf8(bytes.to_vec()).map(Value::Text).map_err(corrupt),
        ValueRef::Blob(bytes) => Ok(Value::Bytes(bytes.to_vec())),
        ValueRef::Real(value) => Err(corrupt(format_args!("the number {value} is not whole"))),
    }
}

fn failed(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => corrupt(error),
        _ => StoreError::unavailable(error),
    }
}
