//! The table of roles: which action reaches how far for whom.
//!
//! Start with [`reach`], which is the whole table; [`authorise`] and [`scope`] only read it. Several roles add up.
//!
//! | action | submitter | viewer | tenant-admin | operator | auditor | monitor |
//! |---|---|---|---|---|---|---|
//! | probe, read-gateway, nothing | yes, also without a role | yes | yes | yes | yes | yes |
//! | read-backends | yes | yes | yes | yes | | |
//! | list, read, follow events and logs | own | tenant | tenant | all | | |
//! | create | own | | | | | |
//! | cancel, delete | own | | tenant | all | | |
//! | retry | own | | | | | |
//! | read-audit | | | | | all | |
//! | read-metrics | | | | all | | all |
//!
//! A retry runs somebody's code as whoever asks for it, so nobody may retry what is another's. Metrics count the
//! applications of all tenants, so only those who may know of all of them read them.

use std::fmt;

use model::id::TenantName;
use model::principal::{Owner, Principal, Role, Scope};

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Ask whether the gateway lives.
    Probe,
    /// See version, API description and pages without anybody's data.
    ReadGateway,
    /// Ask for something that isn't there; everybody who is known may.
    Nothing,
    /// See the backends.
    ReadBackends,
    /// Find applications.
    ListApplications,
    /// See one application.
    ReadApplication,
    /// See what its driver printed.
    ReadLogs,
    /// Follow what happens.
    ReadEvents,
    /// Run something, or ask what would come of it.
    CreateApplication,
    /// End it.
    CancelApplication,
    /// Remove it.
    DeleteApplication,
    /// Run it again, as whoever asks.
    RetryApplication,
    /// Read who did what.
    ReadAudit,
    /// Read the gateway's own figures.
    ReadMetrics,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 14] = [
        Self::Probe,
        Self::ReadGateway,
        Self::Nothing,
        Self::ReadBackends,
        Self::ListApplications,
        Self::ReadApplication,
        Self::ReadLogs,
        Self::ReadEvents,
        Self::CreateApplication,
        Self::CancelApplication,
        Self::DeleteApplication,
        Self::RetryApplication,
        Self::ReadAudit,
        Self::ReadMetrics,
    ];

    /// The word in audit records: `create-application`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::ReadGateway => "read-gateway",
            Self::Nothing => "nothing",
            Self::ReadBackends => "read-backends",
            Self::ListApplications => "list-applications",
            Self::ReadApplication => "read-application",
            Self::ReadLogs => "read-logs",
            Self::ReadEvents => "read-events",
            Self::CreateApplication => "create-application",
            Self::CancelApplication => "cancel-application",
            Self::DeleteApplication => "delete-application",
            Self::RetryApplication => "retry-application",
            Self::ReadAudit => "read-audit",
            Self::ReadMetrics => "read-metrics",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What an action is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object<'a> {
    /// The gateway itself, or a kind of things rather than one of them: whether the principal may do such at all.
    Gateway,
    /// A tenant as a whole, with all that its users have.
    Tenant(&'a TenantName),
    /// An application of this owner.
    ApplicationOf(&'a Owner),
}

/// The answer to "may I".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes.
    Allowed,
    /// No; the asker may know that the object exists.
    Denied {
        /// Which rule says so, for the audit record and the answer.
        rule: &'static str,
    },
    /// No; to the asker the object doesn't exist.
    Hidden,
}

impl Decision {
    /// Whether it is a yes.
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed)
    }

    /// The rule behind a no, for the audit record.
    pub const fn rule(self) -> Option<&'static str> {
        match self {
            Self::Allowed => None,
            Self::Denied { rule } => Some(rule),
            Self::Hidden => Some(INVISIBLE),
        }
    }
}

/// The rule behind a denial: no role of the principal has the action.
pub const NO_ROLE: &str = "roles.action";
/// The rule behind a denial: a role has the action, but not for this object.
pub const NOT_FAR_ENOUGH: &str = "roles.reach";

/// The rule behind an answer as if there were nothing.
pub const INVISIBLE: &str = "roles.visibility";

