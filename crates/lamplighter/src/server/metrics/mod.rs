//! `/metrics`: the gateway's figures for Prometheus, in the text format of OpenMetrics.
//!
//! Start with [`Metrics`]. Durations are counted as they happen ([`Metrics::observe_request`], [`store::Measured`],
//! [`Metrics::follow`]); what is under way is asked for when somebody looks. `docs/metrics.md` tells what each figure
//! means.

mod process;
mod store;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use engine::runtime::Engine;
use http::{Method, StatusCode, header};
use model::event::{Event, EventKind};
use model::state::State as ApplicationState;
use model::time::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::Mutex;

use super::AppState;
use super::failure::Failure;
use process::Process;
pub(crate) use store::Measured;

/// The media type of the text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How long a follower waits before it reads events again that it couldn't read.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Buckets of what should take milliseconds.
const QUICK_SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
/// Buckets of what waits for clusters and other people's jobs.
const SLOW_SECONDS: [f64; 13] = [0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 43_200.0];

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Every figure of the gateway.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Histograms<RequestLabels>,
    accepts: Histograms<DoorLabels>,
    store: Histograms<StoreLabels>,
    queued: Histograms<BackendLabels>,
    started: Histograms<BackendLabels>,
    ended: Family<EndLabels, Counter>,
    connections: Gauge,
    streams: Gauge,
    now: Now,
    /// Held while figures are asked for and written, so that two who look don't mix theirs.
    writing: Mutex<()>,
}

