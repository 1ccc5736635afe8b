//! The same laws on a real cluster with real Spark, in a namespace that enforces Pod Security `restricted`; and the
//! real API server under the laws that the fake one is held to.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod kubernetes_world;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use backends::kubernetes::KubernetesBackend;
use e2e::{Cluster, Line, Namespace, PodSecurity};
use engine::backend::{AttemptRef, Backend};
use k8s_openapi::api::core::v1::Pod;
use kubernetes_world::{config, spec};
use model::spec::ApplicationSpec;
use spark_kubernetes::status::{self, PodState};
use spark_kubernetes::{Images, Placement, names};
use testkit::backend_contract::{BackendUnderTest, Job, check_backend};
use testkit::kubernetes_contract::check_api_server;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_api_server_keeps_the_laws() {
    let Some(cluster) = Cluster::shared("a_real_api_server_keeps_the_laws").await else { return };
    let namespace = Namespace::create(&cluster, "laws", PodSecurity::Restricted).await.unwrap();
    check_api_server(&namespace.client(), namespace.name()).await;
    namespace.delete().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backend_keeps_the_laws_with_spark_4() {
    let test = "the_backend_keeps_the_laws_with_spark_4";
    let Some(cluster) = Cluster::shared(test).await else { return };
    let Some(address) = cluster.address_of_this_machine() else {
        return eprintln!("{test} is skipped: pods of a cluster that was joined can't reach this machine");
    };
    let traces = listen_for_traces(SocketAddr::new(address, 0)).await;
    let own = Namespace::create(&cluster, "gateway", PodSecurity::Restricted).await.unwrap();
    let drivers = Namespace::create(&cluster, "drivers", PodSecurity::Restricted).await.unwrap();
    let data = tempfile::tempdir().unwrap();
    let images = Images::one("4.1".parse().unwrap(), Line::V4.image());
    let placement = Placement::new(drivers.name(), "spark", images);
    let config = config(data.path(), cluster.kubeconfig().to_owned(), own.name(), placement);
    let runtime = tokio::runtime::Handle::current();
    let start = Box::new(move || {
        let config = config.clone();
        let made = tokio::task::block_in_place(|| runtime.block_on(KubernetesBackend::new(config)));
        Arc::new(made.unwrap()) as Arc<dyn Backend>
    });
    check_backend(&Real { start, drivers: &drivers, traces }).await;
    drivers.delete().await.unwrap();
    own.delete().await.unwrap();
}

struct Real<'a> {
    start: Box<dyn Fn() -> Arc<dyn Backend>>,
    drivers: &'a Namespace,
    traces: SocketAddr,
}

impl Real<'_> {
    /// A Python program of one line; `timeit` is in every image and runs what it is given.
    fn python(statement: &str) -> ApplicationSpec {
        let resource = "local:///usr/lib/python3.11/timeit.py".to_owned();
        ApplicationSpec { resource, ..spec(&["-n", "1", "-r", "1", statement]) }
    }

    fn trace(&self, traces: &Path) -> String {
        format!("import os, time, urllib.request as u; u.urlopen('http://{}{}').read()", self.traces, traces.display())
    }
}

impl BackendUnderTest for Real<'_> {
    fn start(&self) -> Arc<dyn Backend> {
        (self.start)()
    }

    fn tells_signals_from_codes(&self) -> bool {
        false
    }

    fn spec(&self, job: &Job) -> ApplicationSpec {
        match job {
            Job::Run { traces, exit_code } => Self::python(&format!("{}; os._exit({exit_code})", self.trace(traces))),
            Job::KillDriver => Self::python("import os; os.kill(os.getppid(), 9)"),
            Job::Wait { traces } => Self::python(&format!("{}; time.sleep(600)", self.trace(traces))),
        }
    }

    fn left_of(&self, attempt: &AttemptRef) -> Vec<String> {
        let (pods, name) = (self.drivers.api::<Pod>(), names::pod_name(attempt.id));
        let pod = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(pods.get_opt(&name)));
        let runs = |pod: &Pod| !matches!(status::read(pod), PodState::Ended(_));
        pod.unwrap().filter(runs).map(|_| name).into_iter().collect()
    }
}

/// Appends a line to the file that a driver names in the path of its request.
async fn listen_for_traces(address: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut line = String::new();
            BufReader::new(&mut connection).read_line(&mut line).await.unwrap();
            kubernetes_world::append_line(Path::new(line.split(' ').nth(1).unwrap()));
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            connection.write_all(answer).await.unwrap();
        }
    });
    address
}
