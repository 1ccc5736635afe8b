//! Whatever goes wrong between the gateway and the API server: each attempt runs once or never, and its end is told
//! as it was.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod kubernetes_world;

use std::time::Duration;

use engine::backend::{AttemptRef, Backend as _, BackendError, Ended, Observation};
use kubernetes_world::{DRIVERS, OWN, World, order, seen};
use model::state::{Exit, ReasonCode};
use spark_kubernetes::names;
use testkit::backend_contract::wait_until;
use testkit::environment::is_fast;
use testkit::fake_kubernetes::{Call, Fate, Fault, Verb};

const GRACE: Duration = Duration::from_secs(10);

/// Every call that a launch, an observation, a stop and a discard make.
const CALLS: &[Call] = &[
    (Verb::Create, "pods"),
    (Verb::Create, "configmaps"),
    (Verb::Create, "secrets"),
    (Verb::Create, "services"),
    (Verb::Create, "networkpolicies"),
    (Verb::Patch, "pods"),
    (Verb::Patch, "configmaps"),
    (Verb::Get, "pods"),
    (Verb::Get, "configmaps"),
    (Verb::Delete, "pods"),
    (Verb::List, "pods"),
    (Verb::Watch, "pods"),
    (Verb::Log, "pods"),
];

const FAULTS: &[Fault] = &[
    Fault::Status { code: 429, retry_after_seconds: None },
    Fault::Status { code: 500, retry_after_seconds: None },
    Fault::Status { code: 503, retry_after_seconds: Some(0) },
    Fault::DoneButStatus(504),
    Fault::DropBefore,
    Fault::DropAfter,
    Fault::Delay(Duration::from_millis(30)),
];

fn exit_of(observation: &Observation) -> Option<&Ended> {
    match observation {
        Observation::Exited(ended) => Some(ended),
        _ => None,
    }
}

fn is_over(observation: &Observation) -> bool {
    matches!(observation, Observation::Exited(_) | Observation::Lost { .. } | Observation::NeverRan)
}

fn without_evidence(observation: &Observation) -> Observation {
    match observation {
        Observation::Lost { reason, .. } => Observation::Lost { reason: *reason, evidence: None },
        other => other.clone(),
    }
}

