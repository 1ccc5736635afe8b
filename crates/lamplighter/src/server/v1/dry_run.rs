//! What would come of an application: everything that is found before it would be stored, and what would be made.

use api::dry_run::{DryRun, PolicyChange};
use api::{FieldProblem, NewApplication};
use engine::runtime::AcceptError;
use policy::Change;

use crate::server::asker::{self, Asker};
use crate::server::failure::{Failure, field_problem};
use crate::server::{App, admission};

impl App {
    /// Asks everybody who has a say, the policy first, and stores nothing.
    pub(super) async fn dry_run(&self, asker: &Asker, new: NewApplication) -> Result<DryRun, Failure> {
        let backend = new.backend.unwrap_or_else(|| self.engine.default_backend().clone());
        let verdict = self.review(asker, Some(&backend), new.spec);
        let mut problems = admission::problems(&self.livy.rules, &verdict.spec);
        let (spec, looked) = self.preflight.look(Some(backend.clone()), verdict.spec).await?;
        problems.extend(looked);
        let objects = match self.engine.preview(&asker.principal, &backend, &spec) {
            Ok(objects) => objects,
            Err(AcceptError::Rejected(found)) => {
                problems.extend(found);
                Vec::new()
            }
            Err(error) => return Err(error.into()),
        };
        let refused = verdict.refusals.iter().map(asker::field_problem);
        let mut errors: Vec<FieldProblem> = Vec::new();
        for error in refused.chain(problems.iter().map(field_problem)) {
            // Several look for the same thing.
            if !errors.contains(&error) {
                errors.push(error);
            }
        }
        Ok(DryRun {
            allowed: errors.is_empty(),
            backend: backend.to_string(),
            conf: spec.conf.redacted().into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            spark: spec.spark.as_ref().map(ToString::to_string),
            changes: verdict.changes.iter().map(change).collect(),
            objects: if errors.is_empty() { objects } else { Vec::new() },
            errors,
        })
    }
}

fn change(change: &Change) -> PolicyChange {
    PolicyChange {
        key: change.key.clone(),
        from: change.from.clone(),
        to: change.to.clone(),
        kind: change.kind.to_string(),
        rule: change.rule.clone(),
    }
}
