//! The configured rules, checked and ready to be applied. Start with [`Policy::apply`].

use model::id::{BackendKind, BackendName, TenantName};
use model::principal::Principal;
use model::spec::ApplicationSpec;

use crate::config::{PolicyConfig, Problem};
use crate::verdict::Verdict;

/// Whether drivers of different people meet on this gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Principals {
    /// One person, who could do everything without the gateway too: no built-in rule holds.
    One,
    /// Several, who are protected from each other: the built-in rules hold.
    Several,
}

/// Where an application is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The backend's name.
    pub backend: &'a BackendName,
    /// Its type.
    pub kind: BackendKind,
}

/// How many applications of one tenant there may be at a time; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Under way.
    pub running: Option<u64>,
    /// Waiting for their start.
    pub queued: Option<u64>,
}

/// The configured rules.
#[derive(Clone, Debug)]
pub struct Policy {
    principals: Principals,
}

impl Policy {
    /// Checks the section `policy` of the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(_config: &PolicyConfig, principals: Principals) -> Result<Self, Vec<Problem>> {
        Ok(Self { principals })
    }

    /// Decides what becomes of an application that `principal` submits to run at `place`.
    pub fn apply(&self, _principal: &Principal, spec: ApplicationSpec, _place: Place<'_>) -> Verdict {
        let _ = self.principals;
        Verdict { spec, changes: Vec::new(), refusals: Vec::new() }
    }

    /// Whether `principal` may have applications run on a backend.
    pub fn allows_backend(&self, _principal: &Principal, _backend: &BackendName) -> bool {
        true
    }

    /// How many applications a tenant may have at a time.
    pub fn quota(&self, _tenant: &TenantName) -> Quota {
        Quota::default()
    }
}
