//! Laws of fidelity: whatever a valid application holds comes back as it was. The values are generated.

use std::sync::Arc;
use std::time::Duration;

use engine::store::NewApplication;
use model::application::Attempt;
use model::event::EventKind;
use model::id::{ApplicationId, ApplicationKind, AttemptId, BackendName, EventId, SparkName, TenantName, UserName};
use model::label::Labels;
use model::principal::Owner;
use model::spark_conf::SparkConf;
use model::spec::{ApplicationSpec, Limits};
use model::state::{Exit, Reason, ReasonCode, State};
use model::time::Timestamp;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

use super::{Lab, batch, step_to};

/// Enough to meet every variant and many odd texts, few enough for a store that syncs.
const CASES: usize = 48;

/// The same values on every run: a law that fails must fail again.
async fn for_values<S: Strategy>(strategy: S, mut law: impl AsyncFnMut(S::Value)) {
    let mut runner = TestRunner::deterministic();
    for _ in 0..CASES {
        Box::pin(law(strategy.new_tree(&mut runner).unwrap().current())).await;
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a-z ]{0,12}", Just("\0'\"\\\u{7f}\u{fffd}\n".to_owned())]
}

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), Just(0), 0..4_000_000_000_000_i64]
        .prop_map(Timestamp::from_millis)
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![any::<Duration>(), Just(Duration::MAX), Just(Duration::ZERO)]
}

fn labels() -> impl Strategy<Value = Labels> {
    btree_map("[a-zA-Z0-9][a-z./_-]{0,20}[a-z0-9]", "([a-z0-9][A-Z._-]{0,20}[a-z0-9])?", 0..4).prop_map(|pairs| {
        let mut labels = Labels::default();
        pairs.iter().for_each(|(key, value)| labels.insert(key, value).unwrap());
        labels
    })
}

fn conf() -> impl Strategy<Value = SparkConf> {
    btree_map("spark[.a-zA-Z0-9_-]{1,30}", text(), 0..6).prop_map(|entries| SparkConf::from_entries(entries).unwrap())
}

fn limits() -> impl Strategy<Value = Limits> {
    (any::<u32>(), option::of(duration()), option::of(duration()))
        .prop_map(|(max_attempts, run_timeout, queue_timeout)| Limits { max_attempts, run_timeout, queue_timeout })
}

prop_compose! {
    fn specs()(
        (name, resource, class_name, args) in (option::of(text()), text(), option::of(text()), vec(text(), 0..5)),
        (conf, proxy_user, spark) in (conf(), option::of(text()), option::of("[a-z0-9][a-z0-9.@/_-]{0,20}")),
        (labels, external_id, limits) in (labels(), option::of(text()), limits()),
    ) -> ApplicationSpec {
        let spark = spark.map(|name| SparkName::new(&name).unwrap());
        ApplicationSpec { name, resource, class_name, args, conf, proxy_user, spark, labels, external_id, limits }
    }
}

prop_compose! {
    fn applications()(
        spec in specs(),
        (user, tenant, backend) in ("[a-zA-Z0-9][a-z0-9.@/_-]{0,40}", "[a-z][a-z0-9]{0,9}", "[a-z][a-z0-9]{0,9}"),
        retry_of in option::of(0..=ApplicationId::MAX_NUMBER),
        (server, at) in (any::<bool>(), time()),
    ) -> NewApplication {
        NewApplication {
            kind: ApplicationKind::ALL[usize::from(server)],
            spec: Arc::new(spec),
            owner: Owner { user: UserName::new(&user).unwrap(), tenant: TenantName::new(&tenant).unwrap() },
            retry_of: retry_of.and_then(|number| ApplicationId::new(ApplicationKind::Batch, number)),
            backend: BackendName::new(&backend).unwrap(),
            at,
            ..batch()
        }
    }
}

fn reasons() -> impl Strategy<Value = Reason> {
    (0..ReasonCode::ALL.len(), option::of(text()))
        .prop_map(|(code, evidence)| Reason { code: ReasonCode::ALL[code], evidence })
}

prop_compose! {
    fn attempts()(
        (id, number, binding) in (any::<u128>(), any::<u32>(), text()),
        (created_at, started_at, ended_at) in (time(), option::of(time()), option::of(time())),
        (code, signal, reason) in (option::of(any::<i32>()), 1..64, option::of(reasons())),
    ) -> Attempt {
        let exit = if signal < 8 { Some(Exit::Signal(signal)) } else { code.map(Exit::Code) };
        let id = AttemptId::new(Uuid::from_u128(id));
        Attempt { id, number, binding, created_at, started_at, ended_at, exit, reason }
    }
}

/// Everything that a submission can say.
pub async fn arbitrary_applications_come_back_as_they_were(lab: Lab) {
    let other = lab.another().await;
    Box::pin(for_values(applications(), async |new| {
        let accepted = match lab.store.accept(new.clone()).await {
            Err(engine::store::StoreError::NameTaken { .. }) => return,
            accepted => accepted.unwrap().application().clone(),
        };
        assert_eq!((&accepted.spec, &accepted.owner, accepted.accepted_at), (&new.spec, &new.owner, new.at));
        assert_eq!(lab.get(accepted.id).await, accepted);
        assert_eq!(other.get(accepted.id).await.unwrap().unwrap(), accepted);
    }))
    .await;
}

/// Everything that can happen to one.
pub async fn arbitrary_attempts_come_back_as_they_were(lab: Lab) {
    let fence = lab.fence().await;
    let histories = (vec(attempts(), 0..4), option::of(reasons()), time(), option::of(time()));
    for_values(histories, async |(attempts, reason, ready_at, ended_at)| {
        let id = lab.accept(batch()).await.id;
        let saved = lab
            .change(&fence, id, |next| {
                step_to(next, State::Failed);
                (next.attempts, next.reason) = (attempts.clone(), reason.clone());
                (next.ready_at, next.ended_at) = (ready_at, ended_at);
            })
            .await;
        assert_eq!(lab.get(id).await, saved);
        let last = lab.store.last_event().await.unwrap();
        let event = lab.store.events(EventId(last.0 - 1), 1).await.unwrap().pop().unwrap();
        assert_eq!((event.kind, &event.reason, event.exit_code), (EventKind::State, &saved.reason, saved.exit_code()));
    })
    .await;
}
