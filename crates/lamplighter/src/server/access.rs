//! Who asks, and whether they may: the two questions that every request passes.
//!
//! The rules stand in the crate `policy`; here is how a request says who it is from.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;
use http::request::Parts;
use model::principal::{Principal, Scope};
use policy::Tokens;
pub(crate) use policy::{Action, Decision, Object};

/// Answers both questions. There is one implementation per way to authenticate.
pub(crate) trait Access: Send + Sync + 'static {
    /// Who sent this request.
    ///
    /// # Errors
    /// [`Unauthenticated`] when the request names nobody that is known.
    fn authenticate(&self, head: &Parts) -> Result<Principal, Unauthenticated>;

    /// Which applications `action` reaches for `principal`: in lists, counts, events and by name.
    fn scope(&self, principal: &Principal, action: Action) -> Scope {
        policy::scope(principal, action)
    }

    /// Whether `principal` may do `action` to `object`. What isn't allowed is denied.
    fn authorise(&self, principal: &Principal, action: Action, object: Object<'_>) -> Decision {
        policy::authorise(principal, action, object)
    }
}

/// The request names nobody that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unauthenticated;

/// A gateway with one user: whoever reaches it is that user, who may do everything. Right only where nobody else
/// can reach it, on loopback.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SinglePrincipal(Principal);

impl SinglePrincipal {
    /// Everybody is `principal`.
    pub(crate) const fn new(principal: Principal) -> Self {
        Self(principal)
    }
}

impl fmt::Debug for SinglePrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SinglePrincipal({})", self.0.user)
    }
}

impl Access for SinglePrincipal {
    fn authenticate(&self, _head: &Parts) -> Result<Principal, Unauthenticated> {
        Ok(self.0.clone())
    }
}

/// A gateway with several users, who send a token: `Authorization: Bearer TOKEN`, or, because that is what Livy's
/// clients can be configured to send, `Authorization: Basic` with the user's name and the token as the password.
#[derive(Debug)]
pub(crate) struct BearerTokens(Tokens);

impl BearerTokens {
    /// Lets in who has one of the tokens.
    pub(crate) const fn new(tokens: Tokens) -> Self {
        Self(tokens)
    }
}

impl Access for BearerTokens {
    fn authenticate(&self, head: &Parts) -> Result<Principal, Unauthenticated> {
        let mut headers = head.headers.get_all(AUTHORIZATION).iter();
        // Two headers may mean two users, and whoever is in between may have looked at the other one.
        let (Some(header), None) = (headers.next(), headers.next()) else { return Err(Unauthenticated) };
        let credentials = header.to_str().ok().and_then(Credentials::read).ok_or(Unauthenticated)?;
        let principal = self.0.authenticate(&credentials.token).ok_or(Unauthenticated)?;
        match credentials.user {
            Some(user) if user != principal.user.as_str() => Err(Unauthenticated),
            _ => Ok(principal.clone()),
        }
    }
}

/// What a header says.
struct Credentials {
    /// Whose token it is said to be.
    user: Option<String>,
    token: String,
}

impl Credentials {
    fn read(header: &str) -> Option<Self> {
        let (scheme, rest) = header.split_once(' ')?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Some(Self { user: None, token: rest.to_owned() });
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let pair = String::from_utf8(BASE64_STANDARD.decode(rest).ok()?).ok()?;
        let (user, token) = pair.split_once(':')?;
        Some(Self { user: Some(user.to_owned()), token: token.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use policy::config::{AuthConfig, TokenConfig};
    use policy::{TokenHash, new_token};

    use super::*;

    fn tokens() -> BearerTokens {
        let token = |user: &str, byte: u8| TokenConfig {
            user: user.to_owned(),
            tenant: "core".to_owned(),
            groups: vec![],
            roles: vec!["submitter".to_owned()],
            sha256: TokenHash::of(&new_token([byte; 32])).to_string(),
        };
        let config = AuthConfig { tokens: vec![token("ada", 1), token("bob", 2)] };
        BearerTokens::new(Tokens::compile(&config).unwrap())
    }

    fn check(headers: &[String], user: Option<&str>) {
        let mut request = http::Request::builder();
        for header in headers {
            request = request.header("authorization", header);
        }
        let head = request.body(()).unwrap().into_parts().0;
        let found = tokens().authenticate(&head).ok().map(|principal| principal.user.to_string());
        assert_eq!(found.as_deref(), user, "{headers:?}");
    }

    #[test]
    fn a_token_says_who_asks() {
        let (ada, bob, nobody) = (new_token([1; 32]), new_token([2; 32]), new_token([3; 32]));
        let basic = |user: &str, token: &str| format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{token}")));
        check(&[format!("Bearer {ada}")], Some("ada"));
        check(&[format!("bearer   {bob} ")], Some("bob"));
        check(&[basic("ada", &ada)], Some("ada"));
        check(&[basic("bob", &ada)], None);
        check(&[basic("", &ada)], None);
        check(&[format!("Bearer {nobody}")], None);
        check(std::slice::from_ref(&ada), None);
        check(&[format!("Bearer {ada}x")], None);
        check(&["Bearer ".to_owned()], None);
        check(&["Basic !".to_owned()], None);
        check(&[format!("Bearer {ada}"), format!("Bearer {bob}")], None);
        check(&[], None);
    }
}
