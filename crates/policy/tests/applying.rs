//! What policy makes of applications, rule by rule.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use expect_test::{Expect, expect};
use model::id::BackendKind::{self, Kubernetes, Local, Yarn};
use policy::{Granted, Policy, Principals};
use support::{apply, config, policy, shown, spec};

/// What the rules of a configuration make of an application of ada's on Kubernetes.
fn check(yaml: &str, submitted: &[(&str, &str)], expected: &Expect) {
    check_as("ada/research", Kubernetes, yaml, submitted, expected);
}

fn check_as(who: &str, kind: BackendKind, yaml: &str, submitted: &[(&str, &str)], expected: &Expect) {
    let verdict = apply(&policy(yaml), who, kind, spec(submitted));
    assert_eq!(verdict.is_allowed(), verdict.refusals.is_empty());
    expected.assert_eq(&shown(&verdict));
}

const LAYERS: &str = r#"
gateway:
  conf:
    default: { spark.a: gateway, spark.b: gateway, spark.c: gateway, spark.d: 1 }
    force: { spark.f: gateway }
    forbid: ["spark.forbidden.*"]
backends:
  kubernetes:
    conf:
      default: { spark.b: backend }
      force: { spark.f: backend, spark.g: backend }
default:
  conf: { default: { spark.c: default } }
tenants:
  research:
    conf:
      default: { spark.c: tenant }
      force: { spark.g: tenant, spark.forbidden.one: tenant }
    groups:
      science:
        conf:
          default: { spark.c: group }
          force: { spark.h: group }
          forbid: ["spark.x"]
"#;

