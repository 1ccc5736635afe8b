//! Counts what is under way, for those who watch the gateway.

use model::application::Application;
use model::id::BackendName;
use model::state::State;
use model::time::Timestamp;

use super::lane::Lane;
use super::{Engine, now};
use crate::store::{DynStore, StoreError};

/// Applications read at once while counting.
const PAGE: u32 = 500;

/// What is under way on one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Census {
    /// The backend.
    pub backend: BackendName,
    /// Whether this gateway looks after it: holds its lease and knows everything active.
    pub ready: bool,
    /// How many applications are in each state that isn't final.
    pub states: Vec<(State, u64)>,
    /// How many may be active at once.
    pub places: usize,
    /// Since when the application waits that has waited longest for its turn.
    pub waiting_since: Option<Timestamp>,
}

impl Engine {
    /// What is under way, by backend. It reads every active application, so it isn't for each request.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn census(&self) -> Result<Vec<Census>, StoreError> {
        let mut censuses = Vec::with_capacity(self.lanes.len());
        for lane in self.lanes.values() {
            censuses.push(census(&self.store, lane).await?);
        }
        Ok(censuses)
    }

    /// Whether this gateway looks after the application's backend now.
    pub fn looks_after(&self, application: &Application) -> bool {
        self.lanes
            .get(&application.backend)
            .is_some_and(|lane| *lane.backend().shard() == application.shard && lane.not_ready().is_none())
    }
}

async fn census(store: &DynStore, lane: &Lane) -> Result<Census, StoreError> {
    let shard = lane.backend().shard();
    let queued = store.queue_length(shard).await?;
    let mut states: Vec<(State, u64)> =
        [State::Accepted, State::Starting, State::Running, State::Stopping].map(|state| (state, 0)).into();
    states[0].1 = queued;
    let mut after = None;
    loop {
        let page = store.active(shard, after, PAGE).await?;
        for application in &page {
            states.iter_mut().filter(|(state, _)| *state == application.state).for_each(|(_, count)| *count += 1);
        }
        match page.last() {
            Some(last) if page.len() >= PAGE as usize => after = Some(last.id),
            _ => break,
        }
    }
    let first = if queued == 0 { Vec::new() } else { store.queue(shard, now(), &[], 1).await? };
    Ok(Census {
        backend: lane.name().clone(),
        ready: lane.not_ready().is_none(),
        states,
        places: lane.status(queued).places,
        waiting_since: first.first().map(|application| application.ready_at),
    })
}
