//! The cluster itself: that the real spark-submit runs on it, and that its API server can be killed alone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use e2e::{BUSYBOX_IMAGE, Cluster, Line, Namespace, PodSecurity, Program, SparkSubmit, until};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use serde_json::json;

/// Runs `program` with two executors and checks how it ended.
async fn check(test: &str, line: Line, program: Program, said: &str) {
    let Some(cluster) = Cluster::shared(test).await else { return };
    let namespace = Namespace::create(&cluster, "plain", PodSecurity::Privileged).await.unwrap();
    let submission = SparkSubmit::new(line, "pi", program, &["2"]).run(&cluster, &namespace).await.unwrap();
    let (pod, log) = submission.driver(&namespace).await.unwrap();
    let phase = pod.status.and_then(|status| status.phase);
    assert_eq!(phase.as_deref(), Some("Succeeded"), "{}\n{log}", submission.said);
    assert!(submission.is_success && log.contains(said), "{log}");
    let executors =
        ["ID 1,", "ID 2,"].map(|id| log.lines().any(|line| line.contains("Registered executor") && line.contains(id)));
    assert_eq!(executors, [true, true], "{log}");
}

#[tokio::test]
async fn a_java_program_runs_on_spark_4() {
    check("a_java_program_runs_on_spark_4", Line::V4, Program::JavaPi, "Pi is roughly 3.").await;
}

#[tokio::test]
async fn a_python_program_runs_on_spark_3_5() {
    check("a_python_program_runs_on_spark_3_5", Line::V3_5, Program::PythonPi, "Pi is roughly 3.").await;
}

#[tokio::test]
async fn the_api_server_dies_alone_and_comes_back() {
    let test = "the_api_server_dies_alone_and_comes_back";
    let Some(mut cluster) = Cluster::alone(test).await else { return };
    let namespace = Namespace::create(&cluster, "api", PodSecurity::Restricted).await.unwrap();
    let sleeper = start_sleeper(&namespace).await;
    let pods = namespace.api::<Pod>();
    let before = pods.get(&sleeper).await.unwrap();

    cluster.stop_api_server().await.unwrap();
    assert!(pods.get(&sleeper).await.is_err());
    cluster.start_api_server().await.unwrap();

    assert!(cluster.is_ready().await.unwrap());
    let after = pods.get(&sleeper).await.unwrap();
    let containers = |pod: &Pod| pod.status.as_ref().unwrap().container_statuses.clone().unwrap();
    assert_eq!(containers(&before)[0].container_id, containers(&after)[0].container_id, "it went on running");
    namespace.delete().await.unwrap();

    cluster.stop_api_server().await.unwrap();
    drop(cluster);
    let mended = Cluster::shared(test).await.unwrap();
    assert!(mended.is_ready().await.unwrap(), "a test that ends early breaks nothing for the next");
}

#[tokio::test]
async fn drained_nodes_run_nothing_until_they_are_restored() {
    let Some(mut cluster) = Cluster::alone("drained_nodes_run_nothing_until_they_are_restored").await else { return };
    let namespace = Namespace::create(&cluster, "drain", PodSecurity::Restricted).await.unwrap();
    let pods = namespace.api::<Pod>();
    let drained = start_sleeper(&namespace).await;
    cluster.drain_nodes().await.unwrap();
    assert!(pods.get_opt(&drained).await.unwrap().is_none());
    cluster.restore_nodes().await.unwrap();
    start_sleeper(&namespace).await;
}

#[tokio::test]
async fn a_strict_namespace_refuses_a_pod_that_says_nothing() {
    let Some(cluster) = Cluster::shared("a_strict_namespace_refuses_a_pod_that_says_nothing").await else { return };
    let namespace = Namespace::create(&cluster, "strict", PodSecurity::Restricted).await.unwrap();
    let mut pod = sleeper();
    pod["spec"]["containers"][0].as_object_mut().unwrap().remove("securityContext");
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let refused = namespace.api().create(&PostParams::default(), &pod).await.unwrap_err();
    assert!(refused.to_string().contains("violates PodSecurity \"restricted:latest\""), "{refused}");
}

/// Starts a pod that waits to be ended, waits until it runs, and returns its name.
async fn start_sleeper(namespace: &Namespace) -> String {
    let pods = namespace.api::<Pod>();
    let pod: Pod = serde_json::from_value(sleeper()).unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();
    until("a pod to run", Duration::from_secs(60), async || {
        let status = pods.get("sleeper").await?.status;
        Ok(status.is_some_and(|status| status.phase.as_deref() == Some("Running")).then_some(()))
    })
    .await
    .unwrap();
    "sleeper".to_owned()
}

fn sleeper() -> serde_json::Value {
    json!({
        "metadata": {"name": "sleeper"},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "sleeper",
                "image": BUSYBOX_IMAGE,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                    "runAsNonRoot": true,
                    "runAsUser": 1000,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            }],
        },
    })
}
