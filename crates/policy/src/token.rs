//! Bearer tokens: who asks.
//!
//! The configuration holds SHA-256 hashes, so that whoever reads it can't use them. A plain hash is right because
//! tokens are long and random: salt and stretching slow down guessing at passwords that people choose, and nobody
//! guesses 128 random bits. So that this stays true, a token below [`TOKEN_BYTES_MIN`] lets nobody in, whatever the
//! configuration says. Start with [`Tokens::authenticate`].

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use model::principal::{Principal, Role};
use sha2::{Digest as _, Sha256};

use crate::config::{AuthConfig, Problem, Step, TokenConfig};

/// The shortest token that lets anybody in: 128 random bits in base64.
pub const TOKEN_BYTES_MIN: usize = 22;
/// The longest text that is looked at.
const TOKEN_BYTES_MAX: usize = 1_024;
/// Tells people, and programs that look for leaked secrets, what the text is.
const TOKEN_PREFIX: &str = "lamplighter_";

/// A new token of random bytes, which the caller draws from the operating system.
pub fn new_token(random: [u8; 32]) -> String {
    let mut token = TOKEN_PREFIX.to_owned();
    token.extend(random.iter().map(|byte| format!("{byte:02x}")));
    token
}

/// The SHA-256 of a token; it displays as the configuration holds it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Whether two hashes are equal, in the same time wherever they differ.
    fn equals(&self, other: &Self) -> bool {
        let difference = self.0.iter().zip(&other.0).fold(0, |difference, (left, right)| difference | (left ^ right));
        std::hint::black_box(difference) == 0
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(***)")
    }
}

/// Text that is no SHA-256 in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a SHA-256: 64 hexadecimal digits")]
pub struct InvalidHash;

impl FromStr for TokenHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        let digits: Vec<u8> = text.chars().map_while(|c| u8::try_from(c.to_digit(16)?).ok()).collect();
        let mut hash = [0; 32];
        if text.len() != 64 || digits.len() != 64 {
            return Err(InvalidHash);
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(hash))
    }
}

/// Every token that lets somebody in.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tokens(Vec<(TokenHash, Principal)>);

impl Tokens {
    /// Checks the section `auth` of the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn compile(config: &AuthConfig) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::default();
        let tokens: Vec<_> =
            config.tokens.iter().enumerate().filter_map(|(index, token)| reader.token(index, token)).collect();
        if reader.problems.is_empty() { Ok(Self(tokens)) } else { Err(reader.problems) }
    }

    /// The principal that a bearer token stands for.
    ///
    /// All hashes are compared, each in the same time, so how long it takes tells nothing about them.
    pub fn authenticate(&self, bearer: &str) -> Option<&Principal> {
        if !(TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&bearer.len()) {
            return None;
        }
        let hash = TokenHash::of(bearer);
        self.0.iter().fold(None, |found, (known, principal)| if known.equals(&hash) { Some(principal) } else { found })
    }

    /// Everybody who has a token, each as often as there are tokens for them.
    pub fn principals(&self) -> impl ExactSizeIterator<Item = &Principal> {
        self.0.iter().map(|(_, principal)| principal)
    }

    /// Whether nobody has a token.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tokens").field(&self.0.len()).finish()
    }
}

/// Reads tokens and collects what is wrong with them.
#[derive(Default)]
struct Reader {
    problems: Vec<Problem>,
    seen: HashMap<TokenHash, usize>,
}

impl Reader {
    fn token(&mut self, index: usize, config: &TokenConfig) -> Option<(TokenHash, Principal)> {
        let at = |field: &str| [Step::Key("tokens".into()), Step::Index(index), Step::Key(field.into())];
        let user = self.parsed(&at("user"), &config.user);
        let tenant = self.parsed(&at("tenant"), &config.tenant);
        let groups = self.set(&at("groups"), &config.groups);
        let roles = self.set::<Role>(&at("roles"), &config.roles);
        let hash = self.hash(&at("sha256"), index, &config.sha256);
        Some((hash?, Principal { user: user?, tenant: tenant?, groups: groups?, roles: roles? }))
    }

