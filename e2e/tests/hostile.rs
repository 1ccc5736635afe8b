//! Submitters and drivers that mean harm, on a real cluster: what each attempt fails of.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, time::Duration};

use e2e::{Cluster, Namespace, Outside, Tenancy, User, until};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{ResourceExt, api::ListParams};
use serde_json::{Value, json};
use testkit::gateway::Client;

const RUN_LIMIT: Duration = Duration::from_secs(180);
const PYTHON_PI: &str = "local:///opt/spark/examples/src/main/python/pi.py";

/// What conf may not ask for, and the rule that says so.
const REFUSED: [(&str, &str, &str); 12] = [
    ("spark.kubernetes.namespace", "kube-system", "kubernetes-namespaces"),
    ("spark.kubernetes.authenticate.driver.serviceAccountName", "spark", "kubernetes-service-accounts"),
    ("spark.kubernetes.container.image", "evil.example/spark:4", "kubernetes-images"),
    ("spark.kubernetes.executor.container.image", "lamplighter.test/busybox:1", "kubernetes-images"),
    ("spark.kubernetes.driver.volumes.hostPath.node.mount.path", "/node", "kubernetes-host-path"),
    ("spark.kubernetes.driver.podTemplateFile", "http://evil.example/pod.yaml", "kubernetes-pod-template"),
    ("spark.kubernetes.driver.secretKeyRef.PASSWORD", "neighbour:password", "kubernetes-secrets"),
    ("spark.kubernetes.executor.secrets.neighbour", "/stolen", "kubernetes-secrets"),
    ("spark.kubernetes.driver.pod.name", "somebody-elses", "kubernetes-names"),
    ("spark.kubernetes.driver.master", "https://evil.example", "kubernetes-credentials"),
    ("spark.kubernetes.driver.label.lamplighter.dev/application", "batch-0", "kubernetes-labels"),
    ("spark.kubernetes.whatIsThis", "x", "kubernetes-unknown"),
];

/// What the code of a driver tries: the status that it has to get, and words of the reason.
const TRIED: [(&str, u16, &str); 31] = [
    ("a pod as an executor's", 201, ""),
    ("a path of the node", 403, "hostPath"),
    ("the node's network", 403, "host namespaces"),
    ("the node's processes", 403, "host namespaces"),
    ("privilege", 403, "SYS_ADMIN"),
    ("another service account", 403, "must not use a service account other than its driver's"),
    ("a token", 403, "must not have a service account's token"),
    ("another image", 403, "uses an image that is not allowed here"),
    ("a neighbour's Secret, mounted", 403, "may only mount"),
    ("a neighbour's Secret, as a variable", 403, "must not read a Secret other than its driver's"),
    ("a neighbour's application", 403, "must carry the application id of the driver"),
    ("a pod of the gateway's labels", 403, "must not carry labels of the gateway"),
    ("a pod of another name", 403, "must be named as an executor of its driver"),
    ("a pod that stays", 403, "must be owned by its driver"),
    ("all Secrets", 403, "cannot list resource \"secrets\""),
    ("a neighbour's Secret", 403, "cannot get resource \"secrets\""),
    ("a neighbour's log", 403, "cannot get resource \"pods/log\""),
    ("a command in a neighbour", 403, "cannot create resource \"pods/exec\""),
    ("a neighbour's end", 403, "belongs to another application"),
    ("a neighbour's label", 403, "belongs to another application"),
    ("labels of the gateway", 403, "must keep the labels of the gateway"),
    ("another account's token", 403, "cannot create resource \"serviceaccounts/token\""),
    ("more rights", 403, "cannot create resource \"rolebindings\""),
    ("a laxer namespace", 403, "cannot patch resource \"namespaces\""),
    ("another tenant's pods", 403, "cannot list resource \"pods\""),
    ("the gateway's own records", 403, "cannot list resource \"configmaps\""),
    ("the gateway without a token", 401, ""),
    ("the gateway with a guessed token", 401, ""),
    ("the gateway with the driver's token", 401, ""),
    ("a job for somebody else", 401, ""),
    ("a token in an executor", 404, ""),
];

#[tokio::test]
async fn what_conf_may_not_ask_for_is_refused_by_name_and_recorded() {
    let Some(cluster) = Cluster::shared("what_conf_may_not_ask_for_is_refused_by_name_and_recorded").await else {
        return;
    };
    let tenancy = Tenancy::start(&cluster).await.unwrap();
    let ada = tenancy.client(User::Ada);
    let conf: BTreeMap<&str, &str> = REFUSED.iter().map(|&(key, value, _)| (key, value)).collect();

    let refused = ada
        .post("/api/v1/applications", &json!({ "resource": PYTHON_PI, "conf": conf, "proxy_user": "bob" }).to_string());
    let refused = refused.unwrap();
    assert_eq!(refused.status, 403, "{}", refused.body);
    let refused = refused.json().unwrap();
    let errors: Vec<String> = refused["errors"].as_array().unwrap().iter().map(Value::to_string).collect();
    for (key, _, rule) in REFUSED {
        let pointer = key.replace('/', "~1");
        let named = |error: &String| error.contains(&pointer) && error.contains(&format!("built-in.{rule})"));
        assert!(errors.iter().any(named), "{key} {rule}: {errors:#?}");
    }
    assert!(errors.iter().any(|error| error.contains("proxy_user")), "{errors:#?}");
    let livy = ada.post("/batches", &json!({ "file": PYTHON_PI, "conf": conf }).to_string()).unwrap();
    assert!((400..500).contains(&livy.status), "{}", livy.body);

    let records = tenancy.client(User::Olga).get("/api/v1/audit?decision=refused").unwrap().json().unwrap();
    let records = records["items"].as_array().unwrap();
    assert_eq!(records.len(), 2, "{records:#?}");
    for (record, (key, _, rule)) in
        records.iter().flat_map(|record| REFUSED.iter().map(move |refused| (record, refused)))
    {
        let rules = record["rules"].as_array().unwrap();
        assert!(rules.contains(&json!(format!("built-in.{rule}: {key}"))), "{record:#}");
        assert_eq!(record["user"], "ada");
    }
    let pods = tenancy.research.api::<Pod>().list(&ListParams::default()).await.unwrap();
    assert_eq!(pods.items.len(), 0);
    tenancy.end().await.unwrap();
}

