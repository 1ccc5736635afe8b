//! What tests of the Kubernetes backend share: a fake cluster whose drivers are functions of their arguments.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backends::kubernetes::{KubernetesBackend, KubernetesConfig, Placements, WatchScope};
use backends::log::LogLimits;
use engine::backend::{AttemptRef, Backend as _, LaunchOrder, Observation};
use model::id::{ApplicationId, ApplicationKind, AttemptId};
use model::label::Labels;
use model::principal::Owner;
use model::spark_conf::SparkConf;
use model::spec::{ApplicationSpec, Limits};
use spark_kubernetes::{Images, Placement, names};
use testkit::backend_contract::wait_until;
use testkit::fake_kubernetes::{Container, ContainerEnd, FakeKubernetes, Fate, program};
use uuid::Uuid;

/// Where drivers go.
pub(crate) const DRIVERS: &str = "team-a";
/// Where the gateway keeps what it decided.
pub(crate) const OWN: &str = "lamplighter";

/// A cluster and a data folder, in which one backend after the other can be started.
pub(crate) struct World {
    pub(crate) fake: Arc<FakeKubernetes>,
    pub(crate) data: tempfile::TempDir,
    pub(crate) config: KubernetesConfig,
    runtime: tokio::runtime::Handle,
}

impl World {
    /// A cluster whose drivers do what their first argument says: see [`driver`].
    pub(crate) async fn start() -> Self {
        let fake = FakeKubernetes::start(&[OWN, DRIVERS]).await.unwrap();
        let driver = program(driver);
        fake.set_fates(move |_| Fate::Run(Arc::clone(&driver)));
        let data = tempfile::tempdir().unwrap();
        let kubeconfig = data.path().join("kubeconfig");
        fake.write_kubeconfig(&kubeconfig, OWN).unwrap();
        let images = Images::one("4.1".parse().unwrap(), "images.invalid/spark:4.1");
        let placement = Placement::new(DRIVERS, "spark", images);
        let config = config(data.path(), kubeconfig, OWN, placement);
        Self { fake: Arc::new(fake), data, config, runtime: tokio::runtime::Handle::current() }
    }

    /// A backend over the cluster.
    pub(crate) fn backend(&self) -> KubernetesBackend {
        let config = self.config.clone();
        tokio::task::block_in_place(|| self.runtime.block_on(KubernetesBackend::new(config))).unwrap()
    }

    /// A file that doesn't exist yet.
    pub(crate) fn traces(&self) -> String {
        self.data.path().join(Uuid::now_v7().to_string()).to_str().unwrap().to_owned()
    }

    /// Deletes the attempt's pod past the gateway.
    pub(crate) fn delete_pod(&self, attempt: &AttemptRef, grace_seconds: i64) {
        self.fake.delete_pod(DRIVERS, &names::pod_name(attempt.id), grace_seconds);
    }
}

/// A backend whose drivers all go to one place.
pub(crate) fn config(data: &Path, kubeconfig: PathBuf, own: &str, placement: Placement) -> KubernetesConfig {
    KubernetesConfig {
        name: "cluster".parse().unwrap(),
        shard: "cluster".parse().unwrap(),
        instance: "gateway".to_owned(),
        kubeconfig: Some(kubeconfig),
        context: None,
        namespace: own.to_owned(),
        placements: Placements { default: Some(placement), ..Placements::default() },
        watch: WatchScope::default(),
        data_dir: data.to_owned(),
        log: LogLimits::default(),
        logs_followed_max: 10,
        calls_max: 16,
        ended_pods_kept: Duration::from_secs(3_600),
    }
}

/// `run FILE CODE`, `wait FILE CODE`, `kill - CODE`, `say CODE LINE…`, `count LINES`.
async fn driver(mut container: Container) -> ContainerEnd {
    let all = container.args();
    let begin = all.iter().position(|arg| arg.starts_with("local://")).map_or(0, |at| at + 1);
    let args: Vec<&str> = all[begin..].iter().map(String::as_str).collect();
    match args.as_slice() {
        ["run", traces, code] => {
            append_line(Path::new(traces));
            ContainerEnd::code(code.parse().unwrap())
        }
        ["wait", traces, code] => {
            append_line(Path::new(traces));
            container.told_to_end().await;
            ContainerEnd::code(code.parse().unwrap())
        }
        ["kill", _, code] => ContainerEnd::code(code.parse().unwrap()),
        ["oom"] => ContainerEnd { exit_code: 137, reason: "OOMKilled" },
        ["say", code, lines @ ..] => {
            lines.iter().for_each(|line| container.print(line));
            ContainerEnd::code(code.parse().unwrap())
        }
        ["count", lines] => {
            for number in 0..lines.parse::<u32>().unwrap() {
                container.print(&format!("line {number}"));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            ContainerEnd::code(0)
        }
        other => {
            container.print(&format!("what is {other:?}?"));
            ContainerEnd::code(64)
        }
    }
}

/// Leaves a trace of a run.
pub(crate) fn append_line(path: &Path) {
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    file.write_all(b"run\n").unwrap();
}

/// A program with these arguments.
pub(crate) fn spec(args: &[&str]) -> ApplicationSpec {
    ApplicationSpec {
        name: None,
        resource: "local:///opt/program.py".to_owned(),
        class_name: None,
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        conf: SparkConf::default(),
        proxy_user: None,
        spark: None,
        labels: Labels::default(),
        external_id: None,
        limits: Limits::default(),
    }
}

/// An order to launch a new attempt of it.
pub(crate) fn order(args: &[&str]) -> LaunchOrder {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let application = ApplicationId::new(ApplicationKind::Batch, number).unwrap();
    let id = AttemptId::new(Uuid::now_v7());
    LaunchOrder {
        attempt: AttemptRef { id, application, binding: "gateway".to_owned() },
        spec: Arc::new(spec(args)),
        owner: Owner { user: "ada".parse().unwrap(), tenant: "default".parse().unwrap() },
        number: 1,
    }
}

/// Waits until the attempt is seen as wanted, and returns what was seen.
pub(crate) async fn seen(
    backend: &KubernetesBackend,
    attempt: &AttemptRef,
    wanted: impl Fn(&Observation) -> bool,
) -> Observation {
    let last = std::sync::Mutex::new(Observation::Absent);
    wait_until("the attempt is as wanted", || async {
        let observed = backend.observe(attempt).await.unwrap();
        let is_wanted = wanted(&observed);
        *last.lock().unwrap() = observed;
        is_wanted
    })
    .await;
    last.into_inner().unwrap()
}
