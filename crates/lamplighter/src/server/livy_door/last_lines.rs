//! The last lines of a log within bounds of memory, however long its lines are and however fast it grows.
//!
//! Start with [`read`].

use std::collections::VecDeque;

use ::backends::log::{LogError, LogFrom, LogItem, LogQuery, LogSource, Stream};
use engine::backend::AttemptRef;

/// Pages read at most, so that a driver that prints faster than it is read doesn't hold a request for ever.
const PAGES_MAX: usize = 256;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Lines.
    pub(super) lines_max: usize,
    /// Bytes of all lines; one line alone is cut to it.
    pub(super) bytes_max: usize,
}

/// The last lines that an attempt printed, both streams in the order of their arrival.
///
/// # Errors
/// As [`LogSource::read`].
pub(super) async fn read(
    source: &dyn LogSource,
    attempt: &AttemptRef,
    bounds: Bounds,
) -> Result<Vec<String>, LogError> {
    let mut last = LastLines::new(bounds);
    let mut query = LogQuery { from: LogFrom::Tail(bounds.lines_max), ..LogQuery::default() };
    for _ in 0..PAGES_MAX {
        let page = source.read(attempt, &query).await?;
        page.items.iter().for_each(|item| last.push(item));
        if page.at_end {
            break;
        }
        query.from = LogFrom::After(page.next);
    }
    Ok(last.into_lines())
}

/// A ring of lines.
struct LastLines {
    bounds: Bounds,
    lines: VecDeque<String>,
    bytes: usize,
    /// The lines of each stream that aren't ended yet.
    open: [Option<String>; 2],
}

impl LastLines {
    const fn new(bounds: Bounds) -> Self {
        Self { bounds, lines: VecDeque::new(), bytes: 0, open: [None, None] }
    }

    fn push(&mut self, item: &LogItem) {
        match item {
            LogItem::Entry(entry) => {
                let open = &mut self.open[usize::from(entry.stream == Stream::Stderr)];
                let mut line = open.take().unwrap_or_default();
                let room = self.bounds.bytes_max.saturating_sub(line.len());
                line.push_str(&entry.text[..entry.text.floor_char_boundary(room)]);
                if entry.partial {
                    *open = Some(line);
                } else {
                    self.keep(line);
                }
            }
            LogItem::Gap(gap) => self.keep(gap.to_string()),
        }
    }

    fn keep(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > self.bounds.lines_max || self.bytes > self.bounds.bytes_max {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.bytes -= oldest.len();
        }
    }

    fn into_lines(mut self) -> Vec<String> {
        for open in std::mem::take(&mut self.open).into_iter().flatten() {
            self.keep(open);
        }
        self.lines.into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use ::backends::log::{LogCursor, LogEntry, LogTime};
    use model::time::Timestamp;

    use super::*;

    fn check(lines_max: usize, bytes_max: usize, printed: &[(Stream, &str, bool)], expected: &[&str]) {
        let mut last = LastLines::new(Bounds { lines_max, bytes_max });
        for &(stream, text, partial) in printed {
            let (cursor, time) = (LogCursor::default(), LogTime::at(Timestamp::default()));
            last.push(&LogItem::Entry(LogEntry { cursor, time, stream, partial, text: text.to_owned() }));
        }
        assert_eq!(last.into_lines(), expected);
    }

    #[test]
    fn the_newest_stay_within_both_bounds() {
        use Stream::{Stderr, Stdout};
        let lines = [(Stdout, "one", false), (Stderr, "two", false), (Stdout, "three", false)];
        check(9, 99, &lines, &["one", "two", "three"]);
        check(2, 99, &lines, &["two", "three"]);
        check(9, 8, &lines, &["two", "three"]);
        check(9, 7, &lines, &["three"]);
        check(9, 4, &lines, &["thre"]);
        check(0, 99, &lines, &[]);
        check(9, 99, &[(Stdout, "a", true), (Stderr, "x", true), (Stdout, "b", false)], &["ab", "x"]);
        check(9, 4, &[(Stdout, "aé", true), (Stdout, "bé", true), (Stdout, "c", false)], &["aéb"]);
    }
}
