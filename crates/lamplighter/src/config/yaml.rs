//! The file as a tree in which each key and value knows its place, so that all that is wrong with it can be told
//! together. What values mean is decided by whoever reads the tree.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, Spanned};

use super::problem::{Place, Problem};

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Left out, or `null`.
    Nothing,
    /// The text as it is written (without quotes), and what YAML takes it for.
    Scalar(String, Form),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in its order, keys at most once.
    Map(Vec<Entry>),
}

/// What YAML takes a scalar for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Form {
    Text,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

impl Node {
    /// A text that stands somewhere else than in a file.
    pub(super) fn text(place: Place, text: &str) -> Self {
        Self { place, value: Value::Scalar(text.to_owned(), Form::Text) }
    }

    /// An empty mapping: a file that says nothing.
    pub(super) const fn empty() -> Self {
        Self { place: Place::Default, value: Value::Map(Vec::new()) }
    }

    /// The value under a path of keys; `None` when it isn't there or nothing.
    pub(super) fn find(&self, path: &str) -> Option<&Self> {
        let mut node = self;
        for step in path.split('.') {
            let Value::Map(entries) = &node.value else { return None };
            node = &entries.iter().find(|entry| entry.key == step)?.value;
        }
        (node.value != Value::Nothing).then_some(node)
    }

    /// What kind of thing it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Nothing => "nothing",
            Value::Scalar(_, Form::Text) => "a text",
            Value::Scalar(_, Form::Bool(_)) => "true or false",
            Value::Scalar(..) => "a number",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// Reads a file's text; a text that says nothing is an empty mapping.
///
/// # Errors
/// Text that is no YAML has one problem; else all keys that occur twice are told, and a file that is no mapping.
pub(super) fn parse(path: &str, text: &str) -> Result<Node, Vec<Problem>> {
    let source = Source { path: path.into(), text };
    // Keys that occur twice are passed through, to be told with everything else.
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
    };
    let raw: Option<Spanned<Raw>> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| vec![source.syntax_problem(&error)])?;
    let Some(raw) = raw else { return Ok(Node::empty()) };
    let mut problems = Vec::new();
    let node = source.node(raw, &mut problems);
    if !matches!(node.value, Value::Map(_) | Value::Nothing) {
        problems.push(Problem::new(&node.place, format!("expected keys with values, found {}", node.kind())));
    }
    if problems.is_empty() { Ok(node) } else { Err(problems) }
}

struct Source<'a> {
    path: Arc<str>,
    text: &'a str,
}

impl Source<'_> {
    fn place(&self, location: Location) -> Place {
        Place::File { path: Arc::clone(&self.path), line: location.line(), column: location.column() }
    }

    fn syntax_problem(&self, error: &serde_saphyr::Error) -> Problem {
        let told = error.without_snippet().to_string();
        let Some(location) = error.location() else {
            return Problem::new(&Place::File { path: Arc::clone(&self.path), line: 1, column: 1 }, told);
        };
        let suffix = format!(" at line {}, column {}", location.line(), location.column());
        Problem::new(&self.place(location), told.strip_suffix(&suffix).unwrap_or(&told))
    }

    fn node(&self, raw: Spanned<Raw>, problems: &mut Vec<Problem>) -> Node {
        let value = match raw.value {
            Raw::Nothing => Value::Nothing,
            Raw::Text(text) => Value::Scalar(text, Form::Text),
            Raw::Other(form) => Value::Scalar(self.written(raw.defined, form), form),
            Raw::List(items) => Value::List(items.into_iter().map(|item| self.node(item, problems)).collect()),
            Raw::Map(entries) => Value::Map(self.entries(entries, problems)),
        };
        Node { place: self.place(raw.referenced), value }
    }

    fn entries(&self, raw: Vec<(Spanned<String>, Spanned<Raw>)>, problems: &mut Vec<Problem>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::with_capacity(raw.len());
        for (key, value) in raw {
            let place = self.place(key.referenced);
            let value = self.node(value, problems);
            match entries.iter().find(|entry| entry.key == key.value) {
                Some(first) => {
                    let message = format!("the key `{}` occurs twice, first at {}", key.value, first.place);
                    problems.push(Problem::new(&place, message));
                }
                None => entries.push(Entry { key: key.value, place, value }),
            }
        }
        entries
    }

    /// A number as it is written, so that `4.10` stays apart from `4.1` where a text is wanted.
    fn written(&self, location: Location, form: Form) -> String {
        let span = location.span();
        let written = span.byte_offset().zip(span.byte_len()).and_then(|(start, length)| {
            let start = usize::try_from(start).ok()?;
            self.text.get(start..start.checked_add(usize::try_from(length).ok()?)?)
        });
        written.map_or_else(|| form.to_string(), str::to_owned)
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => Ok(()),
            Self::Bool(value) => value.fmt(f),
            Self::Unsigned(value) => value.fmt(f),
            Self::Signed(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
        }
    }
}

/// What serde hands over.
enum Raw {
    Nothing,
    Text(String),
    Other(Form),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Nothing)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Nothing)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Other(Form::Bool(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Other(Form::Unsigned(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Other(u64::try_from(value).map_or(Form::Signed(value), Form::Unsigned)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Other(Form::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    fn show(node: &Node) -> String {
        match &node.value {
            Value::Nothing => "-".to_owned(),
            Value::Scalar(text, form) => format!("{text:?}:{form:?}"),
            Value::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
            Value::Map(entries) => {
                let entry = |entry: &Entry| format!("{}@{} {}", entry.key, entry.value.place, show(&entry.value));
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn check(text: &str, expected: &Expect) {
        let shown = match parse("F", text) {
            Ok(node) => show(&node),
            Err(problems) => problems.iter().map(|problem| format!("! {problem}\n")).collect(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn values_know_their_places_and_how_they_are_written() {
        check("", &expect!["{}"]);
        check("# nothing\n", &expect!["{}"]);
        check(
            "a: 4.10\nb: [1, 'x y', -3]\nc:\n  d: true\n  e: ~\nf: 0x10\ng: yes\n",
            &expect![[
                r#"{a@F:1:4 "4.10":Float(4.1), b@F:2:4 ["1":Unsigned(1), "x y":Text, "-3":Signed(-3)], c@F:4:3 {d@F:4:6 "true":Bool(true), e@F:5:6 -}, f@F:6:4 "0x10":Unsigned(16), g@F:7:4 "yes":Text}"#
            ]],
        );
    }

    #[test]
    fn what_is_no_file_of_keys_is_told_with_its_place() {
        check(
            "a: b: c\n",
            &expect![[r"
            ! F:1:5: mapping values are not allowed in this context
        "]],
        );
        check(
            "- 1\n",
            &expect![[r"
            ! F:1:1: expected keys with values, found a list
        "]],
        );
        check(
            "a: 1\nb:\n  c: 1\n  c: 2\na: 3\n",
            &expect![[r"
            ! F:4:3: the key `c` occurs twice, first at F:3:3
            ! F:5:1: the key `a` occurs twice, first at F:1:1
        "]],
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[-a-z:{}\\[\\],'\"&*#|>!%@` \n\t0-9.]{0,80}") {
            let _ = parse("F", &text);
        }
    }
}
