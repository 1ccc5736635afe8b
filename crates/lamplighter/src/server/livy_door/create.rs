//! From the body of `POST /batches` to an accepted application.
//!
//! Livy has no fields for what only this gateway can do; keys of `conf` under `spark.lamplighter.` stand for them
//! and don't reach Spark.

use engine::backend::Problem;
use engine::runtime::{AcceptError, AcceptRequest};
use engine::store::{Accepted, ListQuery, StoreError};
use http::HeaderMap;
use livy::Rejection;
use livy::create::CreateBatch;
use model::duration::{SparkDuration, TimeUnit};
use model::id::{ApplicationKind, BackendName, SparkName};
use model::label::Labels;
use model::spark_conf::SparkConf;
use model::spec::{ATTEMPTS_MAX, ApplicationSpec, Limits};

use super::Refusal;
use crate::server::App;
use crate::server::asker::{Asker, NotAccepted};
use crate::server::v1::applications::idempotency_key;

/// What our own keys begin with.
const OUR_PREFIX: &str = "spark.lamplighter.";
/// What a label's key follows.
const LABEL_PREFIX: &str = "label.";

/// Stores a new batch.
pub(super) async fn accept(app: &App, asker: &Asker, headers: &HeaderMap, body: &[u8]) -> Result<Accepted, Refusal> {
    let idempotency = idempotency_key(headers, &[b"livy batch", body])?;
    let batch = livy::create::parse(body)?;
    livy::create::validate(&batch, &app.livy.rules)?;
    let name = batch.name.clone();
    let (spec, backend) = specification(batch)?;
    let request = AcceptRequest {
        kind: ApplicationKind::Batch,
        spec,
        backend,
        retry_of: None,
        idempotency,
        tenant_max: None,
        audit: None,
    };
    let error = match app.accept(asker, request).await? {
        Ok(accepted) => return Ok(accepted),
        Err(NotAccepted::Refused(refusals)) => return Err(refused(&refusals).into()),
        Err(NotAccepted::Impossible(error)) => error,
    };
    match error {
        AcceptError::Store(StoreError::NameTaken { .. }) => {
            Err(duplicate_name(app, &name.unwrap_or_default()).await.into())
        }
        AcceptError::Store(StoreError::Full(_) | StoreError::TenantFull(_)) => {
            Err(Rejection::too_many_creates().into())
        }
        AcceptError::Rejected(problems) => Err(rejected(&problems).into()),
        error @ AcceptError::UnknownBackend { .. } => Err(Rejection::rejected(error).into()),
        error => Err(error.into()),
    }
}

/// Livy names the id that the refused batch would have had: the one after the newest.
async fn duplicate_name(app: &App, name: &str) -> Rejection {
    let newest = ListQuery { kind: Some(ApplicationKind::Batch), limit: 1, ..ListQuery::default() };
    let next = match app.engine.list(&newest).await.as_deref() {
        Ok([batch, ..]) => batch.id.number() + 1,
        _ => 0,
    };
    Rejection::duplicate_name(name, next)
}

fn rejected(problems: &[Problem]) -> Rejection {
    let told: Vec<String> = problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect();
    Rejection::rejected(told.join("; "))
}

fn refused(refusals: &[policy::Refusal]) -> Rejection {
    let told: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    Rejection::rejected(told.join("; "))
}

fn specification(batch: CreateBatch) -> Result<(ApplicationSpec, Option<BackendName>), Rejection> {
    let mut conf = SparkConf::new();
    let mut ours = OurKeys::default();
    for (key, value) in livy::create::to_conf(&batch) {
        let refuse = |problem: String| Rejection::rejected(format_args!("{key}: {problem}"));
        match key.strip_prefix(OUR_PREFIX) {
            Some(name) => ours.take(name, &value).map_err(refuse)?,
            None => conf.set(key, value).map_err(Rejection::rejected)?,
        }
    }
    let resource = batch.file.unwrap_or_default();
    if let Some(text) = batch.args.iter().chain([&resource]).chain(&batch.class_name).find(|text| text.contains('\0')) {
        let shown: String = text.chars().take(64).collect();
        return Err(Rejection::rejected(format_args!("{shown:?} contains a NUL character")));
    }
    let spec = ApplicationSpec {
        name: batch.name,
        resource,
        class_name: batch.class_name,
        args: batch.args,
        conf,
        // Livy ignores it unless impersonation is configured, and so do we.
        proxy_user: None,
        spark: ours.spark,
        labels: ours.labels,
        external_id: ours.external_id,
        limits: ours.limits,
    };
    Ok((spec, ours.backend))
}

