//! What the engine decides, as a table, and what it can never decide, by generation.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use engine::backend::{Ended, Observation};
use engine::step::{Circumstances, Knowledge, Policy, Step, next_step};
use expect_test::{Expect, expect};
use model::application::{Application, Attempt, Wish};
use model::id::{ApplicationId, ApplicationKind, AttemptId, BackendName, Shard, TenantName, UserName};
use model::label::Labels;
use model::principal::Owner;
use model::spark_conf::SparkConf;
use model::spec::{ApplicationSpec, Limits};
use model::state::{Exit, Reason, ReasonCode, State};
use model::time::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_millis(100_000);

fn application(state: State, wish: Wish, limits: Limits) -> Application {
    let begun = state != State::Accepted;
    let attempt = Attempt::new(AttemptId::new(Uuid::from_u128(1)), 1, "here".into(), Timestamp::from_millis(90_000));
    Application {
        id: ApplicationId::new(ApplicationKind::Batch, 0).unwrap(),
        spec: Arc::new(ApplicationSpec {
            name: None,
            resource: "/job.py".into(),
            class_name: None,
            args: Vec::new(),
            conf: SparkConf::default(),
            proxy_user: None,
            spark: None,
            labels: Labels::default(),
            external_id: None,
            limits,
        }),
        owner: Owner { user: UserName::new("ann").unwrap(), tenant: TenantName::new("default").unwrap() },
        retry_of: None,
        backend: BackendName::new("local").unwrap(),
        shard: Shard::new("local").unwrap(),
        state,
        reason: (state == State::Stopping).then(|| Reason::new(ReasonCode::CancelledByUser)),
        wish,
        attempts: if begun { vec![attempt] } else { Vec::new() },
        accepted_at: Timestamp::from_millis(80_000),
        ready_at: Timestamp::from_millis(80_000),
        ended_at: None,
        version: 5,
    }
}

fn decide(application: &Application, knowledge: &Knowledge, has_place: bool) -> Step {
    let policy = Policy::default();
    let fresh_attempt = AttemptId::new(Uuid::from_u128(2));
    next_step(
        application,
        knowledge,
        &Circumstances { now: NOW, has_place, fresh_attempt, binding: "here", policy: &policy },
    )
}

fn seen(observation: Observation) -> Knowledge {
    Knowledge { observation: Some(observation), observed_at: NOW, ..Knowledge::default() }
}

fn exited(exit: Exit, stopped: bool) -> Observation {
    let started_at = Timestamp::from_millis(91_000);
    Observation::Exited(Ended { exit, started_at, at: NOW, stopped, cause: None, evidence: Some("last line".into()) })
}

fn pending(waits_for: Option<ReasonCode>) -> Observation {
    Observation::Pending { waits_for: waits_for.map(|code| Reason::with_evidence(code, "0/1 nodes are available")) }
}

fn lost() -> Observation {
    Observation::Lost { reason: ReasonCode::SupervisorLost, evidence: None }
}

/// One line that says what was decided.
fn show(step: &Step) -> String {
    match step {
        Step::Save(save) => {
            let next = &save.next;
            let reason = next.reason.as_ref().map_or(String::new(), |reason| format!(" because {}", reason.code));
            let ready =
                if next.ready_at > NOW { format!(", ready in {:?}", next.ready_at.since(NOW)) } else { String::new() };
            format!("save {}{reason}{ready}", next.state)
        }
        Step::Launch(order) => format!("launch attempt {}", order.number),
        Step::Rest { until } => format!("rest until {:?}", until.map(|at| at.since(NOW))),
        Step::Observe(_) => "observe".into(),
        Step::Stop { grace, .. } => format!("stop within {grace:?}"),
        other => format!("{other:?}"),
    }
}

fn check(application: &Application, knowledge: &Knowledge, expected: &Expect) {
    expected.assert_eq(&show(&decide(application, knowledge, true)));
}

#[test]
fn a_life_without_trouble() {
    let at = |state| application(state, Wish::Run, Limits::default());
    check(&at(State::Accepted), &Knowledge::default(), &expect!["save starting"]);
    check(&at(State::Starting), &Knowledge::default(), &expect!["launch attempt 1"]);
    check(&at(State::Starting), &seen(Observation::Running { since: NOW }), &expect!["save running"]);
    check(&at(State::Running), &seen(Observation::Running { since: NOW }), &expect!["rest until Some(60s)"]);
    check(&at(State::Running), &seen(exited(Exit::Code(0), false)), &expect!["save succeeded because completed"]);
    check(&at(State::Succeeded), &Knowledge::default(), &expect!["Done"]);
}

