//! Reads settings from flags, variables and the file, and remembers everything about them on the way.
//!
//! Asking for a setting *is* its one declaration: [`Reader::get`] writes down the key, the notation, the default and
//! the explanation before it looks for a value. What was never asked for is unknown; flags, sample and reference
//! are made from what was. So nothing can be declared and not read, or read and not declared.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Variables;
use super::notation::{FlagShape, Notation};
use super::problem::{Place, Problem, unknown_key};
use super::subtree;
use super::yaml::{Node, Value};

/// One setting.
pub(super) struct Setting<N: Notation> {
    /// The path of its key.
    pub(super) key: &'static str,
    /// What it does, in a sentence or two of Markdown, without a full stop.
    pub(super) about: &'static str,
    /// How it is written.
    pub(super) notation: N,
    /// What holds when nothing is said.
    pub(super) default: Fallback<N::Value>,
}

/// What holds when nothing is said.
pub(super) enum Fallback<T> {
    /// This value.
    Value(T),
    /// What was found out about this machine; the words say how.
    Found(&'static str, T),
}

/// What is known of a setting, for flags, sample and reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) key: &'static str,
    pub(super) about: &'static str,
    pub(super) kind: Kind,
}

/// What stands under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A heading over the keys that begin with it.
    Section,
    /// One setting.
    Setting {
        /// How to write it.
        words: String,
        /// The default as YAML; `None` when it depends on the machine.
        default: Option<String>,
        /// The default in words, when it depends on the machine.
        found: Option<&'static str>,
        /// How its flag looks; `None` for secrets, which everybody could see in the list of processes.
        flag: Option<FlagShape>,
    },
    /// Keys that another part of the program knows, described on a page of their own.
    Subtree {
        /// The page, relative to the reference.
        page: &'static str,
    },
}

/// A setting as it holds, and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Effective {
    pub(super) key: &'static str,
    /// As YAML of one line, secrets as stars.
    pub(super) shown: String,
    pub(super) place: Place,
}

/// The variable of a key.
pub(super) fn variable_name(key: &str) -> String {
    format!("LAMPLIGHTER_{}", key.replace('.', "_").to_uppercase())
}

/// The flag of a key, without dashes.
pub(super) fn flag_name(key: &str) -> String {
    key.replace(['.', '_'], "-")
}

