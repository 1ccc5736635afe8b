//! Patterns with `*`, and the spellings under which one conf key reaches Spark.

use std::collections::HashMap;

/// A text in which `*` stands for any text, also none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// What stands between the stars: one piece when there is none.
    pieces: Vec<Box<str>>,
}

impl Pattern {
    /// The pattern that `text` writes.
    pub(crate) fn new(text: &str) -> Self {
        Self { pieces: text.split('*').map(Into::into).collect() }
    }

    /// Whether `text` is what the pattern means, as a whole.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let Some((first, others)) = self.pieces.split_first() else { return false };
        let Some(mut rest) = text.strip_prefix(&**first) else { return false };
        let Some((last, middle)) = others.split_last() else { return rest.is_empty() };
        for piece in middle {
            // The earliest place leaves the most for the pieces behind it.
            let Some(at) = rest.find(&**piece) else { return false };
            rest = &rest[at + piece.len()..];
        }
        rest.ends_with(&**last)
    }
}

/// Many patterns of keys, searched by what they begin with: most keys are no pattern's at all, and that is found out
/// without trying each.
#[derive(Clone, Debug, Default)]
pub(crate) struct PatternSet {
    patterns: Vec<Pattern>,
    /// Patterns without a star, by their text.
    exact: HashMap<Box<str>, usize>,
    /// Those that begin with a whole [`family`].
    families: HashMap<Box<str>, Vec<usize>>,
    /// All others.
    others: Vec<usize>,
}

impl PatternSet {
    /// The set of these patterns, in lower case.
    pub(crate) fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        for (index, text) in texts.into_iter().enumerate() {
            let text = text.to_ascii_lowercase();
            match text.split_once('*') {
                None => drop(set.exact.entry(text.as_str().into()).or_insert(index)),
                Some((start, _)) => match family(start) {
                    Some(family) => set.families.entry(family.into()).or_default().push(index),
                    None => set.others.push(index),
                },
            }
            set.patterns.push(Pattern::new(&text));
        }
        set
    }

    /// The index of the first pattern that means `key`, which must be in lower case.
    pub(crate) fn first(&self, key: &str) -> Option<usize> {
        let first_of = |indices: &[usize]| indices.iter().copied().find(|index| self.patterns[*index].matches(key));
        let exact = self.exact.get(key).copied();
        let family = family(key).and_then(|family| self.families.get(family)).and_then(|indices| first_of(indices));
        [exact, family, first_of(&self.others)].into_iter().flatten().min()
    }
}

/// The first two names of a key with their dots, `spark.kubernetes.`.
fn family(key: &str) -> Option<&str> {
    let (second, _) = key.match_indices('.').nth(1)?;
    Some(&key[..=second])
}

/// Whether any pattern means `text`.
pub(crate) fn any_matches(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

/// Keys that Spark reads where another is absent, with that other key.
const OLD_NAMES: [(&str, &str); 8] = [
    ("spark.unsafe.offHeap", "spark.memory.offHeap.enabled"),
    ("spark.yarn.access.hadoopFileSystems", "spark.kerberos.access.hadoopFileSystems"),
    ("spark.yarn.access.namenodes", "spark.kerberos.access.hadoopFileSystems"),
    ("spark.yarn.driver.memoryOverhead", "spark.driver.memoryOverhead"),
    ("spark.yarn.executor.memoryOverhead", "spark.executor.memoryOverhead"),
    ("spark.yarn.jar", "spark.yarn.jars"),
    ("spark.yarn.keytab", "spark.kerberos.keytab"),
    ("spark.yarn.principal", "spark.kerberos.principal"),
];

/// What a key that Spark has renamed is called now; case doesn't count.
pub(crate) fn current_name(key: &str) -> Option<&'static str> {
    OLD_NAMES.iter().find(|(old, _)| old.eq_ignore_ascii_case(key)).map(|(_, current)| *current)
}

/// What a key was called before.
pub(crate) fn old_names(key: &str) -> impl Iterator<Item = &'static str> {
    OLD_NAMES.iter().filter(move |(_, current)| *current == key).map(|(old, _)| *old)
}

/// What Spark cuts off a key to get Hadoop's.
const HADOOP_PREFIX: &str = "spark.hadoop.";

/// Every spelling, in lower case, that means the same as `key` or might to somebody who reads it; `key` comes first.
///
/// - Case doesn't count: Spark minds it, so a key in another case does nothing, but a person may overlook it.
/// - `spark.hadoop.X` sets Hadoop's `X`, so it is `X` too, and `X` is `spark.hadoop.X`.
/// - A key that Spark has renamed is its new name too.
pub(crate) fn spellings(key: &str) -> Vec<String> {
    let key = key.to_ascii_lowercase();
    let mut base = key.as_str();
    while let Some(shorter) = base.strip_prefix(HADOOP_PREFIX) {
        base = shorter;
    }
    let is_hadoop = base.len() < key.len() || !key.starts_with("spark.");
    let mut others: Vec<String> = Vec::new();
    if is_hadoop {
        others.extend([base.to_owned(), format!("{HADOOP_PREFIX}{base}")]);
    }
    others.extend(current_name(base).map(str::to_ascii_lowercase));
    others.retain(|other| *other != key);
    others.insert(0, key);
    others
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, text, matches) in [
            ("spark.jars", "spark.jars", true),
            ("spark.jars", "spark.jars.packages", false),
            ("spark.kubernetes.*", "spark.kubernetes.namespace", true),
            ("spark.kubernetes.*", "spark.kubernetes", false),
            ("spark.*.fs.*.key", "spark.hadoop.fs.s3a.secret.key", true),
            ("spark.*.fs.*.key", "spark.hadoop.fs.s3a.secret.key2", false),
            ("*token*", "token", true),
            ("*", "", true),
            ("a*a", "a", false),
            ("a*b*c", "abcbc", true),
            ("", "a", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), matches, "{pattern} {text}");
        }
    }

    #[test]
    fn a_key_has_all_its_spellings() {
        let shown = |key: &str| spellings(key).join(" ");
        expect!["spark.app.name"].assert_eq(&shown("Spark.App.Name"));
        expect!["spark.hadoop.fs.s3a.x fs.s3a.x"].assert_eq(&shown("spark.hadoop.fs.s3a.X"));
        expect!["fs.s3a.x spark.hadoop.fs.s3a.x"].assert_eq(&shown("fs.s3a.x"));
        expect!["spark.hadoop.spark.hadoop.a.b a.b spark.hadoop.a.b"]
            .assert_eq(&shown("spark.hadoop.spark.hadoop.a.b"));
        expect!["spark.yarn.keytab spark.kerberos.keytab"].assert_eq(&shown("spark.yarn.keytab"));
    }

    /// The obvious way, which takes exponential time.
    fn slowly(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skipped| slowly(rest, &text[skipped..])),
            Some((byte, rest)) => text.first() == Some(byte) && slowly(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn a_set_finds_what_its_patterns_find(patterns in vec("(a\\.|b|\\*){0,6}", 0..8), key in "(a\\.|b){0,6}") {
            let set = PatternSet::new(patterns.iter().map(String::as_str));
            let expected = patterns.iter().position(|pattern| Pattern::new(pattern).matches(&key));
            prop_assert_eq!(set.first(&key), expected);
        }

        #[test]
        fn matching_agrees_with_its_definition(pattern in "[ab*]{0,6}", text in "[ab]{0,8}") {
            prop_assert_eq!(Pattern::new(&pattern).matches(&text), slowly(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
