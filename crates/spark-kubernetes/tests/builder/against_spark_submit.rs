//! The same application by the real `spark-submit` and by this crate. `recorded/` holds what spark-submit sent to an
//! API server; the expectations below are all that differs, `-` theirs and `+` ours.

use std::collections::BTreeSet;

use expect_test::expect;
use model::spark_conf::SparkConf;
use model::spec::ApplicationSpec;
use serde_json::Value;
use spark_kubernetes::{DriverObjects, names};

use crate::support::{self, ATTEMPT, java, json, objects_for, placement, python};

fn pi_in_java() -> ApplicationSpec {
    let conf = "
        spark.app.name Spark Pi
        spark.driver.memory 4g
        spark.driver.cores 2
        spark.executor.instances 2
        spark.jars local:///opt/libs/a.jar
        spark.kubernetes.submission.waitAppCompletion false";
    ApplicationSpec { args: vec!["1000".to_owned(), "two words".to_owned()], ..java(conf) }
}

fn pi_in_python() -> ApplicationSpec {
    let conf = "
        spark.executor.instances 2
        spark.driver.minMemoryOverhead 500m
        spark.kubernetes.driver.request.cores 500m
        spark.kubernetes.driver.limit.cores 1500m
        spark.kubernetes.driver.label.team core
        spark.kubernetes.driver.annotation.app {{APP_ID}}
        spark.kubernetes.driverEnv.STAGE test
        spark.kubernetes.node.selector.disk ssd
        spark.kubernetes.driver.node.selector.pool drivers
        spark.pyspark.python /usr/bin/python3
        spark.local.dir /scratch/a,/scratch/b
        spark.kubernetes.local.dirs.tmpfs true
        spark.kubernetes.scheduler.name second
        spark.driver.resource.gpu.amount 1
        spark.driver.resource.gpu.vendor nvidia.com
        spark.ui.port 4444
        spark.kubernetes.driver.service.label.a b
        spark.kubernetes.driver.service.annotation.c d
        spark.submit.pyFiles local:///opt/libs/x.py
        spark.kubernetes.submission.waitAppCompletion false";
    ApplicationSpec { proxy_user: Some("ann".to_owned()), ..python(conf) }
}

/// One application, and what spark-submit sent for it.
struct Recording {
    spark: &'static str,
    spec: ApplicationSpec,
    sent: &'static str,
}

fn recordings() -> [Recording; 4] {
    let recording = |spark, spec, sent| Recording { spark, spec, sent };
    [
        recording("3.5", pi_in_java(), include_str!("recorded/java-3.5.9.json")),
        recording("4.3", pi_in_java(), include_str!("recorded/java-4.3.0.json")),
        recording("3.5", pi_in_python(), include_str!("recorded/python-3.5.9.json")),
        recording("4.3", pi_in_python(), include_str!("recorded/python-4.3.0.json")),
    ]
}

impl Recording {
    /// Lines that only they or only we have.
    fn differences(&self) -> BTreeSet<String> {
        let ours = of_objects(&objects_for("root", &self.spec, &placement(self.spark)).unwrap());
        let theirs = of_recording(self.sent);
        let only_theirs = theirs.difference(&ours).map(|line| format!("- {line}"));
        only_theirs.chain(ours.difference(&theirs).map(|line| format!("+ {line}"))).collect()
    }
}

fn listed(lines: &BTreeSet<String>) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Ours as lines, with the attempt's names replaced.
fn of_objects(objects: &DriverObjects) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    flatten("pod", &json(&objects.pod), &mut lines);
    flatten("service", &json(&objects.service), &mut lines);
    conf_lines(&support::properties(objects), &mut lines);
    let app = names::application_id(ATTEMPT.parse().unwrap());
    lines.iter().map(|line| line.replace(&app, "APP").replace(ATTEMPT, "UUID")).collect()
}

