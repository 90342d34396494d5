//! The dot-product kernel: both operands with contiguous rows, nothing packed.

use pulp::{Arch, Simd, WithSimd};

use crate::real::Real;

/// `out[i][j] += Σ_k x[i][k] · w[j][k]` over rows of `depth` contiguous elements.
///
/// `x` has its rows `x_pitch` apart, `w` `w_pitch`, `out` `out_pitch`.
pub struct Dots<'a, T> {
    pub x: &'a [T],
    pub x_rows: usize,
    pub x_pitch: usize,
    pub w: &'a [T],
    pub w_rows: usize,
    pub w_pitch: usize,
    pub depth: usize,
    pub out: &'a mut [T],
    pub out_pitch: usize,
}

impl<T: Real> Dots<'_, T> {
    pub fn run(self) {
        Arch::new().dispatch(self);
    }
}

/// Rows of W in a register tile of the dot-product kernel.
const DOT_W: usize = 6;

impl<T: Real> WithSimd for Dots<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let x_most = if S::REGISTER_COUNT >= 32 { 4 } else { 2 };
        let mut j = 0;
        while j < self.w_rows {
            let ws = if self.w_rows - j >= DOT_W { DOT_W } else { 1 };
            let mut i = 0;
            while i < self.x_rows {
                let xs = if self.x_rows - i >= x_most { x_most } else { 1 };
                match (xs, ws) {
                    (4, DOT_W) => dots::<S, T, 4, DOT_W>(simd, &mut self, i, j),
                    (2, DOT_W) => dots::<S, T, 2, DOT_W>(simd, &mut self, i, j),
                    (_, DOT_W) => dots::<S, T, 1, DOT_W>(simd, &mut self, i, j),
                    (4, _) => dots::<S, T, 4, 1>(simd, &mut self, i, j),
                    (2, _) => dots::<S, T, 2, 1>(simd, &mut self, i, j),
                    _ => dots::<S, T, 1, 1>(simd, &mut self, i, j),
                }
                i += xs;
            }
            j += ws;
        }
    }
}

#[inline(always)]
fn dots<S: Simd, T: Real, const X: usize, const W: usize>(
    simd: S,
    task: &mut Dots<'_, T>,
    i: usize,
    j: usize,
) {
    // Loops, not closures: a closure is a function of its own, and where the compiler does not
    // inline it, it loses the instruction set that this code is compiled for.
    let (mut x, mut w): ([&[T]; X], [&[T]; W]) = ([&[]; X], [&[]; W]);
    for (r, x) in x.iter_mut().enumerate() {
        *x = &task.x[(i + r) * task.x_pitch..][..task.depth];
    }
    for (c, w) in w.iter_mut().enumerate() {
        *w = &task.w[(j + c) * task.w_pitch..][..task.depth];
    }
    let steps = T::as_simd::<S>(x[0]).0.len();
    let mut xv: [&[T::Vector<S>]; X] = [&[]; X];
    let mut wv: [&[T::Vector<S>]; W] = [&[]; W];
    for r in 0..X {
        xv[r] = &T::as_simd::<S>(x[r]).0[..steps];
    }
    for c in 0..W {
        wv[c] = &T::as_simd::<S>(w[c]).0[..steps];
    }
    let mut sums = [[T::splat(simd, T::ZERO); W]; X];
    for k in 0..steps {
        for r in 0..X {
            let a = xv[r][k];
            for c in 0..W {
                sums[r][c] = T::mul_add(simd, a, wv[c][k], sums[r][c]);
            }
        }
    }
    let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
    for r in 0..X {
        for c in 0..W {
            let mut sum = T::reduce_sum(simd, sums[r][c]);
            for (a, b) in x[r][steps * lanes..].iter().zip(&w[c][steps * lanes..]) {
                sum += *a * *b;
            }
            task.out[(i + r) * task.out_pitch + j + c] += sum;
        }
    }
}
