//! Who asks, and whom an application belongs to.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::id::{GroupName, InvalidId, TenantName, UserName};

/// The authenticated origin of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The user's name.
    pub user: UserName,
    /// The tenant that the user acts for.
    pub tenant: TenantName,
    /// Groups of the tenant that the user belongs to; rules can be about them.
    pub groups: BTreeSet<GroupName>,
    /// What the user may do; without any, nothing but see that there is a gateway.
    pub roles: BTreeSet<Role>,
}

impl Principal {
    /// The one user of a gateway without authentication, who has every role.
    pub fn sole(user: UserName, tenant: TenantName) -> Self {
        Self { user, tenant, groups: BTreeSet::new(), roles: Role::ALL.into_iter().collect() }
    }
}

/// What a principal may do; several add up. Which role allows what is the table of the crate `policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Runs applications, and sees and ends those of its own.
    Submitter,
    /// Sees the applications of the tenant.
    Viewer,
    /// Sees and ends the applications of the tenant.
    TenantAdmin,
    /// Sees and ends the applications of all tenants.
    Operator,
    /// Reads the audit records.
    Auditor,
    /// Reads the gateway's metrics.
    Monitor,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] =
        [Self::Submitter, Self::Viewer, Self::TenantAdmin, Self::Operator, Self::Auditor, Self::Monitor];

    /// The word in the configuration: `submitter`, `tenant-admin`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submitter => "submitter",
            Self::Viewer => "viewer",
            Self::TenantAdmin => "tenant-admin",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Monitor => "monitor",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| InvalidId::new("role", text))
    }
}

/// The principal an application belongs to, as stored with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user's name.
    pub user: UserName,
    /// The tenant.
    pub tenant: TenantName,
}

/// The applications that somebody may see: lists, counts, names and events are narrowed to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    #[default]
    Everything,
    /// Those of a tenant.
    Tenant(TenantName),
    /// Those of one owner.
    Owner(Owner),
    /// None.
    Nothing,
}

impl Scope {
    /// Whether it has what belongs to `owner`.
    pub fn contains(&self, owner: &Owner) -> bool {
        match self {
            Self::Everything => true,
            Self::Tenant(tenant) => owner.tenant == *tenant,
            Self::Owner(only) => owner == only,
            Self::Nothing => false,
        }
    }
}

impl From<&Principal> for Owner {
    fn from(principal: &Principal) -> Self {
        Self { user: principal.user.clone(), tenant: principal.tenant.clone() }
    }
}
