//! What surrounds the bodies: routes and their methods, fixed headers, negotiation, redirects.

use crate::Rejection;

/// The type of nearly every answer.
pub const JSON: &str = "application/json;charset=utf-8";
/// The type of the redirect, of `/` and of unknown paths, whose bodies are empty.
pub const HTML: &str = "text/html;charset=utf-8";

/// Headers that every answer carries.
pub const STANDARD_HEADERS: [(&str, &str); 4] = [
    ("X-Frame-Options", "SAMEORIGIN"),
    ("X-XSS-Protection", "1; mode=block"),
    (
        "Content-Security-Policy",
        "default-src 'self'; script-src 'self' 'unsafe-inline'; img-src 'self'; frame-src 'self';",
    ),
    ("X-Content-Type-Options", "nosniff"),
];

/// A path pattern (`:x` stands for one non-empty segment), its `Allow` header, and whether a trailing
/// slash is let through.
struct Route {
    pattern: &'static str,
    allow: &'static str,
    slash: bool,
}

const READ: &str = "GET, HEAD";
const COLLECTION: &str = "POST, GET, HEAD";
const ITEM: &str = "DELETE, GET, HEAD";
const ACTION: &str = "POST";

const ROUTES: [Route; 14] = [
    route("/", READ),
    slash_route("/version", READ),
    slash_route("/batches", COLLECTION),
    route("/batches/:id", ITEM),
    route("/batches/:id/state", READ),
    route("/batches/:id/log", READ),
    slash_route("/sessions", COLLECTION),
    route("/sessions/:id", ITEM),
    route("/sessions/:id/state", READ),
    route("/sessions/:id/log", READ),
    route("/sessions/:id/statements", COLLECTION),
    route("/sessions/:id/statements/:statement", READ),
    route("/sessions/:id/statements/:statement/cancel", ACTION),
    route("/sessions/:id/completion", ACTION),
];

const fn route(pattern: &'static str, allow: &'static str) -> Route {
    Route { pattern, allow, slash: false }
}

const fn slash_route(pattern: &'static str, allow: &'static str) -> Route {
    Route { pattern, allow, slash: true }
}

impl Route {
    fn matches(&self, path: &str) -> bool {
        let path = match path.strip_suffix('/') {
            Some(shorter) if self.slash => shorter,
            _ => path,
        };
        let mut segments = path.split('/');
        let pattern_fits = self.pattern.split('/').all(|part| {
            segments.next().is_some_and(
                |segment| {
                    if part.starts_with(':') { !segment.is_empty() } else { part == segment }
                },
            )
        });
        pattern_fits && segments.next().is_none()
    }
}

/// The `Allow` header of a path (without its query); none for a path that Livy answers with 404.
///
/// The routes of sessions other than those that a batch has too are the recorded ones.
pub fn allow(path: &str) -> Option<&'static str> {
    ROUTES.iter().find(|route| route.matches(path)).map(|route| route.allow)
}

/// The type of an answer without a body on a path.
pub fn content_type_of_empty(path: &str) -> &'static str {
    match path.split('/').nth(1) {
        Some("batches" | "sessions" | "version") => JSON,
        _ => HTML,
    }
}

/// The reason phrase of a status, where Livy's server has its own.
pub const fn reason_phrase(status: u16) -> Option<&'static str> {
    match status {
        500 => Some("Server Error"),
        _ => None,
    }
}

