//! How a gateway is reached: its address, the certificates that are trusted, and the token that tells who asks.

use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Certificate, ClientBuilder, Url};

use super::{CONNECT_TIMEOUT, ClientError};

/// A bearer token; it prints as stars.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    /// A token, without the blanks around it.
    pub(crate) fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0)).ok().filter(|_| !self.0.is_empty())?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a client is told once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connect {
    /// Address of the gateway, `http://` or `https://`.
    pub(crate) url: String,
    /// Certificates (PEM) to trust besides those of the system.
    pub(crate) ca_file: Option<PathBuf>,
    /// File with the token; wins over `token`.
    pub(crate) token_file: Option<PathBuf>,
    /// The token itself.
    pub(crate) token: Option<Token>,
}

impl Connect {
    /// The address with a slash at its end, and an HTTP client that keeps to what was told.
    ///
    /// # Errors
    /// [`ClientError::InvalidUrl`], [`ClientError::BadCertificates`], [`ClientError::BadToken`].
    pub(super) fn build(&self) -> Result<(Url, reqwest::Client), ClientError> {
        let invalid = |why: String| ClientError::InvalidUrl { url: self.url.clone(), why };
        let mut base = Url::parse(&self.url).map_err(|error| invalid(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(invalid("it must begin with http:// or https://".into()));
        }
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        let mut builder = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).default_headers(self.headers()?);
        // A proxy for the world outside must not be asked for this machine's own gateway.
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let builder = self.trust(builder, &base)?;
        let http = builder.build().map_err(|error| invalid(error.to_string()))?;
        Ok((base, http))
    }

    fn headers(&self) -> Result<HeaderMap, ClientError> {
        let token = match &self.token_file {
            Some(path) => Some(Token::new(&read(path, |path, why| ClientError::BadToken { path: Some(path), why })?)),
            None => self.token.clone(),
        };
        let Some(token) = token else { return Ok(HeaderMap::new()) };
        let bad = || ClientError::BadToken {
            path: self.token_file.clone(),
            why: "it must be one line of visible characters".to_owned(),
        };
        Ok(HeaderMap::from_iter([(AUTHORIZATION, token.header().ok_or_else(bad)?)]))
    }

    fn trust(&self, builder: ClientBuilder, base: &Url) -> Result<ClientBuilder, ClientError> {
        // The one provider of cryptography of this program; an earlier client may have named it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        if base.scheme() == "http" {
            // The system's certificates take a while to read, and nothing here uses them.
            return Ok(builder.tls_certs_only([]));
        }
        // A redirection must not carry the token out of the encrypted connection.
        let builder = builder.https_only(true);
        let Some(path) = &self.ca_file else { return Ok(builder) };
        let bad = |path, why| ClientError::BadCertificates { path, why };
        let pem = read(path, bad)?;
        let certificates =
            Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| bad(path.clone(), error.to_string()))?;
        if certificates.is_empty() {
            return Err(bad(path.clone(), "it holds no certificate in PEM form".to_owned()));
        }
        Ok(builder.tls_certs_merge(certificates))
    }
}

fn is_loopback(base: &Url) -> bool {
    let host = base.host_str().unwrap_or_default();
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

fn read(path: &Path, error: impl Fn(PathBuf, String) -> ClientError) -> Result<String, ClientError> {
    std::fs::read_to_string(path).map_err(|why| error(path.to_path_buf(), why.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use expect_test::{Expect, expect};

    fn check(connect: &Connect, expected: &Expect) {
        let shown = match connect.build() {
            Ok((base, _)) => base.to_string(),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn tokens_and_certificates_are_checked_before_anything_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            Some(path)
        };
        let at = |url: &str| Connect { url: url.to_owned(), ..Connect::default() };
        check(&at("https://h"), &expect!["https://h/"]);
        check(&Connect { token: Some(Token::new(" secret\n")), ..at("http://h") }, &expect!["http://h/"]);
        check(
            &Connect { token: Some(Token::new("sec\nret")), ..at("http://h") },
            &expect!["the token can't be used: it must be one line of visible characters"],
        );
        check(&Connect { token_file: file("token", "abc\n"), ..at("http://h") }, &expect!["http://h/"]);
        check(
            &Connect { token_file: Some("/nowhere/token".into()), ..at("http://h") },
            &expect!["the token in /nowhere/token can't be used: No such file or directory (os error 2)"],
        );
        let none = check_text(&Connect { ca_file: file("none.pem", "hello"), ..at("https://h") });
        assert!(none.ends_with("none.pem can't be used: it holds no certificate in PEM form"), "{none}");
        assert_eq!(format!("{:?}", Token::new("secret")), "***");
    }

    fn check_text(connect: &Connect) -> String {
        connect.build().unwrap_err().to_string()
    }
}
