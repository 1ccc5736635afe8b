//! What `/metrics` tells, and streams that have a limit.

use std::collections::BTreeSet;

use engine::store::Store as _;
use futures::StreamExt as _;
use tokio::task::yield_now;

use super::*;
use crate::server::Measured;

impl Gateway {
    async fn figures(&self) -> String {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
        answer.text()
    }

    /// The value of a line that begins so.
    async fn figure(&self, line: &str) -> Option<f64> {
        let figures = self.figures().await;
        let found = figures.lines().find_map(|it| it.strip_prefix(line));
        found.map(|value| value.trim().parse().unwrap())
    }
}

#[tokio::test]
async fn figures_tell_what_is_under_way_and_what_was_done() {
    let gateway = Gateway::start().await;
    tokio::spawn(Arc::clone(&gateway.app.metrics).follow(Arc::clone(&gateway.app.engine)));
    yield_now().await;
    let id = gateway.running(r#"{"resource":"/x.py"}"#).await;
    for (line, value) in [
        (r#"lamplighter_applications{backend="local",state="running"}"#, 1.0),
        (r#"lamplighter_applications{backend="local",state="accepted"}"#, 0.0),
        (r#"lamplighter_backend_places{backend="local"}"#, 100.0),
        (r#"lamplighter_backend_ready{backend="local"}"#, 1.0),
        (r#"lamplighter_queue_oldest_seconds{backend="local"}"#, 0.0),
        (r#"lamplighter_accept_seconds_count{route="/api/v1/applications"}"#, 1.0),
        (r#"lamplighter_http_request_seconds_count{method="POST",route="/api/v1/applications",status="201"}"#, 1.0),
    ] {
        assert_eq!(gateway.figure(line).await, Some(value), "{line}");
    }
    gateway.post(&format!("/api/v1/applications/{id}/cancel"), "").await;
    gateway.until(&id, "cancelled").await;
    let ended = r#"lamplighter_applications_ended_total{backend="local",state="cancelled",reason="cancelled_by_user"}"#;
    // The counter follows the events as any other subscriber does.
    while gateway.figure(ended).await != Some(1.0) {
        yield_now().await;
    }
    assert_eq!(gateway.figure(r#"lamplighter_queue_wait_seconds_count{backend="local"}"#).await, Some(1.0));
    assert_eq!(gateway.figure(r#"lamplighter_driver_start_seconds_count{backend="local"}"#).await, Some(1.0));
    assert_eq!(gateway.figure(r#"lamplighter_applications{backend="local",state="running"}"#).await, Some(0.0));
}

#[tokio::test]
async fn every_figure_is_described() {
    let gateway = Gateway::start().await;
    // What never happened isn't told.
    tokio::spawn(Arc::clone(&gateway.app.metrics).follow(Arc::clone(&gateway.app.engine)));
    yield_now().await;
    let id = gateway.running(r#"{"resource":"/x.py"}"#).await;
    gateway.post(&format!("/api/v1/applications/{id}/cancel"), "").await;
    while !gateway.figures().await.contains("applications_ended_total{") {
        yield_now().await;
    }
    let measured = Measured::new(Arc::new(store::memory::MemoryStore::new()), Arc::clone(&gateway.app.metrics));
    measured.last_event().await.unwrap();
    let page = include_str!("../../../../../docs/metrics.md");
    let figures = gateway.figures().await;
    let named: BTreeSet<&str> =
        figures.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert!(named.len() > 18, "{named:?}");
    for name in named {
        assert!(page.contains(&format!("`{name}")), "docs/metrics.md doesn't tell of {name}");
    }
    assert!(figures.ends_with("# EOF\n"));
}

#[tokio::test]
async fn streams_leave_connections_to_others() {
    let gateway = Gateway::start().await;
    let open = || async { gateway.router.clone().oneshot(request(Method::GET, "/api/v1/events", "")).await.unwrap() };
    let mut streams = Vec::new();
    for _ in 0..STREAMS_MAX {
        let stream = open().await;
        assert_eq!(stream.status(), StatusCode::OK);
        streams.push(stream.into_body().into_data_stream());
    }
    assert_eq!(gateway.figure("lamplighter_streams").await, Some(100.0));
    let refused = gateway.get("/api/v1/events").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.header("retry-after"), "5");
    // The place of one that its client leaves is free again.
    drop(streams.pop());
    assert_eq!(open().await.status(), StatusCode::OK);
    gateway.app.closing.close();
    while let Some(mut stream) = streams.pop() {
        assert!(stream.next().await.is_none());
    }
}
