//! A listener with a certificate, and the command line's client that trusts it.

use std::path::PathBuf;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::client::{Client, ClientError, Connect};
use crate::server::{ConnectionLimits, Listener, Tls, serve};

struct Server {
    gateway: Gateway,
    folder: tempfile::TempDir,
    port: u16,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start() -> Self {
        let gateway = Gateway::start().await;
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let tls = Some(Arc::new(Tls::load(&certificate, &key).unwrap()));
        let listener = Listener { socket, tls, metrics: Arc::clone(&gateway.app.metrics) };
        let limits = ConnectionLimits::default();
        let serving = tokio::spawn(serve(listener, gateway.router.clone(), limits, gateway.app.closing.clone()));
        Self { gateway, folder, port, serving }
    }

    fn client(&self, ca_file: Option<PathBuf>) -> Client {
        let url = format!("https://localhost:{}", self.port);
        Client::new(&Connect { url, ca_file, ..Connect::default() }).unwrap()
    }

    async fn stop(self) {
        self.gateway.app.closing.close();
        self.serving.await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_trusts_the_certificate_is_served() {
    let server = Server::start().await;
    let trusting = server.client(Some(server.folder.path().join("tls.crt")));
    assert!(trusting.readiness().await.unwrap().ready);
    assert_eq!(trusting.version().await.unwrap().value.name, "lamplighter");
    let wary = server.client(None).version().await.unwrap_err();
    assert!(matches!(wary, ClientError::Unreachable { .. }), "{wary}");
    assert!(wary.to_string().contains("certificate"), "{wary}");
    server.stop().await;
}

#[tokio::test]
async fn a_client_without_tls_is_told_so() {
    let server = Server::start().await;
    let mut plain = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    // The request is never read, so the end of the connection may be a reset.
    let _ = plain.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.ends_with("this gateway speaks HTTPS: use https://"), "{answer}");
    server.stop().await;
}
