//! Builders that the tests of this crate share.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "no test uses all of it")]

use std::collections::BTreeSet;

use model::id::{BackendKind, BackendName};
use model::label::Labels;
use model::principal::{Owner, Principal, Role};
use model::spark_conf::SparkConf;
use model::spec::{ApplicationSpec, Limits};
use policy::{Place, Policy, PolicyConfig, Principals, Verdict};

/// `ada` of the tenant `research`, or `user/tenant`, with groups behind `+`: `ada/research+science`.
pub(crate) fn principal(text: &str, roles: &[Role]) -> Principal {
    let mut parts = text.split('+');
    let (user, tenant) = parts.next().unwrap().split_once('/').unwrap_or((text, "research"));
    Principal {
        user: user.parse().unwrap(),
        tenant: tenant.parse().unwrap(),
        groups: parts.map(|group| group.parse().unwrap()).collect(),
        roles: roles.iter().copied().collect::<BTreeSet<_>>(),
    }
}

pub(crate) fn owner(text: &str) -> Owner {
    Owner::from(&principal(text, &[]))
}

pub(crate) fn config(yaml: &str) -> PolicyConfig {
    if yaml.trim().is_empty() { PolicyConfig::default() } else { serde_saphyr::from_str(yaml).unwrap() }
}

pub(crate) fn policy(yaml: &str) -> Policy {
    Policy::compile(&config(yaml), Principals::Several).unwrap()
}

/// A specification with conf keys, and fields as `@field`: `@resource`, `@args`, `@proxy_user`, `@spark`.
pub(crate) fn spec(entries: &[(&str, &str)]) -> ApplicationSpec {
    let mut spec = ApplicationSpec {
        name: None,
        resource: "local:///opt/spark/examples/pi.py".into(),
        class_name: None,
        args: Vec::new(),
        conf: SparkConf::new(),
        proxy_user: None,
        spark: None,
        labels: Labels::default(),
        external_id: None,
        limits: Limits::default(),
    };
    for (key, value) in entries {
        match *key {
            "@resource" => spec.resource = (*value).into(),
            "@args" => spec.args = value.split(' ').map(str::to_owned).collect(),
            "@proxy_user" => spec.proxy_user = Some((*value).into()),
            "@spark" => spec.spark = Some(value.parse().unwrap()),
            key => spec.conf.set(key, *value).unwrap(),
        }
    }
    spec
}

/// What becomes of an application of `who` on a backend that is named after its kind.
pub(crate) fn apply(policy: &Policy, who: &str, kind: BackendKind, spec: ApplicationSpec) -> Verdict {
    let backend = BackendName::new(kind.as_str()).unwrap();
    policy.apply(&principal(who, &[Role::Submitter]), spec, Place { backend: &backend, kind })
}

/// Changes and refusals, a line each.
pub(crate) fn shown(verdict: &Verdict) -> String {
    let changes = verdict.changes.iter().map(|change| {
        let from = change.from.as_deref().map_or(String::new(), |from| format!(" instead of {from}"));
        format!("{} {} {}{from} ({})\n", change.kind, change.key, change.to, change.rule)
    });
    let refusals = verdict.refusals.iter().map(|refusal| format!("refused {refusal}\n"));
    changes.chain(refusals).collect()
}
