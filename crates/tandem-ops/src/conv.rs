//! Two-dimensional convolution with stride, padding and groups, and the ReLU after it if wanted.
//!
//! `y[n, o, i, j] = f(b[o] + Σ_{c,u,v} w[o, c, u, v] · x[n, c, i·s + u − p, j·s + v − p])`, the sum
//! over the input channels of `o`'s group. Shapes: `x (N, C, H, W)`, `w (O, C / groups, kh, kw)`,
//! `b (O,)`, `y (N, O, H', W')`. In the paper (Section 3.5) groups are the towers: a kernel that
//! sees only the maps on its own GPU.

use crate::activation::Activation;
use crate::error::OpError;
use crate::planes::Planes;
use crate::product::{
    DEPTH, Finish, Panels, Product, Runs, Start, Store, Tiles, pack_tiles, tile_of_rows,
};
use crate::real::Real;
use crate::storage::{slice, with_cpu};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Storage, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// A convolution's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    stride: (usize, usize),
    padding: (usize, usize),
    groups: usize,
    activation: Activation,
}

impl Conv2d {
    /// # Errors
    /// When a stride or the number of groups is zero.
    pub fn new(
        stride: (usize, usize),
        padding: (usize, usize),
        groups: usize,
        activation: Activation,
    ) -> std::result::Result<Self, OpError> {
        if stride.0 == 0 || stride.1 == 0 || groups == 0 {
            return Err(OpError::parameter(
                "conv2d",
                format!("stride {stride:?} and groups {groups} must be at least 1"),
            ));
        }
        Ok(Self {
            stride,
            padding,
            groups,
            activation,
        })
    }

    /// Applies the convolution: `x (N, C, H, W)`, `w (O, C/groups, kh, kw)`, `b (O,)`.
    pub fn forward(&self, x: &Tensor, w: &Tensor, b: &Tensor) -> Result<Tensor> {
        x.contiguous()?
            .apply_op3(&w.contiguous()?, &b.contiguous()?, *self)
    }

    fn geometry(&self, x: &Shape, w: &Shape) -> Result<Geometry> {
        let shapes = || format!("x {:?}, w {:?}, {self:?}", x.dims(), w.dims());
        let fail = |what: &str| candle_core::Error::wrap(OpError::shape("conv2d", what, shapes()));
        let (&[n, c, h, width], &[o, cg, kh, kw]) = (x.dims(), w.dims()) else {
            return Err(fail("x and w must have four dimensions"));
        };
        if c != cg * self.groups || o % self.groups != 0 {
            return Err(fail("channels do not fit the groups"));
        }
        let padded = (h + 2 * self.padding.0, width + 2 * self.padding.1);
        if kh == 0 || kw == 0 || padded.0 < kh || padded.1 < kw {
            return Err(fail("the kernel is larger than the padded picture"));
        }
        Ok(Geometry {
            n,
            c: cg,
            o: o / self.groups,
            groups: self.groups,
            size: (h, width),
            padded,
            kernel: (kh, kw),
            out: (
                (padded.0 - kh) / self.stride.0 + 1,
                (padded.1 - kw) / self.stride.1 + 1,
            ),
            stride: self.stride,
            padding: self.padding,
        })
    }
}

/// Sizes of one application; `c` and `o` are channels a group.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    n: usize,
    c: usize,
    o: usize,
    groups: usize,
    size: (usize, usize),
    padded: (usize, usize),
    kernel: (usize, usize),
    out: (usize, usize),
    stride: (usize, usize),
    padding: (usize, usize),
}

impl Geometry {
    fn taps(&self) -> usize {
        self.c * self.kernel.0 * self.kernel.1
    }
    fn out_pixels(&self) -> usize {
        self.out.0 * self.out.1
    }
    fn in_len(&self) -> usize {
        self.c * self.size.0 * self.size.1
    }
    fn out_len(&self) -> usize {
        self.o * self.out_pixels()
    }
}

