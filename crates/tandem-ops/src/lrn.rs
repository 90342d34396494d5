//! Local response normalisation across channels (Section 3.3 of the paper).
//!
//! `b_i = a_i / (k + α Σ_j a_j²)^β`, `j` from `max(0, i − ⌊n/2⌋)` to `min(N − 1, i + ⌊n/2⌋)`, N the
//! channels of a tower. `x`, `y (N, C, H, W)`. With `s_i` the bracket, backward is
//! `dx_i = dy_i s_i^−β − 2 α β a_i Σ_j dy_j a_j s_j^(−β−1)`, over the `j` whose window holds `i`.
//!
//! β = 0.75 takes two square roots and a division: `s^−0.75 = 1 / (√s · √√s)`. Nothing is stored
//! for the backward pass; it computes the scale again, a block of positions at a time in the first
//! cache.

use crate::error::OpError;
use crate::real::Real;
use crate::storage::slice;
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Whether α multiplies the sum of squares or their mean over the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlphaConvention {
    /// The sum, as printed in Section 3.3.
    Paper,
    /// α / n, as in Caffe, PyTorch and cuda-convnet.
    DividedBySize,
}

/// The normalisation's parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lrn {
    size: usize,
    k: f64,
    /// As it multiplies the sum.
    alpha: f64,
    beta: f64,
    groups: usize,
}

/// In any candle network, with its gradient.
impl candle_core::Module for Lrn {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Lrn::forward(self, x)
    }
}

impl Lrn {
    /// The paper's constants are size 5, k 2, alpha 1e-4, beta 0.75, [`AlphaConvention::Paper`].
    ///
    /// # Errors
    /// When the size is zero or even, or a constant is not finite.
    pub fn new(
        size: usize,
        k: f64,
        alpha: f64,
        beta: f64,
        convention: AlphaConvention,
    ) -> std::result::Result<Self, OpError> {
        if size.is_multiple_of(2) || ![k, alpha, beta].iter().all(|v| v.is_finite()) {
            let what =
                format!("size {size} must be odd, and k {k}, alpha {alpha} and beta {beta} finite");
            return Err(OpError::parameter("lrn", what));
        }
        let alpha = match convention {
            AlphaConvention::Paper => alpha,
            AlphaConvention::DividedBySize => alpha / size as f64,
        };
        Ok(Self {
            size,
            k,
            alpha,
            beta,
            groups: 1,
        })
    }

    /// The same inside each of `groups` equal parts of the channels: towers held as one tensor.
    pub fn with_groups(self, groups: usize) -> std::result::Result<Self, OpError> {
        if groups == 0 {
            return Err(OpError::parameter("lrn", "groups must be at least 1"));
        }
        Ok(Self { groups, ..self })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1(*self)
    }

    /// Channels a group and positions a channel.
    pub(crate) fn sizes(&self, shape: &Shape) -> Result<(usize, usize)> {
        match shape.dims() {
            &[_, c, h, w] if c % self.groups == 0 && c > 0 && h * w > 0 => {
                Ok((c / self.groups, h * w))
            }
            dims => {
                let what = format!(
                    "x must be (N, C, H, W) with C a multiple of {}",
                    self.groups
                );
                Err(OpError::shape("lrn", what, format!("{dims:?}")).into())
            }
        }
    }

    #[cfg(feature = "cuda")]
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    #[cfg(feature = "cuda")]
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// k, α as it multiplies the sum, β.
    #[cfg(feature = "cuda")]
    pub(crate) fn constants(&self) -> (f64, f64, f64) {
        (self.k, self.alpha, self.beta)
    }

    /// Channels in the window of channel `c` of `channels`. Windows are symmetric: these are also
    /// the channels whose window holds `c`.
    fn window(&self, c: usize, channels: usize) -> std::ops::Range<usize> {
        let half = self.size / 2;
        c.saturating_sub(half)..(c + half + 1).min(channels)
    }
}

