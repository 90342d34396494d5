//! Stochastic gradient descent with momentum and weight decay (Section 5 of the paper), in place.
//!
//! `paper`: `v ← m v − d ε w − ε g; w ← w + v`. The rate ε stands inside v.
//! `pytorch`: `v ← m v + d w + g; w ← w − ε v`. After a change of the rate the two differ.
//!
//! Weight and velocity are one tensor, the slab `(2, …)`: index 0 the weight, index 1 the velocity.
//! A step reads gradient, weight and velocity once and writes weight and velocity once.

use crate::error::OpError;
use crate::real::Real;
use crate::storage::slice;
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, InplaceOp2, Layout, Result};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Where the learning rate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SgdRule {
    Paper,
    Pytorch,
}

/// One step; applied as `slab.inplace_op2(&gradient, &sgd)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    rule: SgdRule,
    learning_rate: f64,
    momentum: f64,
    weight_decay: f64,
}

impl Sgd {
    /// # Errors
    /// When a value is negative or not finite.
    pub fn new(
        rule: SgdRule,
        learning_rate: f64,
        momentum: f64,
        weight_decay: f64,
    ) -> std::result::Result<Self, OpError> {
        for (name, value) in [
            ("learning rate", learning_rate),
            ("momentum", momentum),
            ("weight decay", weight_decay),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                let what = format!("{name} is {value}; it must be finite and not negative");
                return Err(OpError::parameter("sgd", what));
            }
        }
        Ok(Self {
            rule,
            learning_rate,
            momentum,
            weight_decay,
        })
    }

    /// The same step at `factor` times the rate.
    ///
    /// # Errors
    /// When the rate would be negative or not finite.
    pub fn times(self, factor: f64) -> std::result::Result<Self, OpError> {
        Self::new(
            self.rule,
            self.learning_rate * factor,
            self.momentum,
            self.weight_decay,
        )
    }

    /// Where the slab lies in its storage, if it suits the gradient.
    fn offsets(&self, sl: &Layout, gl: &Layout) -> Result<(usize, usize)> {
        let fits = sl.dims().first() == Some(&2) && sl.dims()[1..] == *gl.dims();
        sl.contiguous_offsets().filter(|_| fits).ok_or_else(|| {
            let shapes = format!("slab {:?}, gradient {:?}", sl.dims(), gl.dims());
            let what = "the slab must be contiguous and (2, shape of the gradient)";
            OpError::shape("sgd", what, shapes).into()
        })
    }

    fn step<T: Real>(&self, slab: &mut [T], gradient: &[T]) {
        let (weights, velocities) = slab.split_at_mut(gradient.len());
        weights
            .par_chunks_mut(BLOCK)
            .zip(velocities.par_chunks_mut(BLOCK))
            .zip(gradient.par_chunks(BLOCK))
            .for_each(|((w, v), g)| Arch::new().dispatch(Block { sgd: self, w, v, g }));
    }
}

/// Values updated by one task.
struct Block<'a, T> {
    sgd: &'a Sgd,
    w: &'a mut [T],
    v: &'a mut [T],
    g: &'a [T],
}

impl<T: Real> WithSimd for Block<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Sgd {
            rule,
            learning_rate,
            momentum,
            weight_decay,
        } = *self.sgd;
        let rate = T::from_f64(learning_rate);
        let (m, decay) = (T::from_f64(momentum), T::from_f64(weight_decay));
        let decay_rate = T::from_f64(weight_decay * learning_rate);
        let each = self.w.iter_mut().zip(self.v).zip(self.g);
        match rule {
            SgdRule::Paper => {
                for ((w, v), g) in each {
                    *v = m * *v - decay_rate * *w - rate * *g;
                    *w += *v;
                }
            }
            SgdRule::Pytorch => {
                for ((w, v), g) in each {
                    *v = m * *v + decay * *w + *g;
                    *w -= rate * *v;
                }
            }
        }
    }
}

/// Values a task updates.
const BLOCK: usize = 64 * 1024;

impl InplaceOp2 for Sgd {
    fn name(&self) -> &'static str {
        "sgd"
    }

    fn cpu_fwd(
        &self,
        slab: &mut CpuStorage,
        sl: &Layout,
        gradient: &CpuStorage,
        gl: &Layout,
    ) -> Result<()> {
        let (start, end) = self.offsets(sl, gl)?;
        match slab {
            CpuStorage::F32(slab) => self.step(&mut slab[start..end], slice(gradient, gl)?),
            CpuStorage::F64(slab) => self.step(&mut slab[start..end], slice(gradient, gl)?),
            other => return Err(OpError::dtype("sgd", other.dtype()).into()),
        }
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        slab: &mut CudaStorage,
        sl: &Layout,
        gradient: &CudaStorage,
        gl: &Layout,
    ) -> Result<()> {
        let (start, _) = self.offsets(sl, gl)?;
        let (rule, decay) = match self.rule {
            SgdRule::Paper => ("paper", self.weight_decay * self.learning_rate),
            SgdRule::Pytorch => ("pytorch", self.weight_decay),
        };
        let step = crate::cuda::sgd::Step {
            rule,
            rate: self.learning_rate,
            momentum: self.momentum,
            decay,
        };
        crate::cuda::sgd::step(step, slab, start, gradient, gl)
    }
}
