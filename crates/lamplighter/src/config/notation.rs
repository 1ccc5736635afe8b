//! How values are written: each [`Notation`] reads one kind of value, shows it, and says how to write it.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use model::duration::{SparkDuration, TimeUnit};
use model::memory_size::{ByteUnit, MemorySize};

use super::problem::Place;
use super::yaml::{Node, Value};

/// Takes what is wrong with a value: where, and a sentence without the key.
pub(super) type Refuse<'a> = &'a mut dyn FnMut(&Place, String);

/// How a value of one type is written.
pub(super) trait Notation {
    /// What is read.
    type Value;

    /// How to write it, in a few words.
    fn words(&self) -> String;

    /// Reads it; what is wrong is refused, and then there is no value.
    fn read(&self, node: &Node, refuse: Refuse<'_>) -> Option<Self::Value>;

    /// The value as YAML of one line; secrets as stars.
    fn show(&self, value: &Self::Value) -> String;

    /// The text of a variable or a flag as the value of a file.
    fn lift(&self, place: Place, text: &str) -> Node {
        Node::text(place, text)
    }

    /// How its flag looks.
    fn flag_shape(&self) -> FlagShape {
        FlagShape::Value
    }
}

/// How a flag looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlagShape {
    /// `--flag VALUE`, once.
    Value,
    /// `--flag VALUE`, as often as there are values.
    Values,
    /// `--flag`, or `--flag=false`.
    Switch,
}

/// A notation that is a single text.
pub(super) trait Scalar {
    /// What is read.
    type Value;
    /// How to write it, in a few words.
    fn words(&self) -> String;
    /// Reads it, or says what is wrong, without the key.
    fn parse(&self, text: &str) -> Result<Self::Value, String>;
    /// The value as it is written.
    fn show(&self, value: &Self::Value) -> String;
    /// How its flag looks.
    fn flag_shape(&self) -> FlagShape {
        FlagShape::Value
    }
}

impl<S: Scalar> Notation for S {
    type Value = S::Value;

    fn words(&self) -> String {
        Scalar::words(self)
    }

    fn read(&self, node: &Node, refuse: Refuse<'_>) -> Option<Self::Value> {
        let Value::Scalar(text, _) = &node.value else {
            refuse(&node.place, format!("expected {}, found {}", Scalar::words(self), node.kind()));
            return None;
        };
        match self.parse(text) {
            Ok(value) => Some(value),
            Err(message) => {
                refuse(&node.place, message);
                None
            }
        }
    }

    fn show(&self, value: &Self::Value) -> String {
        quoted(&Scalar::show(self, value))
    }

    fn flag_shape(&self) -> FlagShape {
        Scalar::flag_shape(self)
    }
}

