//! Who asks, and whether they may: the two questions that every request passes.

use std::fmt;

use http::request::Parts;
use model::principal::{Owner, Principal};

/// Answers both questions. There is one implementation per way to authenticate.
pub(crate) trait Access: Send + Sync + 'static {
    /// Who sent this request.
    ///
    /// # Errors
    /// [`Unauthenticated`] when the request names nobody that is known.
    fn authenticate(&self, head: &Parts) -> Result<Principal, Unauthenticated>;

    /// Whether `principal` may do `action` to `object`. What isn't allowed is denied.
    fn authorise(&self, principal: &Principal, action: Action, object: Object<'_>) -> Decision;
}

/// The request names nobody that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unauthenticated;

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Find applications.
    ListApplications,
    /// Run something.
    CreateApplication,
    /// See one application.
    ReadApplication,
    /// See what its driver printed.
    ReadLogs,
    /// End it.
    CancelApplication,
    /// Remove it.
    DeleteApplication,
    /// Run it again.
    RetryApplication,
    /// Follow what happens.
    ReadEvents,
    /// See the backends.
    ReadBackends,
    /// See version, API description and pages without anybody's data.
    ReadGateway,
    /// Ask whether the gateway lives.
    Probe,
    /// Ask for something that isn't there; everybody who is known may.
    Nothing,
}

/// What an action is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Object<'a> {
    /// The gateway itself, or a kind of things rather than one of them.
    Gateway,
    /// An application of this owner.
    ApplicationOf(&'a Owner),
}

/// The answer to "may I".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Yes.
    Allow,
    /// No.
    Deny,
}

impl Decision {
    /// Whether it is a yes.
    pub(crate) const fn is_allowed(self) -> bool {
        matches!(self, Self::Allow)
    }
}

/// A gateway with one user: whoever reaches it is that user, who may do everything. Right only where nobody else
/// can reach it, on loopback.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SinglePrincipal(Principal);

impl SinglePrincipal {
    /// Everybody is `principal`.
    pub(crate) const fn new(principal: Principal) -> Self {
        Self(principal)
    }
}

impl fmt::Debug for SinglePrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SinglePrincipal({})", self.0.user)
    }
}

impl Access for SinglePrincipal {
    fn authenticate(&self, _head: &Parts) -> Result<Principal, Unauthenticated> {
        Ok(self.0.clone())
    }

    fn authorise(&self, principal: &Principal, _action: Action, _object: Object<'_>) -> Decision {
        // Applications stored under another user's name, before a change of that name, are this user's too.
        if *principal == self.0 { Decision::Allow } else { Decision::Deny }
    }
}
