//! Spans of time as people read them in a table: short, and only as exact as their size deserves.

use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// `90s`, `5m30s`, `47m`, `3h20m`, `30h`, `5d4h`, `80d`, `3y`: the steps that kubectl takes.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => pair(seconds, (MINUTE, 'm'), (1, 's')),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => pair(seconds, (HOUR, 'h'), (MINUTE, 'm')),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => pair(seconds, (DAY, 'd'), (HOUR, 'h')),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => pair(seconds, (YEAR, 'y'), (DAY, 'd')),
        _ => format!("{}y", seconds / YEAR),
    }
}

fn pair(seconds: u64, (large, large_unit): (u64, char), (small, small_unit): (u64, char)) -> String {
    match seconds % large / small {
        0 => format!("{}{large_unit}", seconds / large),
        rest => format!("{}{large_unit}{rest}{small_unit}", seconds / large),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn spans_are_short() {
        let seconds = [
            0,
            119,
            120,
            125,
            599,
            600,
            10_799,
            10_800,
            12_000,
            28_800,
            172_799,
            172_800,
            190_000,
            691_200,
            63_072_000,
            64_000_000,
            252_288_000,
        ];
        let shown: Vec<String> = seconds.into_iter().map(|s| span(Duration::from_secs(s))).collect();
        expect!["0s 119s 2m 2m5s 9m59s 10m 179m 3h 3h20m 8h 47h 2d 2d4h 8d 2y 2y10d 8y"].assert_eq(&shown.join(" "));
    }
}
