//! The fake API server keeps the laws that real ones keep.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use testkit::fake_kubernetes::FakeKubernetes;
use testkit::kubernetes_contract::check_api_server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fake_api_server_keeps_the_laws() {
    let fake = FakeKubernetes::start(&["laws"]).await.unwrap();
    let mut config = kube::Config::new(fake.url().parse().unwrap());
    config.default_retry = false;
    check_api_server(&kube::Client::try_from(config).unwrap(), "laws").await;
    assert_eq!(fake.objects("pods"), [] as [serde_json::Value; 0]);
    assert_eq!(fake.objects("configmaps"), [] as [serde_json::Value; 0]);
}
