//! Who asks, and whom an application belongs to.

use crate::id::{TenantName, UserName};

/// The authenticated origin of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The user's name.
    pub user: UserName,
    /// The tenant that the user acts for.
    pub tenant: TenantName,
}

/// The principal an application belongs to, as stored with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user's name.
    pub user: UserName,
    /// The tenant.
    pub tenant: TenantName,
}

impl From<&Principal> for Owner {
    fn from(principal: &Principal) -> Self {
        Self { user: principal.user.clone(), tenant: principal.tenant.clone() }
    }
}
