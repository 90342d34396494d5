//! A fully connected layer, and the ReLU after it if wanted.
//!
//! `y[n, o] = f(b[o] + Σ_k w[o, k] · x[n, k])`. Shapes: `x (N, K)`, `w (O, K)`, `b (O,)`,
//! `y (N, O)`. Section 3.5 of the paper: 4096 neurons each in fc6 and fc7.
//!
//! fc6's weights are 151 MB, so each pass reads them once and makes no packed copy of the whole:
//! forward multiplies rows of `x` with rows of `w` as they lie; the input gradient packs a block of
//! `w` at a time, inside the second cache.

use crate::activation::Activation;
use crate::error::OpError;
use crate::product::{Dots, Finish, Panels, Product, Start, Tiles, pack_panels, pack_tiles};
use crate::real::Real;
use crate::storage::{slice, with_cpu};
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
            return backward_on_cuda(s, &x, &w, y, &dy);
        }
        let (dx, dw, db) = match x.dtype() {
            DType::F32 => backward::<f32>(s, &x, &w, y, &dy)?,
            DType::F64 => backward::<f64>(s, &x, &w, y, &dy)?,
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

fn backward<T: Real>(
    s: Sizes,
    x: &Tensor,
    w: &Tensor,
    y: Option<&Tensor>,
    dy: &Tensor,
) -> Result<(Tensor, Tensor, Tensor)> {
    let (dx, dw, db) = with_cpu::<T, _>(&[Some(x), Some(w), y, Some(dy)], |t| {
        let g: Vec<T> = match t[2] {
            [] => t[3].to_vec(),
            y => y
                .iter()
                .zip(t[3])
                .map(|(y, dy)| if *y > T::ZERO { *dy } else { T::ZERO })
                .collect(),
        };
        let mut db = vec![T::ZERO; s.o];
        for row in g.chunks_exact(s.o) {
            for (db, g) in db.iter_mut().zip(row) {
                *db += *g;
            }
        }
        Ok((
            input_gradient(s, t[1], &g),
            weight_gradient(s, t[0], &g),
            db,
        ))
    })?;
    let device = x.device();
    Ok((
        Tensor::from_vec(dx, (s.n, s.k), device)?,
        Tensor::from_vec(dw, (s.o, s.k), device)?,
        Tensor::from_vec(db, s.o, device)?,
    ))
}

#[cfg(feature = "cuda")]
fn backward_on_cuda(
    s: Sizes,
    x: &Tensor,
    w: &Tensor,
    y: Option<&Tensor>,
    dy: &Tensor,
) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
    use crate::storage::{on_cuda, with_cuda};
    let y = y.map(Tensor::contiguous).transpose()?;
    let inputs = [Some(x), Some(w), Some(dy), y.as_ref()];
    let [dx, dw, db] = with_cuda("linear", &inputs, |t| match *t {
        [Some(x), Some(w), Some(dy), y] => crate::cuda::linear::backward(s, x, w, y, dy),
        _ => unreachable!("all but y were given"),
    })?;
    Ok((
        Some(on_cuda(dx, (s.n, s.k))),
        Some(on_cuda(dw, (s.o, s.k))),
        Some(on_cuda(db, s.o)),
    ))
}

/// Columns of `w` a task of the gradients works on, and rows it packs at a time: 256 × 512 floats
/// are 512 KiB.
const COLUMNS: usize = 512;
const ROWS: usize = 256;

/// `dx[n, k] = Σ_o g[n, o] · w[o, k]`.
fn input_gradient<T: Real>(s: Sizes, w: &[T], g: &[T]) -> Vec<T> {
    let tiles = Tiles::new::<T>(s.n);
    let left: Vec<Vec<T>> = (0..s.o)
        .step_by(ROWS)
        .map(|o| {
            let depth = ROWS.min(s.o - o);
            let mut packed = vec![T::ZERO; s.n * depth];
            pack_tiles(tiles, depth, |n, r| g[n * s.o + o + r], &mut packed);
            packed
        })
        .collect();
    let blocks: Vec<Vec<T>> = (0..s.k)
        .into_par_iter()
        .step_by(COLUMNS)
        .map_init(Vec::new, |right, first| {
            let panels = Panels::new::<T>(COLUMNS.min(s.k - first));
            let mut block = vec![T::ZERO; s.n * panels.columns];
            for (o, left) in (0..s.o).step_by(ROWS).zip(&left) {
                let depth = ROWS.min(s.o - o);
                pack_panels(
                    panels,
                    depth,
                    |r| &w[(o + r) * s.k + first..(o + r + 1) * s.k],
                    right,
                );
                Product {
                    tiles,
                    panels,
                    depth,
                    left,
                    right,
                    out: &mut block,
                    pitch: panels.columns,
                    start: Start::Accumulate,
                    finish: Finish::Nothing,
                }
                .run();
            }
            block
        })
        .collect();
    let mut dx = vec![T::ZERO; s.n * s.k];
    for (first, block) in (0..s.k).step_by(COLUMNS).zip(&blocks) {
        let columns = COLUMNS.min(s.k - first);
        for (row, values) in dx.chunks_exact_mut(s.k).zip(block.chunks_exact(columns)) {
            row[first..first + columns].copy_from_slice(values);
        }
    }
    dx
}

/// `dw[o, k] = Σ_n g[n, o] · x[n, k]`, by blocks of whole rows so that each is written once.
fn weight_gradient<T: Real>(s: Sizes, x: &[T], g: &[T]) -> Vec<T> {
    let panels = Panels::new::<T>(s.k);
    let mut right = Vec::new();
    pack_panels(panels, s.n, |n| &x[n * s.k..(n + 1) * s.k], &mut right);
    let mut dw = vec![T::ZERO; s.o * s.k];
    dw.par_chunks_mut(OUTPUTS * s.k)
        .enumerate()
        .for_each_init(Vec::new, |left, (i, dw)| {
            let first = i * OUTPUTS;
            let tiles = Tiles::new::<T>(OUTPUTS.min(s.o - first));
            left.resize(tiles.rows * s.n, T::ZERO);
            pack_tiles(tiles, s.n, |o, n| g[n * s.o + first + o], left);
            Product {
                tiles,
                panels,
                depth: s.n,
                left,
                right: &right,
                out: dw,
                pitch: s.k,
                start: Start::Zero,
                finish: Finish::Nothing,
            }
            .run();
        });
    dw
}