/// The normalisation by its definition, in f64, on `(groups, channels, positions)`.
pub fn reference(op: &Lrn, x: &[f64], channels: usize, positions: usize) -> Vec<f64> {
    let mut y = Vec::with_capacity(x.len());
    for x in x.chunks_exact(channels * positions) {
        for c in 0..channels {
            for p in 0..positions {
                let squares = op.window(c, channels).map(|j| x[j * positions + p].powi(2));
                let scale = op.k + op.alpha * squares.sum::<f64>();
                y.push(x[c * positions + p] * scale.powf(-op.beta));
            }
        }
    }
    y
}

/// Positions worked on together: the rows of a window of five channels, 2 KiB each, stay in the
/// first cache, and each is read from memory in one stretch.
const POSITIONS: usize = 512;

/// `s^−β` for a row of scales, in place.
#[inline(always)]
fn inverse_power<T: Real>(scales: &mut [T], beta: f64) {
    let one = T::from_f64(1.0);
    if beta == 0.75 {
        for s in scales {
            let root = s.sqrt();
            *s = one / (root * root.sqrt());
        }
    } else if beta == 0.5 {
        for s in scales {
            *s = one / s.sqrt();
        }
    } else if beta == 1.0 {
        for s in scales {
            *s = one / *s;
        }
    } else {
        let beta = T::from_f64(-beta);
        for s in scales {
            *s = s.powf(beta);
        }
    }
}

impl Lrn {
    /// The scales of channel `c` at positions `at..at + out.len()`.
    #[inline(always)]
    fn scales<T: Real>(
        &self,
        x: &[T],
        c: usize,
        (channels, positions): (usize, usize),
        at: usize,
        out: &mut [T],
    ) {
        out.fill(T::ZERO);
        for j in self.window(c, channels) {
            let row = &x[j * positions + at..][..out.len()];
            for (s, a) in out.iter_mut().zip(row) {
                *s += *a * *a;
            }
        }
        let (k, alpha) = (T::from_f64(self.k), T::from_f64(self.alpha));
        for s in out {
            *s = k + alpha * *s;
        }
    }

    fn run<T: Real>(&self, x: &[T], sizes: (usize, usize)) -> Vec<T> {
        let mut y = vec![T::ZERO; x.len()];
        let part = sizes.0 * sizes.1;
        y.par_chunks_mut(part)
            .zip(x.par_chunks(part))
            .for_each(|(y, x)| {
                let op = self;
                Arch::new().dispatch(Forward { op, sizes, x, y });
            });
        y
    }

    fn gradient<T: Real>(&self, x: &[T], dy: &[T], sizes: (usize, usize)) -> Vec<T> {
        let mut dx = vec![T::ZERO; x.len()];
        let part = sizes.0 * sizes.1;
        let parts = dx
            .par_chunks_mut(part)
            .zip(x.par_chunks(part))
            .zip(dy.par_chunks(part));
        parts.for_each_init(
            || vec![T::ZERO; self.size * POSITIONS],
            |terms, ((dx, x), dy)| {
                Arch::new().dispatch(Backward {
                    op: self,
                    sizes,
                    x,
                    dy,
                    dx,
                    terms,
                });
            },
        );
        dx
    }
}

/// One group of one picture, forward.
struct Forward<'a, T> {
    op: &'a Lrn,
    sizes: (usize, usize),
    x: &'a [T],
    y: &'a mut [T],
}

impl<T: Real> WithSimd for Forward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (channels, positions) = self.sizes;
        let mut scales = [T::ZERO; POSITIONS];
        for at in (0..positions).step_by(POSITIONS) {
            let scales = &mut scales[..POSITIONS.min(positions - at)];
            for c in 0..channels {
                self.op.scales(self.x, c, self.sizes, at, scales);
                inverse_power(scales, self.op.beta);
                let here = c * positions + at;
                let y = &mut self.y[here..][..scales.len()];
                for ((y, x), s) in y.iter_mut().zip(&self.x[here..]).zip(scales.iter()) {
                    *y = *x * *s;
                }
            }
        }
    }
}