/// The convolution by its definition, one output after the other, for tests.
pub fn reference(op: &Conv2d, x: &Tensor, w: &Tensor, b: &Tensor) -> Result<Tensor> {
    let g = op.geometry(x.shape(), w.shape())?;
    let read = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let (xs, ws, bs) = (read(x)?, read(w)?, read(b)?);
    let mut y = Vec::with_capacity(g.n * g.groups * g.out_len());
    for n in 0..g.n {
        for (o, bias) in bs.iter().enumerate() {
            for (i, j) in (0..g.out.0).flat_map(|i| (0..g.out.1).map(move |j| (i, j))) {
                let mut sum = *bias;
                for c in 0..g.c {
                    let channel = n * g.groups * g.c + o / g.o * g.c + c;
                    for u in 0..g.kernel.0 {
                        for v in 0..g.kernel.1 {
                            let row = (i * g.stride.0 + u).wrapping_sub(g.padding.0);
                            let column = (j * g.stride.1 + v).wrapping_sub(g.padding.1);
                            if row < g.size.0 && column < g.size.1 {
                                let tap = ((o * g.c + c) * g.kernel.0 + u) * g.kernel.1 + v;
                                let at = (channel * g.size.0 + row) * g.size.1 + column;
                                sum += ws[tap] * xs[at];
                            }
                        }
                    }
                }
                y.push(if op.activation == Activation::Relu {
                    sum.max(0.0)
                } else {
                    sum
                });
            }
        }
    }
    Tensor::from_vec(y, (g.n, g.groups * g.o, g.out.0, g.out.1), x.device())?.to_dtype(x.dtype())
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
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
        let g = self.geometry(xl.shape(), wl.shape())?;
        if bl.dims() != [g.groups * g.o] {
            let got = format!("b {:?} for {} channels", bl.dims(), g.groups * g.o);
            return Err(OpError::shape("conv2d", "one bias a channel", got).into());
        }
        let shape = Shape::from((g.n, g.groups * g.o, g.out.0, g.out.1));
        let storage = match x {
            CpuStorage::F32(_) => {
                let y = forward::<f32>(
                    &g,
                    self.activation,
                    slice(x, xl)?,
                    slice(w, wl)?,
                    slice(b, bl)?,
                );
                CpuStorage::F32(y)
            }
            CpuStorage::F64(_) => {
                let y = forward::<f64>(
                    &g,
                    self.activation,
                    slice(x, xl)?,
                    slice(w, wl)?,
                    slice(b, bl)?,
                );
                CpuStorage::F64(y)
            }
            _ => return Err(OpError::dtype("conv2d", x.dtype()).into()),
        };
        Ok((storage, shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dx = self.input_gradient(x.shape(), w, y, dy)?;
        let (dw, db) = self.weight_gradient(x, w.shape(), y, dy)?;
        debug_assert_eq!(db.shape(), b.shape());
        Ok((Some(dx), Some(dw), Some(db)))
    }
}

impl Conv2d {
    /// Gradient of the loss for `x (N, C, H, W)`, from `w`, the output `y` and its gradient `dy`.
    pub fn input_gradient(&self, x: &Shape, w: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let g = self.geometry(x, w.shape())?;
        let (w, y, dy) = (w.contiguous()?, y.contiguous()?, dy.contiguous()?);
        let y = (self.activation == Activation::Relu).then_some(&y);
        match w.dtype() {
            DType::F32 => with_cpu::<f32, _>(&[Some(&w), y, Some(&dy)], |s| {
                Tensor::from_vec(input_gradient(&g, s[0], s[1], s[2]), x, w.device())
            }),
            DType::F64 => with_cpu::<f64, _>(&[Some(&w), y, Some(&dy)], |s| {
                Tensor::from_vec(input_gradient(&g, s[0], s[1], s[2]), x, w.device())
            }),
            other => Err(OpError::dtype("conv2d", other).into()),
        }
    }

    /// Gradients for `w` and `b`, from the input, the output `y` and its gradient `dy`.
    pub fn weight_gradient(
        &self,
        x: &Tensor,
        w: &Shape,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let g = self.geometry(x.shape(), w)?;
        let (x, y, dy) = (x.contiguous()?, y.contiguous()?, dy.contiguous()?);
        let y = (self.activation == Activation::Relu).then_some(&y);
        let tensors = |dw: CpuStorage, db: CpuStorage| -> Result<(Tensor, Tensor)> {
            let none = candle_core::op::BackpropOp::none;
            Ok((
                Tensor::from_storage(Storage::Cpu(dw), w, none(), false),
                Tensor::from_storage(Storage::Cpu(db), g.groups * g.o, none(), false),
            ))
        };
        match x.dtype() {
            DType::F32 => with_cpu::<f32, _>(&[Some(&x), y, Some(&dy)], |s| {
                let (dw, db) = weight_gradient(&g, s[0], s[1], s[2]);
                tensors(CpuStorage::F32(dw), CpuStorage::F32(db))
            }),
            DType::F64 => with_cpu::<f64, _>(&[Some(&x), y, Some(&dy)], |s| {
                let (dw, db) = weight_gradient(&g, s[0], s[1], s[2]);
                tensors(CpuStorage::F64(dw), CpuStorage::F64(db))
            }),
            other => Err(OpError::dtype("conv2d", other).into()),
        }
    }
}

/// Pixels of the output that are packed and multiplied together: 512 × DEPTH floats are 512 KiB.
const PIXELS: usize = 512;

/// One stride-1 correlation of phase planes with packed weights; forward and input gradient alike.
struct Correlation {
    planes: Planes,
    /// Offset of each tap (a row of the unfolded picture) in the planes.
    taps: Vec<usize>,
    out: (usize, usize),
}

/// Weights in tiles, one stretch of at most DEPTH taps after the other.
struct Weights<T> {
    tiles: Tiles,
    packed: Vec<T>,
}

impl<T: Real> Weights<T> {
    fn pack(rows: usize, depth: usize, at: impl Fn(usize, usize) -> T) -> Self {
        let tiles = Tiles::new::<T>(rows);
        let mut packed = Vec::with_capacity(rows * depth);
        let mut stretch = Vec::new();
        for k in (0..depth).step_by(DEPTH) {
            let here = DEPTH.min(depth - k);
            pack_tiles(tiles, here, |row, t| at(row, k + t), &mut stretch);
            packed.extend_from_slice(&stretch);
        }
        Self { tiles, packed }
    }
}

impl Correlation {
    /// `out (rows, out.0 · out.1) = start + weights · unfolded planes`.
    fn run<T: Real>(
        &self,
        planes: &[T],
        weights: &Weights<T>,
        bias: Option<&[T]>,
        finish: Finish,
        panels: &mut Vec<T>,
        out: &mut [T],
    ) {
        let pixels = self.out.0 * self.out.1;
        let rows = weights.tiles.rows;
        for first in (0..pixels).step_by(PIXELS) {
            let chunk = Panels::new::<T>(PIXELS.min(pixels - first));
            for k in (0..self.taps.len()).step_by(DEPTH) {
                let depth = DEPTH.min(self.taps.len() - k);
                let pack = PackPixels {
                    planes,
                    width: self.planes.width,
                    out_width: self.out.1,
                    taps: &self.taps[k..k + depth],
                    first,
                    panels: chunk,
                    out: panels,
                };
                Arch::new().dispatch(pack);
                let last = k + depth == self.taps.len();
                Product {
                    tiles: weights.tiles,
                    panels: chunk,
                    depth,
                    left: &weights.packed[k * rows..(k + depth) * rows],
                    right: panels,
                    out: &mut out[first..],
                    pitch: pixels,
                    start: match (k, bias) {
                        (0, Some(bias)) => Start::RowValue(bias),
                        (0, None) => Start::Zero,
                        _ => Start::Accumulate,
                    },
                    finish: if last { finish } else { Finish::Nothing },
                }
                .run();
            }
        }
    }
}

/// Unfolds pixels `first..` of the output for some taps straight into panels.
struct PackPixels<'a, T> {
    planes: &'a [T],
    width: usize,
    out_width: usize,
    taps: &'a [usize],
    first: usize,
    panels: Panels,
    out: &'a mut Vec<T>,
}

