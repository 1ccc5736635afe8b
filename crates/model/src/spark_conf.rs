//! Spark's configuration: keys and values with the limits the gateway sets on them and the secrets it hides.
//!
//! Start with [`SparkConf`]. Values stay what the user wrote; what a key means is for the code that reads it.

use crate::properties::{self, PropertiesError};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

/// What replaces a secret wherever a configuration is shown.
pub const REDACTED: &str = "*********(redacted)";

/// A configuration of Spark, ordered by key.
///
/// Keys are checked when they are set; count and size are bounded by [`SparkConf::MAX_ENTRIES`],
/// [`SparkConf::MAX_KEY_BYTES`] and [`SparkConf::MAX_TOTAL_BYTES`]. `Debug` and [`SparkConf::redacted`] hide
/// secrets; serde doesn't, because that is how a configuration is stored.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SparkConf {
    entries: BTreeMap<String, String>,
    total_bytes: usize,
}

/// Why a configuration can't hold an entry. Messages carry keys, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfError {
    /// `key=value` without the `=`.
    #[error("conf `{0}` has no `=`")]
    NoEquals(String),
    /// Nothing before the `=`.
    #[error("conf key is empty")]
    EmptyKey,
    /// A blank, a control character or `=`, which no key of Spark has.
    #[error("conf key `{key}` contains {found:?}, which no key may")]
    InvalidKey {
        /// The key, shortened and made printable.
        key: String,
        /// The first character that doesn't belong.
        found: char,
    },
    /// More than [`SparkConf::MAX_KEY_BYTES`].
    #[error("conf key `{key}` is longer than {} bytes", SparkConf::MAX_KEY_BYTES)]
    KeyTooLong {
        /// The key, shortened and made printable.
        key: String,
    },
    /// More than [`SparkConf::MAX_ENTRIES`].
    #[error("conf key `{key}` is one too many; a configuration has at most {} keys", SparkConf::MAX_ENTRIES)]
    TooManyEntries {
        /// The key that didn't fit.
        key: String,
    },
    /// More than [`SparkConf::MAX_TOTAL_BYTES`].
    #[error("conf key `{key}` makes the configuration larger than {} bytes", SparkConf::MAX_TOTAL_BYTES)]
    TooLarge {
        /// The key that didn't fit.
        key: String,
    },
}

