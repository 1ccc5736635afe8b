//! What an application may not ask for, and what it is told.

use expect_test::{Expect, expect};
use model::spec::ApplicationSpec;
use spark_kubernetes::{ImagePattern, Images, Placement, check};

use crate::support::{java, listed, placement, python};

fn refused(spec: &ApplicationSpec, expected: &Expect) {
    expected.assert_eq(&listed(&check(spec, &placement("4.1"))));
}

/// A key and a value that are refused.
fn refused_conf(lines: &str, expected: &Expect) {
    refused(&java(lines), expected);
}

#[test]
fn what_belongs_to_the_gateway() {
    refused_conf(
        "spark.master local[2]
         spark.app.id mine
         spark.submit.deployMode client
         spark.driver.host 10.0.0.1
         spark.driver.bindAddress 0.0.0.0
         spark.kubernetes.context other
         spark.kubernetes.driver.master https://evil.test
         spark.kubernetes.driver.pod.name mine
         spark.kubernetes.executor.podNamePrefix mine
         spark.kubernetes.submitInDriver false",
        &expect![[r#"
            spark.app.id: is decided by the gateway; leave it out
            spark.driver.bindAddress: is decided by the gateway; leave it out
            spark.driver.host: is decided by the gateway; leave it out
            spark.kubernetes.context: is decided by the gateway; leave it out
            spark.kubernetes.driver.master: is decided by the gateway; leave it out
            spark.kubernetes.driver.pod.name: is decided by the gateway; leave it out
            spark.kubernetes.executor.podNamePrefix: is decided by the gateway; leave it out
            spark.kubernetes.submitInDriver: is decided by the gateway; leave it out
            spark.master: is decided by the gateway; leave it out
            spark.submit.deployMode: can only be `cluster`; leave it out
        "#]],
    );
}

#[test]
fn what_belongs_to_the_placement() {
    refused_conf(
        "spark.kubernetes.namespace kube-system
         spark.kubernetes.authenticate.driver.serviceAccountName admin
         spark.kubernetes.authenticate.executor.serviceAccountName admin
         spark.kubernetes.authenticate.driver.oauthToken shh
         spark.kubernetes.authenticate.submission.caCertFile /etc/ca
         spark.kubernetes.container.image evil.test/x
         spark.kubernetes.driver.container.image registry.test/spark:2
         spark.kubernetes.executor.container.image registry.test/spark
         spark.kubernetes.container.image.pullPolicy Always
         spark.kubernetes.container.image.pullSecrets theirs
         spark.kubernetes.driver.securityContext.allowPrivilegeEscalation true",
        &expect![[r#"
            spark.kubernetes.authenticate.driver.oauthToken: credentials come from the service account of the placement; leave it out
            spark.kubernetes.authenticate.driver.serviceAccountName: can only be `spark`; leave it out
            spark.kubernetes.authenticate.executor.serviceAccountName: can only be `spark`; leave it out
            spark.kubernetes.authenticate.submission.caCertFile: credentials come from the service account of the placement; leave it out
            spark.kubernetes.container.image: `evil.test/x` is not an image that may run here; leave it out or use an allowed one
            spark.kubernetes.container.image.pullPolicy: can only be `IfNotPresent`; leave it out
            spark.kubernetes.container.image.pullSecrets: can only be ``; leave it out
            spark.kubernetes.driver.container.image: `registry.test/spark:2` is not an image that may run here; leave it out or use an allowed one
            spark.kubernetes.driver.securityContext.allowPrivilegeEscalation: can only be `false`; leave it out
            spark.kubernetes.executor.container.image: `registry.test/spark` is not an image that may run here; leave it out or use an allowed one
            spark.kubernetes.namespace: can only be `spark-jobs`; leave it out
        "#]],
    );
}

#[test]
fn what_is_not_built_yet() {
    refused_conf(
        "spark.kubernetes.driver.podTemplateFile /tmp/t.yml
         spark.kubernetes.executor.podTemplateFile /tmp/t.yml
         spark.kubernetes.driver.volumes.hostPath.x.mount.path /host
         spark.kubernetes.executor.volumes.persistentVolumeClaim.x.options.claimName theirs
         spark.kubernetes.driver.secrets.theirs /mnt
         spark.kubernetes.executor.secretKeyRef.X theirs:key
         spark.kubernetes.driver.pod.featureSteps com.evil.Step
         spark.kubernetes.executor.pod.excludedFeatureSteps x
         spark.kubernetes.file.upload.path s3a://bucket
         spark.kubernetes.hadoop.configMapName theirs
         spark.kubernetes.kerberos.tokenSecret.name theirs
         spark.kerberos.keytab /etc/keytab
         spark.kubernetes.allocation.pods.allocator statefulset",
        &expect![[r#"
            spark.kerberos.keytab: Kerberos is not supported on this backend
            spark.kubernetes.allocation.pods.allocator: can only be `direct`; leave it out
            spark.kubernetes.driver.pod.featureSteps: feature steps are classes that change pods at will; leave it out
            spark.kubernetes.driver.podTemplateFile: pod templates are not supported; leave it out, the backend makes the template of executors
            spark.kubernetes.driver.secrets.theirs: Secrets of the namespace are not a submitter's to choose; pass the value as a conf key or an environment variable (`spark.kubernetes.driverEnv.NAME`, `spark.executorEnv.NAME`), which the gateway keeps in a Secret
            spark.kubernetes.driver.volumes.hostPath.x.mount.path: volumes are not supported; use the URI of a store, or ask for a larger node's own disk
            spark.kubernetes.executor.pod.excludedFeatureSteps: feature steps are classes that change pods at will; leave it out
            spark.kubernetes.executor.podTemplateFile: pod templates are not supported; leave it out, the backend makes the template of executors
            spark.kubernetes.executor.secretKeyRef.X: Secrets of the namespace are not a submitter's to choose; pass the value as a conf key or an environment variable (`spark.kubernetes.driverEnv.NAME`, `spark.executorEnv.NAME`), which the gateway keeps in a Secret
            spark.kubernetes.executor.volumes.persistentVolumeClaim.x.options.claimName: volumes are not supported; use the URI of a store, or ask for a larger node's own disk
            spark.kubernetes.file.upload.path: nothing is uploaded; name files as local://PATH or by the URI of a store
            spark.kubernetes.hadoop.configMapName: ConfigMaps of the namespace are not a submitter's to choose; set `spark.hadoop.*` keys instead
            spark.kubernetes.kerberos.tokenSecret.name: Kerberos is not supported on this backend
        "#]],
    );
}

#[test]
fn saying_what_is_so_anyway_is_no_override() {
    let spec = java(
        "spark.kubernetes.namespace spark-jobs
         spark.kubernetes.authenticate.driver.serviceAccountName spark
         spark.kubernetes.container.image registry.test/spark:1
         spark.kubernetes.container.image.pullPolicy IfNotPresent
         spark.submit.deployMode cluster
         spark.kubernetes.allocation.pods.allocator direct",
    );
    refused(&spec, &expect![[""]]);
}

#[test]
fn secrets_that_pods_or_command_lines_would_show() {
    refused_conf(
        "spark.driver.extraJavaOptions -Djavax.net.ssl.trustStorePassword=shh
         spark.executor.extraJavaOptions -Dtoken=shh
         spark.kubernetes.driver.annotation.api-key shh
         spark.kubernetes.executor.label.x my-password",
        &expect![[r#"
            spark.driver.extraJavaOptions: looks like a secret and would be readable in the pod; put it into another conf key or into an environment variable (`spark.kubernetes.driverEnv.NAME`, `spark.executorEnv.NAME`), which are kept in a Secret
            spark.executor.extraJavaOptions: looks like a secret and would be readable in the pod; put it into another conf key or into an environment variable (`spark.kubernetes.driverEnv.NAME`, `spark.executorEnv.NAME`), which are kept in a Secret
            spark.kubernetes.driver.annotation.api-key: looks like a secret and would be readable in the pod; put it into another conf key or into an environment variable (`spark.kubernetes.driverEnv.NAME`, `spark.executorEnv.NAME`), which are kept in a Secret
            spark.kubernetes.executor.label.x: looks like a secret and would be readable in the pod; put it into another conf key or into an environment variable (`spark.kubernetes.driverEnv.NAME`, `spark.executorEnv.NAME`), which are kept in a Secret
        "#]],
    );
}

#[test]
fn labels_that_others_rely_on() {
    let spec = java(
        "spark.kubernetes.driver.label.spark-role executor
         spark.kubernetes.driver.label.lamplighter.dev/attempt forged
         spark.kubernetes.executor.label.app.kubernetes.io/managed-by me
         spark.kubernetes.executor.annotation.lamplighter.dev/x y
         spark.kubernetes.driver.label.a/b/c x
         spark.kubernetes.driver.label.team not valid
         spark.kubernetes.executor.node.selector.pool other",
    );
    let placement = Placement { node_selector: [("pool".to_owned(), "spark".to_owned())].into(), ..placement("4.1") };
    expect![[r#"
        spark.kubernetes.driver.label.a/b/c: is not a label as Kubernetes spells them
        spark.kubernetes.driver.label.lamplighter.dev/attempt: is a label that the gateway or Spark sets; use another name
        spark.kubernetes.driver.label.spark-role: is a label that the gateway or Spark sets; use another name
        spark.kubernetes.driver.label.team: is not a label as Kubernetes spells them
        spark.kubernetes.executor.label.app.kubernetes.io/managed-by: is a label that the gateway or Spark sets; use another name
        spark.kubernetes.executor.node.selector.pool: must be `spark`, which the placement says; leave it out
        spark.kubernetes.executor.annotation.lamplighter.dev/x: is not the name of an annotation that may be set
    "#]].assert_eq(&listed(&check(&spec, &placement)));
}

#[test]
fn numbers_that_are_none() {
    refused_conf(
        "spark.driver.memory 1.5g
         spark.driver.cores 0
         spark.driver.memoryOverheadFactor -1
         spark.kubernetes.driver.limit.cores much
         spark.executor.memory lots
         spark.driver.port 80
         spark.ui.port 7079
         spark.driver.resource.gpu.amount 1
         spark.kubernetes.local.dirs.tmpfs yes
         spark.local.dir /tmp/x,/opt/spark/conf,tmp
         spark.eventLog.enabled no
         spark.kubernetes.driver.service.ipFamilies IPv5
         spark.kubernetes.driverEnv.SPARK_USER root
         spark.kubernetes.driverEnv.1A x",
        &expect![[r#"
            spark.driver.memory: size `1.5g` has a fraction, which Spark refuses
            spark.driver.memoryOverheadFactor: must be a number that is not negative, such as 0.1
            spark.driver.cores: must be a whole number of at least 1
            spark.kubernetes.driver.limit.cores: must be an amount as Kubernetes writes it, such as 2, 0.5 or 500m
            spark.driver.resource.gpu.amount: must be a whole number beside `spark.driver.resource.gpu.vendor`, such as nvidia.com
            spark.driver.port: must be a port from 1024 to 65535, because it becomes a port of the driver's service
            spark.driver.port: is a port that the driver needs for something else too
            spark.kubernetes.driverEnv.1A: is not the name of an environment variable
            spark.kubernetes.driverEnv.SPARK_USER: is a variable that the gateway sets; leave it out
            spark.local.dir: must list absolute paths outside /opt, /usr, /etc, /var/run
            spark.kubernetes.local.dirs.tmpfs: must be true or false
            spark.kubernetes.driver.service.ipFamilies: must be IPv4, IPv6 or both with a comma between
            spark.eventLog.enabled: must be true or false
            spark.executor.memory: size `lots` is not a whole number with a unit, such as 512m or 4g
        "#]],
    );
}

#[test]
fn programs_that_a_driver_cannot_reach() {
    let with =
        |resource: &str| ApplicationSpec { resource: resource.to_owned(), ..java("spark.jars s3a://b/x.jar, /y.jar") };
    let resources = ["/home/ann/job.jar", "file:///job.jar", "FILE:/job.jar", "local:///job.R", "s3a://bucket/a b.jar"];
    let shown: String = resources.iter().map(|resource| listed(&check(&with(resource), &placement("4.1")))).collect();
    expect![[r#"
        resource: `/home/ann/job.jar` is a path of another machine than the driver's; write local://PATH for a file in its image, or the URI of a store that it can read
        spark.jars: `/y.jar` is a path of another machine than the driver's; write local://PATH for a file in its image, or the URI of a store that it can read
        resource: `file:///job.jar` would have to be uploaded, which this backend can't; write local://PATH for a file in the driver's image, or the URI of a store that it can read
        spark.jars: `/y.jar` is a path of another machine than the driver's; write local://PATH for a file in its image, or the URI of a store that it can read
        resource: `FILE:/job.jar` would have to be uploaded, which this backend can't; write local://PATH for a file in the driver's image, or the URI of a store that it can read
        spark.jars: `/y.jar` is a path of another machine than the driver's; write local://PATH for a file in its image, or the URI of a store that it can read
        resource: is an R program, which this backend can't run; use Java, Scala or Python
        spark.jars: `/y.jar` is a path of another machine than the driver's; write local://PATH for a file in its image, or the URI of a store that it can read
        resource: `s3a://bucket/a b.jar` contains a blank or control character
        spark.jars: `/y.jar` is a path of another machine than the driver's; write local://PATH for a file in its image, or the URI of a store that it can read
    "#]].assert_eq(&shown);
}

#[test]
fn programs_that_spark_could_not_run() {
    let spec = ApplicationSpec {
        class_name: None,
        spark: Some("3.5".parse().unwrap()),
        args: vec!["a\0b".to_owned(), "x".repeat(200_000)],
        ..java("")
    };
    refused(
        &spec,
        &expect![[r#"
        args: contain a NUL character, which no argument can
        class_name: is missing; the gateway can't look into a jar of the driver's image
        args: have one longer than 131071 bytes
        spark: is none of the Sparks of this backend: 4.1
    "#]],
    );
    refused(
        &ApplicationSpec { class_name: Some("--conf".to_owned()), ..java("") },
        &expect![[r#"
        class_name: is not the name of a class
    "#]],
    );
    refused(&ApplicationSpec { class_name: None, ..python("") }, &expect![[""]]);
}

#[test]
fn an_old_spark_is_refused_in_the_placement_and_in_the_application() {
    let placement = placement("3.2");
    expect![[r#"
        images.lines.3.2: Spark must be 3.3 or newer
        spark: is 3.2; this backend runs 3.3 and newer
    "#]]
    .assert_eq(&(listed(&placement.problems()) + &listed(&check(&java(""), &placement))));
}

#[test]
fn image_patterns_hold_the_whole_registry() {
    let images = Images {
        also_allowed: vec!["registry.test/team/*".parse().unwrap(), "docker.test/x@sha256:00".parse().unwrap()],
        ..Images::one("4.1".parse().unwrap(), "registry.test/spark:1")
    };
    let allowed = |image: &str| images.allows(image);
    assert!(
        allowed("registry.test/spark:1") && allowed("registry.test/team/x:2") && allowed("docker.test/x@sha256:00")
    );
    assert!(!allowed("registry.test/spark:2") && !allowed("registry.test/team") && !allowed(""));
    for wrong in ["*", "registry.test*", "", "a b", "registry.test/\"*"] {
        assert!(wrong.parse::<ImagePattern>().is_err(), "{wrong}");
    }
}

#[test]
fn placements_are_checked_as_a_whole() {
    let wrong = Placement {
        namespace: "Spark_Jobs".to_owned(),
        image_pull_secrets: vec!["no name".to_owned()],
        user: 0,
        images: Images { default: "5".parse().unwrap(), ..placement("4.1").images },
        ..placement("4.1")
    };
    expect![[r#"
        namespace: `Spark_Jobs` is not the name of a namespace
        image_pull_secrets: `no name` is not the name of a Secret
        user: containers must not run as root; give the number of another user
        images.default: there is no image for Spark `5`
    "#]]
    .assert_eq(&listed(&wrong.problems()));
    assert_eq!(placement("4.1").problems(), Vec::new());
}
