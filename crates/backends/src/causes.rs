//! An error and its causes in one sentence, for people who see nothing else of it.

use std::error::Error;

/// The messages of the error and all its causes, separated by colons.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
