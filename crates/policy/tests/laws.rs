//! What holds whatever is configured and submitted.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use model::id::BackendKind;
use policy::config::{Allow, ConfEntries, ConfRules, Limits, Rules, TenantRules};
use policy::{ChangeKind, Policy, PolicyConfig, Principals};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use support::{apply, spec};

const KEYS: [&str; 22] = [
    "spark.a",
    "spark.A",
    "spark.b.c",
    "fs.x",
    "spark.hadoop.fs.x",
    "spark.hadoop.spark.a",
    "spark.driver.memory",
    "spark.driver.cores",
    "spark.executor.instances",
    "spark.executor.memoryOverhead",
    "spark.yarn.executor.memoryOverhead",
    "spark.dynamicAllocation.enabled",
    "spark.dynamicAllocation.maxExecutors",
    "spark.kerberos.principal",
    "spark.yarn.principal",
    "spark.kubernetes.namespace",
    "spark.kubernetes.unknown",
    "spark.kubernetes.driver.secrets.a",
    "spark.jars",
    "spark.yarn.keytab",
    "spark.master",
    "spark.submit.deployMode",
];
const VALUES: [&str; 9] = ["1", "5", "true", "local[2]", "local[*]", "yarn", "/data/x", "/etc/x", "client"];
const PATTERNS: [&str; 8] =
    ["spark.a", "spark.b.*", "fs.*", "spark.hadoop.*", "spark.kubernetes.*", "spark.dynamic*", "spark.m*r", "*.cores"];

/// Keys with values; without old names, which a configuration can't hold.
fn entries(configured: bool) -> impl Strategy<Value = Vec<(&'static str, &'static str)>> {
    let is_old = |key: &str| key.starts_with("spark.yarn.");
    let keys: Vec<_> =
        KEYS.into_iter().filter(move |key| !configured || (key.starts_with("spark.") && !is_old(key))).collect();
    vec((select(keys), select(VALUES.to_vec())), 0..6)
}

