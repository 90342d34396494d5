//! Average pooling over windows that may overlap.
//!
//! `y[n, c, i, j]` is the sum over the window divided by its places, padding counted and what hangs
//! over beyond the padding not: PyTorch's `count_include_pad=True`. `x (N, C, H, W)`.

use crate::error::OpError;
use crate::real::Real;
use crate::storage::slice;
use crate::window::{Grid, Rounding, Window};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Average pooling's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvgPool2d {
    window: Window,
}

/// In any candle network, with its gradient.
impl candle_core::Module for AvgPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        AvgPool2d::forward(self, x)
    }
}

impl AvgPool2d {
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
            window: window.checked("avg-pool2d")?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1(*self)
    }
}

/// Places of window `(i, j)` that count: all but those beyond the right and lower padding.
fn places<T: Real>(grid: &Grid, i: usize, j: usize) -> T {
    let Window {
        kernel,
        stride,
        padding,
        ..
    } = grid.window;
    let height = kernel.0.min(grid.size.0 + 2 * padding.0 - i * stride.0);
    let width = kernel.1.min(grid.size.1 + 2 * padding.1 - j * stride.1);
    T::from_f64((height * width) as f64)
}

fn forward<T: Real>(grid: &Grid, x: &[T]) -> Vec<T> {
    let (plane, out) = (grid.size.0 * grid.size.1, grid.out.0 * grid.out.1);
    let mut y = vec![T::ZERO; x.len() / plane * out];
    y.par_chunks_mut(out)
        .zip(x.par_chunks(plane))
        .for_each(|(y, x)| {
            for i in 0..grid.out.0 {
                for j in 0..grid.out.1 {
                    let mut sum = T::ZERO;
                    for row in grid.rows(i).0 {
                        for value in &x[row * grid.size.1..][grid.columns(j).0] {
                            sum += *value;
                        }
                    }
                    y[i * grid.out.1 + j] = sum / places(grid, i, j);
                }
            }
        });
    y
}

fn backward<T: Real>(grid: &Grid, dy: &[T]) -> Vec<T> {
    let (plane, out) = (grid.size.0 * grid.size.1, grid.out.0 * grid.out.1);
    let mut dx = vec![T::ZERO; dy.len() / out * plane];
    dx.par_chunks_mut(plane)
        .zip(dy.par_chunks(out))
        .for_each(|(dx, dy)| {
            for i in 0..grid.out.0 {
                for j in 0..grid.out.1 {
                    let share = dy[i * grid.out.1 + j] / places(grid, i, j);
                    for row in grid.rows(i).0 {
                        for dx in &mut dx[row * grid.size.1..][grid.columns(j).0] {
                            *dx += share;
                        }
                    }
                }
            }
        });
    dx
}

impl CustomOp1 for AvgPool2d {
    fn name(&self) -> &'static str {
        "avg-pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let grid = self.window.over("avg-pool2d", l.shape())?;
        let y = match x {
            CpuStorage::F32(_) => CpuStorage::F32(forward(&grid, slice::<f32>(x, l)?)),
            CpuStorage::F64(_) => CpuStorage::F64(forward(&grid, slice::<f64>(x, l)?)),
            other => return Err(OpError::dtype("avg-pool2d", other.dtype()).into()),
        };
        let dims = l.dims();
        Ok((y, Shape::from((dims[0], dims[1], grid.out.0, grid.out.1))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, l: &Layout) -> Result<(CudaStorage, Shape)> {
        let grid = self.window.over("avg-pool2d", l.shape())?;
        let y = crate::cuda::avg_pool::forward(&grid, x, l)?;
        let dims = l.dims();
        Ok((y, Shape::from((dims[0], dims[1], grid.out.0, grid.out.1))))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let grid = self.window.over("avg-pool2d", x.shape())?;
        let op = AvgPool2dBackward {
            grid,
            input: x.shape(),
        };
        Ok(Some(dy.contiguous()?.apply_op1_no_bwd(&op)?))
    }
}

/// The gradient of the input, from the output's.
struct AvgPool2dBackward<'a> {
    grid: Grid,
    input: &'a Shape,
}

impl CustomOp1 for AvgPool2dBackward<'_> {
    fn name(&self) -> &'static str {
        "avg-pool2d-backward"
    }

    fn cpu_fwd(&self, dy: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        let dx = match dy {
            CpuStorage::F32(_) => CpuStorage::F32(backward(&self.grid, slice::<f32>(dy, l)?)),
            CpuStorage::F64(_) => CpuStorage::F64(backward(&self.grid, slice::<f64>(dy, l)?)),
            other => return Err(OpError::dtype("avg-pool2d", other.dtype()).into()),
        };
        Ok((dx, self.input.clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, dy: &CudaStorage, l: &Layout) -> Result<(CudaStorage, Shape)> {
        let dx = crate::cuda::avg_pool::backward(&self.grid, dy, l)?;
        Ok((dx, self.input.clone()))
    }
}
