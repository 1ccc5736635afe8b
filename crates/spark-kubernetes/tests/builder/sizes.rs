//! How large drivers are, and what differs between the lines of Spark.

use expect_test::{Expect, expect};
use model::spec::ApplicationSpec;
use serde_json::Value;
use spark_kubernetes::version::{Feature, SparkVersion};

use crate::support::{java, json, objects, placement, python};

/// A spark, an application, its memory and CPUs.
fn check(cases: &[(&str, ApplicationSpec)], expected: &Expect) {
    let shown: String = cases
        .iter()
        .map(|(spark, spec)| {
            let pod = json(&objects(spec, &placement(spark)).unwrap().pod);
            let resources = &pod["spec"]["containers"][0]["resources"];
            let asked: Vec<String> = spec.conf.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let file = spec.resource.rsplit('/').next().unwrap();
            format!("{spark} {file} {}: {} {}\n", asked.join(" "), resources["requests"], resources["limits"])
        })
        .collect();
    expected.assert_eq(&shown);
}

#[test]
fn memory_is_heap_and_overhead() {
    check(
        &[
            ("3.5", java("")),
            ("3.5", python("")),
            ("3.5", java("spark.driver.memory 4g")),
            ("3.5", java("spark.driver.memory 2048\nspark.driver.memoryOverhead 1g")),
            ("3.5", java("spark.driver.memory 8g\nspark.driver.memoryOverheadFactor 0.25")),
            ("3.5", python("spark.driver.memory 8g\nspark.kubernetes.memoryOverheadFactor 0.1")),
            ("3.5", java("spark.driver.minMemoryOverhead 1g")),
            ("4.0", java("spark.driver.minMemoryOverhead 1g")),
            ("4.0", java("spark.driver.cores 3\nspark.kubernetes.driver.limit.cores 4")),
            ("4.0", java("spark.driver.cores 3\nspark.kubernetes.driver.request.cores 0.5")),
        ],
        &expect![[r#"
            3.5 spark-examples.jar : {"cpu":"1","memory":"1408Mi"} {"memory":"1408Mi"}
            3.5 pi.py : {"cpu":"1","memory":"1433Mi"} {"memory":"1433Mi"}
            3.5 spark-examples.jar spark.driver.memory=4g: {"cpu":"1","memory":"4505Mi"} {"memory":"4505Mi"}
            3.5 spark-examples.jar spark.driver.memory=2048 spark.driver.memoryOverhead=1g: {"cpu":"1","memory":"3072Mi"} {"memory":"3072Mi"}
            3.5 spark-examples.jar spark.driver.memory=8g spark.driver.memoryOverheadFactor=0.25: {"cpu":"1","memory":"10240Mi"} {"memory":"10240Mi"}
            3.5 pi.py spark.driver.memory=8g spark.kubernetes.memoryOverheadFactor=0.1: {"cpu":"1","memory":"9011Mi"} {"memory":"9011Mi"}
            3.5 spark-examples.jar spark.driver.minMemoryOverhead=1g: {"cpu":"1","memory":"1408Mi"} {"memory":"1408Mi"}
            4.0 spark-examples.jar spark.driver.minMemoryOverhead=1g: {"cpu":"1","memory":"2048Mi"} {"memory":"2048Mi"}
            4.0 spark-examples.jar spark.driver.cores=3 spark.kubernetes.driver.limit.cores=4: {"cpu":"3","memory":"1408Mi"} {"cpu":"4","memory":"1408Mi"}
            4.0 spark-examples.jar spark.driver.cores=3 spark.kubernetes.driver.request.cores=0.5: {"cpu":"0.5","memory":"1408Mi"} {"memory":"1408Mi"}
        "#]],
    );
}

#[test]
fn features_by_line() {
    let lines = ["3.3", "3.4", "3.5", "4.0", "4.1", "4.2", "4.3", "5.0"];
    let shown: String = Feature::ALL
        .iter()
        .map(|feature| {
            let has = |line: &&&str| line.parse::<SparkVersion>().unwrap().has(*feature);
            let with: Vec<&str> = lines.iter().filter(has).copied().collect();
            format!("{feature:?}: {}\n", with.join(" "))
        })
        .collect();
    expect![[r#"
        ServiceIpFamilies: 3.4 3.5 4.0 4.1 4.2 4.3 5.0
        MinMemoryOverhead: 4.0 4.1 4.2 4.3 5.0
        ConnectPort: 4.1 4.2 4.3 5.0
        ConnectProtocol: 4.2 4.3 5.0
        PublishNotReadyAddresses: 4.3 5.0
    "#]]
    .assert_eq(&shown);
}

#[test]
fn a_spark_is_what_its_name_says_or_else_the_newest() {
    let version = |spark: &str| {
        let pod = json(&objects(&java(""), &placement(spark)).unwrap().pod);
        pod["metadata"]["labels"]["spark-version"].as_str().unwrap().to_owned()
    };
    let shown: Vec<String> = ["3.5", "3.5.9", "4.1.4-java21", "3", "4", "nightly", "9.1"].map(version).into();
    expect!["3.5 3.5 4.1 3.5 4.3 4.3 9.1"].assert_eq(&shown.join(" "));
}

/// The fields of pod and service that depend on the line of Spark.
#[test]
fn objects_by_line() {
    let shown = |spark: &str| {
        let objects = objects(&java(""), &placement(spark)).unwrap();
        let (pod, service) = (json(&objects.pod), json(&objects.service));
        let names = |ports: &Value| ports.as_array().unwrap().iter().map(|port| port["name"].to_string()).collect();
        let ports: Vec<String> = names(&pod["spec"]["containers"][0]["ports"]);
        let spec = &service["spec"];
        let grpc = &spec["ports"][3]["appProtocol"];
        format!("{spark} {} {} {grpc} {}\n", ports.len(), spec["ipFamilies"], spec["publishNotReadyAddresses"])
    };
    let all: String = ["3.3", "3.4", "3.5", "4.0", "4.1", "4.2", "4.3", "nightly"].map(shown).concat();
    expect![[r#"
        3.3 3 null null null
        3.4 3 ["IPv4"] null null
        3.5 3 ["IPv4"] null null
        4.0 3 ["IPv4"] null null
        4.1 4 ["IPv4"] null null
        4.2 4 ["IPv4"] "grpc" null
        4.3 4 ["IPv4"] "grpc" false
        nightly 4 ["IPv4"] "grpc" false
    "#]]
    .assert_eq(&all);
}
