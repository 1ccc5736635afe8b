//! What is wrong with the configuration, and where: a place of the file, a variable or a flag.

use std::fmt;
use std::sync::Arc;

use strsim::damerau_levenshtein;

/// Where something was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the configuration file; lines and columns count from 1.
    File {
        /// The file, as it was named.
        path: Arc<str>,
        /// The line.
        line: u64,
        /// The column, in characters.
        column: u64,
    },
    /// In the environment variable of this name.
    Variable(String),
    /// In the flag of this name, without the dashes.
    Flag(String),
    /// Nowhere: it is the default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => write!(f, "--{name}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    place: Place,
    /// The path of the key, if it is about a known one.
    key: String,
    message: String,
}

impl Problem {
    /// A problem of the file itself.
    pub(super) fn new(place: &Place, message: impl Into<String>) -> Self {
        Self::of("", place, message)
    }

    /// A problem of what is said about `key`.
    pub(super) fn of(key: impl Into<String>, place: &Place, message: impl Into<String>) -> Self {
        Self { place: place.clone(), key: key.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Default => {}
            place => write!(f, "{place}: ")?,
        }
        // Variables and flags are named after their keys.
        if !self.key.is_empty() && matches!(self.place, Place::Default | Place::File { .. }) {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with the configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigProblems(Vec<Problem>);

impl ConfigProblems {
    /// These problems, in the order of the file; those of other places go first.
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| match &problem.place {
            Place::File { line, column, .. } => (*line, *column),
            _ => (0, 0),
        });
        Self(problems)
    }

    /// What is wrong, a sentence each.
    pub(crate) fn sentences(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(Problem::to_string)
    }
}

impl std::error::Error for ConfigProblems {}

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "error: " } else { "\nerror: " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

/// The one of `known` that was probably meant by `word`.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |known: &str| damerau_levenshtein(&word.to_lowercase(), known);
    let tolerated = (word.chars().count() / 3).max(1);
    known.into_iter().map(|known| (distance(known), known)).filter(|(far, _)| *far <= tolerated).min().map(|it| it.1)
}

/// The sentence about a key that nobody knows.
pub(super) fn unknown_key<'a>(key: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(key, known) {
        Some(meant) => format!("unknown key `{key}`; did you mean `{meant}`?"),
        None => format!("unknown key `{key}`"),
    }
}