/// Theirs as lines, with the names that spark-submit made up replaced.
fn of_recording(text: &str) -> BTreeSet<String> {
    let sent: Vec<Value> = serde_json::from_str(text).unwrap();
    let of_kind = |kind: &str| sent.iter().find(|object| object["kind"] == kind).unwrap();
    let pod = of_kind("Pod");
    let conf_map = of_kind("ConfigMap");
    let mut lines = BTreeSet::new();
    flatten("pod", pod, &mut lines);
    flatten("service", of_kind("Service"), &mut lines);
    conf_lines(
        &SparkConf::from_properties(conf_map["data"]["spark.properties"].as_str().unwrap()).unwrap(),
        &mut lines,
    );
    let app = pod["metadata"]["labels"]["spark-app-selector"].as_str().unwrap();
    let prefix = pod["metadata"]["name"].as_str().unwrap().strip_suffix("-driver").unwrap();
    let conf_map = conf_map["metadata"]["name"].as_str().unwrap();
    let local_dir = lines.iter().find_map(|line| Some(line.split_once("/var/data/spark-")?.1.get(..36)?.to_owned()));
    let named = |line: &String| {
        let line = line.replace(app, "APP").replace(prefix, "APP").replace(conf_map, "APP-conf");
        local_dir.as_ref().map_or(line.clone(), |dir| line.replace(dir, "UUID"))
    };
    lines.iter().map(named).filter(|line| !line.contains("submitTime") && !line.contains("ownerReferences")).collect()
}

fn conf_lines(conf: &SparkConf, lines: &mut BTreeSet<String>) {
    lines.extend(conf.iter().map(|(key, value)| format!("conf {key}={value}")));
}

/// One line per leaf; items of lists go by what they are called, because their order means nothing.
fn flatten(path: &str, value: &Value, lines: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().for_each(|(key, value)| flatten(&format!("{path}.{key}"), value, lines));
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                let called = ["mountPath", "name", "key"].into_iter().find_map(|key| item.get(key)?.as_str());
                flatten(&format!("{path}[{}]", called.map_or(index.to_string(), str::to_owned)), item, lines);
            }
        }
        leaf => {
            lines.insert(format!("{path}={leaf}"));
        }
    }
}

