//! Labels: what users sort their applications by.

use std::collections::BTreeMap;

/// At most this many labels on one application.
pub const LABELS_MAX: usize = 64;
/// Bytes a label's key may have, as in Kubernetes.
pub const KEY_BYTES_MAX: usize = 63;
/// Bytes a label's value may have, as in Kubernetes.
pub const VALUE_BYTES_MAX: usize = 63;

/// Key and value pairs with Kubernetes' spelling rules, so that a label can become one of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, String>);

/// Why a label is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabel {
    /// The key breaks the rules.
    #[error(
        "label key `{0}` must be 1 to 63 letters, digits, `-`, `_`, `.` or `/`, beginning and ending with a letter or digit"
    )]
    Key(String),
    /// The value breaks the rules.
    #[error(
        "value of label `{key}` must be at most 63 letters, digits, `-`, `_` or `.`, beginning and ending with a letter or digit"
    )]
    Value {
        /// The label's key.
        key: String,
    },
    /// More labels than allowed.
    #[error("more than {LABELS_MAX} labels")]
    TooMany,
}

impl Labels {
    /// Adds or replaces one label.
    ///
    /// # Errors
    /// [`InvalidLabel`] when key or value is misspelled or there are [`LABELS_MAX`] already.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<(), InvalidLabel> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX || !spelled(key, b"-_./") {
            return Err(InvalidLabel::Key(key.chars().take(80).collect()));
        }
        if value.len() > VALUE_BYTES_MAX || !(value.is_empty() || spelled(value, b"-_.")) {
            return Err(InvalidLabel::Value { key: key.into() });
        }
        if self.0.len() >= LABELS_MAX && !self.0.contains_key(key) {
            return Err(InvalidLabel::TooMany);
        }
        self.0.insert(key.into(), value.into());
        Ok(())
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// All pairs, by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn spelled(text: &str, inside: &[u8]) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || inside.contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_is_that_of_kubernetes() {
        let ok = |key: &str, value: &str| Labels::default().insert(key, value).is_ok();
        assert!(ok("team", "core") && ok("a/b", "") && ok("a", "1.2-x_y"));
        for (key, value) in [("", "x"), ("-a", "x"), ("a", "b c"), ("a", "/"), ("a-", "x"), ("é", "x")] {
            assert!(!ok(key, value), "{key}={value}");
        }
    }
}
