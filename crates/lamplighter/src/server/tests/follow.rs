//! Streams: events and logs.

use ::backends::log::Stream;
use axum::body::BodyDataStream;
use futures::StreamExt as _;
use model::state::Exit;

use super::puppet::KeepsLog;
use super::*;

/// A client that reads a stream message by message.
struct Reader {
    chunks: BodyDataStream,
    text: String,
}

/// One message.
#[derive(Debug, PartialEq)]
struct Message {
    id: String,
    event: String,
    data: Value,
}

impl Reader {
    async fn open(gateway: &Gateway, target: &str, last_event_id: Option<&str>) -> Self {
        let mut request = request(Method::GET, target, "");
        request.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
        if let Some(id) = last_event_id {
            request.headers_mut().insert("last-event-id", id.parse().unwrap());
        }
        let response = gateway.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { chunks: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next message; none when the stream has ended.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let (message, rest) = (message.to_owned(), rest.to_owned());
                self.text = rest;
                if !message.starts_with(':') {
                    return Some(parse(&message));
                }
                continue;
            }
            let chunk = self.chunks.next().await?.unwrap();
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn take(&mut self, count: usize) -> Vec<Message> {
        let mut messages = Vec::new();
        while messages.len() < count {
            messages.push(self.next().await.unwrap());
        }
        messages
    }
}

fn parse(message: &str) -> Message {
    let field =
        |name: &str| message.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
    Message { id: field("id:"), event: field("event:"), data: serde_json::from_str(&field("data:")).unwrap() }
}

fn kinds(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|it| format!("{} {}", it.event, it.data["state"].as_str().unwrap_or_default())).collect()
}

