//! What is drawn of a long series of losses: a smoothed curve over a band, no more points than can be
//! told apart. A point is a step and its loss.

/// More points than this are no longer seen apart across the panel: they become a band from the
/// smallest to the largest of their column.
const COLUMNS: usize = 1000;

/// Mean over a fortieth of the run around each point, and over ten steps at least. Centred, so that
/// the curve lies in its band: an exponential mean lags behind a loss that falls.
pub fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let half = (points.len() / 80).max(5);
    let sums: Vec<f64> = std::iter::once(0.0)
        .chain(points.iter().scan(0.0, |sum, &(_, y)| {
            *sum += y;
            Some(*sum)
        }))
        .collect();
    let mean = |(i, &(x, _)): (usize, &(f64, f64))| {
        let (from, to) = (i.saturating_sub(half), (i + half + 1).min(points.len()));
        (x, (sums[to] - sums[from]) / (to - from) as f64)
    };
    points.iter().enumerate().map(mean).collect()
}

/// The top of the loss axis: all of the smoothed curve, and the raw one but for its rare spikes.
pub fn loss_range(points: &[(f64, f64)], smoothed: &[(f64, f64)]) -> f64 {
    let mut raw: Vec<f64> = points.iter().map(|p| p.1).collect();
    raw.sort_by(f64::total_cmp);
    let usual = raw[(raw.len() - 1) * 99 / 100];
    let top = smoothed.iter().map(|p| p.1).fold(usual, f64::max) * 1.08;
    if top > 0.0 { top } else { 1.0 }
}

/// The raw points, at most two a column (its smallest and largest), no higher than `top`.
pub fn band(points: &[(f64, f64)], top: f64) -> Vec<(f64, f64)> {
    let clipped = |&(x, y): &(f64, f64)| (x, y.min(top));
    if points.len() <= COLUMNS {
        return points.iter().map(clipped).collect();
    }
    points
        .chunks(points.len().div_ceil(COLUMNS))
        .flat_map(|chunk| {
            let x = chunk[0].0;
            let low = chunk.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
            let high = chunk.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
            [clipped(&(x, low)), clipped(&(x, high))]
        })
        .collect()
}

/// One point a column, and always the last.
pub fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let every = points.len().div_ceil(COLUMNS);
    let last = points.len() - 1;
    let kept = points
        .iter()
        .enumerate()
        .filter(|(i, _)| i % every == 0 || *i == last);
    kept.map(|(_, &point)| point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn falling(points: usize) -> Vec<(f64, f64)> {
        (0..points)
            .map(|x| {
                (
                    x as f64,
                    0.3 + 2.0 * (-6.0 * x as f64 / points as f64).exp(),
                )
            })
            .collect()
    }

    #[test]
    fn a_long_series_is_a_band_of_two_points_a_column() {
        let points = falling(200_000);
        assert!(band(&points, 9.0).len() <= 2 * COLUMNS);
        assert!(thinned(&points).len() <= COLUMNS + 1);
        assert_eq!(thinned(&points).last(), points.last());
        assert_eq!(band(&falling(100), 9.0), falling(100));
    }

    #[test]
    fn a_spike_does_not_flatten_the_curve() {
        let calm = falling(1000);
        let mut points = calm.clone();
        points[700].1 = 1e6;
        assert!(loss_range(&points, &smoothed(&calm)) < 4.0);
        assert!(band(&points, 4.0).iter().all(|point| point.1 <= 4.0));
    }

    #[test]
    fn the_smoothed_curve_keeps_a_straight_line_where_it_is() {
        let line: Vec<_> = (0..1000)
            .map(|x| (f64::from(x), 5.0 - 0.004 * f64::from(x)))
            .collect();
        for (smooth, raw) in smoothed(&line).iter().zip(&line).skip(12).take(976) {
            assert!((smooth.1 - raw.1).abs() < 1e-9, "{smooth:?} {raw:?}");
        }
        assert_eq!(smoothed(&[(1.0, 5.0)]), [(1.0, 5.0)]);
    }
}
