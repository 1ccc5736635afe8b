//! Tables of figures, printed and written between the markers of `docs/benchmarks.md`.
//!
//! The text around the markers is written by hand: how something is measured, and why a target is missed.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::sample::Sample;

/// What is wanted of a figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// Nothing; it is there to be known.
    Nothing,
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
}

impl Target {
    fn shown(self, unit: &str) -> String {
        match self {
            Self::Nothing => "–".to_owned(),
            Self::AtMost(limit) => format!("≤ {limit} {unit}").trim_end().to_owned(),
            Self::AtLeast(limit) => format!("≥ {limit} {unit}").trim_end().to_owned(),
        }
    }

    fn verdict(self, value: f64) -> &'static str {
        let met = match self {
            Self::Nothing => return "–",
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        };
        verdict(met)
    }
}

/// The word for a target that was met or not.
pub(crate) const fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**not met**" }
}

/// One table of the report.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    marker: &'static str,
    rows: Vec<Vec<String>>,
}

impl Section {
    /// A table with other columns than the usual ones.
    pub(crate) fn with_columns<S: Into<String>>(marker: &'static str, columns: impl IntoIterator<Item = S>) -> Self {
        Self { marker, rows: vec![columns.into_iter().map(Into::into).collect()] }
    }

    /// A table of figures.
    pub(crate) fn new(marker: &'static str) -> Self {
        Self::with_columns(marker, ["what", "target", "measured", "p90", "verdict"])
    }

    /// Adds a row; it has a cell for each column.
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Adds one number.
    pub(crate) fn figure(&mut self, what: &str, target: Target, value: f64, unit: &str) {
        let measured = format!("{} {unit}", number(value));
        self.row([what, &target.shown(unit), measured.trim_end(), "–", target.verdict(value)]);
    }

    /// Adds times in milliseconds; the target is one for their median.
    pub(crate) fn times(&mut self, what: &str, target: Target, times: &Sample) {
        let (p50, p90) = (format!("{} ms", number(times.p50())), format!("{} ms", number(times.p90())));
        self.row([what, &target.shown("ms"), &p50, &p90, target.verdict(times.p50())]);
    }
}

/// Three digits that matter.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, row) in self.rows.iter().enumerate() {
            writeln!(f, "| {} |", row.join(" | "))?;
            if index == 0 {
                writeln!(f, "|{}", "---|".repeat(row.len()))?;
            }
        }
        Ok(())
    }
}

/// Writes the table between its markers.
pub(crate) fn write(section: &Section) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let text = replace(&text, section.marker, &section.to_string())
        .with_context(|| format!("{} has no place for `{}`", path.display(), section.marker))?;
    fs::write(&path, text).with_context(|| format!("write {}", path.display()))
}

fn replace(text: &str, marker: &str, table: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- figures: {marker} -->\n"), "<!-- end of figures -->");
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n{table}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn figures_say_whether_they_are_good_enough() {
        let mut section = Section::new("x");
        section.figure("rate", Target::AtLeast(2000.0), 2345.6, "/s");
        section.times("time", Target::AtMost(2.0), &[2.5].into_iter().collect());
        section.figure("known", Target::Nothing, 0.127, "");
        let shown = section.to_string();
        let rows: Vec<&str> = shown.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| rate | ≥ 2000 /s | 2346 /s | – | met |",
                "| time | ≤ 2 ms | 2.50 ms | 2.50 ms | **not met** |",
                "| known | – | 0.13 | – | – |"
            ]
        );
    }

    #[test]
    fn only_what_stands_between_markers_is_replaced() {
        let text =
            "a\n<!-- figures: x -->\nold\n<!-- end of figures -->\nb\n<!-- figures: y -->\n<!-- end of figures -->\n";
        let expected = "a\n<!-- figures: x -->\n\nnew\n\n<!-- end of figures -->\nb\n<!-- figures: y -->\n<!-- end of figures -->\n";
        let replaced = replace(text, "x", "new\n").unwrap();
        assert_eq!(replaced, expected);
        assert_eq!(replace(&replaced, "x", "new\n").unwrap(), expected);
        assert_eq!(replace(text, "z", ""), None);
    }
}