/// What our own keys say.
#[derive(Default)]
struct OurKeys {
    backend: Option<BackendName>,
    spark: Option<SparkName>,
    labels: Labels,
    external_id: Option<String>,
    limits: Limits,
}

impl OurKeys {
    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "backend" => self.backend = Some(value.parse().map_err(|error| format!("{error}"))?),
            "spark" => self.spark = Some(value.parse().map_err(|error| format!("{error}"))?),
            "external-id" => self.external_id = Some(external_id(value)?),
            "max-attempts" => self.limits.max_attempts = attempts(value)?,
            "run-timeout" => self.limits.run_timeout = Some(timeout(value)?),
            "queue-timeout" => self.limits.queue_timeout = Some(timeout(value)?),
            _ => match name.strip_prefix(LABEL_PREFIX) {
                Some(label) => self.labels.insert(label, value).map_err(|error| error.to_string())?,
                None => return Err("there is no such key; there are backend, spark, external-id, max-attempts, run-timeout, queue-timeout and label.KEY".to_owned()),
            },
        }
        Ok(())
    }
}

fn external_id(value: &str) -> Result<String, String> {
    let valid = (1..=api::create::EXTERNAL_ID_BYTES_MAX).contains(&value.len()) && !value.chars().any(char::is_control);
    if valid {
        Ok(value.to_owned())
    } else {
        Err(format!("expected 1 to {} bytes without control characters", api::create::EXTERNAL_ID_BYTES_MAX))
    }
}

fn attempts(value: &str) -> Result<u32, String> {
    let count = value.parse().ok().filter(|count| (1..=ATTEMPTS_MAX).contains(count));
    count.ok_or_else(|| format!("expected a whole number from 1 to {ATTEMPTS_MAX}"))
}

fn timeout(value: &str) -> Result<std::time::Duration, String> {
    match SparkDuration::parse(value, TimeUnit::Second) {
        Ok(span) if span.micros() > 0 => Ok(span.into()),
        Ok(_) => Err("is zero; leave it out for no limit".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn check(conf: &str) -> Result<(ApplicationSpec, Option<BackendName>), String> {
        let body = format!(r#"{{"file":"/x.py","conf":{{{conf}}}}}"#);
        specification(livy::create::parse(body.as_bytes()).unwrap()).map_err(|rejection| rejection.to_string())
    }

    #[test]
    fn our_keys_say_what_livy_has_no_field_for() {
        let (spec, backend) = check(
            r#""spark.lamplighter.backend":"local","spark.lamplighter.spark":"3.5","spark.lamplighter.label.team":"core",
               "spark.lamplighter.max-attempts":"3","spark.lamplighter.run-timeout":"2h","spark.lamplighter.external-id":"run/1","spark.x":"y""#,
        )
        .unwrap();
        assert_eq!(backend.unwrap().as_str(), "local");
        assert_eq!(spec.spark.unwrap().as_str(), "3.5");
        assert_eq!(spec.labels.get("team"), Some("core"));
        assert_eq!((spec.limits.max_attempts, spec.limits.run_timeout.map(|span| span.as_secs())), (3, Some(7_200)));
        assert_eq!(spec.external_id.as_deref(), Some("run/1"));
        assert_eq!(spec.conf.iter().collect::<Vec<_>>(), [("spark.x", "y")]);
    }

    #[test]
    fn our_keys_are_checked() {
        for (conf, told) in [
            (r#""spark.lamplighter.max-attempts":"0""#, "expected a whole number from 1 to 20"),
            (r#""spark.lamplighter.run-timeout":"soon""#, "is not a whole number"),
            (r#""spark.lamplighter.label.":"x""#, "label key"),
            (r#""spark.lamplighter.nope":"x""#, "there is no such key"),
            (r#""a b":"x""#, "conf key"),
        ] {
            let told_us = check(conf).unwrap_err();
            assert!(told_us.starts_with("400 Rejected, Reason: ") && told_us.contains(told), "{conf}: {told_us}");
        }
    }
}