/// Why the text of a properties file is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfFileError {
    /// The text itself.
    #[error("read properties")]
    Text(#[from] PropertiesError),
    /// An entry in it.
    #[error("take over properties")]
    Entry(#[from] ConfError),
}

impl SparkConf {
    /// How many keys a configuration may have.
    pub const MAX_ENTRIES: usize = 2_000;
    /// How long a key may be, in bytes of UTF-8.
    pub const MAX_KEY_BYTES: usize = 1_024;
    /// How large all keys and values may be together, in bytes of UTF-8.
    pub const MAX_TOTAL_BYTES: usize = 1 << 20;

    /// A configuration without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// A configuration of `entries`; of a key that occurs twice the later value stays.
    ///
    /// # Errors
    /// [`ConfError`] names the first key that is invalid or doesn't fit.
    pub fn from_entries<K, V>(entries: impl IntoIterator<Item = (K, V)>) -> Result<Self, ConfError>
    where
        K: Into<String>,
        V: Into<String>,
    {
        let mut conf = Self::new();
        for (key, value) in entries {
            conf.set(key, value)?;
        }
        Ok(conf)
    }

    /// The configuration in a properties file as Spark reads it: values trimmed, a later key wins, keys that
    /// don't begin with `spark.` ignored.
    ///
    /// # Errors
    /// [`ConfFileError`] when the text or an entry is invalid, or the whole too large.
    pub fn from_properties(text: &str) -> Result<Self, ConfFileError> {
        let pairs = properties::parse(text)?.into_iter().filter(|(key, _)| is_spark_key(key));
        let trimmed = pairs.map(|(key, value)| (key, properties::as_spark_reads(&value).to_owned()));
        Ok(Self::from_entries(trimmed)?)
    }

    /// Sets `key`, replacing what it was.
    ///
    /// # Errors
    /// [`ConfError`] when the key is invalid or a limit would be passed; nothing is changed then.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) -> Result<(), ConfError> {
        let (key, value) = (key.into(), value.into());
        check_key(&key)?;
        let replaced_bytes = self.entries.get(&key).map(|old| key.len() + old.len());
        if replaced_bytes.is_none() && self.entries.len() == Self::MAX_ENTRIES {
            return Err(ConfError::TooManyEntries { key });
        }
        let total_bytes = self.total_bytes - replaced_bytes.unwrap_or(0) + key.len() + value.len();
        if total_bytes > Self::MAX_TOTAL_BYTES {
            return Err(ConfError::TooLarge { key });
        }
        self.total_bytes = total_bytes;
        self.entries.insert(key, value);
        Ok(())
    }

    /// Removes `key` and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        let value = self.entries.remove(key)?;
        self.total_bytes -= key.len() + value.len();
        Some(value)
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(String::as_str)
    }

    /// Whether `key` is set.
    pub fn contains(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Keys and values in the order of keys, secrets included.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// How many keys are set.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no key is set.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// This configuration with the entries of `over` laid on top: where both have a key, `over` wins.
    ///
    /// # Errors
    /// [`ConfError`] when the two don't fit together into the limits.
    pub fn overlay(&self, over: &Self) -> Result<Self, ConfError> {
        let mut merged = self.clone();
        for (key, value) in over.iter() {
            merged.set(key, value)?;
        }
        Ok(merged)
    }

    /// Keys and values in the order of keys, with [`REDACTED`] in place of secrets: for logs, answers and pages.
    pub fn redacted(&self) -> BTreeMap<&str, &str> {
        self.iter().map(|(key, value)| (key, shown(key, value))).collect()
    }

    /// Keys that spark-submit drops with a warning, because they don't begin with `spark.`.
    pub fn ignored_by_spark(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str).filter(|key| !is_spark_key(key))
    }
}

/// Splits `key=value` at the first `=` and checks the key; the value is everything behind it.
///
/// # Errors
/// [`ConfError`] when there is no `=` or the key is invalid.
pub fn parse_assignment(text: &str) -> Result<(String, String), ConfError> {
    let (key, value) = text.split_once('=').ok_or_else(|| {
        let shown = if is_secret(text) { REDACTED.to_owned() } else { printable(text) };
        ConfError::NoEquals(shown)
    })?;
    check_key(key)?;
    Ok((key.to_owned(), value.to_owned()))
}

/// The configuration an application runs with: that of the installation (`spark-defaults.conf`), and on top of
/// it what the user asked for.
///
/// The gateway merges the two itself because spark-submit doesn't read `spark-defaults.conf` when it is given a
/// properties file.
///
/// # Errors
/// [`ConfError`] when the two don't fit together into the limits.
pub fn merge_defaults(installation_defaults: &SparkConf, user_conf: &SparkConf) -> Result<SparkConf, ConfError> {
    installation_defaults.overlay(user_conf)
}

/// Whether `text` names a secret: what Spark's default for `spark.redaction.regex` finds (`secret`, `password`,
/// `token`, `accesskey`, `access.key` and, since Spark 4, `credential`), and what Hadoop's file systems and common
/// programs call theirs besides, in any case.
///
/// Words added with [`add_secret_words`] count too. A value is hidden when this holds for its key, or for the value
/// itself: [`shown`].
pub fn is_secret(text: &str) -> bool {
    const NEEDLES: [&str; 14] = [
        "secret",
        "password",
        "token",
        "accesskey",
        "access.key",
        "credential",
        "account.key",
        "passphrase",
        "passwd",
        "apikey",
        "api.key",
        "api-key",
        ".sas.",
        "signature",
    ];
    let lower = text.to_ascii_lowercase();
    NEEDLES.iter().any(|needle| lower.contains(needle))
        || ADDED_WORDS.get().is_some_and(|words| words.iter().any(|word| lower.contains(word.as_str())))
}

