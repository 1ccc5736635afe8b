//! Livy's doors: its HTTP shell around the crate `livy`, which knows the contract.
//!
//! [`batches`] are real, [`sessions`] answer as a Livy without sessions. What differs from Livy on purpose is
//! listed beside the recordings that the tests replay.

pub(super) mod batches;
mod create;
mod last_lines;
pub(super) mod sessions;

use std::io::Write as _;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use engine::runtime::AcceptError;
use engine::store::StoreError;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use hyper::ext::ReasonPhrase;
use livy::http::{RequestEncoding, ResponseEncoding};
use livy::view::VersionView;
use livy::{Rejection, to_json};
use serde::Serialize;

use super::body::{self, Undecodable};
use super::envelope::Door;
use super::failure::Failure;
use super::{AppState, meta, query};

/// Bytes that are compressed where they were made.
const COMPRESSED_INLINE_BYTES_MAX: usize = 64 << 10;

/// A refusal on its way through `?`: in Livy's words, or one of the whole server.
#[derive(Debug)]
pub(super) enum Refusal {
    Livy(Rejection),
    Server(Failure),
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self::Livy(rejection)
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Server(failure)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Server(error.into())
    }
}

impl From<AcceptError> for Refusal {
    fn from(error: AcceptError) -> Self {
        Self::Server(error.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Livy(rejection) => rejection_response(&rejection),
            Self::Server(failure) => failure.into_response(),
        }
    }
}

/// A view with a status.
fn json(status: StatusCode, view: &impl Serialize) -> Response {
    bytes(status, livy::http::JSON, to_json(view))
}

fn bytes(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = (status, [(header::CONTENT_TYPE, content_type)], body).into_response();
    if let Some(phrase) = livy::http::reason_phrase(status.as_u16()) {
        response.extensions_mut().insert(ReasonPhrase::from_static(phrase.as_bytes()));
    }
    response
}

fn rejection_response(rejection: &Rejection) -> Response {
    let status = StatusCode::from_u16(rejection.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    bytes(status, livy::http::JSON, rejection.body.to_bytes())
}

/// A failure of the whole server in the shape that Livy's clients print.
pub(super) fn failure_response(failure: &Failure) -> Response {
    let detail = failure.detail.clone().unwrap_or_else(|| failure.code.title().to_owned());
    rejection_response(&Rejection::msg(failure.code.status(), detail))
}

/// An unknown path: no body.
pub(super) fn unknown_path(path: &str) -> Response {
    bytes(StatusCode::NOT_FOUND, livy::http::content_type_of_empty(path), Vec::new())
}

/// A known path with another method: no body, and the methods it has.
pub(super) fn method_not_allowed(path: &str) -> Response {
    let mut response = bytes(StatusCode::METHOD_NOT_ALLOWED, livy::http::content_type_of_empty(path), Vec::new());
    if let Some(allow) = livy::http::allow(path) {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    response
}

/// `GET /`: to the UI, as an absolute link.
pub(super) async fn root(State(app): State<AppState>, headers: HeaderMap, uri: Uri) -> Response {
    let host = app.hosts.link_host(&uri, &headers);
    let location = livy::http::redirect_location(&host, app.hosts.link_scheme(&headers));
    let mut response = bytes(StatusCode::FOUND, livy::http::HTML, Vec::new());
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// `GET /version`.
pub(super) async fn version() -> Response {
    let build = |text: &str| text.to_owned();
    json(
        StatusCode::OK,
        &VersionView {
            url: build(env!("CARGO_PKG_NAME")),
            branch: String::new(),
            revision: build(env!("CARGO_PKG_VERSION")),
            version: build(meta::LIVY_VERSION),
            date: String::new(),
            user: String::new(),
        },
    )
}

/// Lets a POST mean another method, by header or form field, as Livy does.
pub(super) async fn method_override(State(app): State<AppState>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || Door::of(request.uri().path()) != Door::Livy {
        return next.run(request).await;
    }
    let (mut head, mut body) = request.into_parts();
    let override_header =
        head.headers.get("x-http-method-override").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut form_method = None;
    if livy::http::is_form(content_type(&head.headers)) {
        let form = match body::read(&head.headers, body, &app.limits).await {
            Ok(form) => form,
            Err(failure) => return failure.into_response(),
        };
        form_method = form_field(&form, "_method");
        // A form is parameters to Livy; nothing is left of it for whoever reads the body.
        head.headers.remove(header::CONTENT_LENGTH);
        body = Body::empty();
    }
    let means = livy::http::effective_method(head.method.as_str(), form_method.as_deref(), override_header.as_deref());
    head.method = Method::from_bytes(means.as_bytes()).unwrap_or(head.method);
    next.run(Request::from_parts(head, body)).await
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
}

fn form_field(form: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(form);
    let items = text.split('&').map(|item| item.split_once('=').unwrap_or((item, "")));
    items.filter(|(key, _)| *key == name).map(|(_, value)| query::decode(value)).next()
}

/// Livy's version negotiation.
fn negotiate(headers: &HeaderMap) -> Result<(), Rejection> {
    livy::http::accept_version(headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()))
}

/// The first value of a parameter, read as Java reads an int.
fn optional_int(pairs: &[(String, String)], name: &str) -> Result<Option<i32>, Rejection> {
    let values = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    livy::query::optional_int(livy::query::first(values, name))
}

/// The body of a request, decompressed if it says so.
async fn read_body(app: &AppState, headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    let sent = body::read(headers, body, &app.limits).await?;
    let encoding = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let decoded = match livy::http::request_encoding(encoding) {
        RequestEncoding::Plain => return Ok(sent),
        RequestEncoding::Gzip => body::gunzip(&sent, app.limits.body_bytes_max),
        RequestEncoding::Deflate => body::inflate(&sent, app.limits.body_bytes_max),
    };
    match decoded {
        Ok(body) => Ok(body.into()),
        Err(Undecodable::Malformed) => Err(livy::http::not_gzip().into()),
        Err(Undecodable::TooLarge) => Err(Failure::new(api::ProblemCode::BodyTooLarge).into()),
    }
}

/// Compresses an answer as Livy does: whatever its size and status, but never `/version` and `/`.
pub(super) async fn encode(path: &str, accept_encoding: Option<&HeaderValue>, response: Response) -> Response {
    let compressible = matches!(path.split('/').nth(1), Some("batches" | "sessions"));
    let accepted = accept_encoding.and_then(|value| value.to_str().ok());
    let encoding = livy::http::response_encoding(accepted);
    if !compressible || encoding == ResponseEncoding::Plain {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // Livy's answers are made whole before they are sent, so reading them back can't fail or wait.
    let plain = to_bytes(body, usize::MAX).await.unwrap_or_default();
    if plain.is_empty() {
        return Response::from_parts(head, Body::from(plain));
    }
    let compress = match encoding {
        ResponseEncoding::Gzip => gzip,
        _ => deflate,
    };
    let name = if encoding == ResponseEncoding::Gzip { "gzip" } else { "deflate" };
    // Much of it takes milliseconds, in which this thread could serve others.
    let compressed = if plain.len() < COMPRESSED_INLINE_BYTES_MAX {
        compress(&plain)
    } else {
        tokio::task::spawn_blocking(move || compress(&plain)).await.unwrap_or_default()
    };
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    Response::from_parts(head, Body::from(compressed))
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory doesn't fail.
    let _ = encoder.write_all(plain);
    encoder.finish().unwrap_or_default()
}

fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let _ = encoder.write_all(plain);
    encoder.finish().unwrap_or_default()
}
