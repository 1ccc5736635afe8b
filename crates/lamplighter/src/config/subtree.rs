//! Parts of the file whose types belong to other crates, read by serde from the tree, with every problem at its place.
//!
//! serde stops at the first problem. So what it stopped at is told, taken out, and the rest read again.

use std::fmt;

use policy::config::Step;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess};
use serde::de::{Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::problem::{Place, Problem, unknown_key};
use super::yaml::{Entry, Form, Node, Value};

/// Reads what stands under `key`. Problems of spelling come from serde; if there are none, those of meaning from
/// `check`, as seen from `key`.
pub(super) fn read<T: DeserializeOwned>(
    key: &str,
    node: &Node,
    check: impl Fn(&T) -> Vec<policy::config::Problem>,
) -> (Option<T>, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut rest = node.clone();
    let mut cut: Vec<Vec<Step>> = Vec::new();
    loop {
        let error = match T::deserialize(&rest) {
            Ok(value) if problems.is_empty() => {
                let told = check(&value).into_iter();
                let told = told.map(|it| Problem::of(joined(key, &it.path), &locate(node, &it.path), it.message));
                let problems: Vec<Problem> = told.collect();
                return (problems.is_empty().then_some(value), problems);
            }
            Ok(_) => return (None, problems),
            Err(error) => error,
        };
        let path: Vec<Step> = error.path.iter().rev().cloned().collect();
        // What was taken out is missing because of us, not of the user.
        let ours = error.is_missing && cut.iter().any(|cut| cut.starts_with(&path));
        if !ours {
            let place = error.place.as_ref().unwrap_or(&node.place);
            problems.push(Problem::of(joined(key, &path), place, error.message));
        }
        if !remove(&mut rest, &path) {
            return (None, problems);
        }
        cut.push(path);
    }
}

fn joined(key: &str, path: &[Step]) -> String {
    path.iter().fold(key.to_owned(), |text, step| match step {
        Step::Key(key) => format!("{text}.{key}"),
        Step::Index(index) => format!("{text}[{index}]"),
    })
}

/// Takes the value at `path` out, or the smallest mapping's entry around it; whether there was one.
fn remove(node: &mut Node, path: &[Step]) -> bool {
    let Some((step, rest)) = path.split_first() else { return false };
    match (&mut node.value, step) {
        (Value::Map(entries), Step::Key(key)) => {
            let Some(at) = entries.iter().position(|entry| entry.key == *key) else { return false };
            if !remove(&mut entries[at].value, rest) {
                entries.remove(at);
            }
            true
        }
        // An item alone can't go, because the numbers of those behind it would change.
        (Value::List(items), Step::Index(index)) => items.get_mut(*index).is_some_and(|item| remove(item, rest)),
        _ => false,
    }
}

/// The place of the deepest value of a path that is there.
fn locate(node: &Node, path: &[Step]) -> Place {
    let inner = match (&node.value, path.first()) {
        (Value::Map(entries), Some(Step::Key(key))) => entries.iter().find(|it| it.key == *key).map(|it| &it.value),
        (Value::List(items), Some(Step::Index(index))) => items.get(*index),
        _ => None,
    };
    inner.map_or_else(|| node.place.clone(), |inner| locate(inner, &path[1..]))
}

/// Why serde stopped.
#[derive(Debug)]
pub(super) struct Error {
    message: String,
    place: Option<Place>,
    /// From the inside out.
    path: Vec<Step>,
    is_missing: bool,
}

impl Error {
    fn at(mut self, place: &Place) -> Self {
        self.place.get_or_insert_with(|| place.clone());
        self
    }

    fn inside(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), place: None, path: Vec::new(), is_missing: false }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(unknown_key(field, expected.iter().copied()))
    }

    fn missing_field(field: &'static str) -> Self {
        Self { is_missing: true, ..Self::custom(format_args!("the key `{field}` is missing")) }
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let read = match &self.value {
            Value::Nothing => visitor.visit_unit(),
            Value::Scalar(text, Form::Text) => visitor.visit_borrowed_str(text),
            Value::Scalar(_, Form::Bool(value)) => visitor.visit_bool(*value),
            Value::Scalar(_, Form::Unsigned(value)) => visitor.visit_u64(*value),
            Value::Scalar(_, Form::Signed(value)) => visitor.visit_i64(*value),
            Value::Scalar(_, Form::Float(value)) => visitor.visit_f64(*value),
            Value::List(items) => visitor.visit_seq(Items { items: items.iter().enumerate() }),
            Value::Map(entries) => visitor.visit_map(Entries { entries: entries.iter(), value: None }),
        };
        read.map_err(|error| error.at(&self.place))
    }

    /// A text may look like a number: `4.1` is a fine name.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Scalar(text, _) => visitor.visit_borrowed_str(text).map_err(|error: Error| error.at(&self.place)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    /// serde would take a list for the fields in their order.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Map(_) => self.deserialize_any(visitor),
            _ => {
                let error: Error =
                    serde::de::Error::custom(format_args!("expected keys with values, found {}", self.kind()));
                Err(error.at(&self.place))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Nothing => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self).map_err(|error| error.at(&self.place))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let read = match &self.value {
            Value::Scalar(text, _) => visitor.visit_enum(StrDeserializer::new(text)),
            Value::Map(entries) if entries.len() == 1 => visitor.visit_enum(Variant(&entries[0])),
            _ => Err(serde::de::Error::custom(format_args!("expected a word, found {}", self.kind()))),
        };
        read.map_err(|error| error.at(&self.place))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct identifier ignored_any
    }
}