/// What is under way.
#[derive(Default)]
struct Now {
    applications: Family<StateLabels, Gauge>,
    places: Family<BackendLabels, Gauge>,
    ready: Family<BackendLabels, Gauge>,
    waiting_seconds: Family<BackendLabels, Gauge<f64, std::sync::atomic::AtomicU64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DoorLabels {
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreLabels {
    command: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BackendLabels {
    backend: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    backend: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    backend: String,
    state: &'static str,
    reason: &'static str,
}

fn quick() -> Histogram {
    Histogram::new(QUICK_SECONDS)
}

fn slow() -> Histogram {
    Histogram::new(SLOW_SECONDS)
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            requests: Family::new_with_constructor(quick),
            accepts: Family::new_with_constructor(quick),
            store: Family::new_with_constructor(quick),
            queued: Family::new_with_constructor(slow),
            started: Family::new_with_constructor(slow),
            ended: Family::default(),
            connections: Gauge::default(),
            streams: Gauge::default(),
            now: Now::default(),
            writing: Mutex::new(()),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        self.registry.register_collector(Box::new(Process::started_now()));
        let ours = self.registry.sub_registry_with_prefix("lamplighter");
        let seconds = || Unit::Seconds;
        ours.register_with_unit("http_request", "Time to the head of an answer", seconds(), self.requests.clone());
        ours.register_with_unit("accept", "Time to accept an application", seconds(), self.accepts.clone());
        ours.register_with_unit("store_command", "Time of a command of the store", seconds(), self.store.clone());
        let help = "Time that an attempt waited for its turn";
        ours.register_with_unit("queue_wait", help, seconds(), self.queued.clone());
        let help = "Time from an attempt's stored intent until its driver was seen running";
        ours.register_with_unit("driver_start", help, seconds(), self.started.clone());
        ours.register("applications_ended", "Applications that ended", self.ended.clone());
        ours.register("connections", "Connections that are open", self.connections.clone());
        ours.register("streams", "Streams of events and logs that are open", self.streams.clone());
        let help = "Applications that haven't ended";
        ours.register("applications", help, self.now.applications.clone());
        ours.register("backend_places", "Applications that may be active at once", self.now.places.clone());
        let help = "Whether this gateway holds the backend's lease and knows everything active there";
        ours.register("backend_ready", help, self.now.ready.clone());
        let help = "How long the application has waited that has waited longest for its turn";
        ours.register_with_unit("queue_oldest", help, seconds(), self.now.waiting_seconds.clone());
    }

    /// Counts an answer to a request for `route`, as the table of routes spells it.
    pub(super) fn observe_request(&self, method: &Method, route: &'static str, status: StatusCode, took: Duration) {
        let labels = RequestLabels { method: method.to_string(), route, status: status.as_u16() };
        self.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Counts an application that was accepted at `route`.
    pub(super) fn observe_accept(&self, route: &'static str, took: Duration) {
        self.accepts.get_or_create(&DoorLabels { route }).observe(took.as_secs_f64());
    }

    fn observe_store(&self, command: &'static str, is_ok: bool, took: Duration) {
        let outcome = if is_ok { "ok" } else { "error" };
        self.store.get_or_create(&StoreLabels { command, outcome }).observe(took.as_secs_f64());
    }

    /// Counts a connection for as long as the answer lives.
    pub(super) fn connection(&self) -> Open {
        Open::new(&self.connections)
    }

    /// Counts a stream for as long as the answer lives.
    pub(super) fn stream(&self) -> Open {
        Open::new(&self.streams)
    }

    /// Counts what happens to applications that this gateway looks after, for as long as it is polled.
    pub(crate) async fn follow(self: Arc<Self>, engine: Arc<Engine>) {
        let mut changes = engine.events().subscribe(None);
        loop {
            match changes.next().await {
                Ok(events) => {
                    for event in events {
                        self.count(&engine, &event).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "read events to count them");
                    tokio::time::sleep(READ_AGAIN).await;
                }
            }
        }
    }

    async fn count(&self, engine: &Engine, event: &Event) {
        let is_news =
            event.kind == EventKind::State && (event.state == ApplicationState::Running || event.state.is_terminal());
        if !is_news {
            return;
        }
        // One that is gone already isn't counted: its durations are gone too.
        let Ok(Some(application)) = engine.get(event.application).await else { return };
        if !engine.looks_after(&application) {
            return;
        }
        let backend = application.backend.to_string();
        if event.state.is_terminal() {
            let reason = event.reason.as_ref().map_or("none", |reason| reason.code.as_str());
            self.ended.get_or_create(&EndLabels { backend, state: event.state.as_str(), reason }).inc();
            return;
        }
        let Some(attempt) = application.attempts.last() else { return };
        let labels = BackendLabels { backend };
        if attempt.number == 1 {
            self.queued.get_or_create(&labels).observe(seconds(application.accepted_at, attempt.created_at));
        }
        if let Some(started) = attempt.started_at {
            self.started.get_or_create(&labels).observe(seconds(attempt.created_at, started));
        }
    }

    /// All figures as text.
    async fn text(&self, app: &AppState) -> Result<String, Failure> {
        let _writing = self.writing.lock().await;
        self.look(app).await?;
        let mut text = String::new();
        encode(&mut text, &self.registry).map_err(|_| Failure::new(api::ProblemCode::Internal))?;
        Ok(text)
    }

    /// Asks for what is under way.
    async fn look(&self, app: &AppState) -> Result<(), Failure> {
        let now = engine::runtime::now();
        for census in app.engine.census().await? {
            let backend = census.backend.to_string();
            for (state, count) in census.states {
                let labels = StateLabels { backend: backend.clone(), state: state.as_str() };
                self.now.applications.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
            }
            let labels = BackendLabels { backend };
            self.now.places.get_or_create(&labels).set(i64::try_from(census.places).unwrap_or(i64::MAX));
            self.now.ready.get_or_create(&labels).set(i64::from(census.ready));
            let waited = census.waiting_since.map_or(0.0, |since| seconds(since, now));
            self.now.waiting_seconds.get_or_create(&labels).set(waited);
        }
        Ok(())
    }
}

/// Something that is open and counted.
pub(super) struct Open(Gauge);

impl Open {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.since(from).as_secs_f64()
}

/// `GET /metrics`.
pub(super) async fn read(State(app): State<AppState>) -> Result<Response, Failure> {
    let text = app.metrics.text(&app).await?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}
