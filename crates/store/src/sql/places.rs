//! Whose turn it is to read: lists, which anyone may ask for and which may walk far, never take the last connection.

use engine::store::StoreError;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::query::Query;

/// Room for so many queries at a time, and for one fewer lists.
#[derive(Debug)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    lists: Arc<Semaphore>,
}

/// The room one query takes until this is dropped.
pub(crate) struct Place {
    _list: Option<OwnedSemaphorePermit>,
    _any: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new(count: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(count)), lists: Arc::new(Semaphore::new(count - 1)) }
    }

    pub(crate) async fn take<Q: Query>(&self) -> Result<Place, StoreError> {
        // A list waits here first, so that it doesn't stand in the other queue.
        let list = if Q::LIST { Some(take(&self.lists).await?) } else { None };
        Ok(Place { _list: list, _any: take(&self.all).await? })
    }
}

async fn take(places: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, StoreError> {
    Arc::clone(places).acquire_owned().await.map_err(StoreError::unavailable)
}
