//! The record of what was decided, as clients see it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditRecord {
    /// Its place in the record, from 1.
    pub id: u64,
    /// When, RFC 3339 in UTC.
    #[schema(format = DateTime)]
    pub at: String,
    /// Who asked; null when nobody knows.
    #[schema(example = "ada")]
    pub user: Option<String>,
    /// The asker's tenant.
    #[schema(example = "research")]
    pub tenant: Option<String>,
    /// What was to be done.
    #[schema(example = "create-application")]
    pub action: String,
    /// What it was to be done to: an application's id, or a path.
    #[schema(example = "batch-12")]
    pub object: String,
    /// `allowed`; `denied` to this asker; `refused` by the policy; `unauthenticated`.
    #[schema(example = "allowed")]
    pub decision: String,
    /// The rules that decided, where some did.
    pub rules: Vec<String>,
    /// The id of the request, as in the header `X-Request-Id` of its answer and in the gateway's log.
    pub request_id: String,
}

impl From<&model::audit::AuditRecord> for AuditRecord {
    fn from(record: &model::audit::AuditRecord) -> Self {
        let model::audit::AuditRecord { id, entry } = record;
        Self {
            id: id.0,
            at: entry.at.to_string(),
            user: entry.user.as_ref().map(ToString::to_string),
            tenant: entry.tenant.as_ref().map(ToString::to_string),
            action: entry.action.clone(),
            object: entry.object.clone(),
            decision: entry.decision.as_str().to_owned(),
            rules: entry.rules.clone(),
            request_id: entry.request_id.clone(),
        }
    }
}
