//! Hostile input on every route: it is answered with 4xx, and the server goes on.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::server::routes::table;
use crate::server::{ConnectionLimits, Listener, serve};

/// A gateway on a socket.
struct Listening {
    gateway: Gateway,
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Listening {
    async fn start() -> Self {
        Self::start_with(ConnectionLimits::default()).await
    }

    async fn start_with(limits: ConnectionLimits) -> Self {
        let gateway = Gateway::start().await;
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let listener = Listener { socket, tls: None, metrics: Arc::clone(&gateway.app.metrics) };
        let server = tokio::spawn(serve(listener, gateway.router.clone(), limits, gateway.app.closing.clone()));
        Self { gateway, address, server }
    }

    /// Sends bytes as they are and returns the first answer.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let sent = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        // The head of the answer is what counts; a connection that is closed without any is a failure below.
        while !answer.windows(4).any(|it| it == b"\r\n\r\n") {
            let mut block = [0; 4_096];
            match stream.read(&mut block).await {
                Ok(0) | Err(_) => break,
                Ok(length) => answer.extend_from_slice(&block[..length]),
            }
        }
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.starts_with("HTTP/1."),
            "no answer to {:?}…: {answer:?}, sent {sent:?}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(80)])
        );
        answer
    }

    async fn raw_status(&self, bytes: &[u8]) -> u16 {
        self.raw(bytes).await[9..12].parse().unwrap()
    }

    /// Sends the beginning of a request, and leaves it at that.
    async fn begin(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    async fn is_well(&self) {
        assert_eq!(self.raw_status(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await, 200);
    }

    async fn stop(self) {
        self.gateway.app.closing.close();
        self.server.await.unwrap();
    }
}

fn is_refused(status: u16) -> bool {
    (400..500).contains(&status)
}

/// Requests that no route may take for anything but a mistake of the client's, as method, target, headers, body.
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let nested = "[".repeat(100_000).into_bytes();
    let wide = format!("{{\"resource\":\"/x.py\",\"file\":\"/x.py\",\"args\":[{}]}}", vec!["1e999"; 50_000].join(","))
        .into_bytes();
    vec![
        ("empty", Vec::new()),
        ("binary", (0..=255).collect()),
        ("invalid UTF-8", b"{\"file\":\"\xff\xfe\",\"resource\":\"\xff\"}".to_vec()),
        ("nested", nested),
        ("wide", wide),
        ("wrong types", br#"{"file":{},"args":7,"resource":[],"conf":[1],"name":{"a":1},"driverCores":"x","driver_cores":"x"}"#.to_vec()),
        ("huge numbers", br#"{"file":"/x.py","resource":"/x.py","driverCores":1e400,"driver_cores":123456789012345678901234567890,"max_attempts":-1,"numExecutors":99999999999999999999}"#.to_vec()),
        ("lone surrogate", br#"{"file":"\ud800","resource":"\ud800"}"#.to_vec()),
        ("cut off", br#"{"file":"/x.py","resource":"/x"#.to_vec()),
    ]
}

/// What stands for a placeholder of a path, or behind a `?`.
const TARGETS: &[&str] = &[
    "99999999999999999999999",
    "-1",
    "%00",
    "%ff%fe",
    "..%2f..%2fetc%2fpasswd",
    "%2e%2e",
    "batch-99999999999",
    "batch--1",
    "a%20b",
    "%E2%98%83",
    "0x10",
    "1e9",
    "'%20OR%201=1",
    "%25%25",
    "{}",
    "batch-%D9%A1",
];
const QUERIES: &[&str] = &[
    "from=x",
    "size=99999999999",
    "limit=-1",
    "limit=%ff",
    "cursor=%00",
    "attempt=99999999999",
    "tail=1e9",
    "after=-1",
    "state=%ff",
    "cancel=perhaps",
    "follow=perhaps",
    "foo=bar",
    "=",
    "&&&",
    "%",
    "%zz=%zz",
    "label=%00",
    "application=%ff",
];

#[tokio::test]
async fn every_route_refuses_hostile_targets() {
    let gateway = Gateway::start().await;
    for route in table() {
        let mut targets: Vec<String> = Vec::new();
        if route.path.contains('{') {
            targets.extend(
                TARGETS.iter().map(|hostile| route.path.replace("{id}", hostile).replace("{statement}", hostile)),
            );
        }
        targets.extend(
            QUERIES
                .iter()
                .map(|query| format!("{}?{query}", route.path.replace("{id}", "batch-7").replace("{statement}", "0"))),
        );
        for target in targets {
            let Ok(uri) = target.parse::<http::Uri>() else { continue };
            let request = request(route.method.clone(), &uri.to_string(), "{}");
            let response = gateway.router.clone().oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            let by_design = status == 501 && route.path.starts_with("/sessions");
            assert!(status < 500 || by_design, "{} {target}: {status}", route.method);
            if route.path.contains('{') {
                assert!(is_refused(status), "{} {target}: {status}", route.method);
            }
        }
    }
    assert_eq!(gateway.get("/batches").await.json()["total"], 0);
}

#[tokio::test]
async fn every_route_survives_hostile_bodies() {
    let gateway = Gateway::start().await;
    for route in table() {
        let target = route.path.replace("{id}", "7").replace("{statement}", "0");
        for (what, body) in bodies() {
            for (name, value) in [
                ("content-type", "application/json"),
                ("content-type", "application/x-www-form-urlencoded"),
                ("content-encoding", "gzip"),
                ("content-encoding", "deflate"),
            ] {
                let mut request = request(route.method.clone(), &target, "");
                request.headers_mut().insert(name, value.parse().unwrap());
                *request.body_mut() = Body::from(body.clone());
                let response = gateway.router.clone().oneshot(request).await.unwrap();
                let status = response.status().as_u16();
                let by_design = status == 501 && route.path.starts_with("/sessions");
                assert!(status < 500 || by_design, "{} {target} with {what}, {value}: {status}", route.method);
                if route.method == Method::POST && !by_design {
                    assert!(is_refused(status), "{} {target} with {what}, {value}: {status}", route.method);
                }
            }
        }
    }
    assert_eq!(gateway.get("/batches").await.json()["total"], 0);
}

#[tokio::test]
async fn oversized_and_slow_bodies_are_answered() {
    let listening = Listening::start().await;
    for route in table().into_iter().filter(|route| route.method == Method::POST) {
        let target = route.path.replace("{id}", "7").replace("{statement}", "0");
        let head = |more: &str| {
            format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{more}\r\n")
        };
        let mut oversized = head("Content-Length: 5000000\r\n").into_bytes();
        oversized.resize(oversized.len() + 5_000_000, b' ');
        let slow = head("Content-Length: 50\r\n") + "{";
        let mut endless = head("Transfer-Encoding: chunked\r\n").into_bytes();
        for _ in 0..50 {
            endless.extend_from_slice(b"20000\r\n");
            endless.resize(endless.len() + 0x20000, b' ');
            endless.extend_from_slice(b"\r\n");
        }
        let bad_chunk = head("Transfer-Encoding: chunked\r\n") + "zz\r\n";
        let reads_bodies = matches!(target.trim_end_matches('/'), "/batches" | "/api/v1/applications");
        for (what, bytes, status) in [
            ("oversized", oversized, 413),
            ("slow", slow.into_bytes(), 408),
            ("endless", endless, 413),
            ("bad chunk", bad_chunk.into_bytes(), 400),
        ] {
            let found = listening.raw_status(&bytes).await;
            if reads_bodies {
                assert_eq!(found, status, "{what} to {target}");
            } else {
                assert!(is_refused(found) || found == 501, "{what} to {target}: {found}");
            }
        }
    }
    listening.is_well().await;
    listening.stop().await;
}

#[tokio::test]
async fn what_is_hardly_http_is_answered() {
    let listening = Listening::start().await;
    let long = "a".repeat(200_000);
    let many: String = (0..500).map(|number| format!("X-{number}: y\r\n")).collect();
    for (what, bytes, expected) in [
        ("garbage", "\x16\x03\x01\x02\r\n\r\n".to_owned(), 400),
        ("no path", "GET HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("no host", "GET /batches HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("two hosts", "GET /batches HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n".to_owned(), 400),
        ("header bomb", format!("GET /batches HTTP/1.1\r\nHost: localhost\r\nX-Long: {long}\r\n\r\n"), 431),
        ("many headers", format!("GET /batches HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), 431),
        ("long path", format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"), 414),
        ("control character", "GET /batches HTTP/1.1\r\nHost: localhost\r\nX: a\x01b\r\n\r\n".to_owned(), 400),
        ("length and chunks", "POST /batches HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), 400),
        ("two lengths", "POST /batches HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd".to_owned(), 400),
        ("path trick", "GET /batches/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 404),
        ("slashes", "GET //batches HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 404),
        ("star", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 404),
        ("tunnel", "CONNECT localhost:22 HTTP/1.1\r\nHost: localhost:22\r\n\r\n".to_owned(), 404),
        ("foreign target", "GET http://evil.example/batches HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 421),
    ] {
        let status = listening.raw_status(bytes.as_bytes()).await;
        assert!(status == expected || (is_refused(status) && what != "foreign target"), "{what}: {status}");
    }
    listening.is_well().await;
    listening.stop().await;
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_its_connection() {
    let limits = ConnectionLimits { head_timeout: Duration::from_millis(100), ..ConnectionLimits::default() };
    let listening = Listening::start_with(limits).await;
    for begun in ["", "GET /batches HTTP/1.1\r\nHost: local", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"] {
        let mut stream = listening.begin(begun.as_bytes()).await;
        // The last one is answered; then no second request comes.
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.starts_with("HTTP/1.1 200"), begun.ends_with("\r\n\r\n"), "{begun:?}: {answer:?}");
    }
    listening.is_well().await;
    listening.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let limits = ConnectionLimits { connections_max: 2, ..ConnectionLimits::default() };
    let listening = Listening::start_with(limits).await;
    let first = listening.begin(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut second = listening.begin(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let mut head = [0; 12];
    second.read_exact(&mut head).await.unwrap();
    let mut third = listening.begin(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    drop(first);
    third.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    drop((second, third));
    listening.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped() {
    // With one place, nobody else is served before the one that stalls is gone.
    let limits = ConnectionLimits {
        connections_max: 1,
        write_timeout: Duration::from_millis(100),
        ..ConnectionLimits::default()
    };
    let listening = Listening::start_with(limits).await;
    let id = listening.gateway.running(r#"{"resource":"/x.py"}"#).await;
    let line = "x".repeat(1_000);
    for _ in 0..50_000 {
        listening.gateway.puppet.print(::backends::log::Stream::Stdout, &line);
    }
    let request = format!("GET /api/v1/applications/{id}/logs?follow=true HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut stalled = listening.begin(request.as_bytes()).await;
    listening.is_well().await;
    let mut received = Vec::new();
    let _ = stalled.read_to_end(&mut received).await;
    assert!(received.len() < 40_000_000, "{} bytes were kept for it", received.len());
    listening.stop().await;
}

#[tokio::test]
async fn answers_finish_and_streams_end_at_shutdown() {
    let listening = Listening::start().await;
    let mut stream = TcpStream::connect(listening.address).await.unwrap();
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    listening.stop().await;
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("\r\n0\r\n\r\n"), "the stream ends as HTTP wants it: {rest:?}");
}

#[tokio::test]
async fn sizes_are_bounded_at_every_door() {
    let gateway = Gateway::start().await;
    let long = "x".repeat(128 << 10);
    let many = vec![format!("\"{}\"", "x".repeat(64 << 10)); 17].join(",");
    for args in [format!("\"{long}\""), many] {
        let answer = gateway.post("/api/v1/applications", &format!(r#"{{"resource":"/x.py","args":[{args}]}}"#)).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &"invalid_application".into())
        );
        let answer = gateway.post("/batches", &format!(r#"{{"file":"/x.py","args":[{args}]}}"#)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.json()["msg"].as_str().unwrap().contains("at most"), "{}", answer.text());
    }
    let fits = &long[1..];
    let answer = gateway.post("/api/v1/applications", &format!(r#"{{"resource":"/x.py","args":["{fits}"]}}"#)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
}

#[tokio::test]
async fn a_page_of_large_applications_is_short_and_goes_on() {
    let gateway = Gateway::start().await;
    let args = vec![format!("\"{}\"", "x".repeat(100 << 10)); 9].join(",");
    for _ in 0..12 {
        gateway.running(&format!(r#"{{"resource":"/x.py","args":[{args}]}}"#)).await;
    }
    let (mut sizes, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = gateway.get(&format!("/api/v1/applications?limit=1000{cursor}")).await.json();
        sizes.push(page["items"].as_array().unwrap().len());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(sizes, [10, 2]);
}

#[tokio::test]
async fn the_rules_hold_for_every_door() {
    let rules = livy::create::Rules {
        local_dir_allow_list: Some(vec!["/jobs".into()]),
        conf_deny_list: vec!["spark.denied".to_owned()],
        file_schemes: None,
    };
    let gateway = Gateway::start_under(rules).await;
    for (allowed, fields) in [
        (true, r#""/jobs/x.py""#),
        (true, r#""s3a://b/x.py""#),
        (false, r#""/etc/x.py""#),
        (false, r#""/jobs/../etc/x.py""#),
        (false, r#""/jobs/x.py","conf":{"spark.denied":"1"}"#),
        (false, r#""/jobs/x.py","conf":{"spark.jars":"/jobs/a.jar,local:/etc/b.jar"}"#),
    ] {
        for (target, name) in [("/batches", "file"), ("/api/v1/applications", "resource")] {
            let answer = gateway.post(target, &format!(r#"{{"{name}":{fields}}}"#)).await;
            assert!(!answer.status.is_server_error());
            assert_eq!(answer.status == StatusCode::CREATED, allowed, "{target} {fields}: {}", answer.text());
        }
    }
}
