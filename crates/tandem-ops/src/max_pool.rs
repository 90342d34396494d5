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
use crate::planes::Planes;
use crate::real::Real;
use crate::storage::slice;
use crate::window::{Grid, Rounding, Window};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::sync::{Mutex, MutexGuard};

/// Max pooling's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool2d {
    window: Window,
}

/// One application of max pooling: it remembers the winners of its forward pass.
pub struct MaxPool2dOp {
    pool: MaxPool2d,
    winners: Mutex<Winners>,
}

/// The winner of each output, on the device of the forward pass.
enum Winners {
    Cpu(Vec<u8>),
    #[cfg(feature = "cuda")]
    Cuda {
        places: crate::cuda::Buffer<u8>,
        count: usize,
    },
}

impl Default for Winners {
    fn default() -> Self {
        Self::Cpu(Vec::new())
    }
}

impl Winners {
    fn len(&self) -> usize {
        match self {
            Self::Cpu(places) => places.len(),
            #[cfg(feature = "cuda")]
            Self::Cuda { count, .. } => *count,
        }
    }
}

impl MaxPool2dOp {
    fn winners(&self) -> MutexGuard<'_, Winners> {
        self.winners
            .lock()
            .expect("nothing panics while it holds the lock")
    }

    /// Where the windows lie over an input.
    #[cfg(feature = "cuda")]
    pub(crate) fn grid(&self, x: &Shape) -> Result<Grid> {
        self.pool.window.over("max-pool2d", x)
    }

    /// Keeps the winners of an input of layout `l` for backward; gives the output's shape.
    #[cfg(feature = "cuda")]
    pub(crate) fn remember(
        &self,
        places: crate::cuda::Buffer<u8>,
        l: &Layout,
        grid: &Grid,
    ) -> Shape {
        let dims = l.dims();
        let shape = Shape::from((dims[0], dims[1], grid.out.0, grid.out.1));
        let count = shape.elem_count();
        *self.winners() = Winners::Cuda { places, count };
        shape
    }
}

/// In any candle network, with its gradient.
impl candle_core::Module for MaxPool2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        MaxPool2d::forward(self, x)
    }
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

/// Whether `value` takes the place of `best`, found earlier in the window: it is larger, or NaN
/// where `best` is a number.
#[inline(always)]
#[allow(
    clippy::eq_op,
    clippy::neg_cmp_op_on_partial_ord,
    reason = "NaN differs from itself, and is neither above nor below any number"
)]
fn beats<T: Real>(value: T, best: T) -> bool {
    !(value <= best) & (best == best)
}

/// The scratch memory of one thread: the plane in its stride phases, and maxima and winners in
/// rows of the phases' width.
struct Scratch<T> {
    phases: Vec<T>,
    best: Vec<T>,
    places: Vec<u32>,
}

/// Pools planes of one size.
///
/// The plane is first cut into its stride phases, so that place `(u, v)` of all windows is one
/// run of memory; a run is compared with the maxima so far in one loop, place after place in
/// row-major order. The padding is −∞ and beats nothing.
struct Pooling<'a> {
    grid: &'a Grid,
    phases: Planes,
    /// The first place of each window that lies in the picture, in rows of the phases' width.
    first: Vec<u32>,
}

impl<'a> Pooling<'a> {
    fn new(grid: &'a Grid) -> Self {
        let Window { kernel, stride, .. } = grid.window;
        let height = (grid.out.0 - 1) * stride.0 + kernel.0;
        let width = (grid.out.1 - 1) * stride.1 + kernel.1;
        let phases = Planes::new(1, height, width, stride);
        let mut first = vec![0; (grid.out.0 - 1) * phases.width + grid.out.1];
        for (i, row) in first.chunks_mut(phases.width).enumerate() {
            for (j, place) in row.iter_mut().enumerate().take(grid.out.1) {
                *place = (grid.rows(i).1 * kernel.1 + grid.columns(j).1) as u32;
            }
        }
        Self {
            grid,
            phases,
            first,
        }
    }

    fn scratch<T: Real>(&self) -> Scratch<T> {
        let lowest = T::from_f64(f64::NEG_INFINITY);
        Scratch {
            phases: vec![lowest; self.phases.len()],
            best: vec![lowest; self.first.len()],
            places: self.first.clone(),
        }
    }
}

/// One plane to pool.
struct Plane<'a, T> {
    pooling: &'a Pooling<'a>,
    x: &'a [T],
    y: &'a mut [T],
    winners: &'a mut [u8],
    scratch: &'a mut Scratch<T>,
}