fn runs(traces: &str) -> usize {
    std::fs::read_to_string(traces).map_or(0, |text| text.lines().count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_twice_changes_nothing() {
    let world = World::start().await;
    let all = CALLS.iter().flat_map(|call| FAULTS.iter().map(move |fault| (*call, *fault)));
    // A sample has every fault, because the step shares no divisor with their number.
    let step = if is_fast() { FAULTS.len() + 1 } else { 1 };
    for (call, fault) in all.step_by(step) {
        one_life(&world, call, fault).await;
    }
    assert_eq!(world.fake.objects("pods").len(), 0, "pods are left");
    for resource in ["secrets", "services", "networkpolicies"] {
        assert_eq!(world.fake.objects(resource).len(), 0, "{resource} are left");
    }
}

/// Runs one attempt, stops another, and discards both, while a kind of call fails.
async fn one_life(world: &World, call: Call, fault: Fault) {
    let what = format!("{call:?} {fault:?}");
    let backend = world.backend();
    let (ran, stopped) = (world.traces(), world.traces());
    let (runs_by_itself, waits) = (order(&["run", &ran, "3"]), order(&["wait", &stopped, "143"]));
    world.fake.forget_calls();
    world.fake.fail(call, 2, fault);
    backend.launch(runs_by_itself.clone()).await.expect(&what);
    backend.launch(waits.clone()).await.expect(&what);
    let ended = seen(&backend, &runs_by_itself.attempt, is_over).await;
    assert_eq!(exit_of(&ended).map(|ended| ended.exit), Some(Exit::Code(3)), "{what}: {ended:?}");
    wait_until("the other one runs", || async { runs(&stopped) == 1 }).await;
    world.fake.fail(call, 2, fault);
    backend.stop(&waits.attempt, GRACE).await.expect(&what);
    let ended = seen(&backend, &waits.attempt, is_over).await;
    // A gateway that is blind when its own stop removes the pod never hears how the driver ended.
    let blind = matches!(call, (Verb::List | Verb::Watch, _));
    let unknown = Observation::Lost { reason: ReasonCode::DriverLost, evidence: None };
    let known = exit_of(&ended).map_or(blind && without_evidence(&ended) == unknown, |ended| ended.stopped);
    assert!(known, "{what}: {ended:?}");
    world.fake.fail(call, 2, fault);
    for order in [runs_by_itself, waits] {
        backend.discard(&order.attempt).await.expect(&what);
        assert_eq!(backend.launch(order).await.expect(&what), Observation::NeverRan, "{what}");
    }
    assert_eq!((runs(&ran), runs(&stopped)), (1, 1), "{what}");
}

/// A gateway dies between any two calls of a launch; the one after it launches or stops the same attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launch_that_was_cut_off_anywhere_is_completed_or_stopped() {
    let world = World::start().await;
    let never = Fault::Delay(Duration::from_secs(3_600));
    for call in CALLS {
        for fault in [Fault::Status { code: 403, retry_after_seconds: None }, never] {
            for completes in [true, false] {
                let traces = world.traces();
                let order = order(&["run", &traces, "0"]);
                world.fake.forget_calls();
                world.fake.fail(*call, 1, fault);
                let first = world.backend();
                // Far longer than a launch that isn't held up.
                let _ = tokio::time::timeout(Duration::from_millis(250), first.launch(order.clone())).await;
                drop(first);
                world.fake.forget_calls();
                let second = world.backend();
                let what = format!("{call:?} {fault:?}, completes: {completes}");
                if completes {
                    second.launch(order.clone()).await.expect(&what);
                    let ended = seen(&second, &order.attempt, is_over).await;
                    assert!(exit_of(&ended).is_some_and(|ended| ended.exit.is_success()), "{what}: {ended:?}");
                    assert_eq!(runs(&traces), 1, "{what}");
                } else {
                    second.stop(&order.attempt, GRACE).await.expect(&what);
                    let ended = seen(&second, &order.attempt, is_over).await;
                    let ran = runs(&traces);
                    assert!(ran <= 1 && (ended == Observation::NeverRan) == (ran == 0), "{what}: {ended:?}, ran {ran}");
                }
                second.discard(&order.attempt).await.expect(&what);
            }
        }
    }
    wait_until("nothing is left", || async {
        ["pods", "secrets", "services", "networkpolicies"].iter().all(|kind| world.fake.objects(kind).is_empty())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_is_gone_says_nothing_about_drivers() {
    let world = World::start().await;
    let backend = world.backend();
    let mut changes = backend.take_changes().unwrap();
    let order = order(&["wait", &world.traces(), "0"]);
    backend.launch(order.clone()).await.unwrap();
    seen(&backend, &order.attempt, |seen| matches!(seen, Observation::Running { .. })).await;
    wait_until("it is ready", || async { backend.not_ready().is_none() }).await;
    world.fake.set_down(true);
    wait_until("it says that it isn't ready", || async { backend.not_ready().is_some() }).await;
    assert!(backend.not_ready().unwrap().contains(world.fake.url()));
    let asked = backend.observe(&order.attempt).await;
    assert!(matches!(asked, Err(BackendError::Unavailable { .. })), "{asked:?}");
    world.fake.set_down(false);
    wait_until("it is ready again", || async { backend.not_ready().is_none() }).await;
    backend.stop(&order.attempt, GRACE).await.unwrap();
    loop {
        let (id, change) = changes.recv().await.unwrap();
        assert_eq!(id, order.attempt.id);
        if let Some(ended) = exit_of(&change) {
            assert!(ended.stopped);
            break;
        }
        assert!(!is_over(&change), "{change:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_go_on_without_listing_again() {
    let world = World::start().await;
    let backend = world.backend();
    wait_until("it is ready", || async { backend.not_ready().is_none() }).await;
    world.fake.forget_calls();
    for _ in 0..5 {
        let order = order(&["run", &world.traces(), "0"]);
        backend.launch(order.clone()).await.unwrap();
        world.fake.cut_streams();
        seen(&backend, &order.attempt, is_over).await;
    }
    assert_eq!(world.fake.calls((Verb::List, "pods")), 0, "a watch that ends goes on where it was");
    world.fake.compact();
    world.fake.fail((Verb::Watch, "pods"), 1, Fault::Status { code: 410, retry_after_seconds: None });
    world.fake.cut_streams();
    wait_until("it lists again", || async { world.fake.calls((Verb::List, "pods")) > 0 }).await;
}

/// What the cluster does to a driver, and what is told of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_to_a_driver_is_told_with_its_reason() {
    let world = World::start().await;
    let backend = world.backend();
    let running = |args: &'static [&'static str]| {
        let (backend, order) = (&backend, order(args));
        async move {
            backend.launch(order.clone()).await.unwrap();
            seen(backend, &order.attempt, |seen| matches!(seen, Observation::Running { .. })).await;
            order.attempt
        }
    };
    let wait: &[&str] = &["wait", "/dev/null", "143"];

    let deleted = running(wait).await;
    world.delete_pod(&deleted, 5);
    assert_eq!(lost(&backend, &deleted).await, ReasonCode::PodDeleted);

    let forced = running(wait).await;
    world.delete_pod(&forced, 0);
    assert_eq!(lost(&backend, &forced).await, ReasonCode::PodDeleted);

    let evicted = running(wait).await;
    world.fake.edit_pod(DRIVERS, &names::pod_name(evicted.id), |pod| {
        pod["status"]["conditions"] = serde_json::json!([
            { "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI" },
        ]);
    });
    world.delete_pod(&evicted, 5);
    assert_eq!(lost(&backend, &evicted).await, ReasonCode::Evicted);

    let greedy = order(&["oom"]);
    backend.launch(greedy.clone()).await.unwrap();
    let ended = seen(&backend, &greedy.attempt, is_over).await;
    assert_eq!(exit_of(&ended).unwrap().cause, Some(ReasonCode::OutOfMemory));

    let wrong = order(&["say", "1", "Traceback (most recent call last):", "  File \"x.py\"", "KeyError: 'missing'"]);
    backend.launch(wrong.clone()).await.unwrap();
    let ended = seen(&backend, &wrong.attempt, is_over).await;
    let ended = exit_of(&ended).unwrap();
    assert_eq!((ended.exit, ended.evidence.as_deref()), (Exit::Code(1), Some("KeyError: 'missing'")));
}

async fn lost(backend: &backends::kubernetes::KubernetesBackend, attempt: &AttemptRef) -> ReasonCode {
    match seen(backend, attempt, is_over).await {
        Observation::Lost { reason, .. } => reason,
        other => panic!("it was lost, not {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_while_no_gateway_watched_is_found_out() {
    let world = World::start().await;
    let backend = world.backend();
    let [kept, gone] = [["wait", "/dev/null", "0"]; 2].map(|args| order(&args));
    for order in [&kept, &gone] {
        backend.launch(order.clone()).await.unwrap();
        seen(&backend, &order.attempt, |seen| matches!(seen, Observation::Running { .. })).await;
    }
    drop(backend);
    world.delete_pod(&gone.attempt, 5);
    wait_until("its pod is gone", || async { world.fake.running().len() == 1 }).await;
    let backend = world.backend();
    assert_eq!(lost(&backend, &gone.attempt).await, ReasonCode::PodDeleted);
    let again = backend.launch(gone.clone()).await.unwrap();
    assert!(matches!(again, Observation::Lost { .. }), "what may have run isn't launched again: {again:?}");
    assert!(matches!(backend.observe(&kept.attempt).await.unwrap(), Observation::Running { .. }));
    let owned = backend.list_owned().await.unwrap();
    assert_eq!(owned.iter().filter(|owned| owned.running).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_driver_waits_for_is_told() {
    let world = World::start().await;
    world.fake.set_fates(|pod| {
        match pod.metadata.labels.as_ref().and_then(|it| it.get("lamplighter.dev/application")) {
            Some(id)
                if id.ends_with('0')
                    || id.ends_with('2')
                    || id.ends_with('4')
                    || id.ends_with('6')
                    || id.ends_with('8') =>
            {
                Fate::Unschedulable("0/1 nodes are available: 1 Insufficient cpu.".to_owned())
            }
            _ => Fate::Waits { reason: "ImagePullBackOff".to_owned(), message: "Back-off pulling image".to_owned() },
        }
    });
    let backend = world.backend();
    let mut codes = Vec::new();
    for order in [order(&["oom"]), order(&["oom"])] {
        backend.launch(order.clone()).await.unwrap();
        let waits =
            seen(&backend, &order.attempt, |seen| matches!(seen, Observation::Pending { waits_for: Some(_) })).await;
        let Observation::Pending { waits_for: Some(reason) } = waits else { panic!("{waits:?}") };
        codes.push(reason.code);
        backend.stop(&order.attempt, GRACE).await.unwrap();
        assert_eq!(seen(&backend, &order.attempt, is_over).await, Observation::NeverRan);
    }
    codes.sort();
    assert_eq!(codes, [ReasonCode::Unschedulable, ReasonCode::ImageUnavailable]);
    wait_until("no pod is left", || async { world.fake.objects("pods").is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_quota_is_waited_for() {
    let world = World::start().await;
    let backend = world.backend();
    world.fake.set_pod_quota(DRIVERS, Some(0));
    let (traces, given_up) = (world.traces(), world.traces());
    let (patient, hasty) = (order(&["run", &traces, "0"]), order(&["run", &given_up, "0"]));
    for order in [&patient, &hasty] {
        let launched = backend.launch(order.clone()).await.unwrap();
        let Observation::Pending { waits_for: Some(reason) } = launched else { panic!("{launched:?}") };
        assert_eq!(reason.code, ReasonCode::QuotaExceeded);
        assert!(reason.evidence.unwrap().contains("exceeded quota"));
    }
    assert_eq!(backend.stop(&hasty.attempt, GRACE).await.unwrap(), Observation::NeverRan);
    world.fake.set_pod_quota(DRIVERS, None);
    wait_until("it runs when there is room", || async { runs(&traces) == 1 }).await;
    assert!(exit_of(&seen(&backend, &patient.attempt, is_over).await).is_some());
    assert_eq!(backend.launch(hasty).await.unwrap(), Observation::NeverRan);
    assert_eq!(runs(&given_up), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_never_be_is_refused_with_its_reason() {
    let mut world = World::start().await;
    let refused = |answer: Result<Observation, BackendError>| match answer {
        Err(BackendError::Refused(why)) => why,
        other => panic!("it is refused, not {other:?}"),
    };
    let forbidden = order(&["oom"]);
    let backend = world.backend();
    world.fake.fail((Verb::Create, "pods"), 1, Fault::Status { code: 403, retry_after_seconds: None });
    refused(backend.launch(forbidden.clone()).await);
    assert_eq!(backend.stop(&forbidden.attempt, GRACE).await.unwrap(), Observation::NeverRan);

    let taken = order(&["oom"]);
    let foreign = serde_json::json!({
        "metadata": { "name": names::pod_name(taken.attempt.id) },
        "spec": { "containers": [{ "name": "x", "image": "x" }], "schedulingGates": [{ "name": "x/y" }] },
    });
    let client = kube::Client::try_from(kube::Config::new(world.fake.url().parse().unwrap())).unwrap();
    let pods = kube::Api::<k8s_openapi::api::core::v1::Pod>::namespaced(client, DRIVERS);
    pods.create(&kube::api::PostParams::default(), &serde_json::from_value(foreign).unwrap()).await.unwrap();
    assert!(refused(backend.launch(taken).await).contains("isn't this gateway's"));

    world.config.placements.default.as_mut().unwrap().namespace = "nowhere".to_owned();
    let backend = world.backend();
    assert!(refused(backend.launch(order(&["oom"])).await).contains("\"nowhere\" not found"));
    world.config.placements.default = None;
    let backend = world.backend();
    assert!(refused(backend.launch(order(&["oom"])).await).contains("no namespace for tenant default"));
    assert_eq!(OWN, world.config.namespace);
}
