//! Medians, and figures that do not pretend.
use std::time::Duration;

/// The middle of these; of an even number, the mean of the two in the middle. 0 of none.
#[must_use]
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.get(sorted.len() / 2), sorted.len() % 2) {
        (None, _) => 0.0,
        (Some(middle), 1) => *middle,
        (Some(upper), _) => f64::midpoint(sorted[sorted.len() / 2 - 1], *upper),
    }
}

/// To so many digits behind the point: more would only pretend.
#[must_use]
pub fn rounded(value: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (value * factor).round() / factor
}

#[must_use]
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        #[rustfmt::skip]
        let table: [(&[f64], f64); 4] = [
            (&[],                    0.0),
            (&[3.0],                 3.0),
            (&[9.0, 1.0],            5.0),
            (&[5.0, 100.0, 1.0],     5.0),
        ];
        for (samples, expect) in table {
            assert!((median(samples) - expect).abs() < 1e-9, "{samples:?}");
        }
        assert!((rounded(1.0049, 2) - 1.0).abs() < 1e-9);
    }
}
