//! Every route, asked by every role, about its own, its tenant's and another tenant's application; and what lists,
//! counts and streams show to whom.

use std::fmt::Write as _;

use axum::body::BodyDataStream;
use engine::runtime::AcceptRequest;
use engine::store::AuditQuery;
use expect_test::expect;
use futures::StreamExt as _;
use model::audit::AuditDecision;
use model::id::ApplicationKind;
use model::principal::{Owner, Role};
use model::spec::{ApplicationSpec, Limits};
use policy::config::{AuthConfig, TokenConfig};
use policy::{Decision, TokenHash, Tokens, new_token};

use super::*;
use crate::server::BearerTokens;
use crate::server::access::{Action, Object};
use crate::server::routes::{Route, table};

/// Everybody with a token: a user of the tenant `core` per role, who is called like it, and one without any.
fn principals() -> Vec<Principal> {
    let roles = Role::ALL.map(|role| (role.as_str(), [role].into()));
    let nobody = ("nobody", [].into());
    roles.into_iter().chain([nobody]).map(|(user, roles)| Principal { roles, ..person(user, "core") }).collect()
}

fn person(user: &str, tenant: &str) -> Principal {
    let (user, tenant) = (UserName::new(user).unwrap(), TenantName::new(tenant).unwrap());
    Principal { user, tenant, groups: [].into(), roles: [].into() }
}

fn token(user: &str) -> String {
    let mut bytes = [0; 32];
    bytes[..user.len()].copy_from_slice(user.as_bytes());
    new_token(bytes)
}

fn tokens() -> BearerTokens {
    let token = |principal: &Principal| TokenConfig {
        user: principal.user.to_string(),
        tenant: principal.tenant.to_string(),
        groups: vec![],
        roles: principal.roles.iter().map(ToString::to_string).collect(),
        sha256: TokenHash::of(&token(principal.user.as_str())).to_string(),
    };
    let config = AuthConfig { tokens: principals().iter().map(token).collect() };
    BearerTokens::new(Tokens::compile(&config).unwrap())
}

impl Gateway {
    async fn with_tokens() -> Self {
        Self::start_for(Principals::Several, Arc::new(tokens()), LivySettings::default()).await
    }

    /// The head of the answer; a stream isn't waited for.
    async fn ask(&self, user: &str, method: Method, target: &str, body: &str) -> (StatusCode, BodyDataStream) {
        let mut request = request(method, target, body);
        let value = format!("Bearer {}", token(user)).parse().unwrap();
        request.headers_mut().insert("authorization", value);
        let answer = self.router.clone().oneshot(request).await.unwrap();
        (answer.status(), answer.into_body().into_data_stream())
    }

    async fn read_as(&self, user: &str, target: &str) -> Value {
        let (status, mut body) = self.ask(user, Method::GET, target, "").await;
        assert_eq!(status, StatusCode::OK, "{user} {target}");
        let mut whole = Vec::new();
        while let Some(bytes) = body.next().await {
            whole.extend(bytes.unwrap());
        }
        serde_json::from_slice(&whole).unwrap()
    }

    /// An application of somebody, whoever may make one.
    async fn application_of(&self, owner: &Principal) -> u32 {
        let request = AcceptRequest {
            kind: ApplicationKind::Batch,
            spec: ApplicationSpec {
                name: None,
                resource: "/x.py".into(),
                class_name: None,
                args: vec![],
                conf: Default::default(),
                proxy_user: None,
                spark: None,
                labels: Default::default(),
                external_id: None,
                limits: Limits::default(),
            },
            backend: None,
            retry_of: None,
            idempotency: None,
            tenant_max: None,
            audit: None,
        };
        self.app.engine.accept(owner, request).await.unwrap().application().id.number()
    }
}

/// Whose application a request is about.
#[derive(Clone, Copy)]
enum Whose {
    Own,
    Colleagues,
    Strangers,
}

fn owner(asker: &Principal, whose: Whose) -> Principal {
    match whose {
        Whose::Own => asker.clone(),
        Whose::Colleagues => person("colleague", asker.tenant.as_str()),
        Whose::Strangers => person(asker.user.as_str(), "elsewhere"),
    }
}

/// Whether the path names an application that can be there.
fn names_an_application(route: &Route) -> bool {
    route.path.contains("{id}") && !route.path.starts_with("/sessions")
}

fn target(route: &Route, number: u32) -> String {
    let id = if route.path.starts_with("/api") { format!("batch-{number}") } else { number.to_string() };
    route.path.replace("{id}", &id).replace("{statement}", "0")
}

async fn check(gateway: &Gateway, route: &Route, asker: &Principal, whose: Whose) {
    let of = owner(asker, whose);
    let number = if names_an_application(route) { gateway.application_of(&of).await } else { 0 };
    let (status, _) = gateway.ask(asker.user.as_str(), route.method.clone(), &target(route, number), "{}").await;
    let owner = Owner::from(&of);
    let gate = policy::authorise(asker, route.action, Object::Gateway);
    let about = policy::authorise(asker, route.action, Object::ApplicationOf(&owner));
    let decision = if names_an_application(route) && gate.is_allowed() { about } else { gate };
    let expected = match decision {
        Decision::Denied { .. } => Some(StatusCode::FORBIDDEN),
        Decision::Hidden => Some(StatusCode::NOT_FOUND),
        Decision::Allowed => None,
    };
    let context = format!("{} {} by {} ({decision:?})", route.method, route.path, asker.user);
    match expected {
        Some(expected) => assert_eq!(status, expected, "{context}"),
        None if names_an_application(route) => {
            assert!(![401, 403, 404].contains(&status.as_u16()), "{status} {context}");
        }
        None => assert!(![401, 403].contains(&status.as_u16()), "{status} {context}"),
    }
}