impl<T: Real> WithSimd for PackPixels<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let depth = self.taps.len();
        // One vector of slack: a run is copied in whole vectors, and what it writes past its end
        // is written again by the run or the tap that comes there.
        self.out
            .resize(self.panels.padded() * depth + lanes, T::ZERO);
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for p in 0..self.panels.count() {
            let (column, width, real) = self.panels.span(p);
            runs.clear();
            let mut at = 0;
            while at < real {
                let pixel = self.first + column + at;
                let (row, x) = (pixel / self.out_width, pixel % self.out_width);
                let run = (self.out_width - x).min(real - at);
                runs.extend(
                    (0..run)
                        .step_by(lanes)
                        .map(|s| (at + s, row * self.width + x + s)),
                );
                at += run;
            }
            let panel = &mut self.out[column * depth..(column + width) * depth + lanes];
            for (k, tap) in self.taps.iter().enumerate() {
                let to = &mut panel[k * width..(k + 1) * width + lanes];
                for &(at, from) in &runs {
                    let from = T::as_simd::<S>(&self.planes[tap + from..][..lanes]).0[0];
                    T::as_mut_simd::<S>(&mut to[at..at + lanes]).0[0] = from;
                }
            }
        }
        // The last panel may be wider than its pixels: what lies there is finite but meaningless,
        // and its columns of C are never stored.
    }
}