impl<T: Real> WithSimd for Plane<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Pooling {
            grid,
            phases: planes,
            first,
        } = self.pooling;
        let Window {
            kernel, padding, ..
        } = grid.window;
        let Scratch {
            phases,
            best,
            places,
        } = self.scratch;
        let corner = (padding.0 as isize, padding.1 as isize);
        planes.fill(self.x, grid.size, corner, phases);
        best.fill(T::from_f64(f64::NEG_INFINITY));
        places.copy_from_slice(first);
        for u in 0..kernel.0 {
            for v in 0..kernel.1 {
                let here = (u * kernel.1 + v) as u32;
                let values = &phases[planes.at(0, u, v)..][..best.len()];
                for ((best, place), value) in best.iter_mut().zip(places.iter_mut()).zip(values) {
                    let wins = beats(*value, *best);
                    *best = if wins { *value } else { *best };
                    *place = if wins { here } else { *place };
                }
            }
        }
        let width = grid.out.1;
        let found = best.chunks(planes.width).zip(places.chunks(planes.width));
        let rows = self.y.chunks_exact_mut(width);
        let rows = rows.zip(self.winners.chunks_exact_mut(width));
        for ((y, winners), (best, places)) in rows.zip(found) {
            y.copy_from_slice(&best[..width]);
            for (winner, place) in winners.iter_mut().zip(places) {
                *winner = *place as u8;
            }
        }
    }
}

fn forward<T: Real>(grid: &Grid, x: &[T]) -> (Vec<T>, Vec<u8>) {
    let (plane, out) = (grid.size.0 * grid.size.1, grid.out.0 * grid.out.1);
    let planes = x.len() / plane;
    let (mut y, mut winners) = (vec![T::ZERO; planes * out], vec![0u8; planes * out]);
    let pooling = Pooling::new(grid);
    y.par_chunks_mut(out)
        .zip(winners.par_chunks_mut(out))
        .zip(x.par_chunks(plane))
        .for_each_init(
            || pooling.scratch(),
            |scratch, ((y, winners), x)| {
                let pooling = &pooling;
                Arch::new().dispatch(Plane {
                    pooling,
                    x,
                    y,
                    winners,
                    scratch,
                });
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
        *self.winners() = Winners::Cpu(winners);
        let dims = l.dims();
        Ok((y, Shape::from((dims[0], dims[1], grid.out.0, grid.out.1))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, l: &Layout) -> Result<(CudaStorage, Shape)> {
        let grid = self.grid(l.shape())?;
        let (y, places) = crate::cuda::max_pool::forward(&grid, x, l)?;
        Ok((y, self.remember(places, l, &grid)))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let op = MaxPool2dBackward {
            grid: self.pool.window.over("max-pool2d", x.shape())?,
            input: x.shape(),
            winners: &self.winners(),
        };
        if op.winners.len() != dy.elem_count() {
            let got = format!("{} winners, dy {:?}", op.winners.len(), dy.dims());
            return Err(OpError::shape("max-pool2d", "backward before its forward", got).into());
        }
        Ok(Some(dy.contiguous()?.apply_op1_no_bwd(&op)?))
    }
}

/// The gradient of the input, from the output's and the winners of the forward pass.
struct MaxPool2dBackward<'a> {
    grid: Grid,
    input: &'a Shape,
    winners: &'a Winners,
}

impl MaxPool2dBackward<'_> {
    /// The forward pass ran elsewhere.
    #[cfg(feature = "cuda")]
    fn elsewhere(&self, device: &str) -> candle_core::Error {
        let what = "its forward pass ran on another device";
        OpError::shape("max-pool2d", what, format!("dy on {device}")).into()
    }
}

impl CustomOp1 for MaxPool2dBackward<'_> {
    fn name(&self) -> &'static str {
        "max-pool2d-backward"
    }

    fn cpu_fwd(&self, dy: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        #[cfg_attr(
            not(feature = "cuda"),
            allow(
                clippy::infallible_destructuring_match,
                reason = "without CUDA there is one place for them to be"
            )
        )]
        let winners = match self.winners {
            Winners::Cpu(winners) => winners,
            #[cfg(feature = "cuda")]
            Winners::Cuda { .. } => return Err(self.elsewhere("the CPU")),
        };
        let grid = &self.grid;
        let dx = match dy {
            CpuStorage::F32(_) => CpuStorage::F32(backward(grid, winners, slice::<f32>(dy, l)?)),
            CpuStorage::F64(_) => CpuStorage::F64(backward(grid, winners, slice::<f64>(dy, l)?)),
            other => return Err(OpError::dtype("max-pool2d", other.dtype()).into()),
        };
        Ok((dx, self.input.clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, dy: &CudaStorage, l: &Layout) -> Result<(CudaStorage, Shape)> {
        let Winners::Cuda { places, .. } = self.winners else {
            return Err(self.elsewhere("a GPU"));
        };
        let dx = crate::cuda::max_pool::backward(&self.grid, self.input, places, dy, l)?;
        Ok((dx, self.input.clone()))
    }
}