#[tokio::test]
async fn events_tell_a_life_and_can_be_taken_up_again() {
    let gateway = Gateway::start().await;
    let mut live = Reader::open(&gateway, "/api/v1/events", None).await;
    gateway.running(r#"{"resource":"/x.py"}"#).await;
    gateway.puppet.end(Exit::Code(0)).await;
    let life = live.take(4).await;
    assert_eq!(kinds(&life), ["accepted accepted", "state starting", "state running", "state succeeded"]);
    assert_eq!(life[3].data["exit_code"], 0);
    assert_eq!(life[3].data["application"], "batch-0");

    let mut late = Reader::open(&gateway, "/api/v1/events?after=0", None).await;
    assert_eq!(late.take(4).await, life);
    let mut resumed = Reader::open(&gateway, "/api/v1/events?after=0", Some(&life[1].id)).await;
    assert_eq!(resumed.take(2).await, life[2..]);
    gateway.running(r#"{"resource":"/x.py"}"#).await;
    let mut other = Reader::open(&gateway, "/api/v1/events?after=0&application=batch-1", None).await;
    assert_eq!(other.next().await.unwrap().data["application"], "batch-1");
}

#[tokio::test]
async fn streams_end_when_the_gateway_closes() {
    let gateway = Gateway::start().await;
    let id = gateway.running(r#"{"resource":"/x.py"}"#).await;
    let mut events = Reader::open(&gateway, "/api/v1/events", None).await;
    let mut log = Reader::open(&gateway, &format!("/api/v1/applications/{id}/logs"), None).await;
    gateway.app.closing.close();
    assert_eq!(events.next().await, None);
    assert_eq!(log.next().await, None);
}

#[tokio::test]
async fn a_log_is_read_in_pages_and_as_text() {
    let gateway = Gateway::start().await;
    let id = gateway.running(r#"{"resource":"/x.py"}"#).await;
    for line in 0..5 {
        let stream = if line % 2 == 0 { Stream::Stdout } else { Stream::Stderr };
        gateway.puppet.print(stream, &format!("line {line}"));
    }
    let logs = format!("/api/v1/applications/{id}/logs");
    let texts = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|item| item["text"].as_str().unwrap().to_owned()).collect()
    };
    let page = gateway.get(&format!("{logs}?limit=2")).await.json();
    assert_eq!((texts(&page), &page["attempt"]), (vec!["line 0".to_owned(), "line 1".to_owned()], &1.into()));
    assert_eq!((&page["items"][0]["stream"], &page["items"][1]["stream"]), (&"stdout".into(), &"stderr".into()));
    let rest = gateway.get(&format!("{logs}?cursor={}", page["next_cursor"].as_str().unwrap())).await.json();
    assert_eq!(texts(&rest), ["line 2", "line 3", "line 4"]);
    assert!(rest["next_cursor"].is_string(), "it isn't over");
    assert_eq!(texts(&gateway.get(&format!("{logs}?tail=1")).await.json()), ["line 4"]);
    assert_eq!(texts(&gateway.get(&format!("{logs}?stream=stderr")).await.json()), ["line 1", "line 3"]);

    gateway.puppet.end(Exit::Code(0)).await;
    gateway.until(&id, "succeeded").await;
    assert_eq!(gateway.get(&logs).await.json()["next_cursor"], Value::Null);
    let mut plain = request(Method::GET, &format!("{logs}?stream=stdout"), "");
    plain.headers_mut().insert("accept", "text/plain".parse().unwrap());
    assert_eq!(gateway.send(plain).await.text(), "line 0\nline 2\nline 4\n");
    for wrong in [
        "cursor=x",
        "cursor=1.0-00",
        "stream=both",
        "tail=-1",
        "limit=0",
        "attempt=0",
        "attempt=1&cursor=2.0-0",
        "follow=1",
    ] {
        assert_eq!(gateway.get(&format!("{logs}?{wrong}")).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    assert_eq!(gateway.get(&format!("{logs}?attempt=2")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_followed_log_ends_with_its_application() {
    let gateway = Gateway::start().await;
    let id = gateway.running(r#"{"resource":"/x.py"}"#).await;
    let target = format!("/api/v1/applications/{id}/logs");
    gateway.puppet.print(Stream::Stdout, "one");
    let mut reader = Reader::open(&gateway, &target, None).await;
    let first = reader.next().await.unwrap();
    assert_eq!((first.event.as_str(), &first.data["text"]), ("log", &"one".into()));
    gateway.puppet.print(Stream::Stdout, "two");
    assert_eq!(reader.next().await.unwrap().data["text"], "two");
    let mut resumed = Reader::open(&gateway, &target, Some(&first.id)).await;
    assert_eq!(resumed.next().await.unwrap().data["text"], "two");
    gateway.puppet.end(Exit::Code(4)).await;
    for mut reader in [reader, resumed] {
        let end = reader.next().await.unwrap();
        assert_eq!(
            (end.event.as_str(), &end.data["state"], &end.data["exit_code"]),
            ("end", &"failed".into(), &4.into())
        );
        assert_eq!(reader.next().await, None);
    }
}

#[tokio::test]
async fn a_followed_log_ends_when_its_application_goes() {
    let gateway = Gateway::start().await;
    let id = gateway.running(r#"{"resource":"/x.py"}"#).await;
    let mut reader = Reader::open(&gateway, &format!("/api/v1/applications/{id}/logs?stream=stderr"), None).await;
    gateway.delete(&format!("/api/v1/applications/{id}?cancel")).await;
    let end = reader.next().await.unwrap();
    assert_eq!(end.event, "end");
    assert_eq!(reader.next().await, None);
}

#[tokio::test]
async fn what_is_far_between_is_found_to_the_end() {
    let gateway = Gateway::start().await;
    let id = gateway.running(r#"{"resource":"/x.py"}"#).await;
    for line in 0..100 {
        let stream = if line % 30 == 29 { Stream::Stderr } else { Stream::Stdout };
        gateway.puppet.print(stream, &format!("line {line}"));
    }
    gateway.puppet.scan_at_most(7);
    let logs = format!("/api/v1/applications/{id}/logs?stream=stderr");
    let page = gateway.get(&logs).await.json();
    assert_eq!(page["items"], Value::Array(Vec::new()), "nothing within the first seven");
    let mut plain = request(Method::GET, &logs, "");
    plain.headers_mut().insert("accept", "text/plain".parse().unwrap());
    assert_eq!(gateway.send(plain).await.text(), "line 29\nline 59\nline 89\n");
    let mut reader = Reader::open(&gateway, &logs, None).await;
    let texts: Vec<Value> = reader.take(3).await.iter().map(|message| message.data["text"].clone()).collect();
    assert_eq!(texts, ["line 29", "line 59", "line 89"]);
    let livy = gateway.get("/batches/0/log?from=0&size=200").await.json();
    assert_eq!((&livy["total"], &livy["log"][100]), (&102.into(), &"line 99".into()));
}

#[tokio::test]
async fn an_attempt_without_a_log_is_left_for_the_next() {
    let gateway = Gateway::start().await;
    let id = gateway.running(r#"{"resource":"/x.py","max_attempts":2}"#).await;
    let target = format!("/api/v1/applications/{id}/logs");
    gateway.puppet.print(Stream::Stdout, "lost");
    let mut early = Reader::open(&gateway, &target, None).await;
    assert_eq!(early.next().await.unwrap().data["text"], "lost");
    gateway.puppet.lose(KeepsLog::No).await;
    gateway.attempts(&id, 2).await;
    gateway.puppet.print(Stream::Stdout, "second");
    let late = Reader::open(&gateway, &target, None).await;
    for mut reader in [early, late] {
        let second = reader.next().await.unwrap();
        assert_eq!((&second.data["attempt"], &second.data["text"]), (&2.into(), &"second".into()));
    }
}

#[tokio::test]
async fn a_follower_from_before_the_first_attempt_reads_it() {
    let gateway = Gateway::start().await;
    let id = gateway.running(r#"{"resource":"/x.py","max_attempts":2}"#).await;
    gateway.puppet.print(Stream::Stdout, "first");
    gateway.puppet.lose(KeepsLog::Yes).await;
    gateway.attempts(&id, 2).await;
    let mut reader = Reader::open(&gateway, &format!("/api/v1/applications/{id}/logs"), None).await;
    assert_eq!(reader.next().await.unwrap().data["text"], "first");
}

#[tokio::test]
async fn who_is_ahead_of_all_events_is_told_and_begins_at_the_newest() {
    let gateway = Gateway::start().await;
    gateway.running(r#"{"resource":"/x.py"}"#).await;
    for (target, id) in [("/api/v1/events", Some("999")), ("/api/v1/events?after=9223372036854775807", None)] {
        let mut reader = Reader::open(&gateway, target, id).await;
        let gap = reader.next().await.unwrap();
        assert_eq!((gap.event.as_str(), &gap.data["after"]), ("gap", &0.into()));
        gateway.running(r#"{"resource":"/x.py"}"#).await;
        assert_eq!(reader.next().await.unwrap().event, "accepted");
    }
    let refused = gateway.get("/api/v1/events?after=9223372036854775808").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}
