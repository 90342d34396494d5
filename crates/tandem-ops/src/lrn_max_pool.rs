//! Local response normalisation and the max pooling behind it as one operation (Sections 3.3 and
//! 3.4 of the paper, in the order its networks have them).
//!
//! `y = pool(lrn(x))`, `x (N, C, H, W)`, `y (N, C, H', W')`; the formulas are those of [`crate::lrn`]
//! and [`crate::max_pool`], and so are the values, bit for bit. On a GPU the paper's sizes take one
//! kernel, which writes no normalised maps: forward moves 2.5 times fewer bytes, and what lies
//! between the two need not be kept for backward. Elsewhere the two run one after the other.

use crate::lrn::Lrn;
use crate::max_pool::{MaxPool2d, MaxPool2dOp};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

/// The parameters of both.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LrnMaxPool2d {
    lrn: Lrn,
    pool: MaxPool2d,
}

/// One application: it remembers the winners of its forward pass.
pub struct LrnMaxPool2dOp {
    lrn: Lrn,
    pool: MaxPool2dOp,
}

impl LrnMaxPool2d {
    pub fn new(lrn: Lrn, pool: MaxPool2d) -> Self {
        Self { lrn, pool }
    }

    /// A fresh application, for one forward and its backward.
    pub fn op(&self) -> LrnMaxPool2dOp {
        LrnMaxPool2dOp {
            lrn: self.lrn,
            pool: self.pool.op(),
        }
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1(self.op())
    }
}

impl CustomOp1 for LrnMaxPool2dOp {
    fn name(&self) -> &'static str {
        "lrn-max-pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let (normalised, shape) = self.lrn.cpu_fwd(x, l)?;
        self.pool.cpu_fwd(&normalised, &Layout::contiguous(shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, l: &Layout) -> Result<(CudaStorage, Shape)> {
        let grid = self.pool.grid(l.shape())?;
        let Some(strip) = crate::cuda::lrn_max_pool::strip(&self.lrn, &grid) else {
            let (normalised, shape) = self.lrn.cuda_fwd(x, l)?;
            return self.pool.cuda_fwd(&normalised, &Layout::contiguous(shape));
        };
        let (y, winners) = crate::cuda::lrn_max_pool::forward(&self.lrn, &grid, strip, x, l)?;
        Ok((y, self.pool.remember(winners, l, &grid)))
    }

    /// Of the output nothing but its gradient is needed.
    fn bwd(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        // LRN keeps the shape, which is all that pooling's backward asks of its input.
        match self.pool.bwd(x, y, dy)? {
            Some(between) => self.lrn.bwd(x, y, &between),
            None => Ok(None),
        }
    }
}
