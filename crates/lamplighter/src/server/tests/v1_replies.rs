//! `/api/v1/applications`, from create to delete.

use model::state::Exit;

use super::*;

/// The code and the pointers of a problem.
fn problem(answer: &Answer) -> (String, Vec<String>) {
    assert_eq!(answer.header("content-type"), "application/problem+json", "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["status"], answer.status.as_u16());
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    let pointers = errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect();
    (body["code"].as_str().unwrap().to_owned(), pointers)
}

async fn check_problem(
    gateway: &Gateway,
    method: Method,
    target: &str,
    body: &str,
    status: u16,
    code: &str,
    pointers: &[&str],
) {
    let answer = gateway.send(request(method, target, body)).await;
    assert_eq!(answer.status.as_u16(), status, "{target} {body}: {}", answer.text());
    let (found, found_pointers) = problem(&answer);
    assert_eq!(
        (found.as_str(), found_pointers),
        (code, pointers.iter().map(|it| (*it).to_owned()).collect()),
        "{target} {body}"
    );
}

#[tokio::test]
async fn an_application_lives_from_create_to_delete() {
    let gateway = Gateway::start().await;
    let body = r#"{"resource":"/x.py","args":["1"],"name":"daily","conf":{"spark.hadoop.fs.s3a.secret.key":"shh"},
                   "driver_memory":"1g","labels":{"team":"core"},"run_timeout":"10m"}"#;
    let created = gateway.post("/api/v1/applications", body).await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!(created.header("location"), "/api/v1/applications/batch-0");
    let application = created.json();
    assert_eq!(
        (&application["id"], &application["state"], &application["owner"]),
        (&"batch-0".into(), &"accepted".into(), &"ada".into())
    );
    assert_eq!(application["conf"]["spark.hadoop.fs.s3a.secret.key"], "*********(redacted)");
    assert_eq!(application["conf"]["spark.driver.memory"], "1g");
    assert_eq!(application["run_timeout"], "10min");
    assert!(!created.text().contains("shh"));

    gateway.until("batch-0", "running").await;
    check_problem(&gateway, Method::DELETE, "/api/v1/applications/batch-0", "", 409, "still_active", &[]).await;
    check_problem(&gateway, Method::POST, "/api/v1/applications/batch-0/retry", "", 409, "not_retryable", &[]).await;
    gateway.puppet.end(Exit::Code(3)).await;
    let ended = gateway.until("batch-0", "failed").await;
    assert_eq!((&ended["exit_code"], &ended["reason"]["code"]), (&3.into(), &"exit_code".into()));
    assert_eq!(ended["attempts"].as_array().unwrap().len(), 1);

    let again = gateway.post("/api/v1/applications/batch-0/retry", "").await;
    assert_eq!((again.status, &again.json()["retry_of"]), (StatusCode::CREATED, &"batch-0".into()));
    assert_eq!(gateway.delete("/api/v1/applications/batch-0").await.status, StatusCode::NO_CONTENT);
    check_problem(&gateway, Method::GET, "/api/v1/applications/batch-0", "", 404, "not_found", &[]).await;
    check_problem(&gateway, Method::DELETE, "/api/v1/applications/batch-0", "", 404, "not_found", &[]).await;
}