#[test]
fn always() {
    let all = recordings().map(|recording| recording.differences());
    let common = all.iter().skip(1).fold(all[0].clone(), |common, more| &common & more);
    expect![[r#"
        + conf spark.kubernetes.container.image.pullPolicy=IfNotPresent
        + conf spark.kubernetes.executor.podNamePrefix=APP
        + conf spark.kubernetes.executor.podTemplateFile=/opt/spark/pod-template/pod-spec-template.yml
        + conf spark.master=k8s://https://kubernetes.default.svc
        + pod.metadata.labels.app.kubernetes.io/managed-by="lamplighter"
        + pod.metadata.labels.lamplighter.dev/application="batch-12"
        + pod.metadata.labels.lamplighter.dev/attempt-number="1"
        + pod.metadata.labels.lamplighter.dev/attempt="UUID"
        + pod.metadata.labels.lamplighter.dev/instance="gateway-1"
        + pod.metadata.labels.lamplighter.dev/owner="72254cddf93547ba5c5bc385aff6420b"
        + pod.metadata.labels.lamplighter.dev/tenant="team-a"
        + pod.metadata.namespace="spark-jobs"
        + pod.spec.automountServiceAccountToken=true
        + pod.spec.containers[spark-kubernetes-driver].securityContext.capabilities.drop[0]="ALL"
        + pod.spec.containers[spark-kubernetes-driver].securityContext.runAsNonRoot=true
        + pod.spec.containers[spark-kubernetes-driver].securityContext.seccompProfile.type="RuntimeDefault"
        + pod.spec.containers[spark-kubernetes-driver].volumeMounts[/opt/spark/pod-template].mountPath="/opt/spark/pod-template"
        + pod.spec.containers[spark-kubernetes-driver].volumeMounts[/opt/spark/pod-template].name="pod-template-volume"
        + pod.spec.enableServiceLinks=false
        + pod.spec.schedulingGates[lamplighter.dev/dependents].name="lamplighter.dev/dependents"
        + pod.spec.securityContext.fsGroup=185
        + pod.spec.securityContext.fsGroupChangePolicy="OnRootMismatch"
        + pod.spec.securityContext.runAsNonRoot=true
        + pod.spec.securityContext.runAsUser=185
        + pod.spec.securityContext.seccompProfile.type="RuntimeDefault"
        + pod.spec.volumes[pod-template-volume].configMap.items[podspec-configmap-key].key="podspec-configmap-key"
        + pod.spec.volumes[pod-template-volume].configMap.items[podspec-configmap-key].mode=420
        + pod.spec.volumes[pod-template-volume].configMap.items[podspec-configmap-key].path="pod-spec-template.yml"
        + pod.spec.volumes[pod-template-volume].configMap.name="APP-template"
        + pod.spec.volumes[pod-template-volume].name="pod-template-volume"
        + pod.spec.volumes[spark-conf-volume-driver].secret.items[spark.properties].key="spark.properties"
        + pod.spec.volumes[spark-conf-volume-driver].secret.items[spark.properties].mode=420
        + pod.spec.volumes[spark-conf-volume-driver].secret.items[spark.properties].path="spark.properties"
        + pod.spec.volumes[spark-conf-volume-driver].secret.secretName="APP-conf"
        + service.metadata.labels.app.kubernetes.io/managed-by="lamplighter"
        + service.metadata.labels.lamplighter.dev/application="batch-12"
        + service.metadata.labels.lamplighter.dev/attempt-number="1"
        + service.metadata.labels.lamplighter.dev/attempt="UUID"
        + service.metadata.labels.lamplighter.dev/instance="gateway-1"
        + service.metadata.labels.lamplighter.dev/owner="72254cddf93547ba5c5bc385aff6420b"
        + service.metadata.labels.lamplighter.dev/tenant="team-a"
        + service.metadata.namespace="spark-jobs"
        - conf spark.master=k8s://http://127.0.0.1:6443
        - pod.spec.serviceAccount="spark"
        - pod.spec.volumes[spark-conf-volume-driver].configMap.items[spark.properties].key="spark.properties"
        - pod.spec.volumes[spark-conf-volume-driver].configMap.items[spark.properties].mode=420
        - pod.spec.volumes[spark-conf-volume-driver].configMap.items[spark.properties].path="spark.properties"
        - pod.spec.volumes[spark-conf-volume-driver].configMap.name="APP-conf"
    "#]].assert_eq(&listed(&common));
}

#[test]
fn besides() {
    let all = recordings().map(|recording| recording.differences());
    let common = all.iter().skip(1).fold(all[0].clone(), |common, more| &common & more);
    let [java_3_5, java_4_3, python_3_5, python_4_3] = all.map(|differences| listed(&(&differences - &common)));
    expect![[r#"
        + pod.metadata.labels.spark-version="3.5"
        + pod.spec.containers[spark-kubernetes-driver].securityContext.allowPrivilegeEscalation=false
        - pod.metadata.labels.spark-version="3.5.9"
        - service.spec.selector.spark-app-name="spark-pi"
        - service.spec.selector.spark-version="3.5.9"
    "#]]
    .assert_eq(&java_3_5);
    expect![[r#"
        + pod.metadata.labels.spark-version="4.3"
        - pod.metadata.labels.spark-version="4.3.0"
        - service.spec.selector.spark-app-name="spark-pi"
        - service.spec.selector.spark-version="4.3.0"
    "#]]
    .assert_eq(&java_4_3);
    expect![[r#"
        + pod.metadata.labels.spark-version="3.5"
        + pod.spec.containers[spark-kubernetes-driver].env[SPARK_LOCAL_DIRS].value="/scratch/a,/scratch/b"
        + pod.spec.containers[spark-kubernetes-driver].securityContext.allowPrivilegeEscalation=false
        + pod.spec.containers[spark-kubernetes-driver].volumeMounts[/scratch/a].name="spark-local-dir-1"
        + pod.spec.containers[spark-kubernetes-driver].volumeMounts[/scratch/b].name="spark-local-dir-2"
        - pod.metadata.labels.spark-version="3.5.9"
        - pod.spec.containers[spark-kubernetes-driver].env[SPARK_LOCAL_DIRS].value="/scratch/b,/scratch/a"
        - pod.spec.containers[spark-kubernetes-driver].volumeMounts[/scratch/a].name="spark-local-dir-2"
        - pod.spec.containers[spark-kubernetes-driver].volumeMounts[/scratch/b].name="spark-local-dir-1"
        - service.spec.selector.spark-app-name="pi-py"
        - service.spec.selector.spark-version="3.5.9"
        - service.spec.selector.team="core"
    "#]]
    .assert_eq(&python_3_5);
    expect![[r#"
        + pod.metadata.labels.spark-version="4.3"
        - pod.metadata.labels.spark-version="4.3.0"
        - service.spec.selector.spark-app-name="pi-py"
        - service.spec.selector.spark-version="4.3.0"
        - service.spec.selector.team="core"
    "#]]
    .assert_eq(&python_4_3);
}