/// `value` as it may be shown beside `key`: [`REDACTED`] when either tells a secret. Every place that shows a
/// configuration asks this function.
pub fn shown<'a>(key: &str, value: &'a str) -> &'a str {
    if is_secret(key) || is_secret(value) { REDACTED } else { value }
}

/// What the gateway's configuration adds to the words of [`is_secret`]. Of the whole process, because a secret must be
/// hidden in `Debug` too, where no configuration can be handed in.
static ADDED_WORDS: OnceLock<Vec<String>> = OnceLock::new();

/// Words are added once, at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("words that make a secret were added before")]
pub struct WordsAlreadyAdded;

/// Adds words that make a secret of what has them anywhere in it, in any case; empty ones don't count. Called once, at
/// the start of a process.
///
/// # Errors
/// [`WordsAlreadyAdded`] when it was called before; the words of that call stay.
pub fn add_secret_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<(), WordsAlreadyAdded> {
    let words = words.into_iter().filter(|word| !word.is_empty()).map(str::to_ascii_lowercase).collect();
    ADDED_WORDS.set(words).map_err(|_| WordsAlreadyAdded)
}

fn is_spark_key(key: &str) -> bool {
    key.starts_with("spark.")
}

fn check_key(key: &str) -> Result<(), ConfError> {
    if key.is_empty() {
        return Err(ConfError::EmptyKey);
    }
    if key.len() > SparkConf::MAX_KEY_BYTES {
        return Err(ConfError::KeyTooLong { key: printable(key) });
    }
    match key.chars().find(|c| c.is_whitespace() || c.is_control() || *c == '=') {
        Some(found) => Err(ConfError::InvalidKey { key: printable(key), found }),
        None => Ok(()),
    }
}

/// `text` fit for a message: one line, and not the whole of something huge.
fn printable(text: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    let mut shown: String = text.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

impl fmt::Debug for SparkConf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.redacted()).finish()
    }
}

