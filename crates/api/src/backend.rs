//! A place where applications run, as clients see it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One configured backend and what it does now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Backend {
    /// Its name, as in `backend` of an application.
    #[schema(example = "local")]
    pub name: String,
    /// Applications whose driver may exist now.
    pub running: u64,
    /// Applications that wait for their turn.
    pub queued: u64,
    /// How many may run at once; null when there is no limit.
    pub capacity: Option<u64>,
    /// Things of ours that it holds and no stored application explains: folders or names for a person to look at.
    pub leftovers: Vec<String>,
}
