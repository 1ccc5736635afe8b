//! What `POST /batches` makes of bodies nobody recorded.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use livy::create::{CreateBatch, Rules, parse, to_conf, validate};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

fn refusal(body: &Value, rules: &Rules) -> String {
    let checked = parse(body.to_string().as_bytes()).and_then(|batch| validate(&batch, rules));
    checked.map_or_else(|rejection| rejection.to_string(), |()| "fine".to_owned())
}

#[test]
fn local_files_stay_in_the_allowed_folders() {
    let rules = Rules { local_dir_allow_list: Some(vec![PathBuf::from("/ok/")]), ..Rules::default() };
    let check = |body: Value, expected: &str| {
        let refused = refusal(&body, &rules);
        let shown = refused.strip_prefix("400 Rejected, Reason: requirement failed: ").unwrap_or(&refused);
        assert_eq!(shown, expected, "{body}");
    };
    let outside = |path: &str| format!("Local path {path} cannot be added to user sessions.");
    check(json!({"file": "/ok/a.py"}), "fine");
    check(json!({"file": "file:///ok/a/../b.py"}), "fine");
    check(json!({"file": "hdfs://host/etc/passwd"}), "fine");
    check(json!({"file": "/okay/a.py"}), &outside("/okay/a.py"));
    check(json!({"file": "/ok/%2e%2e/etc/x"}), &outside("/ok/../etc/x"));
    check(json!({"file": "/ok/a?/../../etc/x"}), &outside("/ok/a"));
    check(json!({"file": "FILE:/etc/x"}), &outside("/etc/x"));
    check(json!({"file": "local:///etc/x"}), &outside("/etc/x"));
    check(json!({"file": "file:x.py"}), "Path 'x.py' is not absolute.");
    check(json!({"file": "/ok/a.py", "jars": ["/ok/a.jar,/etc/x"]}), &outside("/etc/x"));
    check(json!({"file": "/ok/a.py", "jars": ["", "/ok/a.jar"]}), "fine");
    check(json!({"file": "/ok/a.py", "conf": {"spark.yarn.dist.files": "/ok/a /etc/x"}}), &outside("/etc/x"));
    check(json!({"file": "/ok/a.py", "conf": {"spark.submit.pyFiles": "/ok/a.py"}}), "fine");
    check(json!({"conf": {"spark.jars": "/etc/x"}}), &outside("/etc/x"));
}

#[test]
fn rules_can_limit_schemes() {
    let schemes = |allowed: Option<&[&str]>| Rules {
        file_schemes: allowed.map(|list| list.iter().map(|scheme| (*scheme).to_owned()).collect()),
        ..Rules::default()
    };
    let body = json!({"file": "S3A://bucket/x.py"});
    assert_eq!(refusal(&body, &schemes(None)), "fine");
    assert_eq!(refusal(&body, &schemes(Some(&["s3a"]))), "fine");
    assert!(refusal(&body, &schemes(Some(&["hdfs"]))).contains("Scheme 's3a' is not allowed"));
    assert_eq!(refusal(&json!({"file": "/a.py"}), &schemes(Some(&[]))), "fine");
}

