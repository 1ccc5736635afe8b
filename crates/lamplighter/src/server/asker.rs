//! Who asks, what is decided about it, and the record of that.
//!
//! Every decision about one application is made by [`App::application`], every one about a new one by
//! [`App::accept`]; both write down what they decided before anything is done.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::{FieldProblem, ProblemCode};
use engine::runtime::{AcceptError, AcceptRequest, Repeat};
use engine::store::{Accepted, IdempotencyKey};
use model::application::Application;
use model::audit::{AuditDecision, AuditEntry};
use model::id::{ApplicationId, BackendKind, BackendName};
use model::principal::{Principal, Scope};
use model::spec::ApplicationSpec;
use policy::{Place, Refusal, Verdict};

use super::access::{Action, Decision, Object};
use super::failure::Failure;
use super::{App, admission, guard};

/// The rule behind a denial that is answered as if there were nothing.
const HIDDEN: &str = "roles.visibility";
/// Requests of nobody known that are recorded in a [`FLOOD_WINDOW`]; more are counted, because whoever may do
/// nothing must not fill the disk.
const FLOOD_MAX: u32 = 20;
/// See [`FLOOD_MAX`].
const FLOOD_WINDOW: Duration = Duration::from_secs(1);
/// Bytes of a path that are recorded.
const OBJECT_BYTES_MAX: usize = 200;

/// Who asks, and the id of the request.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) principal: Arc<Principal>,
    pub(super) request_id: String,
}

impl Asker {
    fn entry(&self, action: Action, object: &str, decision: AuditDecision, rules: Vec<String>) -> AuditEntry {
        AuditEntry {
            at: engine::runtime::now(),
            user: Some(self.principal.user.clone()),
            tenant: Some(self.principal.tenant.clone()),
            action: action.as_str().to_owned(),
            object: shortened(object),
            decision,
            rules,
            request_id: self.request_id.clone(),
        }
    }
}

