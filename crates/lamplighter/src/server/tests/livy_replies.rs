//! What of Livy's doors depends on this gateway rather than on the recorded contract, which is replayed elsewhere.

use ::backends::log::Stream;
use model::state::Exit;

use super::*;

#[tokio::test]
async fn both_doors_show_the_same_applications() {
    let gateway = Gateway::start().await;
    let created = gateway
        .post(
            "/batches",
            r#"{"file":"/x.py","name":"daily","conf":{"spark.lamplighter.label.team":"core","spark.master":"yarn"}}"#,
        )
        .await;
    assert_eq!((created.status, created.header("location")), (StatusCode::CREATED, "/batches/0"));
    assert_eq!(created.json()["log"], serde_json::json!(["stdout: ", "\nstderr: "]));
    let application = gateway.until("batch-0", "running").await;
    assert_eq!((&application["name"], &application["labels"]["team"]), (&"daily".into(), &"core".into()));
    assert_eq!(application["conf"], serde_json::json!({ "spark.app.name": "daily" }));
    gateway.puppet.print(Stream::Stdout, "out");
    gateway.puppet.print(Stream::Stderr, "err");
    assert_eq!(
        gateway.get("/batches/daily/log").await.json()["log"],
        serde_json::json!(["stdout: ", "out", "err", "\nstderr: "])
    );
    gateway.puppet.end(Exit::Code(1)).await;
    gateway.until("batch-0", "failed").await;
    assert_eq!(gateway.get("/batches/0/state").await.text(), r#"{"id":0,"state":"dead"}"#);
    let taken = gateway.post("/batches", r#"{"file":"/x.py","name":"daily"}"#).await;
    assert_eq!(taken.text(), r#"{"msg":"Rejected, Reason: Duplicate session name: Some(daily) for session 1"}"#);
}

#[tokio::test]
async fn delete_waits_until_the_batch_is_gone() {
    let gateway = Gateway::start().await;
    gateway.post("/batches", r#"{"file":"/x.py"}"#).await;
    gateway.until("batch-0", "running").await;
    assert_eq!(gateway.delete("/batches/0").await.text(), r#"{"msg":"deleted"}"#);
    assert_eq!(gateway.get("/batches/0").await.status, StatusCode::NOT_FOUND);
    assert_eq!(gateway.delete("/batches/0").await.text(), r#"{"msg":"Session '0' not found."}"#);
}

#[tokio::test]
async fn refusals_keep_livys_shape() {
    let gateway = Gateway::start().await;
    for (body, told) in [
        (r#"{"file":"/x.py","conf":{"spark.lamplighter.backend":"moon"}}"#, "no backend `moon` is configured"),
        (r#"{"file":"/x.py","conf":{"spark.lamplighter.nope":"1"}}"#, "spark.lamplighter.nope: there is no such key"),
        (r#"{"file":"/x.py","args":["a\u0000b"]}"#, "contains a NUL character"),
    ] {
        let answer = gateway.post("/batches", body).await;
        let message = answer.json()["msg"].as_str().unwrap().to_owned();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(message.starts_with("Rejected, Reason: ") && message.contains(told), "{body}: {message}");
    }
    let sessions = gateway.post("/sessions", r#"{"kind":"spark"}"#).await;
    assert_eq!(sessions.status, StatusCode::NOT_IMPLEMENTED);
    assert!(sessions.json()["msg"].is_string());
}

#[tokio::test]
async fn answers_are_compressed_when_asked_for() {
    let gateway = Gateway::start().await;
    for (accepted, encoding) in [("gzip", "gzip"), ("deflate", "deflate"), ("br", "")] {
        let mut request = request(Method::GET, "/batches", "");
        request.headers_mut().insert("accept-encoding", accepted.parse().unwrap());
        let answer = gateway.send(request).await;
        assert_eq!(answer.header("content-encoding"), encoding);
        let plain = match encoding {
            "gzip" => crate::server::body::gunzip(&answer.body, 1_000).unwrap(),
            "deflate" => crate::server::body::inflate(&answer.body, 1_000).unwrap(),
            _ => answer.body.clone(),
        };
        assert_eq!(plain, br#"{"from":0,"total":0,"sessions":[]}"#);
    }
}