struct Items<'de> {
    items: std::iter::Enumerate<std::slice::Iter<'de, Node>>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some((index, item)) = self.items.next() else { return Ok(None) };
        seed.deserialize(item).map(Some).map_err(|error| error.at(&item.place).inside(Step::Index(index)))
    }
}

struct Entries<'de> {
    entries: std::slice::Iter<'de, Entry>,
    value: Option<&'de Entry>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        self.value = Some(entry);
        let key: StrDeserializer<'de, Error> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|error| error.at(&entry.place).inside(Step::Key(entry.key.clone())))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let Some(entry) = self.value.take() else { return Err(serde::de::Error::custom("a value without its key")) };
        let read = seed.deserialize(&entry.value);
        read.map_err(|error| error.at(&entry.value.place).inside(Step::Key(entry.key.clone())))
    }
}

/// `{word: value}`, a variant that holds something.
struct Variant<'de>(&'de Entry);

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = &'de Node;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, &'de Node), Error> {
        let word: StrDeserializer<'de, Error> = self.0.key.as_str().into_deserializer();
        Ok((seed.deserialize(word).map_err(|error| error.at(&self.0.place))?, &self.0.value))
    }
}

impl<'de> VariantAccess<'de> for &'de Node {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.value {
            Value::Nothing => Ok(()),
            _ => Err(serde::de::Error::custom(format_args!("expected nothing, found {}", self.kind()))),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Map(entries) => {
                let entries = Entries { entries: entries.iter(), value: None };
                visitor.visit_map(entries)
            }
            _ => self.deserialize_any(visitor),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::collections::BTreeMap;

    use super::*;
    use crate::config::yaml::parse;
    use expect_test::{Expect, expect};
    use serde::Deserialize;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    #[allow(dead_code, reason = "read by Debug")]
    struct Rules {
        tenants: BTreeMap<String, Tenant>,
        mode: Mode,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "read by Debug")]
    struct Tenant {
        namespace: String,
        executors_max: Option<u32>,
        #[serde(default)]
        images: Vec<String>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    #[allow(dead_code, reason = "read by Debug")]
    enum Mode {
        #[default]
        Open,
        Limited(u8),
        Named {
            name: String,
        },
    }

    fn check(text: &str, expected: &Expect) {
        let node = parse("F", text).unwrap();
        let no_latest = |rules: &Rules| {
            let tenants = rules.tenants.iter();
            let images = tenants.flat_map(|(name, tenant)| tenant.images.iter().enumerate().map(move |it| (name, it)));
            let latest = images.filter(|(_, (_, image))| image.ends_with(":latest"));
            let path = |name: &str, at| {
                [Step::Key("tenants".into()), Step::Key(name.into()), Step::Key("images".into()), Step::Index(at)]
            };
            latest.map(|(name, (at, _))| policy::config::Problem::new(&path(name, at), "say which")).collect()
        };
        let (value, problems) = read::<Rules>("policy", node.find("policy").unwrap(), no_latest);
        let mut shown: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
        if let Some(value) = value {
            shown.push_str(&format!("{value:?}"));
        }
        expected.assert_eq(&shown);
    }

    #[test]
    fn types_of_other_crates_are_read() {
        check(
            "policy:\n  mode: {named: {name: 4.10}}\n  tenants:\n    a.b: {namespace: 1, executors_max: 3}\n",
            &expect![[
                r#"Rules { tenants: {"a.b": Tenant { namespace: "1", executors_max: Some(3), images: [] }}, mode: Named { name: "4.10" } }"#
            ]],
        );
        check("policy:\n  mode: {limited: 3}\n", &expect!["Rules { tenants: {}, mode: Limited(3) }"]);
    }

    #[test]
    fn all_problems_are_told_with_their_places() {
        check(
            "policy:\n  mod: open\n  tenants:\n    a: {namespce: x, executors_max: many}\n    b: {}\n    c: {namespace: c, executors_max: -1}\n    d: [1]\n",
            &expect![[r#"
                F:2:3: policy.mod: unknown key `mod`; did you mean `mode`?
                F:4:9: policy.tenants.a.namespce: unknown key `namespce`; did you mean `namespace`?
                F:4:37: policy.tenants.a.executors_max: invalid type: string "many", expected u32
                F:5:8: policy.tenants.b: the key `namespace` is missing
                F:6:38: policy.tenants.c.executors_max: invalid value: integer `-1`, expected u32
                F:7:8: policy.tenants.d: expected keys with values, found a list
            "#]],
        );
    }

    #[test]
    fn problems_of_meaning_come_after_those_of_spelling() {
        check(
            "policy:\n  tenants:\n    a.b: {namespace: x, images: [ok:1, 'x:latest']}\n",
            &expect![[r#"
            F:3:40: policy.tenants.a.b.images[1]: say which
        "#]],
        );
    }
}
