//! One page of a list.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Some items of a list and where the next ones begin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Give it back as `cursor` to get the next page; null on the last one.
    pub next_cursor: Option<String>,
}
