//! Why a store can't be opened.

use std::path::PathBuf;

use engine::store::StoreError;

/// What went wrong before the store could take its first command.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file isn't there and can't be made, or is out of reach.
    #[error("open {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The database refused.
    #[error("open the store")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A newer version of the gateway has changed the tables.
    #[error(
        "the store has format {found}, which is newer than format {known} of this version; run the newer version again"
    )]
    Newer {
        /// The format of the tables.
        found: i64,
        /// The newest one that this version knows.
        known: i64,
    },
    /// The connection string asks for encryption.
    #[error(
        "`sslmode=require` needs TLS, which this version can't speak to PostgreSQL; use a connection on this host or through a tunnel, with `sslmode=disable`"
    )]
    NoTls,
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause) => Self::Database(cause),
            other => Self::Database(other.into()),
        }
    }
}