#[tokio::test]
async fn cancelling_keeps_the_record_and_deleting_may_cancel() {
    let gateway = Gateway::start().await;
    let id = gateway.running(r#"{"resource":"/x.py"}"#).await;
    let answer = gateway.post(&format!("/api/v1/applications/{id}/cancel"), "").await;
    assert_eq!((answer.status, &answer.json()["wish"]), (StatusCode::ACCEPTED, &"cancel".into()));
    gateway.until(&id, "cancelled").await;
    assert_eq!(gateway.post(&format!("/api/v1/applications/{id}/cancel"), "").await.status, StatusCode::OK);

    let id = gateway.running(r#"{"resource":"/x.py"}"#).await;
    assert_eq!(gateway.delete(&format!("/api/v1/applications/{id}?cancel=true")).await.status, StatusCode::ACCEPTED);
    let number = id.parse().unwrap();
    assert!(gateway.app.engine.wait_removed(number, Duration::from_secs(60)).await.unwrap());
}

#[tokio::test]
async fn refusals_say_what_is_wrong() {
    let gateway = Gateway::start().await;
    let create = "/api/v1/applications";
    for (body, status, code, pointers) in [
        ("{", 400, "malformed_body", &[][..]),
        ("", 400, "malformed_body", &[]),
        ("[]", 422, "invalid_application", &[""]),
        (r#"{"foo":1,"name":""}"#, 422, "invalid_application", &["/foo", "/resource", "/name"]),
        (r#"{"resource":"/missing.py"}"#, 422, "invalid_application", &["/resource"]),
        (r#"{"resource":"/x.py","conf":{"spark.master":"yarn"}}"#, 422, "invalid_application", &["/conf/spark.master"]),
        (r#"{"resource":"/x.py","backend":"moon"}"#, 422, "invalid_application", &["/backend"]),
    ] {
        check_problem(&gateway, Method::POST, create, body, status, code, pointers).await;
    }
    for (target, pointers) in [
        ("?limit=0", &["?limit"][..]),
        ("?limit=99999999999999999999&state=done&kind=job", &["?kind", "?state", "?limit"]),
        ("?cursor=x&label=a&owner=%20&colour=red", &["?label", "?owner", "?cursor", "?colour"]),
    ] {
        check_problem(&gateway, Method::GET, &format!("{create}{target}"), "", 400, "invalid_query", pointers).await;
    }
    for id in ["batch-1", "batch-01", "batch-99999999999", "x", "%00", "%ff", "..%2f"] {
        check_problem(&gateway, Method::GET, &format!("{create}/{id}"), "", 404, "not_found", &[]).await;
    }
    let answer = gateway.send(request(Method::PUT, create, "")).await;
    assert_eq!((answer.status.as_u16(), problem(&answer).0.as_str()), (405, "method_not_allowed"));
    assert_eq!(answer.header("allow"), "GET,HEAD,POST");
    let mut untyped = request(Method::POST, create, "{}");
    untyped.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(problem(&gateway.send(untyped).await).0, "unsupported_media_type");
    assert_eq!(gateway.get("/batches").await.json()["total"], 0);
}

#[tokio::test]
async fn a_name_is_taken_until_its_application_is_gone() {
    let gateway = Gateway::start().await;
    let body = r#"{"resource":"/x.py","name":"daily"}"#;
    gateway.running(body).await;
    check_problem(&gateway, Method::POST, "/api/v1/applications", body, 409, "name_taken", &[]).await;
    gateway.puppet.end(Exit::Code(0)).await;
    gateway.until("batch-0", "succeeded").await;
    assert_eq!(gateway.delete("/api/v1/applications/batch-0").await.status, StatusCode::NO_CONTENT);
    assert_eq!(gateway.post("/api/v1/applications", body).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_repeated_request_makes_one_application() {
    let gateway = Gateway::start().await;
    let keyed = |key: &str, body: &str| {
        let mut request = request(Method::POST, "/api/v1/applications", body);
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        request
    };
    let (one, other) = (r#"{"resource":"/x.py"}"#, r#"{"resource":"/y.py"}"#);
    let first = gateway.send(keyed("k1", one)).await;
    let second = gateway.send(keyed("k1", one)).await;
    assert_eq!((first.status, second.status), (StatusCode::CREATED, StatusCode::OK));
    assert_eq!(first.json()["id"], second.json()["id"]);
    assert_eq!(problem(&gateway.send(keyed("k1", other)).await).0, "idempotency_key_reused");
    assert_eq!(gateway.send(keyed("k2", other)).await.status, StatusCode::CREATED);
    for key in ["", "a b", &"k".repeat(256)] {
        assert_eq!(problem(&gateway.send(keyed(key, one)).await).0, "invalid_idempotency_key", "{key}");
    }
    assert_eq!(gateway.get("/batches").await.json()["total"], 2);
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let gateway = Gateway::start().await;
    for number in 0..5 {
        let team = if number % 2 == 0 { "core" } else { "edge" };
        let body = format!(
            r#"{{"resource":"/x.py","name":"n{number}","labels":{{"team":"{team}"}},"external_id":"run/{number}"}}"#
        );
        gateway.running(&body).await;
    }
    let ids = |answer: &Answer| -> Vec<String> {
        let page = answer.json();
        page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    for (query, expected) in [
        ("", &["batch-4", "batch-3", "batch-2", "batch-1", "batch-0"][..]),
        ("?label=team=edge", &["batch-3", "batch-1"]),
        ("?label=team:core&state=running,failed", &["batch-4", "batch-2", "batch-0"]),
        ("?state=accepted&state=failed", &[]),
        ("?name=n3", &["batch-3"]),
        ("?external_id=run%2F2", &["batch-2"]),
        ("?owner=ada&kind=batch&backend=local&limit=1", &["batch-4"]),
        ("?owner=bob", &[]),
    ] {
        let answer = gateway.get(&format!("/api/v1/applications{query}")).await;
        assert_eq!(ids(&answer), expected, "{query}: {}", answer.text());
    }
    let mut seen = Vec::new();
    let mut target = "/api/v1/applications?limit=2".to_owned();
    loop {
        let page = gateway.get(&target).await;
        seen.extend(ids(&page));
        let body = page.json();
        let Some(cursor) = body["next_cursor"].as_str() else { break };
        target = format!("/api/v1/applications?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["batch-4", "batch-3", "batch-2", "batch-1", "batch-0"]);
}