/// Scratch memory of one thread, kept from picture to picture.
struct Scratch<T> {
    planes: Vec<T>,
    panels: Vec<T>,
    masked: Vec<T>,
    image: Vec<T>,
    left: Vec<T>,
}

impl<T: Real> Scratch<T> {
    fn new(planes: usize) -> Self {
        Self {
            planes: vec![T::ZERO; planes],
            panels: Vec::new(),
            masked: Vec::new(),
            image: Vec::new(),
            left: Vec::new(),
        }
    }
}

fn forward<T: Real>(g: &Geometry, activation: Activation, x: &[T], w: &[T], b: &[T]) -> Vec<T> {
    let planes = Planes::new(g.c, g.padded.0, g.padded.1, g.stride);
    let (kh, kw) = g.kernel;
    let taps = (0..g.taps())
        .map(|k| planes.at(k / (kh * kw), k / kw % kh, k % kw))
        .collect();
    let correlation = Correlation {
        planes,
        taps,
        out: g.out,
    };
    let weights: Vec<_> = (0..g.groups)
        .map(|group| {
            let w = &w[group * g.o * g.taps()..][..g.o * g.taps()];
            Weights::pack(g.o, g.taps(), |row, k| w[row * g.taps() + k])
        })
        .collect();
    let finish = match activation {
        Activation::Relu => Finish::Relu,
        Activation::None => Finish::Nothing,
    };
    let mut y = vec![T::ZERO; g.n * g.groups * g.out_len()];
    let (top, left) = (g.padding.0 as isize, g.padding.1 as isize);
    y.par_chunks_mut(g.out_len()).enumerate().for_each_init(
        || Scratch::new(planes.len() + T::lanes()),
        |scratch, (i, y)| {
            let group = i % g.groups;
            let picture = &x[i * g.in_len()..][..g.in_len()];
            planes.fill(picture, g.size, (top, left), &mut scratch.planes);
            let bias = &b[group * g.o..][..g.o];
            let Scratch { planes, panels, .. } = scratch;
            correlation.run(planes, &weights[group], Some(bias), finish, panels, y);
        },
    );
    y
}

/// `dy` where the ReLU let the output through; `dy` itself without a ReLU.
fn masked<'a, T: Real>(y: &[T], dy: &'a [T], scratch: &'a mut Vec<T>) -> &'a [T] {
    if y.is_empty() {
        return dy;
    }
    scratch.clear();
    scratch.extend(
        y.iter()
            .zip(dy)
            .map(|(y, dy)| if *y > T::ZERO { *dy } else { T::ZERO }),
    );
    scratch
}

/// Part `i` of a tensor that may be absent (empty).
fn part<T>(all: &[T], i: usize, len: usize) -> &[T] {
    if all.is_empty() {
        all
    } else {
        &all[i * len..][..len]
    }
}