#[test]
fn after_a_restart_it_looks_first() {
    let at = |state| application(state, Wish::Run, Limits::default());
    check(&at(State::Running), &Knowledge::default(), &expect!["observe"]);
    check(&at(State::Running), &seen(Observation::Absent), &expect!["save failed because driver_lost"]);
    check(&at(State::Starting), &seen(lost()), &expect!["save failed because supervisor_lost"]);
    check(&at(State::Stopping), &Knowledge::default(), &expect!["stop within 10s"]);
}

#[test]
fn ends_tell_the_truth() {
    let at = |state| application(state, Wish::Run, Limits::default());
    check(&at(State::Running), &seen(exited(Exit::Code(3), false)), &expect!["save failed because exit_code"]);
    check(&at(State::Running), &seen(exited(Exit::Signal(9), false)), &expect!["save failed because killed_by_signal"]);
    let cancelled = application(State::Stopping, Wish::Cancel, Limits::default());
    check(&cancelled, &seen(exited(Exit::Signal(15), true)), &expect!["save cancelled because cancelled_by_user"]);
    check(&cancelled, &seen(exited(Exit::Code(0), false)), &expect!["save succeeded because completed"]);
    check(&cancelled, &seen(exited(Exit::Code(1), false)), &expect!["save failed because exit_code"]);
    check(&cancelled, &seen(Observation::NeverRan), &expect!["save cancelled because cancelled_by_user"]);
}

#[test]
fn only_losses_are_tried_again() {
    let thrice = Limits { max_attempts: 3, ..Limits::default() };
    let running = application(State::Running, Wish::Run, thrice);
    check(&running, &seen(lost()), &expect!["save accepted because supervisor_lost, ready in 5s"]);
    check(
        &running,
        &seen(exited(Exit::Signal(9), false)),
        &expect!["save accepted because killed_by_signal, ready in 15s"],
    );
    check(&running, &seen(exited(Exit::Code(1), false)), &expect!["save failed because exit_code"]);
    check(
        &application(State::Running, Wish::Cancel, thrice),
        &seen(lost()),
        &expect!["save failed because supervisor_lost"],
    );
}

#[test]
fn what_a_driver_waits_for_is_told_while_it_waits() {
    let mut waiting = application(State::Starting, Wish::Run, Limits::default());
    check(&waiting, &seen(pending(None)), &expect!["rest until Some(60s)"]);
    let unschedulable = seen(pending(Some(ReasonCode::Unschedulable)));
    check(&waiting, &unschedulable, &expect!["save starting because unschedulable"]);
    waiting.reason = Some(Reason::with_evidence(ReasonCode::Unschedulable, "0/1 nodes are available"));
    check(&waiting, &unschedulable, &expect!["rest until Some(60s)"]);
    check(&waiting, &seen(pending(None)), &expect!["save starting"]);
    check(&waiting, &seen(Observation::Running { since: NOW }), &expect!["save running"]);
    check(&waiting, &seen(exited(Exit::Code(0), false)), &expect!["save succeeded because completed"]);
}

#[test]
fn a_backend_may_know_more_than_the_exit_tells() {
    let running = application(State::Running, Wish::Run, Limits::default());
    let caused = |exit| {
        let Observation::Exited(ended) = exited(exit, false) else { return lost() };
        Observation::Exited(Ended { cause: Some(ReasonCode::OutOfMemory), ..ended })
    };
    check(&running, &seen(caused(Exit::Code(137))), &expect!["save failed because out_of_memory"]);
    check(&running, &seen(caused(Exit::Code(0))), &expect!["save succeeded because completed"]);
}

