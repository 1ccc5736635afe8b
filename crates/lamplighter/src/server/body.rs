//! Reads request bodies within their limits of size and time.

use std::io::Read;

use api::ProblemCode;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{FromRequest, Request};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use futures::StreamExt as _;
use http::{HeaderMap, HeaderValue, header};
use tokio::time::{Instant, timeout_at};

use super::failure::Failure;
use super::{AppState, RequestLimits};

/// How much of a refused body is read and thrown away, so that a client that is still sending sees the answer
/// instead of a reset connection.
const DISCARD_BYTES_MAX: usize = 64 << 20;

/// A JSON body of `/api/v1`: right type, not too large, there in time.
pub(super) struct JsonBody(pub(super) Bytes);

impl FromRequest<AppState> for JsonBody {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &AppState) -> Result<Self, Failure> {
        let (head, body) = request.into_parts();
        if let Err(refusal) = check_type(&head.headers) {
            discard(body, &app.limits).await;
            return Err(refusal);
        }
        read(&head.headers, body, &app.limits).await.map(Self)
    }
}

fn check_type(headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?").trim());
    let refuse = |detail: &str| Err(Failure::new(ProblemCode::UnsupportedMediaType).detail(detail));
    let media_type = text(header::CONTENT_TYPE).unwrap_or_default();
    if !media_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return refuse("send the header `Content-Type: application/json`");
    }
    match text(header::CONTENT_ENCODING) {
        None => Ok(()),
        Some(encoding) if encoding.eq_ignore_ascii_case("identity") => Ok(()),
        Some(_) => refuse("send the body without `Content-Encoding`"),
    }
}

/// The whole body.
///
/// # Errors
/// 413 when it is too large, 408 when it comes too slowly, 400 when it breaks off.
pub(super) async fn read(headers: &HeaderMap, body: Body, limits: &RequestLimits) -> Result<Bytes, Failure> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limits.body_bytes_max as u64) {
        // A client that waits for our `100 Continue` hasn't sent anything yet.
        if !headers.contains_key(header::EXPECT) {
            discard(body, limits).await;
        }
        return Err(too_large(limits));
    }
    let deadline = Instant::now() + limits.body_timeout;
    let mut chunks = body.into_data_stream();
    let mut read = Vec::new();
    while let Some(chunk) = timeout_at(deadline, chunks.next()).await.map_err(|_| too_slow())? {
        let chunk = chunk
            .map_err(|_| Failure::new(ProblemCode::MalformedRequest).detail("the body broke off or is badly framed"))?;
        if read.len() + chunk.len() > limits.body_bytes_max {
            discard_stream(chunks, limits).await;
            return Err(too_large(limits));
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read.into())
}

fn too_large(limits: &RequestLimits) -> Failure {
    let detail = format!("a body may have at most {} bytes", limits.body_bytes_max);
    Failure::new(ProblemCode::BodyTooLarge).detail(detail).header(header::CONNECTION, CLOSE)
}

fn too_slow() -> Failure {
    Failure::new(ProblemCode::BodyTimeout).header(header::CONNECTION, CLOSE)
}

/// The rest of the body would be taken for the next request.
const CLOSE: HeaderValue = HeaderValue::from_static("close");

async fn discard(body: Body, limits: &RequestLimits) {
    discard_stream(body.into_data_stream(), limits).await;
}

async fn discard_stream(mut chunks: BodyDataStream, limits: &RequestLimits) {
    let deadline = Instant::now() + limits.body_timeout;
    let mut bytes = 0;
    while let Ok(Some(Ok(chunk))) = timeout_at(deadline, chunks.next()).await {
        bytes += chunk.len();
        if bytes > DISCARD_BYTES_MAX {
            return;
        }
    }
}

/// Why a compressed body wasn't read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undecodable {
    /// It isn't compressed as it claims, or is cut off.
    Malformed,
    /// What comes out is too large.
    TooLarge,
}

/// Decompresses gzip, at most to `bytes_max`.
pub(super) fn gunzip(body: &[u8], bytes_max: usize) -> Result<Vec<u8>, Undecodable> {
    bounded(MultiGzDecoder::new(body), bytes_max)
}

/// Decompresses zlib's format, at most to `bytes_max`.
pub(super) fn inflate(body: &[u8], bytes_max: usize) -> Result<Vec<u8>, Undecodable> {
    bounded(ZlibDecoder::new(body), bytes_max)
}

fn bounded(decoder: impl Read, bytes_max: usize) -> Result<Vec<u8>, Undecodable> {
    let mut decoded = Vec::new();
    let allowed = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    decoder.take(allowed.saturating_add(1)).read_to_end(&mut decoded).map_err(|_| Undecodable::Malformed)?;
    if decoded.len() > bytes_max { Err(Undecodable::TooLarge) } else { Ok(decoded) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_small_body_can_not_become_a_huge_one() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&vec![b' '; 10_000_000]).unwrap();
        let bomb = encoder.finish().unwrap();
        assert!(bomb.len() < 20_000);
        assert_eq!(gunzip(&bomb, 1_000_000), Err(Undecodable::TooLarge));
        assert_eq!(gunzip(&bomb, 10_000_000).unwrap().len(), 10_000_000);
        assert_eq!(gunzip(&bomb[..100], 10_000_000), Err(Undecodable::Malformed));
        assert_eq!(gunzip(b"{}", 10), Err(Undecodable::Malformed));
    }
}
