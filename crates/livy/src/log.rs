//! How Livy frames the log of a batch: two headings around the last lines of its output.
//!
//! A local batch writes both its streams into one pipe, so its lines all stand under `stdout: `, in the
//! order they came, and nothing ever stands under `stderr: `.

use std::collections::VecDeque;

/// How many lines Livy keeps of a batch (`livy.cache-log.size`).
pub const CACHED_LINES: usize = 200;
/// How many lines of a log stand in a batch's view.
pub const VIEW_LINES: usize = 10;
/// The heading before the lines.
pub const STDOUT_HEADING: &str = "stdout: ";
/// The heading after them.
pub const STDERR_HEADING: &str = "\nstderr: ";
/// How many entries of a log are headings, so that its total is known without its lines.
pub const HEADINGS: usize = 2;

/// The whole log that a client can page through: headings and the last `lines_max` of `lines`, which come without
/// line ends. Livy keeps [`CACHED_LINES`] unless told otherwise.
pub fn merged(lines: impl IntoIterator<Item = impl Into<String>>, lines_max: usize) -> Vec<String> {
    let mut cache = VecDeque::new();
    for line in lines {
        cache.push_back(line.into());
        if cache.len() > lines_max {
            cache.pop_front();
        }
    }
    let mut log = Vec::with_capacity(cache.len() + HEADINGS);
    log.push(STDOUT_HEADING.to_owned());
    log.extend(cache);
    log.push(STDERR_HEADING.to_owned());
    log
}

/// The end of a merged log that stands in the batch's view.
pub fn view_of(merged: &[String]) -> &[String] {
    &merged[merged.len().saturating_sub(VIEW_LINES)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_batch_has_its_headings() {
        assert_eq!(merged(Vec::<String>::new(), CACHED_LINES), ["stdout: ", "\nstderr: "]);
    }

    #[test]
    fn a_long_log_keeps_its_end() {
        let lines = || (0..500).map(|number| format!("line {number}"));
        assert_eq!(merged(lines(), 450).len(), 450 + HEADINGS);
        let log = merged(lines(), CACHED_LINES);
        assert_eq!(log.len(), CACHED_LINES + HEADINGS);
        assert_eq!(log[1], "line 300");
        assert_eq!(view_of(&log)[0], "line 491");
        assert_eq!(view_of(&log).len(), VIEW_LINES);
    }
}