#[test]
fn the_closest_default_and_the_widest_forced_value_win() {
    check(
        LAYERS,
        &[("spark.a", "mine"), ("spark.f", "mine")],
        &expect![[r#"
        forced spark.f gateway instead of mine (gateway.conf.force)
        forced spark.g backend (backends.kubernetes.conf.force)
        forced spark.forbidden.one tenant (tenants.research.conf.force)
        defaulted spark.c tenant (tenants.research.conf.default)
        defaulted spark.b backend (backends.kubernetes.conf.default)
        defaulted spark.d 1 (gateway.conf.default)
    "#]],
    );
    check_as(
        "ada/research+science",
        Kubernetes,
        LAYERS,
        &[("spark.x", "1")],
        &expect![[r#"
        forced spark.f gateway (gateway.conf.force)
        forced spark.g backend (backends.kubernetes.conf.force)
        forced spark.forbidden.one tenant (tenants.research.conf.force)
        forced spark.h group (tenants.research.groups.science.conf.force)
        defaulted spark.c group (tenants.research.groups.science.conf.default)
        defaulted spark.b backend (backends.kubernetes.conf.default)
        defaulted spark.a gateway (gateway.conf.default)
        defaulted spark.d 1 (gateway.conf.default)
        refused spark.x: may not be set: `spark.x` is forbidden (rule tenants.research.groups.science.conf.forbid)
    "#]],
    );
    check_as(
        "eve/sales",
        Local,
        LAYERS,
        &[],
        &expect![[r#"
        forced spark.f gateway (gateway.conf.force)
        defaulted spark.c default (default.conf.default)
        defaulted spark.a gateway (gateway.conf.default)
        defaulted spark.b gateway (gateway.conf.default)
        defaulted spark.d 1 (gateway.conf.default)
    "#]],
    );
}

#[test]
fn what_is_forced_is_never_refused_and_what_is_forbidden_always() {
    check(
        LAYERS,
        &[
            ("spark.forbidden.one", "mine"),
            ("spark.forbidden.two", "mine"),
            ("SPARK.Forbidden.Three", "mine"),
            ("spark.hadoop.spark.forbidden.four", "mine"),
        ],
        &expect![[r#"
            forced spark.f gateway (gateway.conf.force)
            forced spark.g backend (backends.kubernetes.conf.force)
            forced spark.forbidden.one tenant instead of mine (tenants.research.conf.force)
            defaulted spark.c tenant (tenants.research.conf.default)
            defaulted spark.b backend (backends.kubernetes.conf.default)
            defaulted spark.a gateway (gateway.conf.default)
            defaulted spark.d 1 (gateway.conf.default)
            refused SPARK.Forbidden.Three: may not be set: `spark.forbidden.*` is forbidden (rule gateway.conf.forbid)
            refused spark.forbidden.two: may not be set: `spark.forbidden.*` is forbidden (rule gateway.conf.forbid)
            refused spark.hadoop.spark.forbidden.four: may not be set: `spark.forbidden.*` is forbidden (rule gateway.conf.forbid)
        "#]],
    );
}

#[test]
fn hadoop_keys_and_renamed_keys_are_forbidden_by_every_name() {
    let yaml = r#"
gateway: { conf: { forbid: ["spark.hadoop.fs.s3a.*.key", "fs.azure.*", "spark.kerberos.*"] }, lift: [kerberos-identity] }
"#;
    check(
        yaml,
        &[
            ("spark.hadoop.fs.s3a.secret.key", "1"),
            ("fs.s3a.access.key", "1"),
            ("spark.hadoop.spark.hadoop.fs.s3a.secret.key", "1"),
            ("spark.hadoop.fs.azure.account.key.x", "1"),
            ("spark.yarn.keytab", "/k"),
            ("spark.hadoop.fs.s3a.endpoint", "1"),
        ],
        &expect![[r#"
            refused fs.s3a.access.key: may not be set: `spark.hadoop.fs.s3a.*.key` is forbidden (rule gateway.conf.forbid)
            refused spark.hadoop.fs.azure.account.key.x: may not be set: `fs.azure.*` is forbidden (rule gateway.conf.forbid)
            refused spark.hadoop.fs.s3a.secret.key: may not be set: `spark.hadoop.fs.s3a.*.key` is forbidden (rule gateway.conf.forbid)
            refused spark.hadoop.spark.hadoop.fs.s3a.secret.key: may not be set: `spark.hadoop.fs.s3a.*.key` is forbidden (rule gateway.conf.forbid)
            refused spark.yarn.keytab: may not be set: `spark.kerberos.*` is forbidden (rule gateway.conf.forbid)
        "#]],
    );
}

#[test]
fn secrets_are_stars_in_changes() {
    let yaml = r#"
gateway: { conf: { force: { spark.hadoop.fs.s3a.secret.key: hunter2 }, default: { spark.x: "token=hunter2" } } }
"#;
    check(
        yaml,
        &[("spark.hadoop.fs.s3a.secret.key", "mine")],
        &expect![[r#"
        forced spark.hadoop.fs.s3a.secret.key *********(redacted) instead of *********(redacted) (gateway.conf.force)
        defaulted spark.x *********(redacted) (gateway.conf.default)
    "#]],
    );
}

#[test]
fn kubernetes_refuses_what_reaches_for_others() {
    check(
        "",
        &[
            ("spark.kubernetes.namespace", "kube-system"),
            ("spark.kubernetes.container.image", "evil"),
            ("spark.kubernetes.executor.container.image", "evil"),
            ("spark.kubernetes.authenticate.driver.serviceAccountName", "admin"),
            ("spark.kubernetes.authenticate.executor.serviceAccountName", "admin"),
            ("spark.kubernetes.authenticate.driver.oauthTokenFile", "/token"),
            ("spark.kubernetes.authenticate.submission.oauthToken", "x"),
            ("spark.kubernetes.driver.podTemplateFile", "/t"),
            ("spark.kubernetes.executor.podTemplateFile", "/t"),
            ("spark.kubernetes.driver.volumes.hostPath.root.mount.path", "/host"),
            ("spark.kubernetes.driver.volumes.hostPath.root.options.path", "/"),
            ("spark.kubernetes.executor.volumes.hostPath.emptyDir.options.path", "/"),
            ("spark.kubernetes.driver.volumes.nfs.x.options.server", "nas"),
            ("spark.kubernetes.driver.volumes.persistentVolumeClaim.x.options.claimName", "bobs"),
            ("spark.kubernetes.driver.secrets.bobs-secret", "/mnt"),
            ("spark.kubernetes.executor.secretKeyRef.KEY", "bobs-secret:key"),
            ("spark.kubernetes.container.image.pullSecrets", "bobs-secret"),
            ("spark.kubernetes.hadoop.configMapName", "bobs-conf"),
            ("spark.kubernetes.kerberos.tokenSecret.name", "bobs-secret"),
            ("spark.kubernetes.driver.pod.featureSteps", "evil.Step"),
            ("spark.kubernetes.driver.securityContext.allowPrivilegeEscalation", "true"),
            ("spark.kubernetes.driver.pod.name", "bobs-driver"),
            ("spark.kubernetes.driver.label.lamplighter.dev/owner", "bob"),
            ("spark.kubernetes.executor.label.spark-role", "driver"),
            ("spark.kubernetes.driver.annotation.iam.amazonaws.com/role", "admin"),
            ("spark.kubernetes.file.upload.path", "s3a://x/"),
            ("spark.kubernetes.driver.hostNetwork", "true"),
            ("SPARK.KUBERNETES.NAMESPACE", "kube-system"),
            ("spark.hadoop.spark.kubernetes.namespace", "kube-system"),
            ("spark.kubernetes.driver.label.volumes.emptyDir.x/y", "1"),
        ],
        &expect![[r#"
            refused SPARK.KUBERNETES.NAMESPACE: the tenant decides the namespace, which is what keeps tenants apart; `allow.namespaces` of the configuration allows no other (rule built-in.kubernetes-namespaces)
            refused spark.hadoop.spark.kubernetes.namespace: the tenant decides the namespace, which is what keeps tenants apart; `allow.namespaces` of the configuration allows no other (rule built-in.kubernetes-namespaces)
            refused spark.kubernetes.authenticate.driver.oauthTokenFile: the backend decides which API server it speaks to and as whom; files named here would be the gateway's (rule built-in.kubernetes-credentials)
            refused spark.kubernetes.authenticate.driver.serviceAccountName: a service account has rights, and the tenant's is the one that fits; `allow.service_accounts` of the configuration allows no other (rule built-in.kubernetes-service-accounts)
            refused spark.kubernetes.authenticate.executor.serviceAccountName: a service account has rights, and the tenant's is the one that fits; `allow.service_accounts` of the configuration allows no other (rule built-in.kubernetes-service-accounts)
            refused spark.kubernetes.authenticate.submission.oauthToken: the backend decides which API server it speaks to and as whom; files named here would be the gateway's (rule built-in.kubernetes-credentials)
            refused spark.kubernetes.container.image: images come from the configuration, so that only those it trusts run on the cluster; `allow.images` of the configuration allows no other (rule built-in.kubernetes-images)
            refused spark.kubernetes.container.image.pullSecrets: a Secret of the namespace may belong to another owner; `allow.pull_secrets` of the configuration allows no other (rule built-in.kubernetes-secrets)
            refused spark.kubernetes.driver.annotation.iam.amazonaws.com/role: annotations with a domain give roles, networks and host names on many clusters; prometheus.io/ is free (rule built-in.kubernetes-annotations)
            refused spark.kubernetes.driver.hostNetwork: the gateway doesn't know this key, so it can't tell what it would do to others (rule built-in.kubernetes-unknown)
            refused spark.kubernetes.driver.label.lamplighter.dev/owner: labels with a domain and those of Spark are what the cluster and the gateway tell pods apart by (rule built-in.kubernetes-labels)
            refused spark.kubernetes.driver.label.volumes.emptyDir.x/y: labels with a domain and those of Spark are what the cluster and the gateway tell pods apart by (rule built-in.kubernetes-labels)
            refused spark.kubernetes.driver.pod.featureSteps: classes of the submitter would shape pods, or drop what protects them (rule built-in.kubernetes-feature-steps)
            refused spark.kubernetes.driver.pod.name: the gateway names objects after its own ids; another name could be another owner's object (rule built-in.kubernetes-names)
            refused spark.kubernetes.driver.podTemplateFile: a template can hold everything that other rules refuse (rule built-in.kubernetes-pod-template)
            refused spark.kubernetes.driver.secrets.bobs-secret: a Secret of the namespace may belong to another owner; `allow.secrets` of the configuration allows no other (rule built-in.kubernetes-secrets)
            refused spark.kubernetes.driver.securityContext.allowPrivilegeEscalation: containers run without privilege (rule built-in.kubernetes-privilege)
            refused spark.kubernetes.driver.volumes.hostPath.root.mount.path: a folder of the node holds what belongs to others (rule built-in.kubernetes-host-path)
            refused spark.kubernetes.driver.volumes.hostPath.root.options.path: a folder of the node holds what belongs to others (rule built-in.kubernetes-host-path)
            refused spark.kubernetes.driver.volumes.nfs.x.options.server: the node mounts it with its own rights, from any server that it reaches (rule built-in.kubernetes-nfs)
            refused spark.kubernetes.driver.volumes.persistentVolumeClaim.x.options.claimName: a claim may hold what belongs to another owner; `OnDemand` makes one of the application's own; `allow.volume_claims` of the configuration allows no other (rule built-in.kubernetes-volume-claims)
            refused spark.kubernetes.executor.container.image: images come from the configuration, so that only those it trusts run on the cluster; `allow.images` of the configuration allows no other (rule built-in.kubernetes-images)
            refused spark.kubernetes.executor.label.spark-role: labels with a domain and those of Spark are what the cluster and the gateway tell pods apart by (rule built-in.kubernetes-labels)
            refused spark.kubernetes.executor.podTemplateFile: a template can hold everything that other rules refuse (rule built-in.kubernetes-pod-template)
            refused spark.kubernetes.executor.secretKeyRef.KEY: a Secret of the namespace may belong to another owner; `allow.secrets` of the configuration allows no other (rule built-in.kubernetes-secrets)
            refused spark.kubernetes.executor.volumes.hostPath.emptyDir.options.path: a folder of the node holds what belongs to others (rule built-in.kubernetes-host-path)
            refused spark.kubernetes.file.upload.path: files would be written there with the gateway's rights (rule built-in.kubernetes-upload)
            refused spark.kubernetes.hadoop.configMapName: it mounts a ConfigMap or Secret by name, which may be another owner's (rule built-in.kubernetes-foreign-objects)
            refused spark.kubernetes.kerberos.tokenSecret.name: it mounts a ConfigMap or Secret by name, which may be another owner's (rule built-in.kubernetes-foreign-objects)
            refused spark.kubernetes.namespace: the tenant decides the namespace, which is what keeps tenants apart; `allow.namespaces` of the configuration allows no other (rule built-in.kubernetes-namespaces)
        "#]],
    );
}

#[test]
fn kubernetes_lets_pass_what_is_the_applications_own() {
    check(
        "",
        &[
            ("spark.kubernetes.executor.volumes.persistentVolumeClaim.spark-local-dir-1.options.claimName", "OnDemand"),
            ("spark.kubernetes.executor.volumes.persistentVolumeClaim.spark-local-dir-1.options.sizeLimit", "9Gi"),
            ("spark.kubernetes.driver.volumes.emptyDir.tmp.mount.path", "/tmp"),
            ("spark.kubernetes.driver.label.team", "a"),
            ("spark.kubernetes.driver.annotation.prometheus.io/scrape", "true"),
            ("spark.kubernetes.driver.request.cores", "500m"),
            ("spark.kubernetes.executor.rollInterval", "1h"),
            ("spark.kubernetes.driverEnv.MODE", "x"),
            ("spark.sql.shuffle.partitions", "64"),
        ],
        &expect![[r#""#]],
    );
}

#[test]
fn every_backend_keeps_identities_and_places() {
    let submitted = [
        ("spark.master", "spark://elsewhere:7077"),
        ("spark.submit.deployMode", "cluster"),
        ("spark.yarn.principal", "bob"),
        ("spark.kerberos.keytab", "/bob.keytab"),
        ("spark.executorEnv.HADOOP_USER_NAME", "hdfs"),
        ("spark.yarn.appMasterEnv.HADOOP_PROXY_USER", "hdfs"),
        ("spark.eventLog.dir", "/etc"),
        ("spark.yarn.stagingDir", "/user/bob"),
        ("spark.lamplighter.work-dir", "/home/ada"),
        ("spark.lamplighter.other", "1"),
        ("@proxy_user", "hdfs"),
    ];
    check_as(
        "ada",
        Local,
        "",
        &submitted,
        &expect![[r#"
        refused spark.eventLog.dir: the gateway reads event logs later, with its own rights, from the place it chose itself (rule built-in.event-log)
        refused spark.executorEnv.HADOOP_USER_NAME: it claims to be another user of Hadoop; use the proxy user, which the gateway checks (rule built-in.impersonation)
        refused spark.kerberos.keytab: a keytab or ticket would be read with the gateway's rights, or be the gateway's own (rule built-in.kerberos-identity)
        refused spark.lamplighter.other: keys of this name are for the gateway itself (rule built-in.gateway-keys)
        refused spark.master: the backend decides which cluster it is; on a local backend local[N] is free to choose (rule built-in.master)
        refused spark.submit.deployMode: where the driver runs is the backend's choice; in the other mode it would run as the gateway (rule built-in.deploy-mode)
        refused spark.yarn.appMasterEnv.HADOOP_PROXY_USER: it claims to be another user of Hadoop; use the proxy user, which the gateway checks (rule built-in.impersonation)
        refused spark.yarn.principal: a keytab or ticket would be read with the gateway's rights, or be the gateway's own (rule built-in.kerberos-identity)
        refused proxy_user: `ada` may not impersonate `hdfs` (rule built-in.proxy-users)
    "#]],
    );
    check_as(
        "ada",
        Yarn,
        "",
        &submitted,
        &expect![[r#"
            refused spark.eventLog.dir: the gateway reads event logs later, with its own rights, from the place it chose itself (rule built-in.event-log)
            refused spark.executorEnv.HADOOP_USER_NAME: it claims to be another user of Hadoop; use the proxy user, which the gateway checks (rule built-in.impersonation)
            refused spark.kerberos.keytab: a keytab or ticket would be read with the gateway's rights, or be the gateway's own (rule built-in.kerberos-identity)
            refused spark.lamplighter.other: keys of this name are for the gateway itself (rule built-in.gateway-keys)
            refused spark.master: the backend decides which cluster it is; on a local backend local[N] is free to choose (rule built-in.master)
            refused spark.yarn.appMasterEnv.HADOOP_PROXY_USER: it claims to be another user of Hadoop; use the proxy user, which the gateway checks (rule built-in.impersonation)
            refused spark.yarn.principal: a keytab or ticket would be read with the gateway's rights, or be the gateway's own (rule built-in.kerberos-identity)
            refused spark.yarn.stagingDir: the gateway would write there, speak to it, or run the application master, with its own rights (rule built-in.yarn-gateway-rights)
            refused proxy_user: `ada` may not impersonate `hdfs` (rule built-in.proxy-users)
        "#]],
    );
    check_as("ada", Local, "", &[("spark.master", "local[4]"), ("@proxy_user", "ada")], &expect![[r#""#]]);
}

#[test]
fn a_gateway_with_one_principal_has_no_built_in_rules() {
    let policy = Policy::compile(&config(""), Principals::One).unwrap();
    let submitted = [("spark.kubernetes.namespace", "mine"), ("spark.eventLog.dir", "/logs"), ("@proxy_user", "hdfs")];
    assert_eq!(shown(&apply(&policy, "ada", Kubernetes, spec(&submitted))), "");
}

#[test]
fn lists_allow_names_and_every_list_must() {
    let yaml = r#"
gateway:
  allow: { images: ["registry.example/*"], backends: [kubernetes], sparks: ["4.1", "3.5"] }
tenants:
  research:
    allow:
      images: ["registry.example/research/*", "other.example/x"]
      namespaces: [research]
      service_accounts: [spark-*]
      secrets: [s3]
      pull_secrets: [registry, mirror]
      volume_claims: [shared-*]
      sparks: ["3.5"]
      proxy_users: ["etl-*"]
"#;
    check(
        yaml,
        &[
            ("spark.kubernetes.container.image", "registry.example/research/spark:3.5"),
            ("spark.kubernetes.namespace", " research "),
            ("spark.kubernetes.authenticate.driver.serviceAccountName", "spark-big"),
            ("spark.kubernetes.container.image.pullSecrets", "registry, mirror"),
            ("spark.kubernetes.driver.secrets.s3", "/mnt"),
            ("spark.kubernetes.driver.volumes.persistentVolumeClaim.x.options.claimName", "shared-models"),
            ("@proxy_user", "etl-nightly"),
            ("@spark", "3.5"),
        ],
        &expect![[r#""#]],
    );
    check(
        yaml,
        &[
            ("spark.kubernetes.container.image", "registry.example/sales/spark:3.5"),
            ("spark.kubernetes.driver.container.image", "other.example/x"),
            ("spark.kubernetes.namespace", "sales"),
            ("spark.kubernetes.container.image.pullSecrets", "registry,bobs"),
            ("spark.kubernetes.driver.secretKeyRef.KEY", "registry:password"),
            ("@proxy_user", "hdfs"),
            ("@spark", "4.1"),
        ],
        &expect![[r#"
            refused spark.kubernetes.container.image: `registry.example/sales/spark:3.5` is none of those allowed: registry.example/research/*, other.example/x (rule tenants.research.allow.images)
            refused spark.kubernetes.container.image.pullSecrets: `bobs` is none of those allowed: registry, mirror (rule tenants.research.allow.pull_secrets)
            refused spark.kubernetes.driver.container.image: `other.example/x` is none of those allowed: registry.example/* (rule gateway.allow.images)
            refused spark.kubernetes.driver.secretKeyRef.KEY: `registry` is none of those allowed: s3 (rule tenants.research.allow.secrets)
            refused spark.kubernetes.namespace: `sales` is none of those allowed: research (rule tenants.research.allow.namespaces)
            refused spark: `4.1` is none of those allowed: 3.5 (rule tenants.research.allow.sparks)
            refused proxy_user: `ada` may not impersonate `hdfs` (rule tenants.research.allow.proxy_users)
        "#]],
    );
    check_as(
        "ada",
        Local,
        yaml,
        &[],
        &expect![[r#"
        defaulted spark 3.5 (tenants.research.allow.sparks)
        refused backend: `local` is none of the backends allowed (rule gateway.allow.backends)
    "#]],
    );
}

#[test]
fn what_a_backend_gives_a_tenant_is_no_choice() {
    let granted = |namespace: &str| Granted {
        images: vec!["registry.example/spark:4.1".into()],
        namespaces: vec![namespace.into()],
        service_accounts: vec!["spark".into()],
        pull_secrets: vec!["registry".into()],
    };
    let mut policy = policy("tenants: { sales: { allow: { images: [\"registry.example/*\"] } } }");
    policy.grant("kubernetes".parse().unwrap(), Some("research".parse().unwrap()), &granted("research"));
    policy.grant("kubernetes".parse().unwrap(), None, &granted("others"));
    let submitted = [
        ("spark.kubernetes.namespace", "research"),
        ("spark.kubernetes.authenticate.driver.serviceAccountName", "spark"),
        ("spark.kubernetes.container.image.pullSecrets", "registry"),
        ("spark.kubernetes.driver.secrets.registry", "/mnt"),
        ("spark.kubernetes.container.image", "registry.example/spark:4.1"),
        ("spark.kubernetes.executor.container.image", "registry.example/other"),
    ];
    let refused = |who: &str| shown(&apply(&policy, who, Kubernetes, spec(&submitted)));
    expect![[r#"
        refused spark.kubernetes.driver.secrets.registry: a Secret of the namespace may belong to another owner; `allow.secrets` of the configuration allows no other (rule built-in.kubernetes-secrets)
        refused spark.kubernetes.executor.container.image: images come from the configuration, so that only those it trusts run on the cluster; `allow.images` of the configuration allows no other (rule built-in.kubernetes-images)
    "#]].assert_eq(&refused("ada/research"));
    expect![[r#"
        refused spark.kubernetes.driver.secrets.registry: a Secret of the namespace may belong to another owner; `allow.secrets` of the configuration allows no other (rule built-in.kubernetes-secrets)
        refused spark.kubernetes.namespace: the tenant decides the namespace, which is what keeps tenants apart; `allow.namespaces` of the configuration allows no other (rule built-in.kubernetes-namespaces)
    "#]].assert_eq(&refused("eve/sales"));
}

#[test]
fn a_lifted_rule_does_not_hold_for_that_tenant() {
    let yaml = "tenants: { research: { lift: [kubernetes-host-path] } }";
    let submitted = [("spark.kubernetes.driver.volumes.hostPath.d.options.path", "/data")];
    check_as("ada/research", Kubernetes, yaml, &submitted, &expect![[r#""#]]);
    check_as(
        "ada/sales",
        Kubernetes,
        yaml,
        &submitted,
        &expect![[r#"
        refused spark.kubernetes.driver.volumes.hostPath.d.options.path: a folder of the node holds what belongs to others (rule built-in.kubernetes-host-path)
    "#]],
    );
}

#[test]
fn files_must_lie_in_allowed_folders() {
    let yaml = r#"gateway: { allow: { files: ["s3a://bucket/research", "/data"] } }"#;
    check(
        yaml,
        &[
            ("@resource", "s3a://bucket/research/../sales/job.py"),
            ("spark.jars", "/data/a.jar, s3a://bucket/research/b.jar,/etc/c.jar"),
            ("spark.submit.pyFiles", "FILE:///data/../etc/x.py"),
            ("spark.files", "s3a://key:hunter2@bucket/x"),
            ("spark.archives", "/data/env.tgz#env"),
            ("spark.yarn.dist.pyFiles", "relative.py"),
        ],
        &expect![[r#"
            refused resource: `s3a://bucket/research/../sales/job.py` lies in no folder that is allowed (rule gateway.allow.files)
            refused spark.files: a location with what may be a secret lies in no folder that is allowed (rule gateway.allow.files)
            refused spark.jars: `/etc/c.jar` lies in no folder that is allowed (rule gateway.allow.files)
            refused spark.submit.pyFiles: `FILE:///data/../etc/x.py` lies in no folder that is allowed (rule gateway.allow.files)
            refused spark.yarn.dist.pyFiles: `relative.py` is relative; write an absolute path or a URI (rule gateway.allow.files)
        "#]],
    );
    check(yaml, &[("@resource", "spark-internal")], &expect![[r#""#]]);
    check(
        yaml,
        &[("@resource", "/data/{x,/etc/passwd}")],
        &expect![[r#"
        refused resource: `/data/{x` contains '{', which some readers take for something else than a part of a name (rule gateway.allow.files)
        refused resource: a location with what may be a secret contains '}', which some readers take for something else than a part of a name (rule gateway.allow.files)
    "#]],
    );
}

#[test]
fn a_huge_list_has_a_short_answer() {
    let policy = policy(r#"gateway: { allow: { files: ["/data"] } }"#);
    let verdict = apply(&policy, "ada", Kubernetes, spec(&[("spark.jars", &"/x,".repeat(100_000))]));
    assert!(verdict.refusals.len() <= 100 && shown(&verdict).len() < 20_000);
}

const SIZES: &str = r#"
gateway:
  limits:
    driver_memory: 8g
    driver_cores: 4
    executor_memory: 16g
    executor_cores: 4
    executors: 10
    argument_bytes: 10
    conf_bytes: 2000
tenants: { research: { limits: { executors: 8 } } }
"#;

#[test]
fn sizes_are_what_is_asked_for_in_all() {
    check(
        SIZES,
        &[
            ("spark.driver.memory", "7g"),
            ("spark.yarn.driver.memoryOverhead", "2g"),
            ("spark.executor.memory", " 15G "),
            ("spark.kubernetes.memoryOverheadFactor", "0.1"),
            ("spark.kubernetes.driver.limit.cores", "4500m"),
            ("spark.executor.cores", "five"),
            ("spark.executor.instances", "9"),
            ("@args", "more than ten"),
        ],
        &expect![[r#"
            refused args: has 11 bytes; at most 10 are allowed (rule gateway.limits.argument_bytes)
            refused spark.driver.memory: asks for 9.00g with all that comes on top; at most 8g is allowed (rule gateway.limits.driver_memory)
            refused spark.kubernetes.driver.limit.cores: asks for 4.5 cores; at most 4 are allowed (rule gateway.limits.driver_cores)
            refused spark.executor.memory: asks for 16.50g with all that comes on top; at most 16g is allowed (rule gateway.limits.executor_memory)
            refused spark.executor.cores: `five` is no number of cores such as 2 or 500m (rule gateway.limits.executor_cores)
            refused spark.executor.instances: asks for 9 executors; at most 8 are allowed (rule tenants.research.limits.executors)
        "#]],
    );
    check(
        SIZES,
        &[
            ("spark.executor.memory", "10g"),
            ("spark.memory.offHeap.enabled", "TRUE"),
            ("spark.memory.offHeap.size", "4g"),
            ("spark.executor.pyspark.memory", "4096"),
            ("spark.dynamicAllocation.enabled", " true "),
            ("spark.dynamicAllocation.minExecutors", "2147483647"),
        ],
        &expect![[r#"
            defaulted spark.dynamicAllocation.maxExecutors 8 (tenants.research.limits.executors)
            refused spark.executor.memory: asks for 18.00g with all that comes on top; at most 16g is allowed (rule gateway.limits.executor_memory)
            refused spark.dynamicAllocation.minExecutors: asks for 2147483647 executors; at most 8 are allowed (rule tenants.research.limits.executors)
        "#]],
    );
    check(
        SIZES,
        &[("spark.driver.memory", "8g"), ("spark.driver.memoryOverheadFactor", "-1")],
        &expect![[r#"
        refused spark.driver.memoryOverheadFactor: `-1` is no factor such as 0.1 (rule gateway.limits.driver_memory)
    "#]],
    );
    check(SIZES, &[("spark.driver.memory", "8g"), ("spark.executor.instances", "8")], &expect![[r#""#]]);
}

#[test]
fn local_drivers_get_no_more_threads_than_cores_are_allowed() {
    check_as(
        "ada",
        Local,
        SIZES,
        &[],
        &expect![[r#"
        defaulted spark.master local[4] (gateway.limits.driver_cores)
    "#]],
    );
    check_as(
        "ada",
        Local,
        SIZES,
        &[("spark.master", "local[*]")],
        &expect![[r#"
        refused spark.master: asks for more cores than the 4 allowed (rule gateway.limits.driver_cores)
    "#]],
    );
    check_as("ada", Local, SIZES, &[("spark.master", "local[4]"), ("spark.executor.memory", "99g")], &expect![[r#""#]]);
}

#[test]
fn quotas_are_the_tenants_or_the_default() {
    let policy = policy("{ default: { quota: { applications: 2 } }, tenants: { research: { quota: {} } } }");
    let applications = |tenant: &str| policy.quota(&tenant.parse().unwrap()).applications;
    assert_eq!((applications("research"), applications("sales")), (None, Some(2)));
}

#[test]
fn backends_that_are_not_allowed_are_known_before() {
    let policy = policy("default: { allow: { backends: [local] } }");
    let ada = support::principal("ada", &[]);
    let allows = |backend: &str| policy.allows_backend(&ada, &backend.parse().unwrap());
    assert_eq!((allows("local"), allows("kubernetes")), (true, false));
}

#[test]
fn every_problem_of_the_configuration_is_reported() {
    let yaml = r#"
gateway:
  conf:
    default: { "a b": 1, spark.yarn.keytab: /k, fs.s3a.x: 1 }
    forbid: ["spark.[ab]", "", "spark.yarn.principal"]
  allow: { files: ["relative", "/a/*"], sparks: ["no spark"], images: ["a?", "registry.example*"] }
  limits: { driver_memory: 1.5g, driver_cores: 0 }
  lift: [kubernetes-hostpath, master]
tenants:
  "no tenant": {}
  research: { groups: { "-": { limits: { executor_memory: 0 } } } }
secret_words: [""]
"#;
    let problems = Policy::compile(&config(yaml), Principals::Several).unwrap_err();
    expect![[r#"
        secret_words[0]: is empty, so it would hide everything
        gateway.conf.default.a b: conf key `a b` contains ' ', which no key may
        gateway.conf.default.a b: doesn't begin with `spark.`, so Spark would ignore it
        gateway.conf.default.spark.yarn.keytab: `spark.yarn.keytab` is an old name; write `spark.kerberos.keytab`, which means both
        gateway.conf.default.fs.s3a.x: doesn't begin with `spark.`, so Spark would ignore it
        gateway.conf.forbid[2]: `spark.yarn.principal` is an old name; write `spark.kerberos.principal`, which means both
        gateway.conf.forbid[0]: contains '['; only `*` stands for any text
        gateway.conf.forbid[1]: is empty
        gateway.allow.images[0]: contains '?'; only `*` stands for any text
        gateway.allow.images[1]: must hold the registry with its `/` before the first `*`, or it means other registries too
        gateway.allow.sparks[0]: `no spark` is not a valid Spark name
        gateway.allow.files[0]: is relative; write an absolute path or a URI
        gateway.allow.files[1]: is no plain folder: `..`, `%`, `?`, `#` and `*` can't stand in it
        gateway.limits.driver_memory: size `1.5g` has a fraction, which Spark refuses
        gateway.limits.driver_cores: is 0; nothing could run
        gateway.lift[0]: `kubernetes-hostpath` is no built-in rule
        gateway.lift[1]: `master` always holds
        tenants.no tenant: `no tenant` is not a valid tenant name
        tenants.research.groups.-.limits.executor_memory: is no memory at all; nothing could run
        tenants.research.groups.-: `-` is not a valid group name
    "#]].assert_eq(&problems.iter().map(|problem| format!("{problem}\n")).collect::<String>());
}

#[test]
fn a_rule_for_a_backend_that_is_not_there_is_a_problem() {
    let yaml = r#"
backends: { local: {}, kubernets: {} }
gateway: { allow: { backends: [local, spark] } }
tenants: { research: { groups: { science: { allow: { backends: [k8s] } } } } }
"#;
    let problems = config(yaml).unknown_backends(&["local".parse().unwrap(), "kubernetes".parse().unwrap()]);
    expect![[r#"
        backends.kubernets: there is no backend `kubernets`
        gateway.allow.backends[1]: there is no backend `spark`
        tenants.research.groups.science.allow.backends[0]: there is no backend `k8s`
    "#]]
    .assert_eq(&problems.iter().map(|problem| format!("{problem}\n")).collect::<String>());
}

#[test]
fn printed_configuration_has_no_secrets() {
    let config = config("gateway: { conf: { force: { spark.hadoop.fs.s3a.secret.key: hunter2, spark.x: 1 } } }");
    let printed = format!("{config:?} {}", serde_saphyr::to_string(&config).unwrap());
    assert!(!printed.contains("hunter2") && printed.contains("spark.x"), "{printed}");
}
