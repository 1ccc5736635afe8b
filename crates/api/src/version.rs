//! Which gateway this is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The gateway's version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// Always `lamplighter`.
    #[schema(example = "lamplighter")]
    pub name: String,
    /// The gateway's own version, by semantic versioning.
    #[schema(example = "0.1.0")]
    pub version: String,
    /// The version of Livy that `/batches` behaves like.
    #[schema(example = "0.9.0-incubating")]
    pub livy_version: String,
}