/// The input gradient is a correlation of the output gradient with the kernel turned around, one
/// for each phase of the stride: `dx[c, q·s + r] = Σ_{o,t} w[o, c, t·s + r] · dy[o, q − t]`.
fn input_gradient<T: Real>(g: &Geometry, w: &[T], y: &[T], dy: &[T]) -> Vec<T> {
    let (sh, sw) = g.stride;
    let (kh, kw) = (g.kernel.0.div_ceil(sh), g.kernel.1.div_ceil(sw));
    // Rows of the phase planes that hold pixels, not padding.
    let from = (g.padding.0 / sh, g.padding.1 / sw);
    let to = (
        (g.padding.0 + g.size.0).div_ceil(sh),
        (g.padding.1 + g.size.1).div_ceil(sw),
    );
    let out = (to.0 - from.0, to.1 - from.1);
    let planes = Planes::new(g.o, out.0 + kh - 1, out.1 + kw - 1, (1, 1));
    let correlation = Correlation {
        planes,
        taps: (0..g.o * kh * kw)
            .map(|k| planes.at(k / (kh * kw), k / kw % kh, k % kw))
            .collect(),
        out,
    };
    let weights: Vec<_> = (0..g.groups)
        .map(|group| {
            let w = &w[group * g.o * g.taps()..][..g.o * g.taps()];
            Weights::pack(g.c * sh * sw, g.o * kh * kw, |row, k| {
                let (c, ry, rx) = (row / (sh * sw), row / sw % sh, row % sw);
                let (o, ty, tx) = (k / (kh * kw), kh - 1 - k / kw % kh, kw - 1 - k % kw);
                let (u, v) = (ty * sh + ry, tx * sw + rx);
                if u < g.kernel.0 && v < g.kernel.1 {
                    w[((o * g.c + c) * g.kernel.0 + u) * g.kernel.1 + v]
                } else {
                    T::ZERO
                }
            })
        })
        .collect();
    let offset = (
        kh as isize - 1 - from.0 as isize,
        kw as isize - 1 - from.1 as isize,
    );
    let mut dx = vec![T::ZERO; g.n * g.groups * g.in_len()];
    dx.par_chunks_mut(g.in_len()).enumerate().for_each_init(
        || Scratch::new(planes.len() + T::lanes()),
        |scratch, (i, dx)| {
            let y = part(y, i, g.out_len());
            let dy = masked(y, part(dy, i, g.out_len()), &mut scratch.masked);
            planes.fill(dy, g.out, offset, &mut scratch.planes);
            let weights = &weights[i % g.groups];
            let Scratch {
                planes,
                panels,
                image,
                ..
            } = scratch;
            if g.stride == (1, 1) {
                correlation.run(planes, weights, None, Finish::Nothing, panels, dx);
                return;
            }
            image.resize(g.c * sh * sw * out.0 * out.1, T::ZERO);
            correlation.run(planes, weights, None, Finish::Nothing, panels, image);
            for c in 0..g.c {
                for row in 0..g.size.0 {
                    for column in 0..g.size.1 {
                        let (py, px) = (row + g.padding.0, column + g.padding.1);
                        let plane = (c * sh + py % sh) * sw + px % sw;
                        let at = (plane * out.0 + py / sh - from.0) * out.1 + px / sw - from.1;
                        dx[(c * g.size.0 + row) * g.size.1 + column] = image[at];
                    }
                }
            }
        },
    );
    dx
}

/// Parts the batch is cut into for the weight gradient: each is summed by one task, and the parts
/// are added in order, so the result does not depend on the number of threads.
const PARTS: usize = 16;

/// `dw[o, c, u, v] = Σ_{n,i,j} dy[n, o, i, j] · x[n, c, i·s + u, j·s + v]`.
///
/// Both operands are brought into an order that the outer-product kernel reads straight through:
/// the picture as `[block of channels][row][column][channel]`, the output gradient as
/// `[tile of outputs][pixel][output]`. The sum then runs along the pixels of an output row.
fn weight_gradient<T: Real>(g: &Geometry, x: &[T], y: &[T], dy: &[T]) -> (Vec<T>, Vec<T>) {
    let planes = Planes::new(g.c, g.padded.0, g.padded.1, g.stride);
    let (kh, kw) = (
        g.kernel.0.div_ceil(g.stride.0),
        g.kernel.1.div_ceil(g.stride.1),
    );
    // The last taps of the last phases reach beyond the picture; they are not part of the kernel.
    let blocks = Panels::new::<T>(planes.count());
    let tiles = Tiles::new::<T>(g.o);
    let taps = kh * kw;
    let size = taps * g.o * blocks.padded();
    let parts = g.n.min(PARTS);
    let bounds = |part: usize| part * g.n / parts..(part + 1) * g.n / parts;
    let sums: Vec<(Vec<T>, Vec<T>)> = (0..parts * g.groups)
        .into_par_iter()
        .map_init(
            || Scratch::new(planes.len()),
            |scratch, task| {
                let (part_index, group) = (task / g.groups, task % g.groups);
                let mut dw = vec![T::ZERO; size];
                let mut db = vec![T::ZERO; g.o];
                for n in bounds(part_index) {
                    let i = n * g.groups + group;
                    let picture = &x[i * g.in_len()..][..g.in_len()];
                    let at = (g.padding.0 as isize, g.padding.1 as isize);
                    planes.fill(picture, g.size, at, &mut scratch.planes);
                    let y = part(y, i, g.out_len());
                    let dy = masked(y, part(dy, i, g.out_len()), &mut scratch.masked);
                    for (db, dy) in db.iter_mut().zip(dy.chunks_exact(g.out_pixels())) {
                        *db += dy.iter().fold(T::ZERO, |sum, v| sum + *v);
                    }
                    block_channels(&planes, blocks, &scratch.planes, &mut scratch.image);
                    let pixels = g.out_pixels();
                    pack_tiles(tiles, pixels, |o, p| dy[o * pixels + p], &mut scratch.left);
                    let sum = SumTaps {
                        tiles,
                        blocks,
                        kernel: (kh, kw),
                        planes,
                        out: g.out,
                        left: &scratch.left,
                        right: &scratch.image,
                        dw: &mut dw,
                    };
                    Arch::new().dispatch(sum);
                }
                (dw, db)
            },
        )
        .collect();
    let mut dw = vec![T::ZERO; g.groups * g.o * g.taps()];
    let mut db = vec![T::ZERO; g.groups * g.o];
    dw.par_chunks_mut(g.taps())
        .zip(&mut db)
        .enumerate()
        .for_each(|(o, (dw, db))| {
            let (group, o) = (o / g.o, o % g.o);
            for part in 0..parts {
                let (part_dw, part_db) = &sums[part * g.groups + group];
                *db += part_db[o];
                for (k, dw) in dw.iter_mut().enumerate() {
                    let (c, u, v) = (
                        k / (g.kernel.0 * g.kernel.1),
                        k / g.kernel.1 % g.kernel.0,
                        k % g.kernel.1,
                    );
                    let (sh, sw) = g.stride;
                    let tap = u / sh * kw + v / sw;
                    let channel = (c * sh + u % sh) * sw + v % sw;
                    *dw += part_dw[(tap * g.o + o) * blocks.padded() + channel];
                }
            }
        });
    (dw, db)
}

