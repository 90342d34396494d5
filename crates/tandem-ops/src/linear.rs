//! A fully connected layer, and the ReLU after it if wanted.
//!
//! `y[n, o] = f(b[o] + Σ_k w[o, k] · x[n, k])`. Shapes: `x (N, K)`, `w (O, K)`, `b (O,)`,
//! `y (N, O)`. Section 3.5 of the paper: 4096 neurons each in fc6 and fc7.
//!
//! fc6's weights are 151 MB, so each pass reads them once and makes no packed copy of the whole:
//! forward multiplies rows of `x` with rows of `w` as they lie; the input gradient packs a block of
//! `w` at a time, inside the second cache.

mod gradients;

use crate::activation::Activation;
use crate::error::OpError;
use crate::product::Dots;
use crate::real::Real;
use crate::storage::slice;
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// A linear layer's parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Linear {
    activation: Activation,
}

/// Sizes of one application.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub n: usize,
    pub k: usize,
    pub o: usize,
}

impl Linear {
    pub fn new(activation: Activation) -> Self {
        Self { activation }
    }

    /// Applies the layer: `x (N, K)`, `w (O, K)`, `b (O,)`.
    pub fn forward(&self, x: &Tensor, w: &Tensor, b: &Tensor) -> Result<Tensor> {
        x.contiguous()?
            .apply_op3(&w.contiguous()?, &b.contiguous()?, *self)
    }

    fn sizes(&self, x: &Shape, w: &Shape) -> Result<Sizes> {
        match (x.dims(), w.dims()) {
            (&[n, k], &[o, wk]) if k == wk => Ok(Sizes { n, k, o }),
            (x, w) => Err(OpError::shape(
                "linear",
                "x must be (N, K) and w (O, K)",
                format!("x {x:?}, w {w:?}"),
            )
            .into()),
        }
    }

    fn sizes_with_bias(&self, xl: &Layout, wl: &Layout, bl: &Layout) -> Result<Sizes> {
        let s = self.sizes(xl.shape(), wl.shape())?;
        if bl.dims() != [s.o] {
            let got = format!("b {:?} for {} outputs", bl.dims(), s.o);
            return Err(OpError::shape("linear", "one bias an output", got).into());
        }
        Ok(s)
    }
}

/// The layer by its definition, for tests.
pub fn reference(op: &Linear, x: &Tensor, w: &Tensor, b: &Tensor) -> Result<Tensor> {
    let s = op.sizes(x.shape(), w.shape())?;
    let read = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let (xs, ws, bs) = (read(x)?, read(w)?, read(b)?);
    let y = (0..s.n * s.o).map(|i| {
        let (n, o) = (i / s.o, i % s.o);
        let sum = (0..s.k)
            .map(|k| xs[n * s.k + k] * ws[o * s.k + k])
            .sum::<f64>()
            + bs[o];
        match op.activation {
            Activation::Relu => sum.max(0.0),
            Activation::None => sum,
        }
    });
    Tensor::from_vec(y.collect(), (s.n, s.o), x.device())?.to_dtype(x.dtype())
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let s = self.sizes_with_bias(xl, wl, bl)?;
        let f = self.activation;
        let y = match x {
            CpuStorage::F32(_) => {
                CpuStorage::F32(forward(s, f, slice(x, xl)?, slice(w, wl)?, slice(b, bl)?))
            }
            CpuStorage::F64(_) => {
                CpuStorage::F64(forward(s, f, slice(x, xl)?, slice(w, wl)?, slice(b, bl)?))
            }
            other => return Err(OpError::dtype("linear", other.dtype()).into()),
        };
        Ok((y, Shape::from((s.n, s.o))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        xl: &Layout,
        w: &CudaStorage,
        wl: &Layout,
        b: &CudaStorage,
        bl: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let s = self.sizes_with_bias(xl, wl, bl)?;
        let relu = self.activation == Activation::Relu;
        let y = crate::cuda::linear::forward(s, relu, (x, xl), (w, wl), (b, bl))?;
        Ok((y, Shape::from((s.n, s.o))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _b: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let s = self.sizes(x.shape(), w.shape())?;
        let (x, w, dy) = (x.contiguous()?, w.contiguous()?, dy.contiguous()?);
        let y = (self.activation == Activation::Relu).then_some(y);
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            return gradients::backward_on_cuda(s, &x, &w, y, &dy);
        }
        let (dx, dw, db) = match x.dtype() {
            DType::F32 => gradients::backward::<f32>(s, &x, &w, y, &dy)?,
            DType::F64 => gradients::backward::<f64>(s, &x, &w, y, &dy)?,
            other => return Err(OpError::dtype("linear", other).into()),
        };
        Ok((Some(dx), Some(dw), Some(db)))
    }
}

/// Outputs a task of the forward pass computes, and features it sums at a time.
const OUTPUTS: usize = 48;
const FEATURES: usize = 1024;

fn forward<T: Real>(s: Sizes, activation: Activation, x: &[T], w: &[T], b: &[T]) -> Vec<T> {
    // Each task fills its own outputs for all rows: (N, OUTPUTS), put in place afterwards.
    let blocks: Vec<Vec<T>> = (0..s.o)
        .into_par_iter()
        .step_by(OUTPUTS)
        .map(|first| {
            let outputs = OUTPUTS.min(s.o - first);
            let mut block: Vec<T> = (0..s.n)
                .flat_map(|_| &b[first..first + outputs])
                .copied()
                .collect();
            for k in (0..s.k).step_by(FEATURES) {
                Dots {
                    x: &x[k..],
                    x_rows: s.n,
                    x_pitch: s.k,
                    w: &w[first * s.k + k..],
                    w_rows: outputs,
                    w_pitch: s.k,
                    depth: FEATURES.min(s.k - k),
                    out: &mut block,
                    out_pitch: outputs,
                }
                .run();
            }
            if activation == Activation::Relu {
                for y in &mut block {
                    if *y < T::ZERO {
                        *y = T::ZERO;
                    }
                }
            }
            block
        })
        .collect();
    let mut y = vec![T::ZERO; s.n * s.o];
    for (first, block) in (0..s.o).step_by(OUTPUTS).zip(&blocks) {
        let outputs = OUTPUTS.min(s.o - first);
        for (row, values) in y.chunks_exact_mut(s.o).zip(block.chunks_exact(outputs)) {
            row[first..first + outputs].copy_from_slice(values);
        }
    }
    y
}