/// A text as YAML, in quotes where it needs them.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric() || "/.".contains(c))
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+=@:".contains(c))
            && !text.ends_with(':')
    };
    if is_plain(text) { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

/// Any text.
pub(super) struct Text;

impl Scalar for Text {
    type Value = String;

    fn words(&self) -> String {
        "a text".to_owned()
    }

    fn parse(&self, text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }

    fn show(&self, value: &String) -> String {
        value.clone()
    }
}

/// A file or folder. A relative one is taken from the folder that the gateway is started in.
pub(super) struct FilePath;

impl Scalar for FilePath {
    type Value = PathBuf;

    fn words(&self) -> String {
        "a path".to_owned()
    }

    fn parse(&self, text: &str) -> Result<PathBuf, String> {
        std::path::absolute(text).map_err(|error| format!("`{text}` is no path: {error}"))
    }

    fn show(&self, value: &PathBuf) -> String {
        value.display().to_string()
    }
}

/// An address with a port.
pub(super) struct Address;

impl Scalar for Address {
    type Value = SocketAddr;

    fn words(&self) -> String {
        "ADDRESS:PORT".to_owned()
    }

    fn parse(&self, text: &str) -> Result<SocketAddr, String> {
        text.parse().map_err(|_| format!("`{text}` is not ADDRESS:PORT, as in 127.0.0.1:8998"))
    }

    fn show(&self, value: &SocketAddr) -> String {
        value.to_string()
    }
}

/// A whole number within bounds.
pub(super) struct Count<T> {
    pub(super) min: T,
    pub(super) max: T,
}

impl<T: Copy + Display + PartialOrd + std::str::FromStr> Scalar for Count<T> {
    type Value = T;

    fn words(&self) -> String {
        format!("a number from {} to {}", self.min, self.max)
    }

    fn parse(&self, text: &str) -> Result<T, String> {
        let fits = |value: &T| (self.min..=self.max).contains(value);
        let digits = text.replace('_', "");
        digits.parse().ok().filter(fits).ok_or_else(|| format!("`{text}` is not {}", Scalar::words(self)))
    }

    fn show(&self, value: &T) -> String {
        value.to_string()
    }
}

/// A number of bytes within bounds, with a unit or without.
pub(super) struct Bytes {
    pub(super) min: u64,
    pub(super) max: u64,
}

impl Scalar for Bytes {
    type Value = u64;

    fn words(&self) -> String {
        format!("a size from {} to {}", size(self.min), size(self.max))
    }

    fn parse(&self, text: &str) -> Result<u64, String> {
        let bytes = MemorySize::parse(text, ByteUnit::Byte).map_err(|error| error.to_string())?.bytes();
        let fits = (self.min..=self.max).contains(&bytes);
        if fits { Ok(bytes) } else { Err(format!("`{text}` is not {}", Scalar::words(self))) }
    }

    fn show(&self, value: &u64) -> String {
        size(*value)
    }
}

fn size(bytes: u64) -> String {
    MemorySize::from_bytes(bytes).map_or_else(|| bytes.to_string(), |size| size.to_string())
}

/// A span of time, at least `min`.
pub(super) struct Time {
    pub(super) min: Duration,
}

impl Scalar for Time {
    type Value = Duration;

    fn words(&self) -> String {
        match self.min {
            Duration::ZERO => "a time such as 30s or 2h".to_owned(),
            min => format!("a time of at least {}", time(min)),
        }
    }

    fn parse(&self, text: &str) -> Result<Duration, String> {
        let time = SparkDuration::parse(text, TimeUnit::Second).map_err(|error| error.to_string())?.into();
        if time >= self.min { Ok(time) } else { Err(format!("`{text}` is not {}", Scalar::words(self))) }
    }

    fn show(&self, value: &Duration) -> String {
        time(*value)
    }
}

fn time(time: Duration) -> String {
    let micros = u64::try_from(time.as_micros()).ok();
    micros.and_then(SparkDuration::from_micros).map_or_else(|| format!("{time:?}"), |time| time.to_string())
}

/// What a scalar says, or one word for "no limit".
pub(super) struct OrWord<S> {
    pub(super) word: &'static str,
    pub(super) or: S,
}

impl<S: Scalar> Scalar for OrWord<S> {
    type Value = Option<S::Value>;

    fn words(&self) -> String {
        format!("{}, or `{}`", self.or.words(), self.word)
    }

    fn parse(&self, text: &str) -> Result<Self::Value, String> {
        if text == self.word { Ok(None) } else { self.or.parse(text).map(Some) }
    }

    fn show(&self, value: &Self::Value) -> String {
        value.as_ref().map_or_else(|| self.word.to_owned(), |value| self.or.show(value))
    }
}

/// `true` or `false`.
pub(super) struct Switch;

impl Scalar for Switch {
    type Value = bool;

    fn words(&self) -> String {
        "`true` or `false`".to_owned()
    }

    fn parse(&self, text: &str) -> Result<bool, String> {
        text.parse().map_err(|_| format!("`{text}` is not `true` or `false`"))
    }

    fn show(&self, value: &bool) -> String {
        value.to_string()
    }

    fn flag_shape(&self) -> FlagShape {
        FlagShape::Switch
    }
}

/// One of several words.
pub(super) struct Choice<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Scalar for Choice<T> {
    type Value = T;

    fn words(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|(word, _)| format!("`{word}`")).collect();
        words.join(" or ")
    }

    fn parse(&self, text: &str) -> Result<T, String> {
        let known = self.0.iter().find(|(word, _)| *word == text);
        known.map(|(_, value)| *value).ok_or_else(|| {
            let meant = super::problem::nearest(text, self.0.iter().map(|(word, _)| *word));
            let hint = meant.map(|word| format!("; did you mean `{word}`?")).unwrap_or_default();
            format!("`{text}` is not {}{hint}", Scalar::words(self))
        })
    }

    fn show(&self, value: &T) -> String {
        self.0.iter().find(|(_, known)| known == value).map(|(word, _)| (*word).to_owned()).unwrap_or_default()
    }
}

/// A list; in variables with commas between.
pub(super) struct Many<N>(pub(super) N);

impl<N: Notation> Notation for Many<N> {
    type Value = Vec<N::Value>;

    fn words(&self) -> String {
        format!("a list, each {}", self.0.words())
    }

    fn read(&self, node: &Node, refuse: Refuse<'_>) -> Option<Self::Value> {
        let Value::List(items) = &node.value else {
            refuse(&node.place, format!("expected a list as in [a, b], found {}", node.kind()));
            return None;
        };
        // All are read before one that is wrong counts, so that every problem is told.
        let read: Vec<Option<N::Value>> = items.iter().map(|item| self.0.read(item, refuse)).collect();
        read.into_iter().collect()
    }

    fn show(&self, value: &Self::Value) -> String {
        format!("[{}]", value.iter().map(|item| self.0.show(item)).collect::<Vec<_>>().join(", "))
    }

    fn lift(&self, place: Place, text: &str) -> Node {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        let items = items.map(|item| self.0.lift(place.clone(), item)).collect();
        Node { place, value: Value::List(items) }
    }

    fn flag_shape(&self) -> FlagShape {
        FlagShape::Values
    }
}

/// A value that may be missing.
pub(super) struct Maybe<N>(pub(super) N);

impl<N: Notation> Notation for Maybe<N> {
    type Value = Option<N::Value>;

    fn words(&self) -> String {
        self.0.words()
    }

    fn read(&self, node: &Node, refuse: Refuse<'_>) -> Option<Self::Value> {
        self.0.read(node, refuse).map(Some)
    }

    fn show(&self, value: &Self::Value) -> String {
        value.as_ref().map_or_else(|| "null".to_owned(), |value| self.0.show(value))
    }

    fn lift(&self, place: Place, text: &str) -> Node {
        self.0.lift(place, text)
    }

    fn flag_shape(&self) -> FlagShape {
        self.0.flag_shape()
    }
}
