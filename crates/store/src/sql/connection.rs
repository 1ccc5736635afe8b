//! What both databases can do, as far as commands and queries need it.
//!
//! Statements are written once, with `?1` for the first value. SQLite answers at once, so its futures are finished
//! at their first poll; PostgreSQL's may send several writes before it waits for the first answer.

use engine::store::StoreError;

use super::value::{Row, Value};

/// Where the databases' languages differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// Makes a query use an index. SQLite gathers no statistics here, so it is told; PostgreSQL knows better.
    pub(crate) fn indexed_by(self, index: &str) -> String {
        match self {
            Self::Sqlite => format!(" INDEXED BY {index}"),
            Self::Postgres => String::new(),
        }
    }

    /// A join that reads its left side first.
    pub(crate) const fn join(self) -> &'static str {
        match self {
            Self::Sqlite => "CROSS JOIN",
            Self::Postgres => "JOIN",
        }
    }
}

/// A connection that can answer queries.
pub(crate) trait Reads: Send {
    const DIALECT: Dialect;

    /// All rows of an answer.
    fn read(&mut self, sql: &str, values: Vec<Value>) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send;

    /// The only row of an answer, if there is one.
    fn read_one(
        &mut self,
        sql: &str,
        values: Vec<Value>,
    ) -> impl Future<Output = Result<Option<Row>, StoreError>> + Send {
        async { Ok(self.read(sql, values).await?.pop()) }
    }
}

/// The connection that may write; there is one writing transaction at a time in the whole database.
pub(crate) trait Writes: Reads {
    /// Begins a transaction and waits until no other one writes.
    fn begin(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Writes; a failure may also be told by a later call, at the latest by [`Writes::flush`].
    fn write(&mut self, sql: &str, values: Vec<Value>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Waits until everything written so far has succeeded.
    fn flush(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes the transaction durable and visible.
    fn commit(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Undoes the transaction, as far as there is one.
    fn rollback(&mut self) -> impl Future<Output = ()> + Send;

    /// Whether the database is out of reach, so that trying once more is vain for now.
    fn is_lost(&self) -> bool {
        false
    }
}
