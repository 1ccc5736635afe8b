//! What deciding about one request costs: who asks, whether they may, and what becomes of their application.
//!
//! The rules are more than most will write, and the application is one that passes: a refusal is cheaper.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};
use model::id::{BackendKind, BackendName};
use model::label::Labels;
use model::spark_conf::SparkConf;
use model::spec::{ApplicationSpec, Limits};
use policy::config::{Allow, ConfEntries, ConfRules, Limits as SizeLimits, Rules, TenantRules, TokenConfig};
use policy::{Action, AuthConfig, Object, Place, Policy, PolicyConfig, Principals, TokenHash, Tokens, new_token};

use crate::Context;
use crate::report::{Section, Target};
use crate::sample::Sample;

/// Users with a token each.
const USERS: u8 = 200;
/// Tenants with rules of their own.
const TENANTS: u8 = 50;
/// Decisions that are timed together, so that the clock costs nothing.
const BATCH: usize = 100;

/// Measures requests that ask, and requests that submit.
pub(crate) fn measure(context: &Context) -> Result<Vec<Section>> {
    let tokens = Tokens::compile(&users()).map_err(|problems| anyhow!("{problems:?}"))?;
    let policy = Policy::compile(&rules(), Principals::Several).map_err(|problems| anyhow!("{problems:?}"))?;
    let backend = BackendName::new("kubernetes")?;
    let place = Place { backend: &backend, kind: BackendKind::Kubernetes };
    let (bearer, spec) = (new_token([USERS / 2; 32]), application()?);
    let principal = tokens.authenticate(&bearer).context("find the user of a token")?;
    let verdict = policy.apply(principal, spec.clone(), place);
    ensure!(verdict.is_allowed(), "the application is refused: {:?}", verdict.refusals);

    let ask = || {
        let principal = tokens.authenticate(black_box(&bearer));
        principal.map(|it| policy::authorise(it, Action::ReadApplication, Object::Gateway))
    };
    let submit = |spec: ApplicationSpec| {
        let principal = tokens.authenticate(black_box(&bearer));
        principal.map(|it| {
            let decision = policy::authorise(it, Action::CreateApplication, Object::Gateway);
            (decision, policy.apply(it, spec, place))
        })
    };
    let batches = context.times(1_000);
    let asked: Sample = (0..batches).map(|_| timed([(); BATCH], |()| ask())).collect();
    let submitted: Sample = (0..batches).map(|_| timed(std::array::from_fn(|_| spec.clone()), submit)).collect();
    let mut section = Section::new("decide");
    for (what, times) in [("a request", &asked), ("a submission with 30 conf keys", &submitted)] {
        section.figure(what, Target::AtMost(20.0), times.p50(), "µs");
    }
    Ok(vec![section])
}

/// Microseconds per item.
fn timed<I, O>(items: [I; BATCH], decide: impl Fn(I) -> O) -> f64 {
    let started = Instant::now();
    let decided = items.map(|item| black_box(decide(item)));
    let took = started.elapsed();
    drop(decided);
    took.as_secs_f64() * 1e6 / BATCH as f64
}

fn users() -> AuthConfig {
    let token = |number: u8| TokenConfig {
        user: format!("user-{number}"),
        tenant: format!("tenant-{}", number % TENANTS),
        groups: vec!["science".into()],
        roles: vec!["submitter".into()],
        sha256: TokenHash::of(&new_token([number; 32])).to_string(),
    };
    AuthConfig { tokens: (0..USERS).map(token).collect() }
}

fn rules() -> PolicyConfig {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let rules = || Rules {
        conf: ConfRules {
            default: entries(&[("spark.sql.shuffle.partitions", "64"), ("spark.ui.enabled", "true")]),
            force: entries(&[("spark.eventLog.enabled", "true"), ("spark.hadoop.fs.s3a.endpoint", "https://s3")]),
            forbid: (0..20).map(|number| format!("spark.forbidden-{number}.*")).collect(),
        },
        allow: Allow {
            images: Some(texts(&["registry.example/research/*", "registry.example/spark:*"])),
            files: Some(texts(&["s3a://research/", "s3a://shared/", "local:///opt/spark"])),
            ..Allow::default()
        },
        limits: SizeLimits {
            driver_memory: Some("16g".into()),
            executor_memory: Some("64g".into()),
            driver_cores: Some(8),
            executor_cores: Some(8),
            executors: Some(100),
            ..SizeLimits::default()
        },
        lift: Vec::new(),
    };
    let tenant = |number: u8| {
        let Rules { conf, allow, limits, lift } = rules();
        let groups = [("science".to_owned(), rules())].into_iter().collect();
        (format!("tenant-{number}"), TenantRules { conf, allow, limits, lift, groups, ..TenantRules::default() })
    };
    PolicyConfig {
        gateway: rules(),
        backends: [("kubernetes".to_owned(), rules())].into_iter().collect(),
        tenants: (0..TENANTS).map(tenant).collect(),
        ..PolicyConfig::default()
    }
}

fn entries(entries: &[(&str, &str)]) -> ConfEntries {
    ConfEntries(entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn application() -> Result<ApplicationSpec> {
    let mut conf = SparkConf::from_entries([
        ("spark.driver.memory", "4g"),
        ("spark.executor.memory", "16g"),
        ("spark.executor.cores", "4"),
        ("spark.dynamicAllocation.enabled", "true"),
        ("spark.dynamicAllocation.maxExecutors", "40"),
        ("spark.jars", "s3a://research/lib/a.jar,s3a://shared/b.jar,local:///opt/spark/jars/c.jar"),
        ("spark.kubernetes.container.image", "registry.example/research/spark:4.1"),
        ("spark.kubernetes.driver.label.team", "core"),
        ("spark.kubernetes.executor.node.selector.pool", "batch"),
        ("spark.hadoop.fs.s3a.path.style.access", "true"),
    ])?;
    for number in conf.len()..30 {
        conf.set(format!("spark.sql.option-{number}"), "value")?;
    }
    ensure!(conf.len() == 30, "the application has {} keys", conf.len());
    Ok(ApplicationSpec {
        name: Some("daily".into()),
        resource: "s3a://research/jobs/daily.py".into(),
        class_name: None,
        args: vec!["--day".into(), "2026-11-20".into()],
        conf,
        proxy_user: None,
        spark: None,
        labels: Labels::default(),
        external_id: None,
        limits: Limits::default(),
    })
}
