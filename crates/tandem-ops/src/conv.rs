//! Two-dimensional convolution with stride, padding and groups, and the ReLU after it if wanted.
//!
//! `y[n, o, i, j] = f(b[o] + Σ_{c,u,v} w[o, c, u, v] · x[n, c, i·s + u − p, j·s + v − p])`, the sum
//! over the input channels of `o`'s group. Shapes: `x (N, C, H, W)`, `w (O, C / groups, kh, kw)`,
//! `b (O,)`, `y (N, O, H', W')`. In the paper (Section 3.5) groups are the towers: a kernel that
//! sees only the maps on its own GPU.

mod direct;
mod weight_gradient;
mod winograd;

use crate::activation::Activation;
use crate::error::OpError;
use crate::product::Finish;
use crate::real::Real;
use crate::storage::{slice, with_cpu};
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Storage, Tensor};

/// Bytes that an unfolded input may take on a GPU. A picture larger than that is unfolded alone.
pub const WORKSPACE: usize = 256 << 20;

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

    fn geometry_with_bias(&self, xl: &Layout, wl: &Layout, bl: &Layout) -> Result<Geometry> {
        let g = self.geometry(xl.shape(), wl.shape())?;
        if bl.dims() != [g.groups * g.o] {
            let got = format!("b {:?} for {} channels", bl.dims(), g.groups * g.o);
            return Err(OpError::shape("conv2d", "one bias a channel", got).into());
        }
        Ok(g)
    }
}

/// Sizes of one application; `c` and `o` are channels a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Geometry {
    pub n: usize,
    pub c: usize,
    pub o: usize,
    pub groups: usize,
    pub size: (usize, usize),
    pub padded: (usize, usize),
    pub kernel: (usize, usize),
    pub out: (usize, usize),
    pub stride: (usize, usize),
    pub padding: (usize, usize),
}

impl Geometry {
    /// Shape of the output.
    fn output(&self) -> Shape {
        Shape::from((self.n, self.groups * self.o, self.out.0, self.out.1))
    }

    pub fn taps(&self) -> usize {
        self.c * self.kernel.0 * self.kernel.1
    }
    pub fn out_pixels(&self) -> usize {
        self.out.0 * self.out.1
    }
    pub fn in_len(&self) -> usize {
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
        let g = self.geometry_with_bias(xl, wl, bl)?;
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
        Ok((storage, g.output()))
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
        let g = self.geometry_with_bias(xl, wl, bl)?;
        let relu = self.activation == Activation::Relu;
        let y = crate::cuda::conv::forward(&g, relu, (x, xl), (w, wl), (b, bl))?;
        Ok((y, g.output()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, dw, db) = self.gradients(x, w, y, dy)?;
        debug_assert_eq!(db.shape(), b.shape());
        Ok((Some(dx), Some(dw), Some(db)))
    }
}

impl Conv2d {
    /// Gradients of the loss for `x`, `w` and the bias, from the input, the output `y` and its
    /// gradient `dy`. On a GPU the ReLU's mask is computed once for all three.
    pub fn gradients(
        &self,
        x: &Tensor,
        w: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            use crate::storage::{on_cuda, with_cuda};
            let g = self.geometry(x.shape(), w.shape())?;
            let (x, w) = (&x.contiguous()?, &w.contiguous()?);
            let (y, dy) = (y.contiguous()?, &dy.contiguous()?);
            let y = (self.activation == Activation::Relu).then_some(&y);
            let given = [Some(x), Some(w), Some(dy), y];
            let [dx, dw, db] = with_cuda("conv2d", &given, |t| match *t {
                [Some(x), Some(w), Some(dy), y] => crate::cuda::conv::gradients(&g, x, w, y, dy),
                _ => unreachable!("all but y were given"),
            })?;
            return Ok((
                on_cuda(dx, x.shape()),
                on_cuda(dw, w.shape()),
                on_cuda(db, g.groups * g.o),
            ));
        }
        let dx = self.input_gradient(x.shape(), w, y, dy)?;
        let (dw, db) = self.weight_gradient(x, w.shape(), y, dy)?;
        Ok((dx, dw, db))
    }

    /// Gradient of the loss for `x (N, C, H, W)`, from `w`, the output `y` and its gradient `dy`.
    pub fn input_gradient(&self, x: &Shape, w: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Tensor> {
        let g = self.geometry(x, w.shape())?;
        let (w, y, dy) = (w.contiguous()?, y.contiguous()?, dy.contiguous()?);
        let y = (self.activation == Activation::Relu).then_some(&y);
        #[cfg(feature = "cuda")]
        if w.device().is_cuda() {
            use crate::storage::{on_cuda, with_cuda};
            let dx = with_cuda("conv2d", &[Some(&w), Some(&dy), y], |t| match *t {
                [Some(w), Some(dy), y] => crate::cuda::conv::input_gradient(&g, w, y, dy),
                _ => unreachable!("all but y were given"),
            })?;
            return Ok(on_cuda(dx, x));
        }
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
        #[cfg(feature = "cuda")]
        if x.device().is_cuda() {
            use crate::storage::{on_cuda, with_cuda};
            let [dw, db] = with_cuda("conv2d", &[Some(&x), Some(&dy), y], |t| match *t {
                [Some(x), Some(dy), y] => crate::cuda::conv::weight_gradient(&g, x, y, dy),
                _ => unreachable!("all but y were given"),
            })?;
            return Ok((on_cuda(dw, w), on_cuda(db, g.groups * g.o)));
        }
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

fn forward<T: Real>(g: &Geometry, activation: Activation, x: &[T], w: &[T], b: &[T]) -> Vec<T> {
    let finish = match activation {
        Activation::Relu => Finish::Relu,
        Activation::None => Finish::Nothing,
    };
    if winograd::fits(g) {
        winograd::forward(g, finish, x, w, b)
    } else {
        direct::forward(g, finish, x, w, b)
    }
}

fn input_gradient<T: Real>(g: &Geometry, w: &[T], y: &[T], dy: &[T]) -> Vec<T> {
    if winograd::fits(g) {
        winograd::input_gradient(g, w, y, dy)
    } else {
        direct::input_gradient(g, w, y, dy)
    }
}

fn weight_gradient<T: Real>(g: &Geometry, x: &[T], y: &[T], dy: &[T]) -> (Vec<T>, Vec<T>) {
    if winograd::fits(g) {
        winograd::weight_gradient(g, x, y, dy)
    } else {
        weight_gradient::weight_gradient(g, x, y, dy)
    }
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
