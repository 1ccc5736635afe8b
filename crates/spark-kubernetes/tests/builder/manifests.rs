//! Whole objects as they go to a cluster; `UPDATE_EXPECT=1` refreshes `golden/`.

use std::collections::BTreeMap;

use expect_test::{ExpectFile, expect_file};
use model::spec::ApplicationSpec;
use spark_kubernetes::{EventLog, EventLogClaim, Placement};

use crate::support::{java, objects, placement, python};

fn check(spec: &ApplicationSpec, placement: &Placement, expected: &ExpectFile) {
    let shown = serde_json::to_string_pretty(&objects(spec, placement).unwrap().redacted()).unwrap();
    expected.assert_eq(&(shown + "\n"));
}

#[test]
fn a_small_java_program() {
    let spec = java("spark.executor.instances 2");
    check(&spec, &placement("4.1"), &expect_file!["golden/java.json"]);
}

#[test]
fn a_python_program_with_secrets_on_a_rich_placement() {
    let spec = python(
        "spark.hadoop.fs.s3a.secret.key shh
         spark.kubernetes.driverEnv.DB_PASSWORD shh
         spark.executorEnv.DB_PASSWORD shh
         spark.executorEnv.STAGE test",
    );
    let claim = EventLogClaim { name: "history".to_owned(), mount_path: "/event-logs".to_owned() };
    let placement = Placement {
        image_pull_secrets: vec!["registry".to_owned()],
        event_log: Some(EventLog { dir: "file:///event-logs".to_owned(), claim: Some(claim) }),
        node_selector: BTreeMap::from([("pool".to_owned(), "spark".to_owned())]),
        tolerations: vec![serde_json::from_str(r#"{"key": "spark", "operator": "Exists"}"#).unwrap()],
        priority_class: Some("batch".to_owned()),
        ..placement("3.5")
    };
    check(&spec, &placement, &expect_file!["golden/python.json"]);
}
