//! The text of a container's log with time stamps, as the kubelet sends it, on its way into a stored log: pure.
//!
//! Start with [`Intake`]. Whoever resumes a log asks from the time of its last line on, in whole seconds, and gets
//! lines again that are stored already; they are told by their times and left out.

use crate::log::{Framer, LogTime, Stream};

/// More than a time stamp and its space have; what is longer has none.
const STAMP_BYTES_MAX: usize = 64;

/// Where a stored log stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// The time of its last line; `None` when it is empty.
    pub(super) last: Option<LogTime>,
    /// How many of its last lines have that time.
    pub(super) with_that_time: usize,
}

/// Takes one answer of the log API.
pub(super) struct Intake {
    framer: Framer,
    /// The beginning of a line whose time isn't known yet.
    stamp: Vec<u8>,
    line: Line,
    stored: Stored,
    /// Lines with the time of the last stored one that are still to be left out.
    repeated: usize,
    /// Whether a line came already.
    began: bool,
    resumes: bool,
    gap: bool,
}

#[derive(Clone, Copy)]
enum Line {
    /// Its time stamp is being read.
    Stamp,
    /// It is stored.
    Kept(LogTime),
    /// It was stored before.
    LeftOut,
}

impl Intake {
    /// Continues a log that stands there.
    pub(super) fn new(stored: Stored) -> Self {
        Self {
            framer: Framer::new(Stream::Stdout),
            stamp: Vec::new(),
            line: Line::Stamp,
            stored,
            repeated: stored.with_that_time,
            began: false,
            resumes: stored.last.is_some(),
            gap: false,
        }
    }

    /// Where the stored log stands after what was taken.
    pub(super) fn stored(&self) -> Stored {
        self.stored
    }

    /// Whether lines may be missing before what this answer began with.
    pub(super) fn found_gap(&self) -> bool {
        self.gap
    }

    /// Appends the stored lines that `bytes` completes to `out`.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            let ends = piece.ends_with(b"\n");
            match self.line {
                Line::Stamp => self.begin(piece, ends, out),
                Line::Kept(time) => self.framer.push(piece, time, out),
                Line::LeftOut => {}
            }
            if ends {
                self.line = Line::Stamp;
            }
        }
    }

    fn begin(&mut self, piece: &[u8], ends: bool, out: &mut Vec<u8>) {
        self.stamp.extend_from_slice(piece);
        let space = self.stamp.iter().position(|&b| b == b' ');
        if space.is_none() && !ends && self.stamp.len() < STAMP_BYTES_MAX {
            return;
        }
        let begun = std::mem::take(&mut self.stamp);
        let time = space.and_then(|space| LogTime::parse(std::str::from_utf8(&begun[..space]).ok()?));
        // A line without a time belongs to the one before.
        let (time, text) = match (time, space) {
            (Some(time), Some(space)) => (time, &begun[space + 1..]),
            _ => (self.stored.last.unwrap_or(LogTime::at(model::time::Timestamp::EPOCH)), begun.as_slice()),
        };
        self.line = if self.is_new(time) { Line::Kept(time) } else { Line::LeftOut };
        if let Line::Kept(_) = self.line {
            self.framer.push(text, time, out);
            self.note(time);
        }
        self.began = true;
    }

    fn is_new(&mut self, time: LogTime) -> bool {
        let Some(last) = self.stored.last else { return true };
        if !self.resumes {
            return true;
        }
        if time < last {
            return false;
        }
        if time == last && self.repeated > 0 {
            self.repeated -= 1;
            return false;
        }
        // The line that was stored last should have come again.
        self.gap |= !self.began;
        self.resumes = false;
        true
    }

    fn note(&mut self, time: LogTime) {
        let again = self.stored.last == Some(time);
        let with_that_time = if again { self.stored.with_that_time + 1 } else { 1 };
        self.stored = Stored { last: Some(time), with_that_time };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use proptest::prelude::*;

    fn stamp(number: usize) -> String {
        // Three lines each have the same time.
        format!("2026-11-21T12:00:{:02}.{:09}Z", (number / 3) % 60, number / 180)
    }

    fn lines(range: std::ops::Range<usize>) -> String {
        range.map(|number| format!("{} line {number}\n", stamp(number))).collect()
    }

    fn text(stored: &[u8]) -> Vec<String> {
        let lines = std::str::from_utf8(stored).unwrap().lines();
        lines.map(|line| line.split_once(" F ").unwrap().1.to_owned()).collect()
    }

    fn expected(range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|number| format!("line {number}")).collect()
    }

    #[test]
    fn a_line_without_a_time_is_kept() {
        let mut out = Vec::new();
        let mut intake = Intake::new(Stored::default());
        intake.push(b"unable to retrieve container logs\n2026-11-21T12:00:00.000000001Z x\n\n", &mut out);
        assert_eq!(text(&out), ["unable to retrieve container logs", "x", ""]);
    }

    #[test]
    fn what_was_rotated_away_is_noticed() {
        let mut out = Vec::new();
        let mut intake = Intake::new(Stored::default());
        intake.push(lines(0..10).as_bytes(), &mut out);
        for (from, gap) in [(9, false), (6, false), (12, true)] {
            let mut again = Intake::new(intake.stored());
            again.push(lines(from..15).as_bytes(), &mut Vec::new());
            assert_eq!(again.found_gap(), gap, "{from}");
        }
    }

    #[test]
    fn times_are_stored_in_utc() {
        let mut out = Vec::new();
        Intake::new(Stored::default()).push(b"2026-11-21T14:00:00.5+02:00 x\n", &mut out);
        assert_eq!(out, b"2026-11-21T12:00:00.500000000Z stdout F x\n");
    }

    proptest! {
        /// However an output is cut into answers and pieces, each line is stored once.
        #[test]
        fn nothing_is_missing_and_nothing_comes_twice(
            cuts in prop::collection::vec((0_usize..60, 0_usize..20), 0..6), piece in 1_usize..50,
        ) {
            let mut stored = Stored::default();
            let (mut out, mut next) = (Vec::new(), 0_usize);
            for (length, back) in cuts.into_iter().chain([(60, 0)]) {
                // An answer begins with a whole second, some lines before what is stored last.
                let from = (next.min(next.saturating_sub(back)) / 3) * 3;
                let from = from.min(next.saturating_sub(1) / 3 * 3);
                let to = (next + length).min(120);
                let mut intake = Intake::new(stored);
                for bytes in lines(from..to.max(from)).as_bytes().chunks(piece) {
                    intake.push(bytes, &mut out);
                }
                prop_assert!(!intake.found_gap());
                stored = intake.stored();
                next = to;
            }
            prop_assert_eq!(text(&out), expected(0..next));
        }

        #[test]
        fn any_bytes_are_survived(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..6)) {
            let mut intake = Intake::new(Stored::default());
            let mut out = Vec::new();
            for piece in pieces {
                intake.push(&piece, &mut out);
            }
        }
    }
}
