//! Versioned tables: which format a database has and what brings it to this version's.

use crate::error::OpenError;
use crate::sql::connection::Writes;
use engine::store::StoreError;

/// The scripts that make format 1, 2 … of a database, each from the one before.
pub(crate) type Migrations = &'static [&'static str];

/// Runs a script of several statements; only migrations need that.
pub(crate) trait Scripts: Writes {
    fn script(&mut self, sql: &str) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Brings the tables to the newest format, inside a transaction that the caller has begun and will commit.
pub(crate) async fn migrate(connection: &mut impl Scripts, migrations: Migrations) -> Result<(), OpenError> {
    connection.script("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)").await?;
    let row = connection.read_one("SELECT max(version) FROM schema_version", vec![]).await?;
    let found = row.map(|mut row| row.optional_int()).transpose()?.flatten().unwrap_or(0);
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    for (version, script) in (1_i64..).zip(migrations).filter(|(version, _)| *version > found) {
        connection.script(script).await?;
        connection.write("INSERT INTO schema_version (version) VALUES (?1)", vec![version.into()]).await?;
    }
    connection.flush().await.map_err(Into::into)
}