/// Flags before variables before the file before defaults.
pub(super) struct Reader<'a> {
    flags: &'a BTreeMap<&'static str, String>,
    variables: Variables<'a>,
    file: Node,
    pub(super) declared: Vec<Declared>,
    pub(super) effective: Vec<Effective>,
    pub(super) problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// A reader of these sources.
    pub(super) fn new(flags: &'a BTreeMap<&'static str, String>, variables: Variables<'a>, file: Node) -> Self {
        Self { flags, variables, file, declared: Vec::new(), effective: Vec::new(), problems: Vec::new() }
    }

    /// Begins the keys that start with `key` and a dot.
    pub(super) fn section(&mut self, key: &'static str, about: &'static str) {
        self.declared.push(Declared { key, about, kind: Kind::Section });
    }

    /// Declares a setting and reads it. What is wrong with it is remembered, and its default answered.
    pub(super) fn get<N: Notation>(&mut self, setting: Setting<N>) -> N::Value {
        let flag = Some(setting.notation.flag_shape());
        self.read(setting, flag)
    }

    /// The same for a setting that may hold a secret: it has no flag.
    pub(super) fn get_secret<N: Notation>(&mut self, setting: Setting<N>) -> N::Value {
        self.read(setting, None)
    }

    /// Keys that another crate knows; the default when nothing is said. `check` tells what is wrong with their
    /// meaning.
    pub(super) fn subtree<T: DeserializeOwned + Serialize + Default>(
        &mut self,
        (key, about, page): (&'static str, &'static str, &'static str),
        check: impl Fn(&T) -> Vec<policy::config::Problem>,
    ) -> T {
        self.declared.push(Declared { key, about, kind: Kind::Subtree { page } });
        let Some(node) = self.file.find(key).cloned() else { return T::default() };
        let (value, problems) = subtree::read(key, &node, check);
        self.problems.extend(problems);
        let value = value.unwrap_or_default();
        // JSON is YAML of one line; the types themselves hide what is secret.
        let shown = serde_json::to_value(&value).map(said).unwrap_or_default().to_string();
        self.effective.push(Effective { key, shown, place: node.place });
        value
    }

    /// Remembers that a setting makes no sense; the message is told after its key.
    pub(super) fn refuse(&mut self, key: &str, message: &str) {
        self.problems.push(Problem::of(key, &place_of(&self.effective, key), message));
    }

    /// Declares what was asked for, and tells which keys of the file never were.
    pub(super) fn finish(mut self) -> (Vec<Declared>, Vec<Effective>, Vec<Problem>) {
        let file = std::mem::replace(&mut self.file, Node::empty());
        self.refuse_unknown("", &file);
        (self.declared, self.effective, self.problems)
    }

    fn read<N: Notation>(&mut self, setting: Setting<N>, flag: Option<FlagShape>) -> N::Value {
        let Setting { key, about, notation, default } = setting;
        let (default, found) = match default {
            Fallback::Value(value) => (value, None),
            Fallback::Found(words, value) => (value, Some(words)),
        };
        let shown = notation.show(&default);
        let kind = Kind::Setting { words: notation.words(), default: found.is_none().then_some(shown), found, flag };
        self.declared.push(Declared { key, about, kind });
        let node = self.find(key, &notation);
        let problems = &mut self.problems;
        let mut refuse = |place: &Place, message: String| problems.push(Problem::of(key, place, message));
        let read = node.as_ref().and_then(|node| notation.read(node, &mut refuse));
        let place = node.map_or(Place::Default, |node| node.place);
        let value = read.unwrap_or(default);
        self.effective.push(Effective { key, shown: notation.show(&value), place });
        value
    }

    fn find<N: Notation>(&self, key: &'static str, notation: &N) -> Option<Node> {
        if let Some(text) = self.flags.get(key) {
            return Some(notation.lift(Place::Flag(flag_name(key)), text));
        }
        let name = variable_name(key);
        if let Some(text) = (self.variables)(&name).filter(|text| !text.is_empty()) {
            return Some(notation.lift(Place::Variable(name), &text));
        }
        self.file.find(key).cloned()
    }

    fn refuse_unknown(&mut self, prefix: &str, node: &Node) {
        let Value::Map(entries) = &node.value else {
            if node.value != Value::Nothing {
                let message = format!("expected keys with values, found {}", node.kind());
                self.problems.push(Problem::of(prefix, &node.place, message));
            }
            return;
        };
        for entry in entries {
            let key = if prefix.is_empty() { entry.key.clone() } else { format!("{prefix}.{}", entry.key) };
            match self.declared.iter().find(|declared| declared.key == key) {
                None => {
                    let message = self.unknown(&key);
                    self.problems.push(Problem::new(&entry.place, message));
                }
                Some(Declared { kind: Kind::Section, .. }) => self.refuse_unknown(&key, &entry.value),
                Some(_) => {}
            }
        }
    }

    fn unknown(&self, key: &str) -> String {
        let keys = || self.declared.iter().map(|declared| declared.key);
        // Often the right key stands under the wrong heading.
        let last = |key: &'static str| key.rsplit('.').next();
        match keys().find(|known| last(known) == key.rsplit('.').next()) {
            Some(elsewhere) => format!("unknown key `{key}`; did you mean `{elsewhere}`?"),
            None => unknown_key(key, keys()),
        }
    }
}

/// A value without what is empty, which is most of what types with many defaults hold.
fn said(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    let is_said = |value: &Json| match value {
        Json::Null => false,
        Json::Array(items) => !items.is_empty(),
        Json::Object(entries) => !entries.is_empty(),
        _ => true,
    };
    match value {
        Json::Array(items) => Json::Array(items.into_iter().map(said).collect()),
        Json::Object(entries) => Json::Object(
            entries.into_iter().map(|(key, value)| (key, said(value))).filter(|it| is_said(&it.1)).collect(),
        ),
        value => value,
    }
}

/// Who set a key.
pub(super) fn place_of(effective: &[Effective], key: &str) -> Place {
    effective.iter().find(|one| one.key == key).map_or(Place::Default, |one| one.place.clone())
}
