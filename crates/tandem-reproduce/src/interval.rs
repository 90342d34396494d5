//! Means over seeds, and what they may be off by.

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::page::Estimate;

/// The share of such intervals that hold the true value.
pub const CONFIDENCE: f64 = 0.95;

/// The mean of `values` with Student's interval; without one of a single value. None of no value.
pub fn mean(values: &[f64]) -> Option<Estimate> {
    let n = values.len() as f64;
    if values.is_empty() {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n;
    let interval = (values.len() > 1).then(|| {
        let half = quantile(n - 1.0) * (variance(values, mean) / n).sqrt();
        (mean - half, mean + half)
    });
    Some(Estimate {
        value: mean,
        interval,
    })
}

/// The mean of `a` less the mean of `b`, with Welch's interval, which does not take the two for equally
/// spread. None without values.
pub fn difference(a: &[f64], b: &[f64]) -> Option<Estimate> {
    let (ma, mb) = (mean(a)?.value, mean(b)?.value);
    let value = ma - mb;
    let (n, m) = (a.len() as f64, b.len() as f64);
    let interval = (a.len() > 1 && b.len() > 1).then(|| {
        let (va, vb) = (variance(a, ma) / n, variance(b, mb) / m);
        let spread = va + vb;
        // Welch and Satterthwaite; two sets without any spread have no half width whatever it is.
        let freedom = match spread > 0.0 {
            true => spread * spread / (va * va / (n - 1.0) + vb * vb / (m - 1.0)),
            false => n + m - 2.0,
        };
        let half = quantile(freedom) * spread.sqrt();
        (value - half, value + half)
    });
    Some(Estimate { value, interval })
}

fn variance(values: &[f64], mean: f64) -> f64 {
    let squares = values.iter().map(|value| (value - mean) * (value - mean));
    squares.sum::<f64>() / (values.len() as f64 - 1.0)
}

/// Student's t that is exceeded in either direction with probability 1 - [`CONFIDENCE`].
fn quantile(freedom: f64) -> f64 {
    let distribution =
        StudentsT::new(0.0, 1.0, freedom).expect("degrees of freedom are above zero");
    distribution.inverse_cdf((1.0 + CONFIDENCE) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-3, "{got} is not {want}");
    }

    #[test]
    fn student_s_t_is_that_of_the_tables() {
        for (freedom, t) in [(1.0, 12.706), (2.0, 4.303), (4.0, 2.776), (30.0, 2.042)] {
            near(quantile(freedom), t);
        }
    }

    #[test]
    fn the_interval_of_a_mean_is_the_textbook_s() {
        // s = 1, so half = 4.303 / sqrt(3).
        let Estimate { value, interval } = mean(&[1.0, 2.0, 3.0]).unwrap();
        near(value, 2.0);
        near(interval.unwrap().1 - 2.0, 2.4842);
        assert_eq!(mean(&[5.0]).unwrap().interval, None);
        assert_eq!(mean(&[]), None);
    }

    #[test]
    fn the_interval_of_a_difference_is_welch_s() {
        // scipy.stats.ttest_ind([3, 4, 5], [1, 1.5, 2.5], equal_var=False).confidence_interval():
        // (0.25999, 4.40668)
        let Estimate { value, interval } = difference(&[3.0, 4.0, 5.0], &[1.0, 1.5, 2.5]).unwrap();
        near(value, 2.3333);
        let (low, high) = interval.unwrap();
        near(low, 0.25999);
        near(high, 4.40668);
        assert_eq!(
            difference(&[1.0, 1.0], &[0.5, 0.5]).unwrap().interval,
            Some((0.5, 0.5))
        );
    }
}