/// One group of one picture, backward. The terms `dy_j a_j s_j^(−β−1)` of a channel wait in a ring
/// of as many rows as the window has channels, until the last channel they go to has been reached.
struct Backward<'a, T> {
    op: &'a Lrn,
    sizes: (usize, usize),
    x: &'a [T],
    dy: &'a [T],
    dx: &'a mut [T],
    terms: &'a mut [T],
}

impl<T: Real> WithSimd for Backward<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self {
            op,
            sizes,
            x,
            dy,
            dx,
            terms,
        } = self;
        let (channels, positions) = sizes;
        let half = op.size / 2;
        let factor = T::from_f64(-2.0 * op.alpha * op.beta);
        let (mut scales, mut powers) = ([T::ZERO; POSITIONS], [T::ZERO; POSITIONS]);
        for at in (0..positions).step_by(POSITIONS) {
            let n = POSITIONS.min(positions - at);
            let (scales, powers) = (&mut scales[..n], &mut powers[..n]);
            for c in 0..channels + half {
                if c < channels {
                    let here = c * positions + at;
                    op.scales(x, c, sizes, at, scales);
                    powers.copy_from_slice(scales);
                    inverse_power(powers, op.beta);
                    let (x, dy) = (&x[here..][..n], &dy[here..][..n]);
                    let dx = &mut dx[here..][..n];
                    let terms = &mut terms[c % op.size * POSITIONS..][..n];
                    for i in 0..n {
                        let first = dy[i] * powers[i];
                        dx[i] = first;
                        terms[i] = first * x[i] / scales[i];
                    }
                }
                // Every term that channel c − half receives is there now.
                let Some(c) = c.checked_sub(half) else {
                    continue;
                };
                let here = c * positions + at;
                let sums = &mut *scales;
                sums.fill(T::ZERO);
                for j in op.window(c, channels) {
                    let terms = &terms[j % op.size * POSITIONS..][..n];
                    for (sum, term) in sums.iter_mut().zip(terms) {
                        *sum += *term;
                    }
                }
                let dx = &mut dx[here..][..n];
                for ((dx, x), sum) in dx.iter_mut().zip(&x[here..][..n]).zip(sums.iter()) {
                    *dx += factor * *x * *sum;
                }
            }
        }
    }
}

impl CustomOp1 for Lrn {
    fn name(&self) -> &'static str {
        "lrn"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let sizes = self.sizes(l.shape())?;
        let y = match x {
            CpuStorage::F32(_) => CpuStorage::F32(self.run(slice::<f32>(x, l)?, sizes)),
            CpuStorage::F64(_) => CpuStorage::F64(self.run(slice::<f64>(x, l)?, sizes)),
            other => return Err(OpError::dtype("lrn", other.dtype()).into()),
        };
        Ok((y, l.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, l: &Layout) -> Result<(CudaStorage, Shape)> {
        crate::cuda::lrn::forward(self, x, l)
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let (x, dy) = (x.contiguous()?, dy.contiguous()?);
        Ok(Some(x.apply_op2_no_bwd(&dy, &LrnBackward(*self))?))
    }
}

/// The gradient of the input, from the input and the output's gradient.
struct LrnBackward(Lrn);

impl CustomOp2 for LrnBackward {
    fn name(&self) -> &'static str {
        "lrn-backward"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        dy: &CpuStorage,
        dyl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let Self(op) = self;
        let sizes = op.sizes(xl.shape())?;
        let dx = match x {
            CpuStorage::F32(_) => {
                CpuStorage::F32(op.gradient::<f32>(slice(x, xl)?, slice(dy, dyl)?, sizes))
            }
            CpuStorage::F64(_) => {
                CpuStorage::F64(op.gradient::<f64>(slice(x, xl)?, slice(dy, dyl)?, sizes))
            }
            other => return Err(OpError::dtype("lrn", other.dtype()).into()),
        };
        Ok((dx, xl.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        xl: &Layout,
        dy: &CudaStorage,
        dyl: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        crate::cuda::lrn::backward(&self.0, x, xl, dy, dyl)
    }
}
