//! The gateway on a real cluster, as its users meet it: jobs through every door, for tenants that don't see each other,
//! and kept over the gateway's own death.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::BufRead,
    time::{Duration, Instant},
};

use e2e::{BACKEND, Cluster, Namespace, Outside, Tenancy, User, until};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Pod, Secret, Service},
    networking::v1::NetworkPolicy,
};
use kube::{
    ResourceExt,
    api::{DeleteParams, ListParams, LogParams},
};
use serde_json::{Value, json};
use testkit::gateway::Client;

/// Several drivers start side by side on few cores.
const RUN_LIMIT: Duration = Duration::from_secs(180);
const JAVA_PI: &str = "local:///opt/spark/examples/jars/examples.jar";
const PYTHON_PI: &str = "local:///opt/spark/examples/src/main/python/pi.py";
/// Of everything as little as will do.
const SMALL: [(&str, &str); 4] = [
    ("spark.driver.memory", "512m"),
    ("spark.executor.memory", "512m"),
    ("spark.kubernetes.driver.request.cores", "0.1"),
    ("spark.kubernetes.executor.request.cores", "0.1"),
];

fn conf(more: &[(&str, &str)]) -> Value {
    SMALL
        .iter()
        .chain(more)
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn submit(client: &Client, body: &Value) -> String {
    let accepted = client.post("/api/v1/applications", &body.to_string()).unwrap();
    assert_eq!(accepted.status, 201, "{}", accepted.body);
    accepted.json().unwrap()["id"].as_str().unwrap().to_owned()
}

fn application(client: &Client, id: &str) -> Value {
    client.get(&format!("/api/v1/applications/{id}")).unwrap().json().unwrap()
}

async fn wait_for(client: &Client, id: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let mut seen = Value::Null;
    let what = format!("{id} {what}");
    let waited = until(&what, RUN_LIMIT, async || {
        seen = application(client, id);
        Ok(holds(&seen).then_some(()))
    });
    waited.await.map_err(|error| format!("{error:#}: {seen:#}")).unwrap();
    seen
}

async fn ended(client: &Client, id: &str) -> Value {
    wait_for(client, id, "to end", |seen| !seen["ended_at"].is_null()).await
}

fn log(client: &Client, id: &str) -> String {
    client.get_text(&format!("/api/v1/applications/{id}/logs")).unwrap().body
}

/// The driver's pod of an application.
async fn driver(namespace: &Namespace, id: &str) -> Pod {
    let of_application = ListParams::default().labels(&format!("lamplighter.dev/application={id}"));
    let mut pods = namespace.api::<Pod>().list(&of_application).await.unwrap().items;
    assert_eq!(pods.len(), 1, "{id} has one driver");
    pods.remove(0)
}

/// Everything of drivers and executors in a namespace, by kind and name.
async fn objects(namespace: &Namespace) -> Vec<String> {
    async fn names<K>(namespace: &Namespace, kind: &str) -> Vec<String>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + std::fmt::Debug,
        K: serde::de::DeserializeOwned,
        K::DynamicType: Default,
    {
        let found = namespace.api::<K>().list(&ListParams::default()).await.unwrap();
        let names = found.items.iter().map(ResourceExt::name_any);
        names.filter(|name| name.starts_with("spark-")).map(|name| format!("{kind} {name}")).collect()
    }
    [
        names::<Pod>(namespace, "pod").await,
        names::<Secret>(namespace, "secret").await,
        names::<ConfigMap>(namespace, "config map").await,
        names::<Service>(namespace, "service").await,
        names::<NetworkPolicy>(namespace, "network policy").await,
    ]
    .concat()
}

#[tokio::test]
async fn every_door_runs_jobs_that_only_their_owner_sees() {
    let Some(cluster) = Cluster::shared("every_door_runs_jobs_that_only_their_owner_sees").await else { return };
    let tenancy = Tenancy::start(&cluster).await.unwrap();
    let (ada, bob) = (tenancy.client(User::Ada), tenancy.client(User::Bob));
    let mut submit_line = vec!["submit", "--backend", BACKEND, "--spark", "3.5"];
    let small: Vec<String> = SMALL.iter().map(|(key, value)| format!("{key}={value}")).collect();
    submit_line.extend(small.iter().flat_map(|pair| ["--conf", pair]));
    submit_line.extend(["--conf", "spark.executor.instances=1", PYTHON_PI, "2"]);
    let typed = tenancy.command(User::Bob, &submit_line).unwrap().output();
    let typed = tokio::spawn(typed);

    let java = json!({ "file": JAVA_PI, "className": "examples.Pi", "args": ["2"], "conf": conf(&[("spark.executor.instances", "1")]) });
    let batch = ada.post("/batches", &java.to_string()).unwrap();
    assert_eq!(batch.status, 201, "{}", batch.body);
    let java = format!("batch-{}", batch.json().unwrap()["id"]);
    let python = json!({ "resource": PYTHON_PI, "args": ["2"], "spark": "4", "num_executors": 2, "conf": conf(&[]) });
    let python = submit(&ada, &python);

    for id in [&java, &python] {
        let application = ended(&ada, id).await;
        assert_eq!(
            (&application["state"], &application["exit_code"]),
            (&json!("succeeded"), &json!(0)),
            "{application:#}"
        );
        assert!(log(&ada, id).contains("Pi is roughly 3."), "{}", log(&ada, id));
        outlives_its_pod(&tenancy, &ada, id).await;
    }
    let registered = |executor: &str| {
        log(&ada, &python).lines().any(|line| line.contains("Registered executor") && line.contains(executor))
    };
    assert!(registered("ID 1,") && registered("ID 2,"), "{}", log(&ada, &python));
    assert_eq!(
        ada.get(&format!("/batches/{}/state", &java["batch-".len()..])).unwrap().json().unwrap()["state"],
        "success"
    );

    let typed = typed.await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&typed.stdout), String::from_utf8_lossy(&typed.stderr));
    assert_eq!(typed.status.code(), Some(0), "{out}{err}");
    assert!(out.contains("Pi is roughly 3."), "{out}{err}");

    sees_nothing_of(&bob, &[&java, &python]);
    is_recorded(&tenancy, &java);
    tenancy.end().await.unwrap();
}

