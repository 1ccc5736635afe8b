//! Performs effects on a store and a backend: the only place where decisions become deeds.

use crate::backend::{Backend, BackendError, Observation};
use crate::reconciler::{Action, Outcome};
use crate::store::{Store, StoreError};
use model::id::Shard;

/// Performs one action and says what came of it.
pub async fn perform(action: Action, shard: &Shard, store: &dyn Store, backend: &dyn Backend) -> Outcome {
    match action {
        Action::Launch(order) => observed(backend.launch(*order).await),
        Action::Observe(attempt) => observed(backend.observe(&attempt).await),
        Action::Stop(attempt, grace) => observed(backend.stop(&attempt, grace).await),
        Action::Discard(attempt) => match backend.discard(&attempt).await {
            Ok(()) => Outcome::Applied,
            Err(error) => backend_failed(&error),
        },
        action => ask_store(action, shard, store).await.unwrap_or_else(|error| store_failed(&error)),
    }
}

async fn ask_store(action: Action, shard: &Shard, store: &dyn Store) -> Result<Outcome, StoreError> {
    Ok(match action {
        Action::Lease(request) => Outcome::Leased(store.lease(request).await?),
        Action::LoadActive { after } => Outcome::Loaded(store.active(shard, after, ACTIVE_PAGE).await?),
        Action::LoadQueue { now, exclude, limit } => Outcome::Loaded(store.queue(shard, now, &exclude, limit).await?),
        Action::LoadDue { now, exclude, limit } => Outcome::Loaded(store.due(shard, now, &exclude, limit).await?),
        Action::NextDue { now } => Outcome::NextDue(store.next_due(shard, now).await?),
        Action::Load(id) => Outcome::LoadedOne(store.get(id).await?.map(Box::new)),
        Action::Save(fence, save) => {
            store.save(&fence, *save).await?;
            Outcome::Applied
        }
        Action::Remove(fence, id, at) => {
            store.remove(&fence, id, at).await?;
            Outcome::Applied
        }
        Action::Launch(_) | Action::Observe(_) | Action::Stop(..) | Action::Discard(_) => {
            Outcome::Failed("not a store's action".into())
        }
    })
}

/// Active applications read at once.
const ACTIVE_PAGE: u32 = 500;

fn observed(answer: Result<Observation, BackendError>) -> Outcome {
    answer.map_or_else(|error| backend_failed(&error), Outcome::Observed)
}

fn backend_failed(error: &BackendError) -> Outcome {
    match error {
        BackendError::Refused(why) => Outcome::Refused(why.clone()),
        BackendError::Unavailable { .. } => Outcome::Failed(chain(error)),
    }
}

fn store_failed(error: &StoreError) -> Outcome {
    match error {
        StoreError::Conflict(_) => Outcome::Conflict,
        StoreError::Fenced(_) => Outcome::Fenced,
        _ => Outcome::Failed(chain(error)),
    }
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
