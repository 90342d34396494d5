//! The way back of a linear layer: all three gradients, or those of the input or the parameters alone.

use super::{Linear, OUTPUTS, Sizes};
use crate::activation::Activation;
use crate::error::OpError;
use crate::product::{Panels, Product, Tiles, pack_panels, pack_tiles};
use crate::real::Real;
use crate::storage::with_cpu;
use candle_core::{DType, Result, Shape, Tensor};
use rayon::prelude::*;

impl Linear {
    /// Gradient of the loss for the input `(N, K)` alone, from `w`, the output `y` and its gradient
    /// `dy`: where the layer itself is not learned.
    pub fn input_gradient(&self, w: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let s = self.sizes_of_gradient(w.shape(), dy.shape())?;
        let (w, y, dy) = (w.contiguous()?, y.contiguous()?, dy.contiguous()?);
        let y = (self.activation == Activation::Relu).then_some(&y);
        #[cfg(feature = "cuda")]
        if w.device().is_cuda() {
            use crate::storage::{on_cuda, with_cuda};
            let [dx] = with_cuda("linear", &[Some(&w), Some(&dy), y], |t| match *t {
                [Some(w), Some(dy), y] => Ok([crate::cuda::linear::input_gradient(s, w, y, dy)?]),
                _ => unreachable!("all but y were given"),
            })?;
            return Ok(on_cuda(dx, (s.n, s.k)));
        }
        fn on_cpu<T: Real>(
            s: Sizes,
            w: &Tensor,
            y: Option<&Tensor>,
            dy: &Tensor,
        ) -> Result<Tensor> {
            let dx = with_cpu::<T, _>(&[Some(w), y, Some(dy)], |t| {
                Ok(input_gradient(s, t[0], &masked(t[1], t[2])))
            })?;
            Tensor::from_vec(dx, (s.n, s.k), w.device())
        }
        match w.dtype() {
            DType::F32 => on_cpu::<f32>(s, &w, y, &dy),
            DType::F64 => on_cpu::<f64>(s, &w, y, &dy),
            other => Err(OpError::dtype("linear", other).into()),
        }
    }

    /// Gradients of the loss for `w (O, K)` and the bias alone, from the input, the output `y` and its
    /// gradient `dy`: where nothing before the layer is learned.
    pub fn weight_gradient(
        &self,
        x: &Tensor,
        w: &Shape,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let s = self.sizes(x.shape(), w)?;
        let (x, y, dy) = (x.contiguous()?, y.contiguous()?, dy.contiguous()?);
        let y = (self.activation == Activation::Relu).then_some(&y);
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            use crate::storage::{on_cuda, with_cuda};
            let [dw, db] = with_cuda("linear", &[Some(&x), Some(&dy), y], |t| match *t {
                [Some(x), Some(dy), y] => crate::cuda::linear::weight_gradient(s, x, y, dy),
                _ => unreachable!("all but y were given"),
            })?;
            return Ok((on_cuda(dw, (s.o, s.k)), on_cuda(db, s.o)));
        }
        fn on_cpu<T: Real>(
            s: Sizes,
            x: &Tensor,
            y: Option<&Tensor>,
            dy: &Tensor,
        ) -> Result<(Tensor, Tensor)> {
            let (dw, db) = with_cpu::<T, _>(&[Some(x), y, Some(dy)], |t| {
                let g = masked(t[1], t[2]);
                Ok((weight_gradient(s, t[0], &g), bias_gradient(s, &g)))
            })?;
            let device = x.device();
            Ok((
                Tensor::from_vec(dw, (s.o, s.k), device)?,
                Tensor::from_vec(db, s.o, device)?,
            ))
        }
        match x.dtype() {
            DType::F32 => on_cpu::<f32>(s, &x, y, &dy),
            DType::F64 => on_cpu::<f64>(s, &x, y, &dy),
            other => Err(OpError::dtype("linear", other).into()),
        }
    }

    fn sizes_of_gradient(&self, w: &Shape, dy: &Shape) -> Result<Sizes> {
        match (w.dims(), dy.dims()) {
            (&[o, k], &[n, outputs]) if o == outputs => Ok(Sizes { n, k, o }),
            (w, dy) => Err(OpError::shape(
                "linear",
                "w must be (O, K) and dy (N, O)",
                format!("w {w:?}, dy {dy:?}"),
            )
            .into()),
        }
    }
}

pub(super) fn backward<T: Real>(
    s: Sizes,
    x: &Tensor,
    w: &Tensor,
    y: Option<&Tensor>,
    dy: &Tensor,
) -> Result<(Tensor, Tensor, Tensor)> {
    let (dx, dw, db) = with_cpu::<T, _>(&[Some(x), Some(w), y, Some(dy)], |t| {
        let g = masked(t[2], t[3]);
        Ok((
            input_gradient(s, t[1], &g),
            weight_gradient(s, t[0], &g),
            bias_gradient(s, &g),
        ))
    })?;
    let device = x.device();
    Ok((
        Tensor::from_vec(dx, (s.n, s.k), device)?,
        Tensor::from_vec(dw, (s.o, s.k), device)?,
        Tensor::from_vec(db, s.o, device)?,
    ))
}

/// The gradient behind the ReLU; `y` is empty where there is none.
fn masked<T: Real>(y: &[T], dy: &[T]) -> Vec<T> {
    match y {
        [] => dy.to_vec(),
        y => y
            .iter()
            .zip(dy)
            .map(|(y, dy)| if *y > T::ZERO { *dy } else { T::ZERO })
            .collect(),
    }
}

#[cfg(feature = "cuda")]
pub(super) fn backward_on_cuda(
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
                    accumulate: true,
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
                accumulate: false,
            }
            .run();
        });
    dw
}

/// `db[o] = Σ_n g[n, o]`.
fn bias_gradient<T: Real>(s: Sizes, g: &[T]) -> Vec<T> {
    let mut db = vec![T::ZERO; s.o];
    for row in g.chunks_exact(s.o) {
        for (db, g) in db.iter_mut().zip(row) {
            *db += *g;
        }
    }
    db
}