/// How far an action reaches for a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Nowhere.
    Nowhere,
    /// To what the principal owns.
    Own,
    /// To everything of the principal's tenant.
    Tenant,
    /// To everything.
    All,
}

/// How far `action` reaches for one role.
pub const fn reach(role: Role, action: Action) -> Reach {
    match action {
        Action::Probe | Action::ReadGateway | Action::Nothing => Reach::All,
        Action::ReadBackends => match role {
            Role::Submitter | Role::Viewer | Role::TenantAdmin | Role::Operator => Reach::All,
            Role::Auditor | Role::Monitor => Reach::Nowhere,
        },
        Action::ListApplications | Action::ReadApplication | Action::ReadLogs | Action::ReadEvents => match role {
            Role::Submitter => Reach::Own,
            Role::Viewer | Role::TenantAdmin => Reach::Tenant,
            Role::Operator => Reach::All,
            Role::Auditor | Role::Monitor => Reach::Nowhere,
        },
        Action::CancelApplication | Action::DeleteApplication => match role {
            Role::Submitter => Reach::Own,
            Role::TenantAdmin => Reach::Tenant,
            Role::Operator => Reach::All,
            Role::Viewer | Role::Auditor | Role::Monitor => Reach::Nowhere,
        },
        Action::CreateApplication | Action::RetryApplication => match role {
            Role::Submitter => Reach::Own,
            Role::Viewer | Role::TenantAdmin | Role::Operator | Role::Auditor | Role::Monitor => Reach::Nowhere,
        },
        Action::ReadAudit => match role {
            Role::Auditor => Reach::All,
            Role::Submitter | Role::Viewer | Role::TenantAdmin | Role::Operator | Role::Monitor => Reach::Nowhere,
        },
        Action::ReadMetrics => match role {
            Role::Operator | Role::Monitor => Reach::All,
            Role::Submitter | Role::Viewer | Role::TenantAdmin | Role::Auditor => Reach::Nowhere,
        },
    }
}

/// Whether `principal` may do `action` to `object`.
pub fn authorise(principal: &Principal, action: Action, object: Object<'_>) -> Decision {
    let reach = reach_of(principal, action);
    if covers(reach, principal, object) {
        return Decision::Allowed;
    }
    if !is_visible(principal, object) {
        return Decision::Hidden;
    }
    Decision::Denied { rule: if reach == Reach::Nowhere { NO_ROLE } else { NOT_FAR_ENOUGH } }
}

/// Which applications, or records and events about them, `action` reaches for `principal`: what a list, a count or a
/// stream is narrowed to.
pub fn scope(principal: &Principal, action: Action) -> Scope {
    match reach_of(principal, action) {
        Reach::All => Scope::Everything,
        Reach::Tenant => Scope::Tenant(principal.tenant.clone()),
        Reach::Own => Scope::Owner(Owner::from(principal)),
        Reach::Nowhere => Scope::Nothing,
    }
}

/// How far an action reaches for the roles of a principal together.
fn reach_of(principal: &Principal, action: Action) -> Reach {
    // These ask nothing about anybody, so they need no role.
    if matches!(action, Action::Probe | Action::ReadGateway | Action::Nothing) {
        return Reach::All;
    }
    principal.roles.iter().map(|role| reach(*role, action)).max().unwrap_or(Reach::Nowhere)
}

fn covers(reach: Reach, principal: &Principal, object: Object<'_>) -> bool {
    match object {
        Object::Gateway => reach > Reach::Nowhere,
        Object::Tenant(tenant) => reach == Reach::All || (reach == Reach::Tenant && *tenant == principal.tenant),
        Object::ApplicationOf(owner) => match reach {
            Reach::All => true,
            Reach::Tenant => owner.tenant == principal.tenant,
            Reach::Own => owner.tenant == principal.tenant && owner.user == principal.user,
            Reach::Nowhere => false,
        },
    }
}

/// Whether a principal may know of an object.
fn is_visible(principal: &Principal, object: Object<'_>) -> bool {
    match object {
        Object::Gateway => true,
        Object::Tenant(tenant) if *tenant == principal.tenant => true,
        Object::Tenant(_) | Object::ApplicationOf(_) => {
            covers(reach_of(principal, Action::ReadApplication), principal, object)
        }
    }
}
