//! What an idempotency key that was used before stands for, asked by commands and by readers alike.

use engine::store::{IdempotencyKey, StoreError};
use model::application::Application;
use model::principal::Owner;
use model::time::Timestamp;

use super::columns;
use super::connection::Reads;
use super::lookup::{TextDigest, key_of_owner};
use super::query::{Get, Query};
use super::value::corrupt;
use crate::rules::{self, UsedKey};

/// The application that a repeated request is answered with.
#[derive(Clone, Copy)]
pub(crate) struct Replay {
    pub(crate) key: TextDigest,
    pub(crate) fingerprint: [u8; 32],
    at: Timestamp,
}

impl Replay {
    pub(crate) fn new(owner: &Owner, key: &IdempotencyKey, at: Timestamp) -> Self {
        Self { key: key_of_owner(owner, &key.key), fingerprint: key.fingerprint, at }
    }
}

impl Query for Replay {
    type Output = Option<Application>;
    // Between two states of the data the application could be gone and its key not spent yet.
    const SNAPSHOT: bool = true;

    async fn run<R: Reads>(self, reads: &mut R) -> Result<Self::Output, StoreError> {
        let sql = "SELECT fingerprint, application, spent_at FROM keys WHERE digest = ?1";
        let Some(mut row) = reads.read_one(sql, vec![self.key.into()]).await? else { return Ok(None) };
        let used = UsedKey {
            fingerprint: row.bytes()?.try_into().map_err(|_| corrupt("a fingerprint is cut"))?,
            application: columns::application_id(row.int()?)?,
            spent_at: row.optional_int()?.map(Timestamp::from_millis),
        };
        match rules::replayed(&used, self.fingerprint, self.at)? {
            Some(id) => Get(id).run(reads).await,
            None => Ok(None),
        }
    }
}
