//! Which part of a list or of a log a client gets. The two have different ideas of a negative number.

use std::ops::Range;

/// What Livy takes for `size` when a client gives none, in lists and logs.
pub const DEFAULT_SIZE: i32 = 100;

/// The positions that `GET /batches?from=…&size=…` returns out of `total`. `from` is echoed as it came.
///
/// It is a plain slice from `from` to `from + size` in 32-bit arithmetic: a negative `from` shortens the
/// page (`from=-2&size=3` is the first entry alone), a negative size and a sum beyond 32 bits empty it.
pub fn list(from: i32, size: i32, total: usize) -> Range<usize> {
    slice(from, from.wrapping_add(size), total)
}

/// The first line's number and the lines that `GET /batches/{id}/log?from=…&size=…` returns out of `total`.
///
/// A negative `size` means all lines; an absent or negative `from` means the last `size` lines. A `from`
/// past the end is echoed, with no lines.
pub fn log(total: usize, from: Option<i32>, size: Option<i32>) -> (i32, Range<usize>) {
    let lines = i32::try_from(total).unwrap_or(i32::MAX);
    let size = match size.unwrap_or(DEFAULT_SIZE) {
        negative if negative < 0 => lines,
        size => size,
    };
    let from = match from {
        Some(from) if from >= 0 => from,
        _ => (lines - size).max(0),
    };
    (from, slice(from, from.wrapping_add(size), total))
}

/// Scala's `slice`: bounds are clamped to what exists, and a start behind its end is empty.
fn slice(from: i32, until: i32, total: usize) -> Range<usize> {
    let clamp = |bound: i32| usize::try_from(bound).unwrap_or(0).min(total);
    let start = clamp(from);
    start..clamp(until).max(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_slice_plainly() {
        let cases = [
            ((0, 2), 0..2),
            ((4, 100), 4..5),
            ((99, 100), 5..5),
            ((-1, 100), 0..5),
            ((-2, 3), 0..1),
            ((0, -1), 0..0),
            ((i32::MAX, 2), 5..5),
        ];
        for ((from, size), expected) in cases {
            assert_eq!(list(from, size, 5), expected, "from={from} size={size}");
        }
    }

    #[test]
    fn logs_end_with_the_tail() {
        let cases = [
            ((None, None), (102, 102..202)),
            ((None, Some(0)), (202, 202..202)),
            ((None, Some(-1)), (0, 0..202)),
            ((Some(-1), Some(2)), (200, 200..202)),
            ((Some(-5), None), (102, 102..202)),
            ((Some(1000), None), (1000, 202..202)),
            ((Some(i32::MAX), Some(1)), (i32::MAX, 202..202)),
            ((None, Some(100_000)), (0, 0..202)),
        ];
        for ((from, size), expected) in cases {
            assert_eq!(log(202, from, size), expected, "from={from:?} size={size:?}");
        }
    }

    proptest! {
        #[test]
        fn pages_stay_in_bounds(from: i32, size: i32, total in 0_usize..5000, tail: bool) {
            let page = list(from, size, total);
            prop_assert!(page.start <= page.end && page.end <= total);
            let (first, page) = log(total, (!tail).then_some(from), Some(size));
            prop_assert!(first >= 0 && page.start <= page.end && page.end <= total);
        }

        #[test]
        fn an_ordinary_page_is_what_its_numbers_say(from in 0_i32..500, size in 0_i32..500, total in 0_usize..500) {
            let all: Vec<usize> = (0..total).collect();
            let expected: Vec<usize> =
                all.iter().copied().skip(from.unsigned_abs() as usize).take(size.unsigned_abs() as usize).collect();
            prop_assert_eq!(&all[list(from, size, total)], expected.as_slice());
            prop_assert_eq!(&all[log(total, Some(from), Some(size)).1], expected.as_slice());
        }
    }
}