/// Livy's version negotiation on `/batches` and `/sessions`: 406 for an `Accept` of
/// `application/vnd.livy.vX.Y+json` with any version but 0.1. Every other `Accept` gets JSON.
pub fn accept_version(accept: Option<&str>) -> Result<(), Rejection> {
    let version = accept
        .and_then(|accept| accept.strip_prefix("application/vnd.livy.v"))
        .and_then(|rest| rest.strip_suffix("+json"))
        .filter(|version| version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    match version {
        None | Some("0.1") => Ok(()),
        Some(other) => Err(Rejection::msg(406, format!("No value found for '{other}'"))),
    }
}

/// The method that a request means: a POST can say another one, in upper or lower case, by the form field
/// `_method` or by the header `X-HTTP-Method-Override`.
pub fn effective_method(method: &str, form_method: Option<&str>, override_header: Option<&str>) -> String {
    match form_method.or(override_header) {
        Some(other) if method == "POST" && !other.is_empty() => other.to_ascii_uppercase(),
        _ => method.to_owned(),
    }
}

/// Whether a body of this `Content-Type` is a form, which Livy reads as parameters: what is left for the
/// JSON parser is empty.
pub fn is_form(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

/// What to do with a request's `Content-Encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestEncoding {
    /// Read the body as it is. Unknown names count as this: Livy's own Java client sends `UTF-8`.
    Plain,
    /// Decompress gzip first; refuse with [`not_gzip`] what isn't.
    Gzip,
    /// Decompress zlib first.
    Deflate,
}

/// Reads a request's `Content-Encoding`.
pub fn request_encoding(header: Option<&str>) -> RequestEncoding {
    match header.map(|value| value.trim().to_ascii_lowercase()).as_deref() {
        Some("gzip") => RequestEncoding::Gzip,
        Some("deflate") => RequestEncoding::Deflate,
        _ => RequestEncoding::Plain,
    }
}

/// The refusal of a body that claims to be gzip and is not. Livy answers 500; the client is to blame.
pub fn not_gzip() -> Rejection {
    Rejection::malformed("java.util.zip.ZipException: Not in GZIP format")
}

/// The compression of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseEncoding {
    /// As it is.
    Plain,
    /// `Content-Encoding: gzip`.
    Gzip,
    /// `Content-Encoding: deflate` (zlib's format).
    Deflate,
}

/// The compression that `Accept-Encoding` asks for on `/batches` and `/sessions`, at any size and on
/// errors too; `/version` is never compressed. A name with `q=0` is not asked for (Livy takes it for asked).
pub fn response_encoding(accept_encoding: Option<&str>) -> ResponseEncoding {
    let names = |wanted: &str| {
        accept_encoding.unwrap_or_default().split(',').any(|item| {
            let mut parts = item.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted));
            let refused = parts
                .any(|part| part.strip_prefix("q=").is_some_and(|q| q.trim().parse::<f32>().is_ok_and(|q| q <= 0.0)));
            named && !refused
        })
    };
    if names("gzip") {
        ResponseEncoding::Gzip
    } else if names("deflate") {
        ResponseEncoding::Deflate
    } else {
        ResponseEncoding::Plain
    }
}

/// Where `GET /` redirects to. `host` is the request's `Host`, or the address the gateway listens on when
/// an HTTP/1.0 client sent none; `forwarded_proto` is its `X-Forwarded-Proto`.
pub fn redirect_location(host: &str, forwarded_proto: Option<&str>) -> String {
    let scheme = match forwarded_proto {
        Some(proto) if proto.eq_ignore_ascii_case("https") => "https",
        _ => "http",
    };
    format!("{scheme}://{host}/ui")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_can_mean_another_method() {
        let check = |method, form, header, expected: &str| {
            assert_eq!(effective_method(method, form, header), expected);
        };
        check("POST", None, Some("DELETE"), "DELETE");
        check("POST", Some("delete"), None, "DELETE");
        check("POST", None, None, "POST");
        check("GET", Some("delete"), Some("DELETE"), "GET");
    }

    #[test]
    fn encodings_are_read_from_their_headers() {
        assert_eq!(request_encoding(Some("UTF-8")), RequestEncoding::Plain);
        assert_eq!(request_encoding(Some(" GZIP")), RequestEncoding::Gzip);
        assert_eq!(response_encoding(Some("br, gzip;q=0.5")), ResponseEncoding::Gzip);
        assert_eq!(response_encoding(Some("gzip;q=0, deflate")), ResponseEncoding::Deflate);
        assert_eq!(response_encoding(Some("identity")), ResponseEncoding::Plain);
        assert!(is_form(Some("application/x-www-form-urlencoded; charset=utf-8")));
        assert!(!is_form(Some("application/json")));
    }
}