    fn hash(&mut self, path: &[Step], index: usize, text: &str) -> Option<TokenHash> {
        let hash = self.parsed(path, text)?;
        if hash == TokenHash::of("") {
            self.problems.push(Problem::new(path, "is the hash of nothing; was the token lost on its way?"));
        }
        if let Some(first) = self.seen.insert(hash, index) {
            self.problems.push(Problem::new(path, format!("is the hash of tokens[{first}] too; a token has one user")));
        }
        Some(hash)
    }

    fn set<T>(&mut self, path: &[Step], texts: &[String]) -> Option<BTreeSet<T>>
    where
        T: FromStr<Err: fmt::Display> + Ord,
    {
        let parsed: Vec<Option<T>> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| self.parsed(&[path, &[Step::Index(index)]].concat(), text))
            .collect();
        parsed.into_iter().collect()
    }

    fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, path: &[Step], text: &str) -> Option<T> {
        text.parse().map_err(|error: T::Err| self.problems.push(Problem::new(path, error.to_string()))).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    fn entry(user: &str, sha256: &str) -> TokenConfig {
        TokenConfig {
            user: user.into(),
            tenant: "research".into(),
            groups: vec!["science".into()],
            roles: vec!["submitter".into()],
            sha256: sha256.into(),
        }
    }

    fn check_problems(tokens: Vec<TokenConfig>, expected: &Expect) {
        let problems = Tokens::compile(&AuthConfig { tokens }).unwrap_err();
        expected.assert_eq(&problems.iter().map(|problem| format!("{problem}\n")).collect::<String>());
    }

    #[test]
    fn a_token_stands_for_its_principal_and_no_other_text_does() {
        let (ada, bob) = (new_token([1; 32]), new_token([2; 32]));
        let hash = |token: &str| TokenHash::of(token).to_string();
        let config = AuthConfig { tokens: vec![entry("ada", &hash(&ada)), entry("bob", &hash(&bob).to_uppercase())] };
        let tokens = Tokens::compile(&config).unwrap();
        let user = |bearer: &str| tokens.authenticate(bearer).map(|principal| principal.user.as_str());
        assert_eq!((user(&ada), user(&bob)), (Some("ada"), Some("bob")));
        for other in ["", "ada", &ada[1..], &format!("{ada} "), &hash(&ada), &ada.to_uppercase(), &"x".repeat(2_000)] {
            assert_eq!(user(other), None, "{other}");
        }
    }

    #[test]
    fn a_short_token_lets_nobody_in() {
        let password = "correct horse";
        let config = AuthConfig { tokens: vec![entry("ada", &TokenHash::of(password).to_string())] };
        assert_eq!(Tokens::compile(&config).unwrap().authenticate(password), None);
    }

    #[test]
    fn every_problem_is_reported_and_no_hash_with_it() {
        let good = TokenHash::of("x").to_string();
        let odd = TokenConfig { tenant: "no tenant".into(), roles: vec!["king".into()], ..entry("-", &good) };
        check_problems(
            vec![entry("ada", &good), odd, entry("eve", "hunter2"), entry("joe", &TokenHash::of("").to_string())],
            &expect![[r#"
                tokens[1].user: `-` is not a valid user name
                tokens[1].tenant: `no tenant` is not a valid tenant name
                tokens[1].roles[0]: `king` is not a valid role
                tokens[1].sha256: is the hash of tokens[0] too; a token has one user
                tokens[2].sha256: is not a SHA-256: 64 hexadecimal digits
                tokens[3].sha256: is the hash of nothing; was the token lost on its way?
            "#]],
        );
    }

    #[test]
    fn nothing_that_is_printed_tells_a_hash() {
        let hash = TokenHash::of("x");
        let tokens = Tokens::compile(&AuthConfig { tokens: vec![entry("ada", &hash.to_string())] }).unwrap();
        assert_eq!(format!("{tokens:?} {hash:?}"), "Tokens(1) TokenHash(***)");
    }

    proptest! {
        #[test]
        fn hashes_are_read_as_they_are_written(bytes: [u8; 32], text in "\\PC{0,70}") {
            let hash = TokenHash(bytes);
            prop_assert_eq!(hash.to_string().parse(), Ok(hash));
            let valid = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
            prop_assert_eq!(text.parse::<TokenHash>().is_ok(), valid);
        }
    }
}
