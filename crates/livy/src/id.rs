//! The segment of a path that says which batch or session is meant.

use crate::{Rejection, java_int};

/// How a client names a batch or session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdOrName {
    /// Its number.
    Id(i32),
    /// The name it was created with, or something that never existed, such as `-1`.
    Name(String),
}

/// Reads a decoded path segment: all digits (of any script) are an id, everything else is a name.
/// An id that does not fit 32 bits is refused with 400.
pub fn parse(segment: &str) -> Result<IdOrName, Rejection> {
    if java_int::is_all_digits(segment) {
        java_int::parse(segment).map(IdOrName::Id)
    } else {
        Ok(IdOrName::Name(segment.to_owned()))
    }
}