fn conf_rules() -> impl Strategy<Value = ConfRules> {
    let texts = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let map = |entries: Vec<(&str, &str)>| {
        ConfEntries(entries.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
    };
    (entries(true), entries(true), subsequence(PATTERNS.to_vec(), 0..3)).prop_map(move |(default, force, forbid)| {
        ConfRules { default: map(default), force: map(force), forbid: texts(forbid) }
    })
}

fn allow() -> impl Strategy<Value = Allow> {
    let list = |items: &[&'static str]| {
        option::weighted(0.15, subsequence(items.to_vec(), 0..=items.len()))
            .prop_map(|items| items.map(|items| items.into_iter().map(str::to_owned).collect::<Vec<_>>()))
    };
    (
        list(&["local", "yarn", "kubernetes"]),
        list(&["3.5", "4.1"]),
        list(&["1", "yarn"]),
        list(&["/data"]),
        list(&["*"]),
    )
        .prop_map(|(backends, sparks, namespaces, files, proxy_users)| Allow {
            backends,
            sparks,
            namespaces,
            files,
            proxy_users,
            ..Allow::default()
        })
}

fn limits() -> impl Strategy<Value = Limits> {
    (option::of(1..4_u32), option::of(1..4_u32), option::of(Just("1g".to_owned()))).prop_map(
        |(driver_cores, executors, driver_memory)| Limits {
            driver_cores,
            executors,
            driver_memory,
            ..Limits::default()
        },
    )
}

fn rules() -> impl Strategy<Value = Rules> {
    (conf_rules(), allow(), limits(), any::<bool>()).prop_map(|(conf, allow, limits, lifts)| {
        let lift = if lifts { vec!["kubernetes-namespaces".into(), "kubernetes-unknown".into()] } else { Vec::new() };
        Rules { conf, allow, limits, lift }
    })
}

fn config() -> impl Strategy<Value = PolicyConfig> {
    let calm = || prop_oneof![2 => Just(Rules::default()), 1 => rules()];
    (calm(), calm(), calm(), calm()).prop_map(|(gateway, backend, tenant, group)| {
        let groups = [("science".to_owned(), group)].into_iter().collect();
        let Rules { conf, allow, limits, lift } = tenant;
        let tenant = TenantRules { conf, allow, limits, lift, groups, ..TenantRules::default() };
        PolicyConfig {
            gateway,
            backends: [("local".to_owned(), backend)].into_iter().collect(),
            tenants: [("research".to_owned(), tenant)].into_iter().collect(),
            ..PolicyConfig::default()
        }
    })
}

/// Forced and default values of all layers together.
fn configured(config: &PolicyConfig) -> Vec<(&str, &str)> {
    let tenants = config.tenants.values();
    let tenant_rules =
        tenants.flat_map(|tenant| std::iter::once(&tenant.conf).chain(tenant.groups.values().map(|rules| &rules.conf)));
    let rules = std::iter::once(&config.gateway).chain(config.backends.values()).map(|rules| &rules.conf);
    let entries = rules.chain(tenant_rules).flat_map(|conf| conf.force.0.iter().chain(&conf.default.0));
    entries.map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn whatever_passes_keeps_the_rules(
        config in config(),
        submitted in entries(false),
        proxy_user in option::of(select(vec!["ada", "hdfs"])),
        several in any::<bool>(),
        kind in select(BackendKind::ALL.to_vec()),
    ) {
        let principals = if several { Principals::Several } else { Principals::One };
        let policy = Policy::compile(&config, principals).unwrap();
        let mut before = spec(&submitted);
        before.proxy_user = proxy_user.map(str::to_owned);
        let verdict = apply(&policy, "ada/research+science", kind, before.clone());
        let after = &verdict.spec.conf;

        // Whatever is forced for everybody holds, also when the application is refused.
        for (key, value) in &config.gateway.conf.force.0 {
            prop_assert_eq!(after.get(key), Some(value.as_str()));
        }
        // The changes are exactly the difference; of several about one key the last tells what it became.
        for (index, change) in verdict.changes.iter().enumerate().filter(|(_, change)| change.key != "spark") {
            if !verdict.changes[index + 1..].iter().any(|later| later.key == change.key) {
                prop_assert_eq!(&change.to, model::spark_conf::shown(&change.key, after.get(&change.key).unwrap()));
            }
            prop_assert!(change.kind == ChangeKind::Forced || change.from.is_none());
        }
        for (key, value) in after.iter().filter(|(key, value)| before.conf.get(key) != Some(value)) {
            prop_assert!(verdict.changes.iter().any(|change| change.key == key), "{key}={value}");
        }
        prop_assert!(before.conf.iter().all(|(key, _)| after.contains(key)));

        if verdict.is_allowed() {
            let again = apply(&policy, "ada/research+science", kind, verdict.spec.clone());
            prop_assert_eq!(&again.refusals, &[]);
            prop_assert_eq!(&again.changes, &[]);
            prop_assert_eq!(&again.spec, &verdict.spec);

            // What is forbidden in so many words survives only as the configuration's own.
            let forbidden = ["spark.a", "fs.x", "spark.kubernetes.unknown"];
            for key in forbidden.into_iter().filter(|key| config.gateway.conf.forbid.iter().any(|text| text == key)) {
                let own = |value: &str| configured(&config).contains(&(key, value));
                prop_assert!(after.get(key).is_none_or(own), "{key}");
            }
        }
    }

    /// Nobody gets around a forbidden key by another spelling.
    #[test]
    fn no_spelling_gets_around_a_forbidden_key(
        upper in vec(any::<bool>(), 32),
        prefixes in 0..3_usize,
        tail in "[a-z.]{0,8}",
    ) {
        let policy = support::policy("gateway: { conf: { forbid: [spark.forbidden.*] } }");
        let letters = format!("spark.forbidden.{tail}");
        let varied: String = letters
            .chars()
            .zip(upper.into_iter().cycle())
            .map(|(letter, upper)| if upper { letter.to_ascii_uppercase() } else { letter })
            .collect();
        let key = "spark.hadoop.".repeat(prefixes) + &varied;
        let verdict = apply(&policy, "ada", BackendKind::Local, spec(&[(&key, "1")]));
        prop_assert_eq!(verdict.refusals.len(), 1);
    }
}
