//! One line of a stored log, in the format of Kubernetes' container runtimes:
//! `2026-11-21T12:00:00.123456789Z stdout F the line`, with `P` for a piece of a line that goes on.

use super::{LogTime, Stream};

/// The longest content of one entry; longer lines become several.
pub(crate) const CONTENT_BYTES_MAX: usize = 16 * 1024;

/// The longest stored line, its line feed included.
pub(crate) const LINE_BYTES_MAX: usize = HEADER_BYTES + CONTENT_BYTES_MAX + 1;

const HEADER_BYTES: usize = LogTime::BYTES + " stdout F ".len();

/// The current time as log lines carry it.
pub(crate) fn now() -> LogTime {
    let text = format!("{:.9}", jiff::Timestamp::now());
    // Clocks beyond the year 9999 have more digits; they are wrong anyway.
    LogTime(text.as_bytes().try_into().unwrap_or(*b"0000-00-00T00:00:00.000000000Z"))
}

/// Cuts the bytes of one stream into stored lines.
pub(crate) struct Framer {
    stream: Stream,
    /// A line that has no line feed yet, shorter than [`CONTENT_BYTES_MAX`].
    open: Vec<u8>,
}

impl Framer {
    pub(crate) const fn new(stream: Stream) -> Self {
        Self { stream, open: Vec::new() }
    }

    /// Appends the lines that `bytes` completes to `out`.
    pub(crate) fn push(&mut self, bytes: &[u8], time: LogTime, out: &mut Vec<u8>) {
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(end) => self.put(end, true, time, out),
                None => self.put(piece, false, time, out),
            }
        }
    }

    /// Appends what has no line feed, because none will come.
    pub(crate) fn finish(&mut self, time: LogTime, out: &mut Vec<u8>) {
        if !self.open.is_empty() {
            self.put(b"", true, time, out);
        }
    }

    fn put(&mut self, mut content: &[u8], ends: bool, time: LogTime, out: &mut Vec<u8>) {
        while self.open.len() + content.len() > CONTENT_BYTES_MAX {
            let (head, rest) = content.split_at(CONTENT_BYTES_MAX - self.open.len());
            encode(out, time, self.stream, true, &self.open, head);
            self.open.clear();
            content = rest;
        }
        if ends {
            encode(out, time, self.stream, false, &self.open, content);
            self.open.clear();
        } else {
            self.open.extend_from_slice(content);
        }
    }
}

fn encode(out: &mut Vec<u8>, time: LogTime, stream: Stream, partial: bool, head: &[u8], tail: &[u8]) {
    out.extend_from_slice(&time.0);
    out.extend_from_slice(match stream {
        Stream::Stdout => b" stdout ",
        Stream::Stderr => b" stderr ",
    });
    out.extend_from_slice(if partial { b"P " } else { b"F " });
    out.extend_from_slice(head);
    out.extend_from_slice(tail);
    out.push(b'\n');
}

/// A stored line, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decoded<'a> {
    pub(crate) time: LogTime,
    pub(crate) stream: Stream,
    pub(crate) partial: bool,
    pub(crate) content: &'a [u8],
}

/// Takes a stored line without its line feed apart; `None` for anything else, such as a torn line.
pub(crate) fn decode(line: &[u8]) -> Option<Decoded<'_>> {
    let (header, content) = line.split_at_checked(HEADER_BYTES)?;
    let (time, words) = header.split_at(LogTime::BYTES);
    let stream = match words.get(..8)? {
        b" stdout " => Stream::Stdout,
        b" stderr " => Stream::Stderr,
        _ => return None,
    };
    let partial = match words.get(8..)? {
        b"P " => true,
        b"F " => false,
        _ => return None,
    };
    let printable = time.iter().all(|&b| b.is_ascii_digit() || b"-T:.Z".contains(&b));
    let time = LogTime(time.try_into().ok().filter(|_| printable)?);
    Some(Decoded { time, stream, partial, content })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use expect_test::expect;
    use proptest::prelude::*;

    const TIME: LogTime = LogTime(*b"2026-11-21T12:00:00.123456789Z");

    fn stored(pieces: &[&[u8]]) -> Vec<u8> {
        let mut framer = Framer::new(Stream::Stdout);
        let mut out = Vec::new();
        for piece in pieces {
            framer.push(piece, TIME, &mut out);
        }
        framer.finish(TIME, &mut out);
        out
    }

    #[test]
    fn lines_are_stored_as_container_runtimes_do() {
        let text = String::from_utf8(stored(&[b"one\ntw", b"o\n", b"\n", b"open"])).unwrap();
        expect![[r#"
            2026-11-21T12:00:00.123456789Z stdout F one
            2026-11-21T12:00:00.123456789Z stdout F two
            2026-11-21T12:00:00.123456789Z stdout F 
            2026-11-21T12:00:00.123456789Z stdout F open
        "#]]
        .assert_eq(&text);
    }

    #[test]
    fn a_line_of_exactly_the_maximum_is_one_entry() {
        for (bytes, entries) in [(CONTENT_BYTES_MAX, 1), (CONTENT_BYTES_MAX + 1, 2), (3 * CONTENT_BYTES_MAX, 3)] {
            let mut line = vec![b'x'; bytes];
            line.push(b'\n');
            let out = stored(&[&line]);
            assert_eq!(out.iter().filter(|&&b| b == b'\n').count(), entries, "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn what_is_stored_reads_back(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40_000), 0..6)) {
            let slices: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let out = stored(&slices);
            let mut content = Vec::new();
            for line in out.split_inclusive(|&b| b == b'\n') {
                prop_assert!(line.len() <= LINE_BYTES_MAX);
                let decoded = decode(line.strip_suffix(b"\n").unwrap()).unwrap();
                content.extend_from_slice(decoded.content);
                if !decoded.partial {
                    content.push(b'\n');
                }
            }
            let mut written = pieces.concat();
            if written.last().is_some_and(|&b| b != b'\n') {
                written.push(b'\n');
            }
            prop_assert_eq!(content, written);
        }

        #[test]
        fn arbitrary_bytes_never_panic(line in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(decoded) = decode(&line) {
                let _ = decoded.time.timestamp();
            }
        }
    }
}