/// The whole log stays when the pod is gone.
async fn outlives_its_pod(tenancy: &Tenancy, client: &Client, id: &str) {
    let pods = tenancy.research.api::<Pod>();
    let pod = driver(&tenancy.research, id).await.name_any();
    let printed = pods.logs(&pod, &LogParams::default()).await.unwrap();
    until("the log to be whole", RUN_LIMIT, async || Ok((log(client, id) == printed).then_some(()))).await.unwrap();
    pods.delete(&pod, &DeleteParams::default()).await.unwrap();
    until("the pod to be gone", RUN_LIMIT, async || Ok(pods.get_opt(&pod).await?.is_none().then_some(())))
        .await
        .unwrap();
    assert_eq!(log(client, id), printed);
    assert_eq!(application(client, id)["state"], "succeeded", "that the pod went changes nothing");
}

/// What belongs to another tenant isn't there for this one, whose own one application has succeeded.
fn sees_nothing_of(client: &Client, ids: &[&str]) {
    for id in ids {
        let number = &id["batch-".len()..];
        for path in [
            format!("/api/v1/applications/{id}"),
            format!("/api/v1/applications/{id}/logs"),
            format!("/batches/{number}"),
            format!("/batches/{number}/log"),
        ] {
            assert_eq!(client.get(&path).unwrap().status, 404, "{path}");
        }
        assert_eq!(client.post(&format!("/api/v1/applications/{id}/cancel"), "").unwrap().status, 404);
        assert_eq!(client.delete(&format!("/batches/{number}")).unwrap().status, 404);
    }
    let listed = client.get("/api/v1/applications").unwrap().json().unwrap();
    let owners: Vec<&Value> = listed["items"].as_array().unwrap().iter().map(|item| &item["owner"]).collect();
    assert_eq!(owners, ["bob"]);
    assert_eq!(client.get("/batches").unwrap().json().unwrap()["total"], 1);
    let (mut events, deadline) = (client.follow("/api/v1/events?after=0").unwrap().lines(), Instant::now() + RUN_LIMIT);
    loop {
        assert!(Instant::now() < deadline, "its own success is told");
        let line = events.next().unwrap().unwrap();
        let Some(event) = line.strip_prefix("data:").and_then(|data| serde_json::from_str::<Value>(data).ok()) else {
            continue;
        };
        if event["owner"].is_string() {
            assert_eq!(event["owner"], "bob", "{event}");
        }
        if event["state"] == "succeeded" {
            return;
        }
    }
}

