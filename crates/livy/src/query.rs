//! Query parameters.

use crate::{Rejection, java_int};

/// An integer parameter such as `from` or `size`, decoded; `default` when it is absent.
///
/// Of a parameter given more than once Livy takes the first, which [`first`] finds. An empty value
/// (`?from=`) is an error, not an absence.
pub fn int(raw: Option<&str>, default: i32) -> Result<i32, Rejection> {
    raw.map_or(Ok(default), java_int::parse)
}

/// An integer parameter without a default.
pub fn optional_int(raw: Option<&str>) -> Result<Option<i32>, Rejection> {
    raw.map(java_int::parse).transpose()
}

/// The first value of a parameter among the decoded pairs of a query string.
pub fn first<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, name: &str) -> Option<&'a str> {
    pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value))
}