#[test]
fn wishes_and_limits_end_it() {
    check(
        &application(State::Accepted, Wish::Cancel, Limits::default()),
        &Knowledge::default(),
        &expect!["save cancelled because cancelled_by_user"],
    );
    check(
        &application(State::Starting, Wish::Delete, Limits::default()),
        &Knowledge::default(),
        &expect!["save stopping because deleted_by_user"],
    );
    let hurried = Limits { queue_timeout: Some(Duration::from_secs(10)), ..Limits::default() };
    check(
        &application(State::Accepted, Wish::Run, hurried),
        &Knowledge::default(),
        &expect!["save failed because queue_timeout"],
    );
    let mut long = application(
        State::Running,
        Wish::Run,
        Limits { run_timeout: Some(Duration::from_secs(5)), ..Limits::default() },
    );
    long.attempts[0].started_at = Some(Timestamp::from_millis(92_000));
    check(&long, &seen(Observation::Running { since: NOW }), &expect!["save stopping because run_timeout"]);
    check(
        &application(State::Cancelled, Wish::Delete, Limits::default()),
        &Knowledge::default(),
        &expect![[
            r#"Discard(AttemptRef { id: AttemptId(00000000-0000-0000-0000-000000000001), application: ApplicationId { kind: Batch, number: 0 }, binding: "here" })"#
        ]],
    );
    check(
        &application(State::Cancelled, Wish::Delete, Limits::default()),
        &Knowledge { discarded: 1, ..Knowledge::default() },
        &expect!["Remove"],
    );
}

fn any_observation() -> impl Strategy<Value = Observation> {
    prop_oneof![
        Just(Observation::Absent),
        Just(pending(None)),
        Just(pending(Some(ReasonCode::Unschedulable))),
        Just(Observation::Running { since: NOW }),
        Just(Observation::NeverRan),
        Just(lost()),
        (any::<i32>(), any::<bool>()).prop_map(|(code, stopped)| exited(Exit::Code(code), stopped)),
        (1..65_i32, any::<bool>()).prop_map(|(signal, stopped)| exited(Exit::Signal(signal), stopped)),
    ]
}

prop_compose! {
    fn any_situation()(
        state in proptest::sample::select(State::ALL.to_vec()),
        wish in proptest::sample::select(vec![Wish::Run, Wish::Cancel, Wish::Delete]),
        max_attempts in 1..4_u32,
        run_timeout in proptest::option::of((0..20_000_u64).prop_map(Duration::from_millis)),
        queue_timeout in proptest::option::of((0..40_000_u64).prop_map(Duration::from_millis)),
        observation in proptest::option::of(any_observation()),
        refused in proptest::option::of("[a-z]{0,8}"),
        has_place in any::<bool>(),
    ) -> (Application, Knowledge, bool) {
        let application = application(state, wish, Limits { max_attempts, run_timeout, queue_timeout });
        (application, Knowledge { observation, refused, observed_at: NOW, ..Knowledge::default() }, has_place)
    }
}

proptest! {
    /// Whatever is stored and seen: changes are legal, one version up, ends have reasons that fit, and nothing is
    /// launched without a stored intent.
    #[test]
    fn decisions_keep_the_law((application, knowledge, has_place) in any_situation()) {
        let step = decide(&application, &knowledge, has_place);
        prop_assert_eq!(&step, &decide(&application, &knowledge, has_place), "a decision depends on nothing else");
        match step {
            Step::Save(save) => {
                let next = save.next;
                if next.state == application.state {
                    // What it waits for is news too, and nothing else about it changed.
                    let waits = matches!(knowledge.observation, Some(Observation::Pending { .. }));
                    prop_assert!(waits && next.state == State::Starting, "{} saved as it was", next.state);
                    prop_assert_ne!(&next.reason, &application.reason);
                    prop_assert_eq!(&next.attempts, &application.attempts);
                } else {
                    prop_assert!(application.state.may_become(next.state), "{} to {}", application.state, next.state);
                }
                prop_assert_eq!(next.version, application.version + 1);
                prop_assert_eq!(next.wish, application.wish);
                if next.state.is_terminal() {
                    prop_assert_eq!(next.reason.as_ref().map(|reason| reason.code.terminal_state()), Some(next.state));
                    prop_assert!(next.ended_at.is_some());
                }
                prop_assert!(next.attempts.len() <= next.spec.limits.max_attempts as usize);
            }
            Step::Launch(order) => {
                prop_assert_eq!(application.state, State::Starting);
                prop_assert_eq!(Some(order.attempt.id), application.current_attempt().map(|attempt| attempt.id));
            }
            Step::Stop { .. } => {
                let refused = application.state == State::Starting && knowledge.refused.is_some();
                prop_assert!(refused || application.state == State::Stopping);
            }
            Step::Discard(_) | Step::Remove => prop_assert!(application.state.is_terminal() && application.wish == Wish::Delete),
            Step::AwaitPlace { .. } => prop_assert!(!has_place),
            Step::Rest { .. } | Step::Observe(_) | Step::Done => {}
        }
    }
}