#[tokio::test]
async fn every_route_asks_for_every_role_about_everybodys_applications() {
    let gateway = Gateway::with_tokens().await;
    for route in table() {
        for asker in principals() {
            for whose in [Whose::Own, Whose::Colleagues, Whose::Strangers] {
                check(&gateway, &route, &asker, whose).await;
            }
        }
    }
}

#[tokio::test]
async fn lists_counts_and_streams_show_what_may_be_seen() {
    let gateway = Gateway::with_tokens().await;
    let owners =
        [person("submitter", "core"), person("colleague", "core"), person("submitter", "elsewhere"), person("x", "y")];
    for owner in &owners {
        gateway.application_of(owner).await;
    }
    let mut shown = String::new();
    for asker in principals() {
        let user = asker.user.as_str();
        if !policy::authorise(&asker, Action::ListApplications, Object::Gateway).is_allowed() {
            continue;
        }
        let listed = gateway.read_as(user, "/api/v1/applications").await;
        let ids: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
        let livy = gateway.read_as(user, "/batches").await;
        let sessions = livy["sessions"].as_array().unwrap().len();
        let events = accepted_events(&gateway, user, ids.len()).await;
        writeln!(shown, "{user}: {ids:?}, Livy {} of {}, events of {events:?}", sessions, livy["total"]).unwrap();
    }
    expect![[r#"
        submitter: [String("batch-0")], Livy 1 of 1, events of ["0"]
        viewer: [String("batch-1"), String("batch-0")], Livy 2 of 2, events of ["0", "1"]
        tenant-admin: [String("batch-1"), String("batch-0")], Livy 2 of 2, events of ["0", "1"]
        operator: [String("batch-3"), String("batch-2"), String("batch-1"), String("batch-0")], Livy 4 of 4, events of ["0", "1", "2", "3"]
    "#]].assert_eq(&shown);
}

/// The first so many applications that the stream of events tells of.
async fn accepted_events(gateway: &Gateway, user: &str, count: usize) -> Vec<String> {
    let (status, mut body) = gateway.ask(user, Method::GET, "/api/v1/events?after=0", "").await;
    assert_eq!(status, StatusCode::OK);
    let mut text = String::new();
    let mut found = Vec::new();
    while found.len() < count {
        text.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
        let told = text.split("\n\n").filter(|event| event.contains("event: accepted") && event.contains("\"batch-"));
        found =
            told.map(|event| event.split("\"batch-").nth(1).unwrap().split('"').next().unwrap().to_owned()).collect();
    }
    found
}

#[tokio::test]
async fn what_is_decided_is_recorded() {
    let gateway = Gateway::with_tokens().await;
    let others = gateway.application_of(&person("x", "y")).await;
    let colleagues = gateway.application_of(&person("colleague", "core")).await;
    let post = |user, target: String, body| gateway.ask(user, Method::POST, Box::leak(target.into_boxed_str()), body);
    let create = r#"{"resource":"/x.py"}"#;
    let forbidden = r#"{"resource":"/x.py","proxy_user":"root"}"#;
    let statuses = [
        post("submitter", "/api/v1/applications".into(), create).await.0,
        post("submitter", "/api/v1/applications".into(), forbidden).await.0,
        post("viewer", "/api/v1/applications".into(), create).await.0,
        post("submitter", format!("/api/v1/applications/batch-{others}/cancel"), "").await.0,
        post("viewer", format!("/api/v1/applications/batch-{colleagues}/cancel"), "").await.0,
        post("tenant-admin", format!("/api/v1/applications/batch-{colleagues}/cancel"), "").await.0,
        post("unknown", "/api/v1/applications".into(), create).await.0,
    ];
    assert_eq!(statuses.map(|status| status.as_u16()), [201, 403, 403, 404, 403, 202, 401]);
    let query = AuditQuery { limit: 100, ..AuditQuery::default() };
    let mut record = String::new();
    for one in gateway.app.engine.audit(&query).await.unwrap().into_iter().rev() {
        let entry = one.entry;
        let user = entry.user.map_or("-".to_owned(), |user| user.to_string());
        writeln!(record, "{user} {} {} {} {:?}", entry.action, entry.object, entry.decision, entry.rules).unwrap();
        assert_eq!(entry.tenant.is_none(), entry.decision == AuditDecision::Unauthenticated);
    }
    expect![[r#"
        submitter create-application batch-2 allowed []
        submitter create-application  refused ["built-in.proxy-users: proxy_user"]
        viewer create-application /api/v1/applications denied ["roles.action"]
        submitter cancel-application batch-0 denied ["roles.visibility"]
        viewer cancel-application /api/v1/applications/batch-1/cancel denied ["roles.action"]
        tenant-admin cancel-application batch-1 allowed []
        - authenticate /api/v1/applications unauthenticated []
    "#]]
    .assert_eq(&record);
}
