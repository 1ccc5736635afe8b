//! Every route of the table passes the guards, and nothing is a route that isn't in the table.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use http::request::Parts;
use model::principal::{Principal, Scope};

use super::*;
use crate::server::access::{Action, Decision, Object, Unauthenticated};
use crate::server::routes::table;

/// Denies one of the two questions, and remembers what was asked.
#[derive(Default)]
struct Denying {
    nobody_is_known: bool,
    asked: Mutex<Vec<Action>>,
}

impl Access for Denying {
    fn authenticate(&self, _head: &Parts) -> Result<Principal, Unauthenticated> {
        if self.nobody_is_known { Err(Unauthenticated) } else { Ok(principal()) }
    }

    fn scope(&self, _principal: &Principal, _action: Action) -> Scope {
        Scope::Nothing
    }

    fn authorise(&self, _principal: &Principal, action: Action, _object: Object<'_>) -> Decision {
        self.asked.lock().unwrap().push(action);
        Decision::Denied { rule: "roles.action" }
    }
}

/// A path of the table with something in place of its placeholders.
fn filled(path: &str) -> String {
    let id = if path.starts_with("/api") { "batch-0" } else { "0" };
    path.replace("{id}", id).replace("{statement}", "0")
}

#[tokio::test]
async fn without_permission_no_handler_runs() {
    let access = Arc::new(Denying::default());
    let gateway = Gateway::start_with(Arc::clone(&access) as Arc<_>).await;
    for route in table() {
        let answer = gateway.send(request(route.method.clone(), &filled(route.path), "{}")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{} {}", route.method, route.path);
        assert_eq!(
            access.asked.lock().unwrap().drain(..).collect::<Vec<_>>(),
            [route.action],
            "{} {}",
            route.method,
            route.path
        );
    }
    for unknown in ["/nope", "/api/v1/nope", "/batches/0/nope"] {
        assert_eq!(gateway.get(unknown).await.status, StatusCode::FORBIDDEN, "{unknown}");
    }
    assert_eq!(gateway.send(request(Method::PUT, "/batches", "")).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn without_a_known_user_nothing_is_answered() {
    let access = Arc::new(Denying { nobody_is_known: true, ..Denying::default() });
    let gateway = Gateway::start_with(Arc::clone(&access) as Arc<_>).await;
    for route in table() {
        let answer = gateway.send(request(route.method.clone(), &filled(route.path), "{}")).await;
        // Whoever watches over the process has no token, and learns only whether it is well.
        let expected = if route.action == Action::Probe { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        assert_eq!(answer.status, expected, "{} {}", route.method, route.path);
        let challenged = answer.header("www-authenticate") == "Bearer realm=\"lamplighter\"";
        assert_eq!(challenged, expected == StatusCode::UNAUTHORIZED);
    }
    assert_eq!(gateway.get("/nope").await.status, StatusCode::UNAUTHORIZED);
    assert!(access.asked.lock().unwrap().is_empty());
}

/// Lets everything pass but what is done to an application.
struct Stranger;

impl Access for Stranger {
    fn authenticate(&self, _head: &Parts) -> Result<Principal, Unauthenticated> {
        Ok(principal())
    }

    fn scope(&self, _principal: &Principal, _action: Action) -> Scope {
        Scope::Nothing
    }

    fn authorise(&self, _principal: &Principal, _action: Action, object: Object<'_>) -> Decision {
        if object == Object::Gateway { Decision::Allowed } else { Decision::Hidden }
    }
}

#[tokio::test]
async fn what_belongs_to_others_does_not_seem_to_exist() {
    let gateway = Gateway::start_with(Arc::new(Stranger)).await;
    let created = gateway.post("/api/v1/applications", r#"{"resource":"/x.py","name":"secret"}"#).await;
    assert_eq!(created.status, StatusCode::CREATED);
    for route in table().into_iter().filter(|route| route.path.contains("{id}") && !route.path.starts_with("/sessions"))
    {
        let there = gateway.send(request(route.method.clone(), &filled(route.path), "")).await;
        let absent = filled(route.path).replacen('0', "7", 1);
        let not_there = gateway.send(request(route.method.clone(), &absent, "")).await;
        assert_eq!(there.status, StatusCode::NOT_FOUND, "{} {}", route.method, route.path);
        let told = |answer: &Answer| answer.text().replace(answer.header("x-request-id"), "").replace('7', "0");
        assert_eq!(told(&there), told(&not_there), "{} {}", route.method, route.path);
    }
    assert_eq!(gateway.get("/batches/secret").await.status, StatusCode::NOT_FOUND);
    assert_eq!(gateway.get("/api/v1/applications").await.json()["items"], serde_json::json!([]));
    assert_eq!(gateway.get("/batches").await.json()["sessions"], serde_json::json!([]));
    assert_eq!(gateway.get("/batches").await.json()["total"], 0);
}

#[tokio::test]
async fn foreign_hosts_and_pages_are_refused_on_every_route() {
    let gateway = Gateway::start().await;
    for route in table() {
        for (name, value, status) in [
            ("host", "rebound.example.com", StatusCode::MISDIRECTED_REQUEST),
            ("origin", "https://evil.example.com", StatusCode::FORBIDDEN),
            ("origin", "null", StatusCode::FORBIDDEN),
        ] {
            let mut foreign = request(route.method.clone(), &filled(route.path), "{}");
            foreign.headers_mut().insert(name, value.parse().unwrap());
            assert_eq!(gateway.send(foreign).await.status, status, "{} {} from {value}", route.method, route.path);
        }
    }
    assert_eq!(gateway.get("/batches").await.json()["total"], 0);
}

#[test]
fn the_api_document_describes_the_table() {
    let document: Value = serde_json::from_str(&api::openapi()).unwrap();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let routed: BTreeSet<(String, String)> = table()
        .iter()
        .filter(|route| route.path.starts_with("/api/v1/"))
        .map(|route| (route.method.to_string(), route.path.to_owned()))
        .collect();
    assert_eq!(described, routed);
}

#[tokio::test]
async fn every_answer_carries_its_request_id() {
    let gateway = Gateway::start().await;
    for target in ["/healthz", "/batches", "/api/v1/applications/batch-9", "/nope", "/"] {
        let mut named = request(Method::GET, target, "");
        named.headers_mut().insert("x-request-id", "my-id.7".parse().unwrap());
        let answer = gateway.send(named).await;
        assert_eq!(answer.header("x-request-id"), "my-id.7", "{target}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{target}");
    }
    let mut odd = request(Method::GET, "/api/v1/applications/batch-9", "");
    odd.headers_mut().insert("x-request-id", "a b".parse().unwrap());
    let answer = gateway.send(odd).await;
    assert_eq!(answer.header("x-request-id").len(), 36);
    assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
}

#[tokio::test]
async fn probes_and_pages_answer() {
    let gateway = Gateway::start().await;
    assert_eq!(gateway.get("/healthz").await.json()["status"], "ok");
    assert_eq!(gateway.get("/readyz").await.json(), serde_json::json!({ "ready": true, "reasons": [] }));
    assert!(gateway.get("/ui").await.text().contains("/api/v1/openapi.json"));
    assert_eq!(gateway.get("/").await.header("location"), "http://127.0.0.1:8998/ui");
    assert_eq!(gateway.get("/api/v1/version").await.json()["name"], "lamplighter");
    let document = gateway.get("/api/v1/openapi.json").await;
    assert_eq!(document.text(), api::openapi());
    let backends = gateway.get("/api/v1/backends").await.json();
    assert_eq!(backends["items"][0]["name"], "local");
    assert_eq!(backends["items"][0]["places"], 100);
}
