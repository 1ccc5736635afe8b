//! Who did what, and who was not allowed to: the record that is only ever added to.

use std::fmt;
use std::str::FromStr;

use crate::id::{InvalidId, TenantName, UserName};
use crate::time::Timestamp;

/// The place of a record; they count from 1, in the order in which they were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditId(pub u64);

impl fmt::Display for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuditDecision {
    /// It was allowed.
    Allowed,
    /// The asker may not do this.
    Denied,
    /// The asker may do this, but what was asked for breaks a rule of the policy.
    Refused,
    /// Nobody knows who asked.
    Unauthenticated,
}

impl AuditDecision {
    /// Every decision.
    pub const ALL: [Self; 4] = [Self::Allowed, Self::Denied, Self::Refused, Self::Unauthenticated];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::Unauthenticated => "unauthenticated",
        }
    }
}

impl fmt::Display for AuditDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AuditDecision {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|it| it.as_str() == text).ok_or_else(|| InvalidId::new("decision", text))
    }
}

/// One decision, before it has its place in the record. It holds no secret: not a token, not a value of conf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who asked, when that is known.
    pub user: Option<UserName>,
    /// The asker's tenant.
    pub tenant: Option<TenantName>,
    /// The action, as `policy` names it: `create-application`.
    pub action: String,
    /// What it was done to: an application's id, a path of the API.
    pub object: String,
    /// What came of it.
    pub decision: AuditDecision,
    /// The rules that decided, where some did: `forbid spark.kubernetes.*`.
    pub rules: Vec<String>,
    /// The id that the request and its log lines have.
    pub request_id: String,
}

/// A stored decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its place.
    pub id: AuditId,
    /// The decision.
    pub entry: AuditEntry,
}
