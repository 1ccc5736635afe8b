//! Which hosts the gateway answers for, and which web pages may talk to it.
//!
//! A gateway on loopback can be reached by every web page that its user's browser shows. Two checks keep those out:
//! the `Origin` that a browser names must be the gateway itself, and `Host` must be one of its names, because a
//! foreign name that resolves to loopback would make a foreign page the same origin.

use std::net::{IpAddr, SocketAddr};

use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri, header};

/// Names that the gateway answers for: those of loopback, and those that were configured.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    allowed: Vec<String>,
    listen: SocketAddr,
    /// Whether the listener itself speaks TLS.
    has_tls: bool,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ForeignRequest {
    /// HTTP/1.1 wants a `Host`.
    NoHost,
    /// `Host` isn't spelled as one, or there are several.
    MalformedHost,
    /// It names another host.
    UnknownHost,
    /// A web page of another site sent it.
    ForeignOrigin,
}

impl Hosts {
    /// Loopback and `allowed` host names (without port, in any case), for a gateway that listens on `listen`.
    pub(crate) fn new(listen: SocketAddr, allowed: &[String]) -> Self {
        let allowed = allowed.iter().map(|name| name.trim_end_matches('.').to_ascii_lowercase()).collect();
        Self { allowed, listen, has_tls: false }
    }

    /// The same for a listener that speaks TLS.
    #[must_use]
    pub(crate) fn with_tls(self, has_tls: bool) -> Self {
        Self { has_tls, ..self }
    }

    /// The scheme that links should have, if it is known: TLS may end before the gateway.
    pub(crate) fn link_scheme<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let forwarded = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
        forwarded.or_else(|| self.has_tls.then_some("https"))
    }

    /// The host that links should name: the request's own, or the listening address when it has none.
    pub(crate) fn link_host(&self, uri: &Uri, headers: &HeaderMap) -> String {
        let authority = request_authority(uri, headers).ok().flatten();
        authority.map_or_else(|| self.listen.to_string(), |authority| authority.to_string())
    }

    /// Checks where a request was sent to and where it comes from.
    ///
    /// # Errors
    /// [`ForeignRequest`] when it must not be answered.
    pub(crate) fn check(&self, version: http::Version, uri: &Uri, headers: &HeaderMap) -> Result<(), ForeignRequest> {
        let authority = request_authority(uri, headers)?;
        match &authority {
            Some(authority) if self.answers_for(authority.host()) => {}
            Some(_) => return Err(ForeignRequest::UnknownHost),
            // Clients of HTTP/1.0 needn't name a host; browsers always do.
            None if version < http::Version::HTTP_11 => {}
            None => return Err(ForeignRequest::NoHost),
        }
        for origin in headers.get_all(header::ORIGIN) {
            if !same_origin(origin, authority.as_ref()) {
                return Err(ForeignRequest::ForeignOrigin);
            }
        }
        Ok(())
    }

    fn answers_for(&self, host: &str) -> bool {
        let name = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
        let is_loopback = match name.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => name == "localhost" || name.ends_with(".localhost"),
        };
        is_loopback || self.allowed.contains(&name)
    }
}

/// Where the request was sent to: the target's authority wins over `Host`, as HTTP says.
fn request_authority(uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, ForeignRequest> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().map(authority_of).transpose()?;
    if hosts.next().is_some() {
        return Err(ForeignRequest::MalformedHost);
    }
    Ok(uri.authority().cloned().or(host))
}

fn authority_of(value: &HeaderValue) -> Result<Authority, ForeignRequest> {
    let authority = Authority::try_from(value.as_bytes()).map_err(|_| ForeignRequest::MalformedHost)?;
    // User information has no place here, and hides where a name really begins.
    if authority.as_str().contains('@') { Err(ForeignRequest::MalformedHost) } else { Ok(authority) }
}

/// Whether the page was served by this gateway: same host and port. The scheme may differ, because TLS may end
/// before the gateway.
fn same_origin(origin: &HeaderValue, authority: Option<&Authority>) -> bool {
    let Some(uri) = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok()) else { return false };
    let default_port = match uri.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let (Some(from), Some(to)) = (uri.authority(), authority) else { return false };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default_port);
    from.host().eq_ignore_ascii_case(to.host()) && port(from) == port(to)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn check(target: &str, named: &[(&str, &str)], expected: Result<(), ForeignRequest>) {
        let hosts = Hosts::new(([127, 0, 0, 1], 8998).into(), &["Spark.example.com".to_owned()]);
        let mut headers = HeaderMap::new();
        for (name, value) in named {
            headers.append(http::HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        let found = hosts.check(http::Version::HTTP_11, &target.parse().unwrap(), &headers);
        assert_eq!(found, expected, "{target} {named:?}");
    }

    #[test]
    fn loopback_and_configured_names_are_ours() {
        for host in [
            "127.0.0.1:8998",
            "127.8.9.1",
            "localhost:8998",
            "LocalHost.",
            "gw.localhost",
            "[::1]:8998",
            "[::ffff:127.0.0.1]",
            "spark.EXAMPLE.com:443",
        ] {
            check("/", &[("host", host)], Ok(()));
        }
    }

    #[test]
    fn other_names_are_not() {
        for host in [
            "example.com",
            "10.0.0.1",
            "0.0.0.0",
            "localhost.evil.com",
            "127.0.0.1.nip.io",
            "evil.spark.example.com",
            "[::2]",
        ] {
            check("/", &[("host", host)], Err(ForeignRequest::UnknownHost));
        }
        for host in ["", "a b", "user@localhost", "localhost/x"] {
            check("/", &[("host", host)], Err(ForeignRequest::MalformedHost));
        }
        check("/", &[], Err(ForeignRequest::NoHost));
        check("/", &[("host", "localhost"), ("host", "localhost")], Err(ForeignRequest::MalformedHost));
        check("http://evil.com/", &[("host", "localhost")], Err(ForeignRequest::UnknownHost));
        check("http://localhost/", &[("host", "evil.com")], Ok(()));
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let from = |origin| [("host", "localhost:8998"), ("origin", origin)];
        check("/", &from("http://localhost:8998"), Ok(()));
        check("/", &from("https://localhost:8998"), Ok(()));
        for origin in [
            "null",
            "http://localhost:8888",
            "http://localhost",
            "http://evil.com",
            "http://127.0.0.1:8998",
            "file://",
            "garbage",
        ] {
            check("/", &from(origin), Err(ForeignRequest::ForeignOrigin));
        }
        check("/", &[("host", "spark.example.com"), ("origin", "https://spark.example.com")], Ok(()));
    }
}
