//! Dropout (Section 4.2 of the paper): at training each value is set to zero with probability `p`.
//!
//! The mask is a pure function of (seed, stream, index of the value): it is never stored, and the
//! backward pass draws it again. Any shape; the index counts values in row-major order.

use crate::error::OpError;
use crate::random::philox;
use crate::real::Real;
use crate::storage::slice;
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Where the factor 1 − p goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropoutRule {
    /// Survivors times 1 / (1 − p) at training, nothing at test: PyTorch, Caffe.
    Inverted,
    /// Survivors as they are at training; outputs times 1 − p at test: Section 4.2 as printed.
    Paper,
}

/// One application of dropout at training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    p: f64,
    rule: DropoutRule,
    seed: u64,
    stream: u64,
}

impl Dropout {
    /// `stream` tells the masks of one seed apart: step, layer and tower.
    ///
    /// # Errors
    /// When `p` is not in `0 ≤ p < 1`.
    pub fn new(
        p: f64,
        rule: DropoutRule,
        seed: u64,
        stream: u64,
    ) -> std::result::Result<Self, OpError> {
        if !(0.0..1.0).contains(&p) {
            return Err(OpError::parameter(
                "dropout",
                format!("p is {p}; it must be in 0..1"),
            ));
        }
        Ok(Self {
            p,
            rule,
            seed,
            stream,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1(*self)
    }

    /// `x (N, towers · C, …)`, a mask of its own for each tower: of `stream` for the first, of
    /// `stream + 1` for the next. Without a history; the gradient of `y` goes the same way.
    pub fn over_towers(&self, x: &Tensor, towers: usize) -> Result<Tensor> {
        if towers == 1 {
            return x.contiguous()?.apply_op1_no_bwd(self);
        }
        let width = x.dim(1)? / towers;
        if width * towers != x.dim(1)? {
            let what = "the features must be as many for each tower";
            return Err(OpError::shape("dropout", what, format!("{:?}", x.dims())).into());
        }
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            use crate::storage::{on_cuda, with_cuda};
            let x = x.contiguous()?;
            let y = with_cuda("dropout", &[Some(&x)], |t| match *t {
                [Some((storage, layout))] => {
                    crate::cuda::dropout::apply(self.mask(), towers, storage, layout)
                }
                _ => unreachable!("one tensor was given"),
            })?;
            return Ok(on_cuda(y, x.shape()));
        }
        let parts = (0..towers).map(|tower| {
            let stream = self.stream + tower as u64;
            let part = x.narrow(1, tower * width, width)?.contiguous()?;
            part.apply_op1_no_bwd(&Self { stream, ..*self })
        });
        Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 1)
    }

    #[cfg(feature = "cuda")]
    fn mask(&self) -> crate::cuda::dropout::Mask {
        crate::cuda::dropout::Mask {
            seed: self.seed,
            stream: self.stream,
            threshold: self.threshold(),
            factor: self.factor(),
        }
    }

    /// Whether the value of this index survives: the definition.
    pub fn keeps(&self, index: u64) -> bool {
        self.words(index / 4)[(index % 4) as usize] >= self.threshold()
    }

    #[inline(always)]
    fn words(&self, block: u64) -> [u32; 4] {
        let halves = |v: u64| [v as u32, (v >> 32) as u32];
        let ([a, b], [c, d]) = (halves(block), halves(self.stream));
        philox(halves(self.seed), [a, b, c, d])
    }

    fn threshold(&self) -> u32 {
        (self.p * 2f64.powi(32)) as u32
    }

    /// What a survivor is multiplied by.
    fn factor(&self) -> f64 {
        match self.rule {
            DropoutRule::Inverted => 1.0 / (1.0 - self.p),
            DropoutRule::Paper => 1.0,
        }
    }

    fn apply<T: Real>(&self, x: &[T]) -> Vec<T> {
        let factor = T::from_f64(self.factor());
        let mut y = x.to_vec();
        y.par_chunks_mut(BLOCK).enumerate().for_each(|(i, y)| {
            Arch::new().dispatch(Block {
                op: self,
                first: (i * BLOCK / 4) as u64,
                factor,
                y,
            });
        });
        y
    }
}

/// Values worked on by one task, from draw `first` on.
struct Block<'a, T> {
    op: &'a Dropout,
    first: u64,
    factor: T,
    y: &'a mut [T],
}

impl<T: Real> WithSimd for Block<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let threshold = self.op.threshold();
        for (block, y) in (self.first..).zip(self.y.chunks_mut(4)) {
            let words = self.op.words(block);
            for (y, word) in y.iter_mut().zip(words) {
                *y = if word >= threshold {
                    *y * self.factor
                } else {
                    T::ZERO
                };
            }
        }
    }
}

/// Values a task draws for; a multiple of four.
const BLOCK: usize = 16 * 1024;

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = match x {
            CpuStorage::F32(_) => CpuStorage::F32(self.apply(slice::<f32>(x, l)?)),
            CpuStorage::F64(_) => CpuStorage::F64(self.apply(slice::<f64>(x, l)?)),
            other => return Err(OpError::dtype("dropout", other.dtype()).into()),
        };
        Ok((y, l.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, l: &Layout) -> Result<(CudaStorage, Shape)> {
        let y = crate::cuda::dropout::apply(self.mask(), 1, x, l)?;
        Ok((y, l.shape().clone()))
    }

    /// The same mask and factor on the gradient.
    fn bwd(&self, _x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(dy.contiguous()?.apply_op1_no_bwd(self)?))
    }
}