fn shortened(text: &str) -> String {
    let end = (0..=OBJECT_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text[..end].to_owned()
}

/// Why an application was not accepted.
#[derive(Debug)]
pub(super) enum NotAccepted {
    /// The policy refuses it, for every reason there is.
    Refused(Vec<Refusal>),
    /// It can't run, or the engine can't take it.
    Impossible(AcceptError),
}

impl From<NotAccepted> for Failure {
    fn from(error: NotAccepted) -> Self {
        match error {
            NotAccepted::Refused(refusals) => {
                let errors = refusals.iter().map(field_problem).collect();
                Self::new(ProblemCode::PolicyRefused).errors(errors)
            }
            NotAccepted::Impossible(error) => error.into(),
        }
    }
}

/// A refusal names a field of the specification, or a conf key.
pub(super) fn field_problem(refusal: &Refusal) -> FieldProblem {
    let parent = if refusal.key.starts_with("spark.") { "/conf" } else { "" };
    let pointer = api::problem::pointer(parent, &refusal.key);
    FieldProblem::new(pointer, format!("{} (rule {})", refusal.message, refusal.rule))
}

impl App {
    /// What a list, a count or a stream for `asker` is narrowed to.
    pub(super) fn scope(&self, asker: &Asker, action: Action) -> Scope {
        self.access.scope(&asker.principal, action)
    }

    /// The application, if it is there and the asker may do this to it. To whom it isn't visible it isn't there.
    pub(super) async fn application(
        &self,
        asker: &Asker,
        action: Action,
        id: ApplicationId,
    ) -> Result<Application, Failure> {
        let application = self.engine.get(id).await?;
        let permitted = self.permitted(asker, action, application).await?;
        permitted.ok_or_else(|| Failure::no_application(&id.to_string()))
    }

    /// What was found, if the asker may do this to it; `None` when it must seem not to be there.
    pub(super) async fn permitted(
        &self,
        asker: &Asker,
        action: Action,
        found: Option<Application>,
    ) -> Result<Option<Application>, Failure> {
        let Some(application) = found else { return Ok(None) };
        let decision = self.access.authorise(&asker.principal, action, Object::ApplicationOf(&application.owner));
        let id = application.id.to_string();
        match decision {
            Decision::Allowed if changes_something(action) => {
                self.record(asker.entry(action, &id, AuditDecision::Allowed, Vec::new())).await?;
                Ok(Some(application))
            }
            Decision::Allowed => Ok(Some(application)),
            Decision::Hidden => {
                self.record(asker.entry(action, &id, AuditDecision::Denied, vec![HIDDEN.to_owned()])).await?;
                Ok(None)
            }
            Decision::Denied { rule } => Err(self.denied(asker, action, &id, rule).await?),
        }
    }

    /// Whether the asker may do a route's action at all.
    pub(super) async fn permit(&self, asker: &Asker, action: Action, path: &str) -> Result<(), Failure> {
        match self.access.authorise(&asker.principal, action, Object::Gateway) {
            Decision::Allowed => Ok(()),
            Decision::Denied { rule } => Err(self.denied(asker, action, path, rule).await?),
            Decision::Hidden => Err(self.denied(asker, action, path, HIDDEN).await?),
        }
    }

    async fn denied(&self, asker: &Asker, action: Action, object: &str, rule: &str) -> Result<Failure, Failure> {
        self.record(asker.entry(action, object, AuditDecision::Denied, vec![rule.to_owned()])).await?;
        let roles: Vec<&str> = asker.principal.roles.iter().map(|role| role.as_str()).collect();
        let roles = if roles.is_empty() { "none".to_owned() } else { roles.join(", ") };
        let detail = format!("{} may not {action} here (rule {rule}; roles: {roles})", asker.principal.user);
        Ok(Failure::new(ProblemCode::Forbidden).detail(detail))
    }

    /// Records that somebody unknown asked for `path`; a flood of them is counted.
    pub(super) async fn record_unknown(&self, path: &str, request_id: &str) -> Result<(), Failure> {
        let Some(suppressed) = self.flood.admit(Instant::now()) else { return Ok(()) };
        let rules = (suppressed > 0).then(|| format!("{suppressed} more before this were not recorded"));
        self.record(AuditEntry {
            at: engine::runtime::now(),
            user: None,
            tenant: None,
            action: "authenticate".to_owned(),
            object: shortened(path),
            decision: AuditDecision::Unauthenticated,
            rules: rules.into_iter().collect(),
            request_id: request_id.to_owned(),
        })
        .await
    }

    async fn record(&self, entry: AuditEntry) -> Result<(), Failure> {
        if entry.decision != AuditDecision::Allowed {
            let AuditEntry { user, action, object, decision, rules, .. } = &entry;
            tracing::info!(user = user.as_ref().map(tracing::field::display), action, object, %decision, ?rules, "audit");
        }
        self.engine.record(vec![entry]).await.map_err(Into::into)
    }

    /// Stores a new application, if its size and the gateway's rules allow it.
    pub(super) async fn accept(
        &self,
        asker: &Asker,
        mut request: AcceptRequest,
    ) -> Result<Result<Accepted, NotAccepted>, Failure> {
        let (spec, backend) = (request.spec, request.backend.as_ref());
        request.spec = match self.admit(asker, Action::CreateApplication, backend, spec, "").await? {
            Ok(spec) => spec,
            Err(error) => return Ok(Err(error)),
        };
        request.tenant_max = self.policy.quota(&asker.principal.tenant).applications;
        request.audit = Some(asker.entry(Action::CreateApplication, "", AuditDecision::Allowed, Vec::new()));
        let (engine, principal) = (Arc::clone(&self.engine), Arc::clone(&asker.principal));
        let accepted = guard::to_its_end(async move { engine.accept(&principal, request).await }).await?;
        Ok(accepted.map_err(NotAccepted::Impossible))
    }

    /// Stores a new application that repeats an ended one, if today's rules allow it; `None` when it is gone.
    pub(super) async fn retry(
        &self,
        asker: &Asker,
        ended: Application,
        idempotency: Option<IdempotencyKey>,
    ) -> Result<Result<Option<Accepted>, NotAccepted>, Failure> {
        let (id, action) = (ended.id, Action::RetryApplication);
        let spec = (*ended.spec).clone();
        let spec = match self.admit(asker, action, Some(&ended.backend), spec, &id.to_string()).await? {
            Ok(spec) => spec,
            Err(error) => return Ok(Err(error)),
        };
        let repeat = Repeat {
            spec,
            idempotency,
            tenant_max: self.policy.quota(&asker.principal.tenant).applications,
            audit: Some(asker.entry(action, "", AuditDecision::Allowed, Vec::new())),
        };
        let (engine, principal) = (Arc::clone(&self.engine), Arc::clone(&asker.principal));
        let accepted = guard::to_its_end(async move { engine.retry(&principal, id, repeat).await }).await?;
        Ok(accepted.map_err(NotAccepted::Impossible))
    }

    /// The specification as it will run, when its size, the gateway's rules and the policy allow it.
    async fn admit(
        &self,
        asker: &Asker,
        action: Action,
        backend: Option<&BackendName>,
        spec: ApplicationSpec,
        object: &str,
    ) -> Result<Result<ApplicationSpec, NotAccepted>, Failure> {
        let problems = admission::problems(&self.livy.rules, &spec);
        if !problems.is_empty() {
            return Ok(Err(NotAccepted::Impossible(AcceptError::Rejected(problems))));
        }
        let verdict = self.review(asker, backend, spec);
        if verdict.is_allowed() {
            return Ok(Ok(verdict.spec));
        }
        let rules = verdict.refusals.iter().map(|refusal| format!("{}: {}", refusal.rule, refusal.key)).collect();
        self.record(asker.entry(action, object, AuditDecision::Refused, rules)).await?;
        Ok(Err(NotAccepted::Refused(verdict.refusals)))
    }

    /// What the policy makes of a specification. A backend that isn't there is refused later, by the engine.
    pub(super) fn review(&self, asker: &Asker, backend: Option<&BackendName>, spec: ApplicationSpec) -> Verdict {
        let backend = backend.unwrap_or_else(|| self.engine.default_backend());
        let kind = self.kinds.get(backend).copied().unwrap_or(BackendKind::Local);
        self.policy.apply(&asker.principal, spec, Place { backend, kind })
    }
}

/// Whether what is allowed is recorded too, not only what is denied.
const fn changes_something(action: Action) -> bool {
    matches!(action, Action::CancelApplication | Action::DeleteApplication)
}

/// Counts what isn't recorded.
#[derive(Debug, Default)]
pub(crate) struct Flood(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    recorded: u32,
    suppressed: u64,
}

impl Flood {
    /// How many were not recorded before this one; `None` when this one isn't either.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.began.is_none_or(|began| now.duration_since(began) >= FLOOD_WINDOW) {
            (window.began, window.recorded) = (Some(now), 0);
        }
        if window.recorded == FLOOD_MAX {
            window.suppressed += 1;
            return None;
        }
        window.recorded += 1;
        Some(std::mem::take(&mut window.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_told_afterwards() {
        let (flood, start) = (Flood::default(), Instant::now());
        let admitted = (0..100).filter(|_| flood.admit(start).is_some()).count();
        assert_eq!(admitted, FLOOD_MAX as usize);
        assert_eq!(flood.admit(start + FLOOD_WINDOW), Some(80));
        assert_eq!(flood.admit(start + FLOOD_WINDOW), Some(0));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shortened(&"é".repeat(200)).chars().count(), 100);
        assert_eq!(shortened("/x"), "/x");
    }
}
