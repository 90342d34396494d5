//! The principal components of the colours of the training pictures (section 4.1 of the paper).

/// Eigenvalues and eigenvectors of the covariance of the channels, over all pixels of the training
/// pictures, in (0 to 255)².
#[derive(Debug, Clone, PartialEq)]
pub struct ColourBasis {
    /// λ, largest first; as many as there are channels.
    pub values: Vec<f64>,
    /// The unit vector of each value; its largest component is positive.
    pub vectors: Vec<Vec<f64>>,
}

impl ColourBasis {
    /// Of a symmetric `channels × channels` covariance, row by row: Jacobi's method.
    pub(crate) fn of(covariance: &[f64], channels: usize) -> Self {
        let mut a: Vec<Vec<f64>> = covariance.chunks(channels).map(<[f64]>::to_vec).collect();
        // Columns of v are the vectors.
        let mut v: Vec<Vec<f64>> = (0..channels)
            .map(|i| (0..channels).map(|j| f64::from(u8::from(i == j))).collect())
            .collect();
        // Convergence is quadratic; three channels need four or five sweeps.
        for _ in 0..32 {
            for p in 0..channels {
                for q in p + 1..channels {
                    rotate(&mut a, &mut v, p, q);
                }
            }
        }

        let mut pairs: Vec<(f64, Vec<f64>)> = (0..channels)
            .map(|k| (a[k][k].max(0.0), v.iter().map(|row| row[k]).collect()))
            .collect();
        pairs.sort_by(|x, y| y.0.total_cmp(&x.0));
        for (_, vector) in &mut pairs {
            let largest = vector
                .iter()
                .copied()
                .max_by(|x, y| x.abs().total_cmp(&y.abs()));
            if largest.is_some_and(|x| x < 0.0) {
                vector.iter_mut().for_each(|x| *x = -*x);
            }
        }
        let (values, vectors) = pairs.into_iter().unzip();
        Self { values, vectors }
    }
}

/// Turns the plane (p, q) so that `a[p][q]` becomes nought.
fn rotate(a: &mut [Vec<f64>], v: &mut [Vec<f64>], p: usize, q: usize) {
    if a[p][q] == 0.0 {
        return;
    }
    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let c = 1.0 / t.hypot(1.0);
    let s = t * c;
    for row in a.iter_mut().chain(v.iter_mut()) {
        (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
    }
    // p < q: the two rows lie on either side of this split.
    let (above, below) = a.split_at_mut(q);
    for (x, y) in above[p].iter_mut().zip(&mut below[0]) {
        (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
    }
    (a[p][q], a[q][p]) = (0.0, 0.0);
}

#[cfg(test)]
mod tests {
    use super::ColourBasis;

    #[test]
    fn the_basis_of_a_known_matrix_is_found() {
        // Eigenvalues 3, 2, 1 along (1, 1, 0)/√2, (0, 0, 1), (1, −1, 0)/√2.
        let basis = ColourBasis::of(&[2., 1., 0., 1., 2., 0., 0., 0., 2.], 3);
        for (value, want) in basis.values.iter().zip([3.0, 2.0, 1.0]) {
            assert!((value - want).abs() < 1e-12, "{basis:?}");
        }
        let half = 0.5_f64.sqrt();
        for (x, want) in basis.vectors[0].iter().zip([half, half, 0.0]) {
            assert!((x - want).abs() < 1e-12, "{basis:?}");
        }
        assert!((basis.vectors[1][2] - 1.0).abs() < 1e-12, "{basis:?}");
    }

    #[test]
    fn the_basis_puts_the_covariance_together_again() {
        let covariance = [
            5000., 4700., 4300., 4700., 4900., 4600., 4300., 4600., 5200.,
        ];
        let basis = ColourBasis::of(&covariance, 3);
        for (at, want) in covariance.iter().enumerate() {
            let got: f64 = (0..3)
                .map(|k| basis.values[k] * basis.vectors[k][at / 3] * basis.vectors[k][at % 3])
                .sum();
            assert!((got - want).abs() < 1e-8, "{at}: {got} for {want}");
        }
    }

    #[test]
    fn pictures_of_one_colour_have_a_basis_of_nought() {
        assert_eq!(ColourBasis::of(&[0.0; 9], 3).values, [0.0; 3]);
        assert_eq!(ColourBasis::of(&[4.0], 1).vectors, [[1.0]]);
    }
}