impl Serialize for SparkConf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.entries.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SparkConf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> de::Visitor<'de> for EntriesVisitor {
            type Value = SparkConf;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of Spark's configuration keys to strings")
            }

            // Entry by entry, so that a map beyond the limits is refused before it is in memory.
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<SparkConf, A::Error> {
                let mut conf = SparkConf::new();
                while let Some((key, value)) = map.next_entry::<String, String>()? {
                    conf.set(key, value).map_err(de::Error::custom)?;
                }
                Ok(conf)
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use expect_test::{Expect, expect};

    fn check_assignments(texts: &[&str], expected: &Expect) {
        let shown: String = texts
            .iter()
            .map(|text| match parse_assignment(text) {
                Ok(pair) => format!("{pair:?}\n"),
                Err(error) => format!("{error}\n"),
            })
            .collect();
        expected.assert_eq(&shown);
    }

    #[test]
    fn an_assignment_is_split_at_its_first_equals_sign() {
        check_assignments(
            &["spark.a=1", "spark.a=", "spark.x=-Dk=v w"],
            &expect![[r#"
            ("spark.a", "1")
            ("spark.a", "")
            ("spark.x", "-Dk=v w")
        "#]],
        );
    }

    #[test]
    fn assignments_without_a_key_are_refused() {
        check_assignments(
            &["spark.a", "=1", "spark a=1", "spark.token:abc"],
            &expect![[r#"
                conf `spark.a` has no `=`
                conf key is empty
                conf key `spark a` contains ' ', which no key may
                conf `*********(redacted)` has no `=`
            "#]],
        );
    }

    #[test]
    fn limits_name_the_key_that_does_not_fit() {
        let mut conf = SparkConf::from_entries((0..SparkConf::MAX_ENTRIES).map(|i| (format!("k{i}"), ""))).unwrap();
        assert_eq!(conf.set("k0", "again"), Ok(()));
        assert_eq!(conf.set("new", ""), Err(ConfError::TooManyEntries { key: "new".into() }));

        let mut conf = SparkConf::new();
        let almost_all = "x".repeat(SparkConf::MAX_TOTAL_BYTES - 20);
        assert_eq!(conf.set("big", &almost_all), Ok(()));
        assert_eq!(conf.set("other", "0123456789abcdef"), Err(ConfError::TooLarge { key: "other".into() }));
        assert_eq!(conf.set("big", "small"), Ok(()));
        assert_eq!(conf.set("other", &almost_all), Ok(()));
        assert_eq!(conf.remove("other"), Some(almost_all));
        assert_eq!(conf.total_bytes, "bigsmall".len());

        let long = "k".repeat(SparkConf::MAX_KEY_BYTES + 1);
        assert!(matches!(conf.set(long, ""), Err(ConfError::KeyTooLong { .. })));
    }

    #[test]
    fn credentials_of_file_systems_are_secrets() {
        for key in [
            "spark.hadoop.fs.s3a.access.key",
            "spark.hadoop.fs.s3a.bucket.b.secret.key",
            "spark.hadoop.fs.s3a.session.token",
            "spark.hadoop.fs.s3a.encryption.key.password",
            "spark.hadoop.fs.azure.account.key.a.dfs.core.windows.net",
            "spark.hadoop.fs.azure.sas.c.a.blob.core.windows.net",
            "spark.hadoop.fs.azure.account.oauth2.client.secret",
            "spark.hadoop.fs.gs.auth.service.account.private.key.id.credentials",
            "spark.hadoop.fs.oss.accessKeySecret",
            "spark.ssl.keyPassword",
            "spark.app.apiKey",
            "spark.app.api.key",
            "spark.app.gpg.passphrase",
            "spark.app.db_passwd",
            "spark.app.X-Amz-Signature",
        ] {
            assert!(is_secret(key), "{key}");
        }
        for key in ["spark.app.name", "spark.sql.shuffle.partitions", "spark.hadoop.fs.s3a.endpoint", "spark.sasl.x"] {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn secrets_are_hidden_by_key_and_by_value() {
        let conf = SparkConf::from_entries([
            ("spark.app.name", "demo"),
            ("spark.hadoop.fs.s3a.Access.Key", "AKIA"),
            ("spark.hadoop.fs.s3a.secret.key", "shh"),
            ("spark.driver.extraJavaOptions", "-Djdbc.PASSWORD=shh"),
        ])
        .unwrap();
        expect![[r#"
            {
                "spark.app.name": "demo",
                "spark.driver.extraJavaOptions": "*********(redacted)",
                "spark.hadoop.fs.s3a.Access.Key": "*********(redacted)",
                "spark.hadoop.fs.s3a.secret.key": "*********(redacted)",
            }
        "#]]
        .assert_debug_eq(&conf);
    }

    #[test]
    fn words_can_be_added_once() {
        // The words of the whole process: none that another test of this one has.
        assert!(!is_secret("spark.app.zebraFinch"));
        assert_eq!(add_secret_words(["", "ZebraFinch"]), Ok(()));
        assert_eq!(shown("spark.app.zebrafinch", "x"), REDACTED);
        assert_eq!(shown("spark.app.name", "x"), "x");
        assert_eq!(add_secret_words(["name"]), Err(WordsAlreadyAdded));
        assert!(!is_secret("spark.app.name"));
    }

    #[test]
    fn the_user_wins_over_the_installation() {
        let defaults = SparkConf::from_properties("spark.master local[4]\nspark.ui.enabled  false \nother=1").unwrap();
        let user = SparkConf::from_entries([("spark.master", "yarn")]).unwrap();
        let merged = merge_defaults(&defaults, &user).unwrap();
        expect![[r#"
            {
                "spark.master": "yarn",
                "spark.ui.enabled": "false",
            }
        "#]]
        .assert_debug_eq(&merged);
    }

    #[test]
    fn serde_reads_a_map_and_checks_it() {
        let conf: SparkConf = serde_json::from_str(r#"{"spark.b":"2","spark.a":"1"}"#).unwrap();
        assert_eq!(serde_json::to_string(&conf).unwrap(), r#"{"spark.a":"1","spark.b":"2"}"#);
        let refused = serde_json::from_str::<SparkConf>(r#"{"a b":"1"}"#).unwrap_err().to_string();
        expect!["conf key `a b` contains ' ', which no key may at line 1 column 11"].assert_eq(&refused);
    }
}
