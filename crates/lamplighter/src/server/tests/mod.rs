//! Drives the router in-process: a real engine on the memory store, and a backend whose drivers the tests play.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod doors;
mod figures;
mod follow;
mod hostile;
mod livy_replies;
mod matrix;
mod puppet;
mod tls;
mod v1_replies;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use engine::runtime::{BackendOptions, Engine, EngineOptions, Retention};
use engine::step::Policy;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use model::id::{BackendKind, HolderId, TenantName, UserName};
use model::principal::Principal;
use policy::{PolicyConfig, Principals};
use serde_json::Value;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use super::{
    Access, App, AppState, Closing, Flood, Hosts, LivySettings, Preflight, RequestLimits, SinglePrincipal, router,
};
use puppet::Puppet;

/// Streams that a gateway of the tests keeps open.
const STREAMS_MAX: usize = 100;

/// A gateway without sockets.
struct Gateway {
    router: Router,
    app: AppState,
    puppet: Arc<Puppet>,
}

/// An answer, read to its end.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        let parsed = serde_json::from_slice(&self.body);
        assert!(parsed.is_ok(), "not JSON: {}", self.text());
        parsed.unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn principal() -> Principal {
    Principal::sole(UserName::new("ada").unwrap(), TenantName::new("default").unwrap())
}

impl Gateway {
    async fn start() -> Self {
        Self::start_with(Arc::new(SinglePrincipal::new(principal()))).await
    }

    async fn start_with(access: Arc<dyn Access>) -> Self {
        Self::start_as(access, LivySettings::default()).await
    }

    async fn start_under(rules: livy::create::Rules) -> Self {
        let settings = LivySettings { rules, ..LivySettings::default() };
        Self::start_as(Arc::new(SinglePrincipal::new(principal())), settings).await
    }

    async fn start_as(access: Arc<dyn Access>, livy: LivySettings) -> Self {
        Self::start_for(Principals::One, access, livy).await
    }

    async fn start_for(principals: Principals, access: Arc<dyn Access>, livy: LivySettings) -> Self {
        let puppet = Arc::new(Puppet::default());
        let engine = Engine::start(Arc::new(store::memory::MemoryStore::new()), engine_options(&puppet)).await.unwrap();
        let app = Arc::new(App {
            engine,
            logs: BTreeMap::from([(puppet::name(), Arc::clone(&puppet) as Arc<_>)]),
            preflight: Preflight::new(|_, spec| puppet::preflight(spec)),
            access,
            policy: policy::Policy::compile(&PolicyConfig::default(), principals).unwrap(),
            kinds: BTreeMap::from([(puppet::name(), BackendKind::Local)]),
            flood: Flood::default(),
            hosts: Hosts::new(([127, 0, 0, 1], 8998).into(), &[]),
            limits: RequestLimits { body_timeout: Duration::from_millis(300), ..RequestLimits::default() },
            livy,
            metrics: Arc::default(),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            closing: Closing::default(),
        });
        let gateway = Self { router: router(Arc::clone(&app)), app, puppet };
        while !gateway.app.engine.readiness().ready {
            tokio::task::yield_now().await;
        }
        gateway
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: head.status, headers: head.headers, body }
    }

    async fn get(&self, target: &str) -> Answer {
        self.send(request(Method::GET, target, "")).await
    }

    async fn post(&self, target: &str, body: &str) -> Answer {
        self.send(request(Method::POST, target, body)).await
    }

    async fn delete(&self, target: &str) -> Answer {
        self.send(request(Method::DELETE, target, "")).await
    }

    /// Creates an application and returns its id once its driver runs.
    async fn running(&self, body: &str) -> String {
        let answer = self.post("/api/v1/applications", body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        self.until(&id, "running").await;
        id
    }

    /// Waits until an application's attempt of this number runs.
    async fn attempts(&self, id: &str, count: usize) {
        let mut changes = self.app.engine.events().subscribe(None);
        loop {
            let application = self.get(&format!("/api/v1/applications/{id}")).await.json();
            if application["attempts"].as_array().unwrap().len() == count && application["state"] == "running" {
                return;
            }
            changes.next().await.unwrap();
        }
    }

    /// Waits until an application is in this state; the engine tells about every change.
    async fn until(&self, id: &str, state: &str) -> Value {
        let mut changes = self.app.engine.events().subscribe(None);
        loop {
            let application = self.get(&format!("/api/v1/applications/{id}")).await.json();
            if application["state"] == state {
                return application;
            }
            changes.next().await.unwrap();
        }
    }
}

fn engine_options(puppet: &Arc<Puppet>) -> EngineOptions {
    EngineOptions {
        holder: HolderId::new("test").unwrap(),
        shared_store: false,
        policy: Policy::default(),
        retention: Retention::default(),
        backends: vec![BackendOptions { backend: Arc::clone(puppet) as Arc<_>, places: 100, queue_max: Some(1_000) }],
    }
}

/// A request as a well-behaved client sends it.
fn request(method: Method, target: &str, body: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(target)
        .header("host", "127.0.0.1:8998")
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap()
}
