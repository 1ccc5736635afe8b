//! Texts of every format that was ever written stay readable, and the newest is written as it was.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use model::id::{ApplicationKind, BackendName, Shard, SparkName, TenantName, UserName};
use model::state::ReasonCode;
use uuid::Uuid;

use super::*;

const SPEC: &str = include_str!("../fixtures/format-1-spec.json");
const STATUS: &str = include_str!("../fixtures/format-1-status.json");
const EVENT: &str = include_str!("../fixtures/format-1-event.json");

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + 1_000 * seconds)
}

fn spec() -> ApplicationSpec {
    let mut labels = Labels::default();
    labels.insert("team", "core").unwrap();
    labels.insert("nightly", "").unwrap();
    ApplicationSpec {
        name: Some("daily".into()),
        resource: "s3a://jobs/count.jar".into(),
        class_name: Some("org.example.Count".into()),
        args: vec!["--day".into(), "2026-11-21".into()],
        conf: SparkConf::from_entries([("spark.executor.memory", "2g"), ("spark.jars", "a.jar,b.jar")]).unwrap(),
        proxy_user: Some("etl".into()),
        spark: Some(SparkName::new("3.5").unwrap()),
        labels,
        external_id: Some("run 7".into()),
        limits: Limits {
            max_attempts: 3,
            run_timeout: Some(Duration::from_secs(3_600)),
            queue_timeout: Some(Duration::from_millis(500)),
        },
    }
}

fn owner() -> Owner {
    Owner { user: UserName::new("ada@example.org").unwrap(), tenant: TenantName::new("core").unwrap() }
}

fn reason() -> Reason {
    Reason::with_evidence(ReasonCode::ExitCode, "ValueError: 7")
}

fn application() -> Application {
    let id = |number: u128| AttemptId::new(Uuid::from_u128(0x0193_8f5e_7a00_7000_8000_0000_0000_0000 + number));
    let first = Attempt {
        started_at: Some(at(2)),
        ended_at: Some(at(3)),
        exit: Some(Exit::Signal(9)),
        reason: Some(Reason::new(ReasonCode::KilledBySignal)),
        ..Attempt::new(id(1), 1, "host/boot".into(), at(1))
    };
    let second = Attempt { exit: Some(Exit::Code(3)), ..Attempt::new(id(2), 2, "host/boot".into(), at(4)) };
    Application {
        id: ApplicationId::new(ApplicationKind::Batch, 12).unwrap(),
        spec: Arc::new(spec()),
        owner: owner(),
        retry_of: None,
        backend: BackendName::new("local").unwrap(),
        shard: Shard::new("local/here").unwrap(),
        state: State::Failed,
        reason: Some(reason()),
        wish: Wish::Run,
        attempts: vec![first, second],
        accepted_at: at(0),
        ready_at: at(0),
        ended_at: Some(at(9)),
        version: 8,
    }
}

fn event() -> Event {
    Event {
        id: EventId(5),
        at: at(9),
        application: ApplicationId::new(ApplicationKind::Batch, 12).unwrap(),
        owner: owner(),
        kind: EventKind::Wish(Wish::Cancel),
        state: State::Stopping,
        attempt: 2,
        reason: Some(reason()),
        exit_code: Some(3),
    }
}

#[test]
fn format_1_is_readable() {
    assert_eq!(*read_spec(SPEC).unwrap(), spec());
    let status = read_status(STATUS).unwrap();
    let Application { ready_at, ended_at, reason, attempts, .. } = application();
    assert_eq!(
        (status.ready_at, status.ended_at, status.reason, status.attempts),
        (ready_at, ended_at, reason, attempts)
    );
    assert_eq!(read_event(EventId(5), EVENT).unwrap(), event());
}

#[test]
fn format_1_is_what_is_written() {
    assert_eq!(write_spec(&spec()).unwrap(), SPEC.trim_end());
    assert_eq!(write_status(&application()).unwrap(), STATUS.trim_end());
    assert_eq!(write_event(&event()).unwrap(), EVENT.trim_end());
}

#[test]
fn what_was_left_out_has_a_default() {
    let spec = read_spec(r#"{"format":1,"resource":"a.py","conf":{},"max_attempts":1}"#).unwrap();
    assert_eq!((spec.args.len(), spec.labels.is_empty(), &spec.name), (0, true, &None));
    let status = read_status(r#"{"format":1,"ready_at":5}"#).unwrap();
    assert_eq!((status.attempts.len(), status.reason), (0, None));
}

#[test]
fn other_texts_are_told_apart() {
    let told = |text: &str| read_status(text).err().unwrap().to_string();
    let newer =
        "the store holds something unreadable: status: format 2 was written by a newer version; this one knows 1";
    assert_eq!(told(r#"{"format":2,"ready_at":"later"}"#), newer);
    for (text, part) in [("", "EOF"), ("{}", "missing field `format`"), (r#"{"format":1}"#, "missing field `ready_at`")]
    {
        assert!(told(text).contains(part), "{text}: {}", told(text));
    }
    let odd = r#"{"format":1,"ready_at":5,"reason":{"code":"bad_luck"}}"#;
    assert!(told(odd).contains("`bad_luck` is not a valid reason code"));
}
