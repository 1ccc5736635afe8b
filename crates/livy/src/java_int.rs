//! Integers as `java.lang.Integer.parseInt` reads them: an optional sign and decimal digits of any script.

use crate::Rejection;

/// The zeros of every script's decimal digits in the Basic Multilingual Plane (Unicode 13, Java 17's).
/// Digits beyond it are two UTF-16 units to Java, neither of which is a digit.
const ZEROS: [u32; 37] = [
    0x0030, 0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0de6,
    0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40,
    0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
];

/// The value of a decimal digit.
fn digit(c: char) -> Option<u32> {
    let code = u32::from(c);
    let zero = *ZEROS.get(ZEROS.partition_point(|zero| *zero <= code).checked_sub(1)?)?;
    (code - zero < 10).then_some(code - zero)
}

/// Whether Java takes every character for a digit, which an empty text satisfies too.
pub(crate) fn is_all_digits(text: &str) -> bool {
    text.chars().all(|c| digit(c).is_some())
}

/// The number, or Livy's 400.
pub(crate) fn parse(text: &str) -> Result<i32, Rejection> {
    read(text).ok_or_else(|| Rejection::number_format(text))
}

fn read(text: &str) -> Option<i32> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() {
        return None;
    }
    // Counted downwards, because the smallest number has no positive twin.
    let value = digits.chars().try_fold(0_i32, |sum, c| {
        let digit = i32::try_from(digit(c)?).ok()?;
        sum.checked_mul(10)?.checked_sub(digit)
    })?;
    if negative { Some(value) } else { value.checked_neg() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: Option<i32>) {
        assert_eq!(read(text), expected, "{text:?}");
    }

    #[test]
    fn java_reads_signs_and_any_script() {
        check("+1", Some(1));
        check("-0", Some(0));
        check("\u{661}\u{ff12}", Some(12));
        check("2147483647", Some(i32::MAX));
        check("-2147483648", Some(i32::MIN));
        check("000000000000", Some(0));
        for refused in ["", "+", "-", "--1", "1.5", " 1", "0x1", "2147483648", "-2147483649", "\u{1d7cf}", "½"] {
            check(refused, None);
        }
    }

    proptest! {
        #[test]
        fn ascii_text_is_read_as_rust_reads_it(text in "[+-]?[0-9]{0,12}|[ -~]{0,6}") {
            prop_assert_eq!(read(&text), text.parse::<i32>().ok());
        }

        #[test]
        fn digits_are_exactly_those_that_read_as_one(c in any::<char>()) {
            prop_assert_eq!(digit(c).is_some(), read(&c.to_string()).is_some());
        }
    }
}
