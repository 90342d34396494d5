//! Max pooling over windows that may overlap (Section 3.4 of the paper: 3×3, stride 2).
//!
//! `y[n, c, i, j] = max x[n, c, i·s + u − p, j·s + v − p]` over the places `(u, v)` of the window
//! that lie in the picture. `x (N, C, H, W)`. The gradient goes to the first maximum in row-major
//! order; NaN wins over every number.
//!
//! Forward keeps one byte an output, the winner's place in its window. Backward walks the outputs
//! of a plane in order and adds each gradient at its winner: one task owns the plane, so this is as
//! deterministic as gathering at each input, and it looks at every output once instead of at
//! every input's two to four windows.

use crate::error::OpError;
use crate::real::Real;
use crate::storage::{slice, with_cpu};
use crate::window::{Grid, Rounding, Window};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};
use pulp::Arch;
use rayon::prelude::*;
use std::sync::Mutex;

/// Max pooling's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool2d {
    window: Window,
}

/// One application of max pooling: it remembers the winners of its forward pass.
#[derive(Debug)]
pub struct MaxPool2dOp {
    pool: MaxPool2d,
    winners: Mutex<Vec<u8>>,
}

impl MaxPool2d {
    /// # Errors
    /// As [`Window::checked`].
    pub fn new(
        kernel: (usize, usize),
        stride: (usize, usize),
        padding: (usize, usize),
        rounding: Rounding,
    ) -> std::result::Result<Self, OpError> {
        let window = Window {
            kernel,
            stride,
            padding,
            rounding,
        };
        Ok(Self {
            window: window.checked("max-pool2d")?,
        })
    }

    /// A fresh application, for one forward and its backward.
    pub fn op(&self) -> MaxPool2dOp {
        MaxPool2dOp {
            pool: *self,
            winners: Mutex::default(),
        }
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1(self.op())
    }

    /// The same values for inference: no winners are found or kept, and there is no backward.
    pub fn forward_without_winners(&self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1_no_bwd(&MaxOnly(*self))
    }
}

/// Max pooling by its definition: values and winners' places of one plane.
pub fn reference(
    op: &MaxPool2d,
    plane: &[f64],
    size: (usize, usize),
) -> Result<(Vec<f64>, Vec<u8>)> {
    let grid = op
        .window
        .over("max-pool2d", &Shape::from((1, 1, size.0, size.1)))?;
    let mut best = (Vec::new(), Vec::new());
    for i in 0..grid.out.0 {
        for j in 0..grid.out.1 {
            let ((rows, u), (columns, v)) = (grid.rows(i), grid.columns(j));
            let mut winner = (f64::NEG_INFINITY, None);
            for (du, row) in rows.enumerate() {
                for (dv, column) in columns.clone().enumerate() {
                    let value = plane[row * size.1 + column];
                    let place = ((u + du) * op.window.kernel.1 + v + dv) as u8;
                    let wins = value > winner.0 || (value.is_nan() && !winner.0.is_nan());
                    if winner.1.is_none() || wins {
                        winner = (value, Some(place));
                    }
                }
            }
            best.0.push(winner.0);
            best.1.push(winner.1.unwrap_or(0));
        }
    }
    Ok(best)
}

/// Whether `value` takes the place of `best`, found earlier in the window.
#[inline(always)]
fn beats<T: Real>(value: T, best: T) -> bool {
    value > best || (is_nan(value) && !is_nan(best))
}

#[inline(always)]
#[allow(clippy::eq_op, reason = "only NaN differs from itself")]
fn is_nan<T: Real>(value: T) -> bool {
    value != value
}

/// Pools one plane: first down the rows of each column, which runs along memory, then across.
#[inline(always)]
fn pool_plane<T: Real>(
    grid: &Grid,
    x: &[T],
    y: &mut [T],
    winners: &mut [u8],
    (column_best, column_row): (&mut [T], &mut [u8]),
) {
    let (width, kernel_width) = (grid.size.1, grid.window.kernel.1 as u8);
    let outputs = y
        .chunks_exact_mut(grid.out.1)
        .zip(winners.chunks_exact_mut(grid.out.1));
    for (i, (y, winners)) in outputs.enumerate() {
        let (rows, u) = grid.rows(i);
        column_best.copy_from_slice(&x[rows.start * width..][..width]);
        column_row.fill(u as u8);
        for (du, row) in rows.enumerate().skip(1) {
            let place = (u + du) as u8;
            let row = &x[row * width..][..width];
            for ((best, at), value) in column_best.iter_mut().zip(column_row.iter_mut()).zip(row) {
                let wins = beats(*value, *best);
                *best = if wins { *value } else { *best };
                *at = if wins { place } else { *at };
            }
        }
        for (j, (y, winner)) in y.iter_mut().zip(winners).enumerate() {
            let (columns, v) = grid.columns(j);
            let first = columns.start;
            let mut best = column_best[first];
            let mut place = column_row[first] * kernel_width + v as u8;
            for (dv, column) in columns.enumerate().skip(1) {
                let value = column_best[column];
                let here = column_row[column] * kernel_width + (v + dv) as u8;
                // An equal value further up in the window came first.
                let tie = value == best || (is_nan(value) && is_nan(best));
                if beats(value, best) || (tie && here < place) {
                    (best, place) = (value, here);
                }
            }
            (*y, *winner) = (best, place);
        }
    }
}