/// The decisions about it are in the audit, which is for its readers alone.
fn is_recorded(tenancy: &Tenancy, foreign: &str) {
    assert_eq!(tenancy.client(User::Bob).get("/api/v1/audit").unwrap().status, 403);
    let records = tenancy.client(User::Olga).get("/api/v1/audit?limit=1000").unwrap().json().unwrap();
    let decided = |user: &str, object: &str, decision: &str| {
        let mut records = records["items"].as_array().unwrap().iter();
        records.any(|record| {
            record["user"] == user
                && record["decision"] == decision
                && record["object"].as_str().unwrap().contains(object)
        })
    };
    assert!(decided("ada", foreign, "allowed"), "{records:#}");
    assert!(decided("bob", foreign, "denied"), "{records:#}");
    assert!(!decided("ada", foreign, "denied"), "{records:#}");
}

#[tokio::test]
async fn a_dry_run_shows_the_objects_and_no_secret() {
    let Some(cluster) = Cluster::shared("a_dry_run_shows_the_objects_and_no_secret").await else { return };
    let tenancy = Tenancy::start(&cluster).await.unwrap();
    let secret = "spark.hadoop.fs.s3a.secret.key=hunter2";
    let line = ["submit", "--dry-run", "-o", "yaml", "--conf", secret, "--class", "examples.Pi", JAVA_PI, "2"];
    let shown = tenancy.command(User::Ada, &line).unwrap().output().await.unwrap();
    let text = [shown.stdout, shown.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(shown.status.success(), "{text}");
    for part in ["allowed: true", "kind: Pod", "kind: Secret", "kind: NetworkPolicy", tenancy.research.name()] {
        assert!(text.contains(part), "`{part}` is missing in\n{text}");
    }
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(objects(&tenancy.research).await, Vec::<String>::new());
    tenancy.end().await.unwrap();
}

#[tokio::test]
async fn a_killed_gateway_finds_out_how_its_drivers_ended_and_can_still_cancel() {
    let test = "a_killed_gateway_finds_out_how_its_drivers_ended_and_can_still_cancel";
    let Some(cluster) = Cluster::shared(test).await else { return };
    let Some(outside) = Outside::open(&cluster, test).unwrap() else { return };
    let mut tenancy = Tenancy::start(&cluster).await.unwrap();
    let program = outside.program("waits.py", include_str!("programs/waits.py"));
    let ada = tenancy.client(User::Ada);
    let start = |name: &str| {
        submit(
            &ada,
            &json!({ "resource": program, "args": [outside.url(), name, "7"], "spark": "4", "conf": conf(&[]) }),
        )
    };
    let (ends, cancelled) = (start("ends"), start("cancelled"));
    for id in [&ends, &cancelled] {
        wait_for(&ada, id, "to run", |seen| seen["state"] == "running").await;
    }
    until("both programs to begin", RUN_LIMIT, async || {
        Ok((outside.asked("began-ends") == 1 && outside.asked("began-cancelled") == 1).then_some(()))
    })
    .await
    .unwrap();

    tenancy.gateway.kill9().unwrap();
    outside.raise("go-ends");
    let pods = tenancy.research.api::<Pod>();
    let pod = driver(&tenancy.research, &ends).await.name_any();
    until("the driver to end without a gateway", RUN_LIMIT, async || {
        let phase = pods.get(&pod).await?.status.and_then(|status| status.phase);
        Ok((phase.as_deref() == Some("Failed")).then_some(()))
    })
    .await
    .unwrap();
    tenancy.gateway.restart().unwrap();

    let seen = ended(&ada, &ends).await;
    assert_eq!((&seen["state"], &seen["exit_code"]), (&json!("failed"), &json!(7)), "{seen:#}");
    assert_eq!(seen["attempts"].as_array().unwrap().len(), 1);
    until("the whole log", RUN_LIMIT, async || Ok(log(&ada, &ends).contains("over\n").then_some(()))).await.unwrap();
    assert_eq!(application(&ada, &cancelled)["state"], "running");

    assert_eq!(ada.post(&format!("/api/v1/applications/{cancelled}/cancel"), "").unwrap().status / 100, 2);
    let seen = ended(&ada, &cancelled).await;
    assert_eq!(seen["state"], "cancelled", "{seen:#}");
    assert_eq!((outside.asked("began-ends"), outside.asked("began-cancelled")), (1, 1), "each ran once");
    assert_eq!(ada.delete(&format!("/api/v1/applications/{ends}")).unwrap().status / 100, 2);
    until("everything on the cluster to go", RUN_LIMIT, async || {
        Ok(objects(&tenancy.research).await.is_empty().then_some(()))
    })
    .await
    .unwrap();
    tenancy.end().await.unwrap();
}
