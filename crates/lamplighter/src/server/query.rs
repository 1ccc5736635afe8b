//! Query strings and path segments, decoded without trusting them.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use api::{FieldProblem, ProblemCode};
use http::Uri;
use percent_encoding::percent_decode_str;

use super::failure::Failure;

/// The decoded pairs of a query string, in order. Bytes that aren't UTF-8 are replaced.
pub(super) fn pairs(uri: &Uri) -> Vec<(String, String)> {
    let items = uri.query().unwrap_or_default().split('&').filter(|item| !item.is_empty());
    items
        .map(|item| {
            item.split_once('=')
                .map_or_else(|| (decode(item), String::new()), |(name, value)| (decode(name), decode(value)))
        })
        .collect()
}

/// A decoded name or value of a query string or form. Bytes that aren't UTF-8 are replaced.
pub(super) fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// The decoded segment of a path, counted from 0. Bytes that aren't UTF-8 are replaced.
pub(super) fn segment(uri: &Uri, index: usize) -> String {
    let segment = uri.path().split('/').nth(index + 1).unwrap_or_default();
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// The parameters of one request of `/api/v1`. It remembers everything that is wrong with them, unknown ones
/// included, and tells it at the end.
pub(super) struct Parameters {
    pairs: Vec<(String, String)>,
    known: BTreeSet<&'static str>,
    problems: Vec<FieldProblem>,
}

impl Parameters {
    /// Begins to read the query of `uri`.
    pub(super) fn of(uri: &Uri) -> Self {
        Self { pairs: pairs(uri), known: BTreeSet::new(), problems: Vec::new() }
    }

    /// Every value of a parameter.
    pub(super) fn all(&mut self, name: &'static str) -> Vec<String> {
        self.known.insert(name);
        self.pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    }

    /// The value of a parameter that may be given once.
    pub(super) fn one(&mut self, name: &'static str) -> Option<String> {
        let mut values = self.all(name);
        if values.len() > 1 {
            self.refuse(name, "is given more than once");
        }
        values.pop()
    }

    /// The same, read as something.
    pub(super) fn parsed<T>(&mut self, name: &'static str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let value = self.one(name)?;
        value.parse().map_err(|error: T::Err| self.refuse(name, error.to_string())).ok()
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, name: &'static str, min: u32, max: u32) -> Option<u32> {
        let value = self.one(name)?;
        let number = value.parse::<u32>().ok().filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.refuse(name, format!("expected a whole number from {min} to {max}"));
        }
        number
    }

    /// `true` or `false`; a bare name means true.
    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        match self.one(name).as_deref() {
            None | Some("false") => false,
            Some("" | "true") => true,
            Some(_) => {
                self.refuse(name, "expected true or false");
                false
            }
        }
    }

    /// Remembers a problem with a parameter.
    pub(super) fn refuse(&mut self, name: &str, detail: impl Into<String>) {
        self.problems.push(FieldProblem::new(format!("?{name}"), detail));
    }

    /// The end of reading.
    ///
    /// # Errors
    /// 400 with everything that was wrong.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        let unknown: BTreeSet<String> = self
            .pairs
            .iter()
            .map(|(name, _)| name)
            .filter(|name| !self.known.contains(name.as_str()))
            .map(|name| name.chars().take(64).collect())
            .collect();
        let fix = self.known.iter().copied().collect::<Vec<_>>().join(", ");
        for name in unknown {
            let problem = FieldProblem::new(format!("?{name}"), "there is no such parameter");
            self.problems.push(if fix.is_empty() { problem } else { problem.fix(format!("there are: {fix}")) });
        }
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(Failure::new(ProblemCode::InvalidQuery).errors(self.problems))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn everything_wrong_is_told_at_once() {
        let mut query = Parameters::of(&"/x?limit=0&name=a&name=b&foo=1&foo=2&follow=maybe&%ff=1".parse().unwrap());
        assert_eq!(query.number("limit", 1, 10), None);
        assert_eq!(query.one("name").as_deref(), Some("b"));
        assert!(!query.flag("follow"));
        let failure = query.finish().unwrap_err();
        let told: Vec<&str> = failure.errors.iter().map(|problem| problem.pointer.as_str()).collect();
        assert_eq!(told, ["?limit", "?name", "?follow", "?foo", "?\u{fffd}"]);
    }

    #[test]
    fn values_are_decoded_once() {
        let uri = "/a/%E2%98%83%2520/b?x=a+b%2Bc&y&=z".parse().unwrap();
        assert_eq!(segment(&uri, 1), "☃%20");
        assert_eq!(segment(&uri, 9), "");
        let expected = [("x", "a b+c"), ("y", ""), ("", "z")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs(&uri), expected);
    }
}
