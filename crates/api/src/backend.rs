//! A place where applications run, as clients see it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One configured backend and what it does now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Backend {
    /// Its name, as in `backend` of an application.
    #[schema(example = "local")]
    pub name: String,
    /// What it is: `local`, `kubernetes`.
    #[schema(example = "local")]
    pub kind: String,
    /// Whether this gateway looks after it now.
    pub ready: bool,
    /// Applications whose driver may exist; null to whom may not know of all of them.
    pub active: Option<u64>,
    /// How many may be active at once.
    pub places: u64,
    /// Applications that wait for a place; null to whom may not know of all of them.
    pub queued: Option<u64>,
    /// Things of ours that it holds and no stored application explains: folders or names for a person to look at.
    /// Empty to whom may not know of all applications.
    pub leftovers: Vec<String>,
}
