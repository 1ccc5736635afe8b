//! Amounts of memory as Spark writes them: `512m`, `1g`, or a bare number in the unit of its key.
//!
//! Start with [`MemorySize::parse`]. The rules are those of Spark's `bytesConf` entries: units are powers of
//! 1024, case and surrounding blanks don't matter, and a fraction is an error rather than rounded.

use std::fmt;

/// A unit of Spark's sizes; each is 1024 times the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ByteUnit {
    /// One byte, `b`.
    Byte,
    /// 2¹⁰ bytes, `k` or `kb`.
    Kibibyte,
    /// 2²⁰ bytes, `m` or `mb`; what a bare number means for `spark.driver.memory` and its like.
    Mebibyte,
    /// 2³⁰ bytes, `g` or `gb`.
    Gibibyte,
    /// 2⁴⁰ bytes, `t` or `tb`.
    Tebibyte,
    /// 2⁵⁰ bytes, `p` or `pb`.
    Pebibyte,
}

impl ByteUnit {
    const LARGEST_FIRST: [Self; 6] =
        [Self::Pebibyte, Self::Tebibyte, Self::Gibibyte, Self::Mebibyte, Self::Kibibyte, Self::Byte];

    /// How many bytes one of this unit is.
    pub const fn bytes(self) -> u64 {
        match self {
            Self::Byte => 1,
            Self::Kibibyte => 1 << 10,
            Self::Mebibyte => 1 << 20,
            Self::Gibibyte => 1 << 30,
            Self::Tebibyte => 1 << 40,
            Self::Pebibyte => 1 << 50,
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::Byte => "b",
            Self::Kibibyte => "k",
            Self::Mebibyte => "m",
            Self::Gibibyte => "g",
            Self::Tebibyte => "t",
            Self::Pebibyte => "p",
        }
    }

    fn from_suffix(suffix: &str) -> Option<Self> {
        match suffix {
            "b" => Some(Self::Byte),
            "k" | "kb" => Some(Self::Kibibyte),
            "m" | "mb" => Some(Self::Mebibyte),
            "g" | "gb" => Some(Self::Gibibyte),
            "t" | "tb" => Some(Self::Tebibyte),
            "p" | "pb" => Some(Self::Pebibyte),
            _ => None,
        }
    }
}

/// An amount of memory in bytes, at most [`MemorySize::MAX`].
///
/// It displays in the largest unit that divides it, so what it prints parses to the same amount whatever the
/// default unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MemorySize {
    bytes: u64,
}

/// Why a text is no [`MemorySize`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemorySizeError {
    /// Spark refuses `1.5g`.
    #[error("size `{0}` has a fraction, which Spark refuses")]
    Fraction(String),
    /// A suffix Spark doesn't know, such as `gib`.
    #[error("size `{0}` has an unknown unit; use b, k, m, g, t or p")]
    UnknownUnit(String),
    /// No number, a sign, or something behind the unit.
    #[error("size `{0}` is not a whole number with a unit, such as 512m or 4g")]
    Malformed(String),
    /// More bytes than Spark can count.
    #[error("size `{0}` is more than 2^63 - 1 bytes")]
    TooLarge(String),
}

impl MemorySize {
    /// The largest size Spark can express in bytes, a Java `long`.
    pub const MAX: Self = Self { bytes: i64::MAX as u64 };

    /// `bytes` as a size, or `None` above [`MemorySize::MAX`].
    pub const fn from_bytes(bytes: u64) -> Option<Self> {
        if bytes <= Self::MAX.bytes { Some(Self { bytes }) } else { None }
    }

    /// Reads Spark's notation; a number without a unit counts `default_unit`s.
    ///
    /// # Errors
    /// [`MemorySizeError`] says what is wrong and quotes `text`.
    pub fn parse(text: &str, default_unit: ByteUnit) -> Result<Self, MemorySizeError> {
        let lower = text.to_lowercase();
        let lower = lower.trim_matches(|c| c <= ' ');
        let digits_end = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
        let (digits, suffix) = lower.split_at(digits_end);
        let unit = match suffix {
            _ if digits.is_empty() => return Err(MemorySizeError::Malformed(text.to_owned())),
            "" => default_unit,
            _ if is_fraction(suffix) => return Err(MemorySizeError::Fraction(text.to_owned())),
            _ if !suffix.bytes().all(|b| b.is_ascii_lowercase()) => {
                return Err(MemorySizeError::Malformed(text.to_owned()));
            }
            _ => ByteUnit::from_suffix(suffix).ok_or_else(|| MemorySizeError::UnknownUnit(text.to_owned()))?,
        };
        let count: Option<u64> = digits.parse().ok();
        count
            .and_then(|count| count.checked_mul(unit.bytes()))
            .and_then(Self::from_bytes)
            .ok_or_else(|| MemorySizeError::TooLarge(text.to_owned()))
    }

    /// The amount in bytes.
    pub const fn bytes(self) -> u64 {
        self.bytes
    }

    /// The amount in whole `unit`s, rounded down as Spark does.
    pub const fn whole(self, unit: ByteUnit) -> u64 {
        self.bytes / unit.bytes()
    }
}

/// Whether what follows the first digits makes the number a fraction: `.5`, `.5g`.
fn is_fraction(suffix: &str) -> bool {
    suffix.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = ByteUnit::LARGEST_FIRST
            .into_iter()
            .find(|unit| self.bytes != 0 && self.bytes.is_multiple_of(unit.bytes()))
            .unwrap_or(ByteUnit::Byte);
        write!(f, "{}{}", self.whole(unit), unit.suffix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(text: &str, expected: &Expect) {
        let shown = match MemorySize::parse(text, ByteUnit::Mebibyte) {
            Ok(size) => format!("{size} = {} bytes", size.bytes()),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn every_unit_is_a_power_of_1024() {
        check("1b", &expect!["1b = 1 bytes"]);
        check("3kb", &expect!["3k = 3072 bytes"]);
        check("512m", &expect!["512m = 536870912 bytes"]);
        check("1g", &expect!["1g = 1073741824 bytes"]);
        check("2tb", &expect!["2t = 2199023255552 bytes"]);
        check("1P", &expect!["1p = 1125899906842624 bytes"]);
    }

    #[test]
    fn a_bare_number_takes_the_unit_of_its_key() {
        check("1024", &expect!["1g = 1073741824 bytes"]);
        check("0", &expect!["0b = 0 bytes"]);
    }

    #[test]
    fn blanks_around_and_case_do_not_matter() {
        check(" 1536MB\t", &expect!["1536m = 1610612736 bytes"]);
    }

    #[test]
    fn what_spark_refuses_is_refused_with_a_reason() {
        check("1.5g", &expect!["size `1.5g` has a fraction, which Spark refuses"]);
        check("1gib", &expect!["size `1gib` has an unknown unit; use b, k, m, g, t or p"]);
        check("-1g", &expect!["size `-1g` is not a whole number with a unit, such as 512m or 4g"]);
        check("1 g", &expect!["size `1 g` is not a whole number with a unit, such as 512m or 4g"]);
        check("", &expect!["size `` is not a whole number with a unit, such as 512m or 4g"]);
        check("9000p", &expect!["size `9000p` is more than 2^63 - 1 bytes"]);
        check("99999999999999999999", &expect!["size `99999999999999999999` is more than 2^63 - 1 bytes"]);
    }
}
