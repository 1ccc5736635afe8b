//! Serves connections, with TLS or without, within limits: how many, how large and how slow the head of a request
//! may be, how long a client may leave an answer unread. Ends gracefully.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;
use tower::ServiceExt as _;

use super::{Closing, Metrics, Tls};

/// Limits of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionLimits {
    /// Connections served at once; more wait to be accepted.
    pub(crate) connections_max: usize,
    /// Bytes of a request's head.
    pub(crate) head_bytes_max: usize,
    /// Longest time for a request's head to arrive, for a TLS handshake, and between two requests of a connection.
    pub(crate) head_timeout: Duration,
    /// Longest time that a client may take nothing of an answer.
    pub(crate) write_timeout: Duration,
    /// Longest time for answers to finish once the gateway goes down.
    pub(crate) drain_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            head_bytes_max: 128 << 10,
            head_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// What the first byte of a TLS connection is: a record of the handshake.
const TLS_HANDSHAKE: u8 = 0x16;
/// What a client is told that speaks HTTP where TLS is wanted; it wouldn't understand a TLS alert.
const WANTS_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
    Connection: close\r\n\r\nthis gateway speaks HTTPS: use https://";

/// Where connections come from.
pub(crate) struct Listener {
    /// The bound socket.
    pub(crate) socket: TcpListener,
    /// The certificate, if connections speak TLS.
    pub(crate) tls: Option<Arc<Tls>>,
    /// Counts connections.
    pub(crate) metrics: Arc<Metrics>,
}

/// Serves until `closing` is given; then takes no new connection, lets answers finish and returns.
pub(crate) async fn serve(listener: Listener, router: Router, limits: ConnectionLimits, closing: Closing) {
    let places = Arc::new(Semaphore::new(limits.connections_max));
    let mut connections = JoinSet::new();
    let mut closed = pin!(closing.closed());
    loop {
        let accepted = tokio::select! {
            () = &mut closed => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener.socket, &places) => accepted,
        };
        let (stream, place) = accepted;
        let serving = greet(stream, listener.tls.clone(), router.clone(), limits.clone(), closing.clone());
        let counted = listener.metrics.connection();
        connections.spawn(async move {
            serving.await;
            drop((place, counted));
        });
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain_timeout, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections were cut off at shutdown");
    }
}

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, tokio::sync::OwnedSemaphorePermit) {
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            // Nobody closes the semaphore.
            std::future::pending().await
        };
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                // Out of descriptors, mostly: it passes when connections end.
                tracing::warn!(error = &error as &dyn std::error::Error, "accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Serves a connection, after a handshake if it shall speak TLS.
async fn greet(stream: TcpStream, tls: Option<Arc<Tls>>, router: Router, limits: ConnectionLimits, closing: Closing) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = &error as &dyn std::error::Error, "set TCP_NODELAY");
    }
    let Some(tls) = tls else { return serve_connection(stream, router, limits, closing).await };
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(limits.head_timeout, shake_hands(stream, &tls)) => shaken,
        () = closing.closed() => return,
    };
    match shaken {
        Ok(Ok(stream)) => Box::pin(serve_connection(stream, router, limits, closing)).await,
        Ok(Err(error)) => tracing::debug!(error = &error as &dyn std::error::Error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn shake_hands(mut stream: TcpStream, tls: &Tls) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first[0] != TLS_HANDSHAKE {
        stream.write_all(WANTS_TLS).await?;
        stream.shutdown().await?;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the client doesn't speak TLS"));
    }
    tls.acceptor().accept(stream).await
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    router: Router,
    limits: ConnectionLimits,
    closing: Closing,
) {
    let service =
        TowerToHyperService::new(router.map_request(|request: http::Request<Incoming>| request.map(Body::new)));
    let io = TokioIo::new(PatientStream::new(stream, limits.write_timeout));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head_timeout).max_header_size(limits.head_bytes_max);
    let mut connection = pin!(builder.serve_connection(io, service));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = closing.closed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended");
    }
}

/// A stream whose writes fail when the other side takes nothing for too long. Without it a client that stops
/// reading would hold its connection, and what is being sent to it, for ever.
struct PatientStream<S> {
    stream: S,
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> PatientStream<S> {
    const fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, stalled: None }
    }

    /// Passes a result on, unless it has been pending for too long.
    fn within_patience<T>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing of its answer")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PatientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PatientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within_patience(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.within_patience(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.within_patience(context, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
