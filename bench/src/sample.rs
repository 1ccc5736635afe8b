//! Many measurements of one thing.

use std::time::Duration;

/// Measured times, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    sorted: Vec<f64>,
}

impl Sample {
    /// The number below which half of them lie.
    pub(crate) fn p50(&self) -> f64 {
        self.quantile(50)
    }

    /// The number below which nine of ten lie.
    pub(crate) fn p90(&self) -> f64 {
        self.quantile(90)
    }

    /// The nearest rank, so that it is a time that was really measured; not a number when there is none.
    fn quantile(&self, percent: usize) -> f64 {
        let rank = (self.sorted.len() * percent).div_ceil(100).max(1);
        self.sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<T: IntoIterator<Item = f64>>(times: T) -> Self {
        let mut sorted: Vec<f64> = times.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self { sorted }
    }
}

impl FromIterator<Duration> for Sample {
    fn from_iter<T: IntoIterator<Item = Duration>>(times: T) -> Self {
        times.into_iter().map(|time| time.as_secs_f64() * 1e3).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(times: &[f64], p50: f64, p90: f64) {
        let sample: Sample = times.iter().copied().collect();
        assert_eq!((sample.p50(), sample.p90()), (p50, p90));
    }

    #[test]
    fn quantiles_are_measured_times() {
        check(&[3.0], 3.0, 3.0);
        check(&[4.0, 1.0, 3.0, 2.0], 2.0, 4.0);
        check(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0], 5.0, 9.0);
        assert!(Sample::default().p50().is_nan());
    }
}
