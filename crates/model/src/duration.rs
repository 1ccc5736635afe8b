//! Spans of time as Spark writes them: `30s`, `100ms`, `2h`, or a bare number in the unit of its key.
//!
//! Start with [`SparkDuration::parse`]. The rules are those of Spark's `timeConf` entries, with one difference:
//! Spark reads `-1s` and leaves it to the key whether that makes sense; here a span of time is never negative.

use std::fmt;
use std::time::Duration;

/// A unit of Spark's spans of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeUnit {
    /// `us`, the finest Spark knows.
    Microsecond,
    /// `ms`.
    Millisecond,
    /// `s`.
    Second,
    /// `m` or `min`.
    Minute,
    /// `h`.
    Hour,
    /// `d`, always 24 hours.
    Day,
}

impl TimeUnit {
    const LARGEST_FIRST: [Self; 6] =
        [Self::Day, Self::Hour, Self::Minute, Self::Second, Self::Millisecond, Self::Microsecond];

    const fn micros(self) -> u64 {
        match self {
            Self::Microsecond => 1,
            Self::Millisecond => 1_000,
            Self::Second => 1_000_000,
            Self::Minute => 60 * 1_000_000,
            Self::Hour => 3_600 * 1_000_000,
            Self::Day => 86_400 * 1_000_000,
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::Microsecond => "us",
            Self::Millisecond => "ms",
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
            Self::Day => "d",
        }
    }

    fn from_suffix(suffix: &str) -> Option<Self> {
        match suffix {
            "us" => Some(Self::Microsecond),
            "ms" => Some(Self::Millisecond),
            "s" => Some(Self::Second),
            "m" | "min" => Some(Self::Minute),
            "h" => Some(Self::Hour),
            "d" => Some(Self::Day),
            _ => None,
        }
    }
}

/// A span of time in whole microseconds, at most [`SparkDuration::MAX`].
///
/// It displays in the largest unit that divides it, so what it prints parses to the same span whatever the
/// default unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SparkDuration {
    micros: u64,
}

/// Why a text is no [`SparkDuration`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SparkDurationError {
    /// A minus sign in front.
    #[error("time `{0}` is negative")]
    Negative(String),
    /// A suffix Spark doesn't know, such as `sec`.
    #[error("time `{0}` has an unknown unit; use us, ms, s, min, h or d")]
    UnknownUnit(String),
    /// No number, a fraction, or something behind the unit.
    #[error("time `{0}` is not a whole number with a unit, such as 30s or 2h")]
    Malformed(String),
    /// More microseconds than Spark can count.
    #[error("time `{0}` is more than 2^63 - 1 microseconds")]
    TooLong(String),
}

impl SparkDuration {
    /// The longest span Spark can express in microseconds, a Java `long`.
    pub const MAX: Self = Self { micros: i64::MAX as u64 };

    /// `micros` microseconds, or `None` above [`SparkDuration::MAX`].
    pub const fn from_micros(micros: u64) -> Option<Self> {
        if micros <= Self::MAX.micros { Some(Self { micros }) } else { None }
    }

    /// Reads Spark's notation; a number without a unit counts `default_unit`s.
    ///
    /// # Errors
    /// [`SparkDurationError`] says what is wrong and quotes `text`.
    pub fn parse(text: &str, default_unit: TimeUnit) -> Result<Self, SparkDurationError> {
        let lower = text.to_lowercase();
        let lower = lower.trim_matches(|c| c <= ' ');
        let (negative, unsigned) = match lower.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, lower),
        };
        let digits_end = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
        let (digits, suffix) = unsigned.split_at(digits_end);
        if digits.is_empty() || !suffix.bytes().all(|b| b.is_ascii_lowercase()) {
            return Err(SparkDurationError::Malformed(text.to_owned()));
        }
        if negative {
            return Err(SparkDurationError::Negative(text.to_owned()));
        }
        let unit = match suffix {
            "" => default_unit,
            _ => TimeUnit::from_suffix(suffix).ok_or_else(|| SparkDurationError::UnknownUnit(text.to_owned()))?,
        };
        let count: Option<u64> = digits.parse().ok();
        count
            .and_then(|count| count.checked_mul(unit.micros()))
            .and_then(Self::from_micros)
            .ok_or_else(|| SparkDurationError::TooLong(text.to_owned()))
    }

    /// The span in microseconds.
    pub const fn micros(self) -> u64 {
        self.micros
    }

    /// The span in whole `unit`s, rounded down as Spark does.
    pub const fn whole(self, unit: TimeUnit) -> u64 {
        self.micros / unit.micros()
    }
}

impl From<SparkDuration> for Duration {
    fn from(span: SparkDuration) -> Self {
        Self::from_micros(span.micros)
    }
}

impl fmt::Display for SparkDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = TimeUnit::LARGEST_FIRST
            .into_iter()
            .find(|unit| self.micros != 0 && self.micros.is_multiple_of(unit.micros()))
            .unwrap_or(TimeUnit::Second);
        write!(f, "{}{}", self.whole(unit), unit.suffix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: &Expect) {
        let shown = match SparkDuration::parse(text, TimeUnit::Second) {
            Ok(span) => format!("{span} = {} us", span.micros()),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn every_unit_of_spark_is_known() {
        check("7us", &expect!["7us = 7 us"]);
        check("100ms", &expect!["100ms = 100000 us"]);
        check("30s", &expect!["30s = 30000000 us"]);
        check("5m", &expect!["5min = 300000000 us"]);
        check("5min", &expect!["5min = 300000000 us"]);
        check("36h", &expect!["36h = 129600000000 us"]);
        check("2d", &expect!["2d = 172800000000 us"]);
    }

    #[test]
    fn a_bare_number_takes_the_unit_of_its_key() {
        check("120", &expect!["2min = 120000000 us"]);
        check("0", &expect!["0s = 0 us"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_reason() {
        check("-1", &expect!["time `-1` is negative"]);
        check("10sec", &expect!["time `10sec` has an unknown unit; use us, ms, s, min, h or d"]);
        check("1.5s", &expect!["time `1.5s` is not a whole number with a unit, such as 30s or 2h"]);
        check("soon", &expect!["time `soon` is not a whole number with a unit, such as 30s or 2h"]);
        check("999999999999d", &expect!["time `999999999999d` is more than 2^63 - 1 microseconds"]);
    }
}
