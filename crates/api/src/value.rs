//! Reads a JSON object field by field and collects everything that is wrong with it, instead of stopping at the
//! first surprise as deserialising into a struct would.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::problem::{FieldProblem, pointer};

/// An object that is being read; fields that nobody asked for are left over at the end.
pub(crate) struct ObjectReader {
    fields: Map<String, Value>,
    known: Vec<&'static str>,
    /// What was wrong so far.
    pub(crate) problems: Vec<FieldProblem>,
}

impl ObjectReader {
    /// Begins to read `value`; what isn't an object reads as an empty one, with a problem.
    pub(crate) fn new(value: Value) -> Self {
        let mut problems = Vec::new();
        let fields = match value {
            Value::Object(fields) => fields,
            other => {
                problems.push(FieldProblem::new("", format!("expected an object, found {}", kind_of(&other))));
                Map::new()
            }
        };
        Self { fields, known: Vec::new(), problems }
    }

    /// A text, or nothing when it is absent or null.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            other => self.mistyped(&pointer("", name), "a text", &other),
        }
    }

    /// A list of texts; empty when it is absent or null.
    pub(crate) fn texts(&mut self, name: &'static str) -> Vec<String> {
        match self.take(name) {
            None => Vec::new(),
            Some(Value::Array(items)) => self.text_items(name, items),
            Some(other) => {
                let expected = if other.is_string() { "a list; write [\"…\"]" } else { "a list of texts" };
                self.mistyped(&pointer("", name), expected, &other).unwrap_or_default()
            }
        }
    }

    /// A map from text to text; empty when it is absent or null.
    pub(crate) fn text_map(&mut self, name: &'static str) -> BTreeMap<String, String> {
        match self.take(name) {
            None => BTreeMap::new(),
            Some(Value::Object(entries)) => self.map_entries(name, entries),
            Some(other) => self.mistyped(&pointer("", name), "an object with texts", &other).unwrap_or_default(),
        }
    }

    /// A whole number from 1 to `max`, or nothing when it is absent or null.
    pub(crate) fn count(&mut self, name: &'static str, max: u32) -> Option<u32> {
        let value = self.take(name)?;
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        match number.filter(|number| (1..=max).contains(number)) {
            Some(number) => Some(number),
            None => {
                let found = if value.is_number() { value.to_string() } else { kind_of(&value).to_owned() };
                let at = pointer("", name);
                self.problems
                    .push(FieldProblem::new(at, format!("expected a whole number from 1 to {max}, found {found}")));
                None
            }
        }
    }

    /// Everything that was wrong, with the fields that nobody asked for.
    pub(crate) fn finish(mut self) -> Vec<FieldProblem> {
        for name in self.fields.keys() {
            let mut problem = FieldProblem::new(pointer("", &shortened(name)), "there is no such field");
            if let Some(meant) = closest(name, &self.known) {
                problem = problem.fix(format!("did you mean `{meant}`?"));
            }
            self.problems.push(problem);
        }
        self.problems
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        // swap_remove would do, but the order of what is left over is the order in which it is reported.
        self.fields.shift_remove(name).filter(|value| !value.is_null())
    }

    fn text_items(&mut self, name: &str, items: Vec<Value>) -> Vec<String> {
        let mut texts = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Value::String(text) => texts.push(text),
                other => {
                    let at = pointer(&pointer("", name), &index.to_string());
                    self.mistyped::<()>(&at, "a text", &other);
                }
            }
        }
        texts
    }

    fn map_entries(&mut self, name: &str, entries: Map<String, Value>) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for (key, value) in entries {
            match value {
                Value::String(text) => {
                    texts.insert(key, text);
                }
                other => {
                    let at = pointer(&pointer("", name), &shortened(&key));
                    self.mistyped::<()>(&at, "a text", &other);
                }
            }
        }
        texts
    }

    fn mistyped<T>(&mut self, at: &str, expected: &str, found: &Value) -> Option<T> {
        let mut problem = FieldProblem::new(at, format!("expected {expected}, found {}", kind_of(found)));
        if expected == "a text" && (found.is_number() || found.is_boolean()) {
            problem = problem.fix(format!("write \"{found}\""));
        }
        self.problems.push(problem);
        None
    }
}

const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A client's own text, short enough for an answer.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(128).collect()
}

/// The known name that was probably meant: the same letters in another spelling (`driverMemory`).
fn closest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let letters = |text: &str| {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect::<String>()
    };
    let wanted = letters(name);
    let synonym = match wanted.as_str() {
        "file" | "mainapplicationfile" => "resource",
        "mainclass" | "class" => "classname",
        "arguments" => "args",
        other => other,
    };
    known.iter().copied().find(|known| letters(known) == synonym)
}