#[tokio::test]
async fn the_code_of_a_driver_gets_nowhere() {
    let test = "the_code_of_a_driver_gets_nowhere";
    let Some(cluster) = Cluster::shared(test).await else { return };
    let Some(outside) = Outside::open(&cluster, test).unwrap() else { return };
    let tenancy = Tenancy::start(&cluster).await.unwrap();
    let neighbour = start_neighbour(&tenancy).await;
    let others = json!({
        "gateway": format!("http://{}", outside.way_to(port(&tenancy)).unwrap()),
        "neighbour": neighbour,
        "secret": neighbour.replace("-driver", "-conf"),
        "tenant": tenancy.sales.name(),
        "home": tenancy.home.name(),
    });
    assert!(secret_names(&tenancy.research).await.contains(&others["secret"].as_str().unwrap().to_owned()));

    let ada = tenancy.client(User::Ada);
    let program = outside.program("hostile.py", include_str!("programs/hostile.py"));
    let id = submit(
        &ada,
        &json!({
            "resource": program, "args": [others.to_string()], "spark": "4", "num_executors": 1,
            "driver_memory": "512m", "executor_memory": "512m", "conf": small(),
        }),
    );
    let mut application = Value::Null;
    until("the hostile job to end", RUN_LIMIT, async || {
        application = ada.get(&format!("/api/v1/applications/{id}"))?.json()?;
        Ok((!application["ended_at"].is_null()).then_some(()))
    })
    .await
    .unwrap();
    let logs = format!("/api/v1/applications/{id}/logs?stream=stdout");
    until("its log", RUN_LIMIT, async || {
        Ok(ada.get_text(&logs)?.body.contains(TRIED[TRIED.len() - 1].0).then_some(()))
    })
    .await
    .map_err(|error| format!("{error:#}: {application:#}\n{}", ada.get_text(&logs).unwrap().body))
    .unwrap();
    check(&ada.get_text(&logs).unwrap().body);

    assert!(tenancy.research.api::<Pod>().get_opt(&neighbour).await.unwrap().is_some());
    assert_eq!(ada.delete(&format!("/api/v1/applications/{id}")).unwrap().status / 100, 2);
    until("the pod that it made to go with it", RUN_LIMIT, async || {
        let pods = tenancy.research.api::<Pod>().list(&ListParams::default()).await?;
        Ok((pods.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>() == [neighbour.clone()]).then_some(()))
    })
    .await
    .unwrap();
    tenancy.end().await.unwrap();
}

/// Every attempt was made, and answered as it has to be.
fn check(log: &str) {
    let answers: Vec<(String, u16, String)> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let names: Vec<&str> = answers.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, TRIED.map(|(name, ..)| name), "{log}");
    let wrong: Vec<_> = answers
        .iter()
        .zip(TRIED)
        .filter(|((_, status, said), (_, expected, words))| status != expected || !said.contains(words))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A driver of the same tenant's other user, which waits for a node that there isn't.
async fn start_neighbour(tenancy: &Tenancy) -> String {
    let mut conf = small();
    conf["spark.kubernetes.driver.request.cores"] = json!("1000");
    conf["spark.hadoop.fs.s3a.secret.key"] = json!("hunter2");
    submit(&tenancy.client(User::Carol), &json!({ "resource": PYTHON_PI, "conf": conf }));
    let pods = tenancy.research.api::<Pod>();
    until("the neighbour's pod", RUN_LIMIT, async || {
        let found = pods.list(&ListParams::default()).await?.items;
        // Its dependents exist when the gate is gone.
        let open =
            |pod: &&Pod| pod.spec.as_ref().is_some_and(|spec| spec.scheduling_gates.iter().flatten().count() == 0);
        Ok(found.iter().find(open).map(ResourceExt::name_any))
    })
    .await
    .unwrap()
}

fn small() -> Value {
    json!({ "spark.kubernetes.driver.request.cores": "0.1", "spark.kubernetes.executor.request.cores": "0.1" })
}

fn submit(client: &Client, body: &Value) -> String {
    let accepted = client.post("/api/v1/applications", &body.to_string()).unwrap();
    assert_eq!(accepted.status, 201, "{}", accepted.body);
    accepted.json().unwrap()["id"].as_str().unwrap().to_owned()
}

async fn secret_names(namespace: &Namespace) -> Vec<String> {
    let secrets = namespace.api::<Secret>().list(&ListParams::default()).await.unwrap();
    secrets.items.iter().map(ResourceExt::name_any).collect()
}

fn port(tenancy: &Tenancy) -> u16 {
    tenancy.gateway.url().rsplit(':').next().unwrap().parse().unwrap()
}