#[test]
fn a_later_value_repairs_an_earlier_one() {
    let batch = parse(br#"{"args":null,"args":["a"],"driverCores":"x","driverCores":"2"}"#).unwrap();
    assert_eq!((batch.args, batch.driver_cores), (vec!["a".to_owned()], Some(2)));
    let refused = parse(br#"{"args":[null],"unknown":1}"#).unwrap_err();
    assert!(refused.to_string().contains("Unrecognized field"), "{refused}");
}

#[test]
fn fields_override_the_conf() {
    let batch = parse(
        br#"{"file":"/a.py","name":"n","driverMemory":"1g","driverCores":2,"executorMemory":"2g","executorCores":3,
            "numExecutors":4,"queue":"q","jars":["/1.jar","/2.jar"],"pyFiles":["/a.py"],"files":[],"archives":["/z#a"],
            "conf":{"spark.master":"local","spark.driver.memory":"9g","spark.jars":"/3.jar, /4.jar","spark.x":null,
            "spark.files":"/f","spark.ui.enabled":false}}"#,
    )
    .unwrap();
    let expected = [
        ("spark.app.name", "n"),
        ("spark.archives", "/z#a"),
        ("spark.driver.cores", "2"),
        ("spark.driver.memory", "1g"),
        ("spark.executor.cores", "3"),
        ("spark.executor.instances", "4"),
        ("spark.executor.memory", "2g"),
        ("spark.files", "/f"),
        ("spark.jars", "/1.jar,/2.jar,/3.jar,/4.jar"),
        ("spark.submit.pyFiles", "/a.py"),
        ("spark.ui.enabled", "false"),
        ("spark.yarn.queue", "q"),
    ];
    let conf = to_conf(&batch);
    assert_eq!(conf.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect::<Vec<_>>(), expected);
}

/// A batch with anything in it, beside the body that says so.
fn any_batch() -> impl Strategy<Value = CreateBatch> {
    let text = || proptest::option::of(any::<String>());
    let list = || vec(any::<String>(), 0..4);
    let number = || proptest::option::of(any::<i32>());
    let texts = (text(), text(), text(), text(), text(), text(), text());
    let lists = (list(), list(), list(), list(), list());
    let numbers = (number(), number(), number());
    let conf = vec((any::<String>(), text()), 0..4);
    (texts, lists, numbers, conf).prop_map(|(texts, lists, numbers, conf)| CreateBatch {
        file: texts.0,
        proxy_user: texts.1,
        class_name: texts.2,
        driver_memory: texts.3,
        executor_memory: texts.4,
        queue: texts.5,
        name: texts.6,
        args: lists.0,
        jars: lists.1,
        py_files: lists.2,
        files: lists.3,
        archives: lists.4,
        driver_cores: numbers.0,
        executor_cores: numbers.1,
        num_executors: numbers.2,
        conf: conf.into_iter().collect(),
    })
}

fn body_of(batch: &CreateBatch) -> Value {
    json!({
        "file": batch.file, "proxyUser": batch.proxy_user, "className": batch.class_name, "args": batch.args,
        "jars": batch.jars, "pyFiles": batch.py_files, "files": batch.files, "archives": batch.archives,
        "driverMemory": batch.driver_memory, "driverCores": batch.driver_cores,
        "executorMemory": batch.executor_memory, "executorCores": batch.executor_cores,
        "numExecutors": batch.num_executors, "queue": batch.queue, "name": batch.name, "conf": batch.conf,
    })
}

proptest! {
    #[test]
    fn whatever_serde_writes_is_read_alike(batch in any_batch(), pretty: bool) {
        let body = body_of(&batch);
        let written = if pretty { format!("{body:#}") } else { body.to_string() };
        prop_assert_eq!(parse(written.as_bytes()), Ok(batch));
    }

    #[test]
    fn any_bytes_are_read_or_refused_with_400(body in vec(any::<u8>(), 0..300)) {
        if let Err(rejection) = parse(&body) {
            prop_assert_eq!(rejection.status, 400);
        }
    }

    #[test]
    fn any_object_is_read_or_refused_with_400(
        body in concat!(
            r#"\{("(file|args|conf|driverCores|x)":"#,
            r#"(null|[0-9]{1,12}|"[a-z/]{0,4}"|\[("a",?)*\]|\{("k":"v")?\}),?){0,4}\}"#,
        ),
    ) {
        let checked = parse(body.as_bytes()).and_then(|batch| validate(&batch, &Rules::default()));
        if let Err(rejection) = checked {
            prop_assert_eq!(rejection.status, 400);
        }
    }

    #[test]
    fn any_batch_is_judged_and_mapped(batch in any_batch()) {
        let rules = Rules { local_dir_allow_list: Some(vec![PathBuf::from("/a")]), ..Rules::default() };
        let _ = validate(&batch, &rules);
        prop_assert!(!to_conf(&batch).contains_key("spark.master"));
    }
}