fn forward<T: Real>(grid: &Grid, x: &[T]) -> (Vec<T>, Vec<u8>) {
    let (plane, out) = (grid.size.0 * grid.size.1, grid.out.0 * grid.out.1);
    let planes = x.len() / plane;
    let (mut y, mut winners) = (vec![T::ZERO; planes * out], vec![0u8; planes * out]);
    y.par_chunks_mut(out)
        .zip(winners.par_chunks_mut(out))
        .zip(x.par_chunks(plane))
        .for_each_init(
            || (vec![T::ZERO; grid.size.1], vec![0u8; grid.size.1]),
            |(best, row), ((y, winners), x)| {
                Arch::new().dispatch(
                    #[inline(always)]
                    || pool_plane(grid, x, y, winners, (best, row)),
                );
            },
        );
    (y, winners)
}

fn backward<T: Real>(grid: &Grid, winners: &[u8], dy: &[T]) -> Vec<T> {
    let (plane, out) = (grid.size.0 * grid.size.1, grid.out.0 * grid.out.1);
    let Window {
        kernel: (_, kw),
        stride,
        padding,
        ..
    } = grid.window;
    let mut dx = vec![T::ZERO; winners.len() / out * plane];
    // Offset of a place in the window from the window's first row and column.
    let places: Vec<(usize, usize)> = (0..256).map(|place| (place / kw, place % kw)).collect();
    dx.par_chunks_mut(plane)
        .zip(winners.par_chunks(out))
        .zip(dy.par_chunks(out))
        .for_each(|((dx, winners), dy)| {
            let rows = winners
                .chunks_exact(grid.out.1)
                .zip(dy.chunks_exact(grid.out.1));
            for (i, (winners, dy)) in rows.enumerate() {
                for (j, (winner, dy)) in winners.iter().zip(dy).enumerate() {
                    let (u, v) = places[usize::from(*winner)];
                    let row = i * stride.0 + u - padding.0;
                    dx[row * grid.size.1 + j * stride.1 + v - padding.1] += *dy;
                }
            }
        });
    dx
}

/// Max pooling that does not remember.
struct MaxOnly(MaxPool2d);

/// The maxima of one plane, down the columns and then across as in `pool_plane`.
#[inline(always)]
fn maxima_of_plane<T: Real>(grid: &Grid, x: &[T], y: &mut [T], column_best: &mut [T]) {
    let width = grid.size.1;
    for (i, y) in y.chunks_exact_mut(grid.out.1).enumerate() {
        let rows = grid.rows(i).0;
        column_best.copy_from_slice(&x[rows.start * width..][..width]);
        for row in rows.skip(1) {
            for (best, value) in column_best.iter_mut().zip(&x[row * width..][..width]) {
                *best = if beats(*value, *best) { *value } else { *best };
            }
        }
        for (j, y) in y.iter_mut().enumerate() {
            let columns = grid.columns(j).0;
            let mut best = column_best[columns.start];
            for value in &column_best[columns.start + 1..columns.end] {
                best = if beats(*value, best) { *value } else { best };
            }
            *y = best;
        }
    }
}

fn maxima<T: Real>(grid: &Grid, x: &[T]) -> Vec<T> {
    let (plane, out) = (grid.size.0 * grid.size.1, grid.out.0 * grid.out.1);
    let mut y = vec![T::ZERO; x.len() / plane * out];
    y.par_chunks_mut(out)
        .zip(x.par_chunks(plane))
        .for_each_init(
            || vec![T::ZERO; grid.size.1],
            |best, (y, x)| {
                Arch::new().dispatch(
                    #[inline(always)]
                    || maxima_of_plane(grid, x, y, best),
                );
            },
        );
    y
}

impl CustomOp1 for MaxOnly {
    fn name(&self) -> &'static str {
        "max-pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let grid = self.0.window.over("max-pool2d", l.shape())?;
        let y = match x {
            CpuStorage::F32(_) => CpuStorage::F32(maxima(&grid, slice::<f32>(x, l)?)),
            CpuStorage::F64(_) => CpuStorage::F64(maxima(&grid, slice::<f64>(x, l)?)),
            other => return Err(OpError::dtype("max-pool2d", other.dtype()).into()),
        };
        let dims = l.dims();
        Ok((y, Shape::from((dims[0], dims[1], grid.out.0, grid.out.1))))
    }
}

impl CustomOp1 for MaxPool2dOp {
    fn name(&self) -> &'static str {
        "max-pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let grid = self.pool.window.over("max-pool2d", l.shape())?;
        let (y, winners) = match x {
            CpuStorage::F32(_) => {
                let (y, winners) = forward(&grid, slice::<f32>(x, l)?);
                (CpuStorage::F32(y), winners)
            }
            CpuStorage::F64(_) => {
                let (y, winners) = forward(&grid, slice::<f64>(x, l)?);
                (CpuStorage::F64(y), winners)
            }
            other => return Err(OpError::dtype("max-pool2d", other.dtype()).into()),
        };
        *self
            .winners
            .lock()
            .expect("nothing panics while it holds the lock") = winners;
        let dims = l.dims();
        Ok((y, Shape::from((dims[0], dims[1], grid.out.0, grid.out.1))))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let grid = self.pool.window.over("max-pool2d", x.shape())?;
        let winners = self
            .winners
            .lock()
            .expect("nothing panics while it holds the lock");
        if winners.len() != dy.elem_count() {
            let got = format!("{} winners, dy {:?}", winners.len(), dy.dims());
            return Err(OpError::shape("max-pool2d", "backward before its forward", got).into());
        }
        let dy = dy.contiguous()?;
        let dx = match dy.dtype() {
            DType::F32 => with_cpu::<f32, _>(&[Some(&dy)], |t| {
                Tensor::from_vec(backward(&grid, &winners, t[0]), x.shape(), x.device())
            })?,
            DType::F64 => with_cpu::<f64, _>(&[Some(&dy)], |t| {
                Tensor::from_vec(backward(&grid, &winners, t[0]), x.shape(), x.device())
            })?,
            other => return Err(OpError::dtype("max-pool2d", other).into()),
        };
        Ok(Some(dx))
    }
}