/// `[plane][row][column]` to `[block of planes][row][column][plane of the block]`.
fn block_channels<T: Real>(planes: &Planes, blocks: Panels, from: &[T], to: &mut Vec<T>) {
    let area = planes.height * planes.width;
    to.resize(blocks.padded() * area, T::ZERO);
    for p in 0..blocks.count() {
        let (first, width, real) = blocks.span(p);
        let block = &mut to[first * area..(first + width) * area];
        for (i, pixel) in block.chunks_exact_mut(width).enumerate() {
            for (lane, to) in pixel[..real].iter_mut().enumerate() {
                *to = from[(first + lane) * area + i];
            }
        }
    }
}

/// Adds one picture's part of the weight gradient, laid out `[tap][output][channel]`.
struct SumTaps<'a, T> {
    tiles: Tiles,
    blocks: Panels,
    kernel: (usize, usize),
    planes: Planes,
    out: (usize, usize),
    left: &'a [T],
    right: &'a [T],
    dw: &'a mut [T],
}

impl<T: Real> WithSimd for SumTaps<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let lanes = size_of::<T::Vector<S>>() / size_of::<T>();
        let area = self.planes.height * self.planes.width;
        let pixels = self.out.0 * self.out.1;
        let pitch = self.blocks.padded();
        for t in 0..self.tiles.count() {
            let (row, rows) = self.tiles.span(t);
            let left = &self.left[row * pixels..(row + rows) * pixels];
            for p in 0..self.blocks.count() {
                let (first, width, _) = self.blocks.span(p);
                let block = &self.right[first * area..(first + width) * area];
                for u in 0..self.kernel.0 {
                    for v in 0..self.kernel.1 {
                        let runs = Runs {
                            count: self.out.0,
                            length: self.out.1,
                            left_step: self.out.1 * rows,
                            right_step: self.planes.width * width,
                        };
                        let right = &block[(u * self.planes.width + v) * width..];
                        let tap = u * self.kernel.1 + v;
                        let at = (tap * self.tiles.rows + row) * pitch + first;
                        let store = Store {
                            out: &mut self.dw[at..at + (rows - 1) * pitch + width],
                            pitch,
                            columns: width,
                            start: Start::Accumulate,
                            finish: Finish::Nothing,
                        };
                        if width == lanes {
                            tile_of_rows::<S, T, 1>(simd, rows, left, right, runs, store);
                        } else {
                            tile_of_rows::<S, T, 2>(simd, rows, left, right, runs, store);
                        }
                    }
                }
            }
        }
    }
}
