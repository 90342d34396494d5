//! Convolution on a GPU: `kernels/unfold.cu`, a product a group by cuBLAS, `kernels/bias.cu`.
//!
//! The pictures of a batch are worked on in parts, as many at a time as the unfolded input leaves
//! room for in the workspace. In a part, the unfolded pictures stand side by side, so one product a
//! group covers them all, and the groups are the batch of one call. The passes around the products,
//! which bias and ReLU need anyway, turn channels-first into `(N, C, H, W)` and back.
//!
//! cuBLAS takes its widest loads where every stored row is a multiple of 16 bytes long. So parts have
//! a multiple of eight pictures where they can, and a weight whose rows are no multiple, the 363
//! taps of the paper's first layer, is turned over: it and its gradient are stored by taps, in rows
//! of outputs.

mod parts;

use super::bias::{self, Maps};
use super::compile::Kernels;
use super::element::{Element, for_element, size, view};
use super::launch::{Argument, Buffer, Grid, launch, multiply};
use super::linear::Placed;
use super::pooling::{lines, over_planes};
use super::product::Product;
use super::version::Version;
use crate::conv::Geometry;
use candle_core::cuda_backend::cudarc::driver::{CudaView, CudaViewMut};
use candle_core::{CudaDevice, CudaStorage, Result};

pub(super) use parts::Parts;

pub(super) const OP: &str = "conv2d";

/// How the planes of a convolution's plain output, or of its masked gradient, lie.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// All pictures of a channel, then the next: what one product a group writes.
    ChannelsFirst,
    /// All channels of a picture, then the next: cuDNN's.
    #[cfg_attr(not(feature = "cudnn"), allow(dead_code, reason = "cuDNN's alone"))]
    PicturesFirst,
}

impl Parts {
    /// The weight by taps, where products take it so.
    fn turned<T: Element>(
        self,
        device: &CudaDevice,
        w: &CudaView<'_, T>,
    ) -> Result<Option<Buffer<T>>> {
        self.turns()
            .then(|| self.turn(device, "turn", w, (self.g.o, self.g.taps())))
            .transpose()
    }

    /// Every group's matrix of so many rows and columns with its rows as columns.
    fn turn<S: Element, T: Element>(
        self,
        device: &CudaDevice,
        kernel: &str,
        from: &CudaView<'_, S>,
        (rows, columns): (usize, usize),
    ) -> Result<Buffer<T>> {
        let count = self.g.groups * rows * columns;
        let mut to = Buffer::new(device, count)?;
        launch(
            device,
            Kernels::Unfold,
            &format!("{kernel}_{}", T::SUFFIX),
            Grid::of(OP, count)?,
            &mut [
                &mut from.slice(..),
                &mut to,
                &mut size::<u32>(OP, count)?,
                &mut size::<u32>(OP, rows)?,
                &mut size::<u32>(OP, columns)?,
            ],
        )?;
        Ok(to)
    }

    /// The paper's kernels by their names in `unfold.cu`, or the one for any.
    fn kernel(self) -> &'static str {
        let fast = match (self.g.kernel, self.g.stride) {
            ((3, 3), (1, 1)) => "three",
            ((5, 5), (1, 1)) => "five",
            ((11, 11), (4, 4)) => "eleven",
            _ => return "naive",
        };
        Version::serving(true).of(fast, "naive")
    }

    fn unfold<T: Element>(
        self,
        device: &CudaDevice,
        mut x: CudaView<'_, T>,
        u: &mut Buffer<T>,
        pictures: usize,
    ) -> Result<()> {
        let length = pictures * self.g.out_pixels();
        let planes = self.g.groups * self.g.c;
        let lines = lines(planes, length);
        let grid = Grid {
            blocks: (
                size(OP, length.div_ceil(256))?,
                size(OP, lines.min(65_535))?,
                1,
            ),
            threads: 256,
        };
        let _: u32 = size(OP, length)?;
        let mut pictures: u32 = size(OP, pictures)?;
        let mut rest = self.arguments()?;
        let mut arguments: Vec<&mut dyn Argument> = vec![&mut x, u, &mut pictures];
        arguments.extend(rest.iter_mut().map(|v| v as &mut dyn Argument));
        let entry = format!("unfold_{}_{}", self.kernel(), T::SUFFIX);
        launch(device, Kernels::Unfold, &entry, grid, &mut arguments)
    }

    fn fold<T: Element>(
        self,
        device: &CudaDevice,
        du: &Buffer<T>,
        mut dx: CudaViewMut<'_, T>,
        pictures: usize,
    ) -> Result<()> {
        let planes = pictures * self.g.groups * self.g.c;
        let grid = over_planes(OP, self.g.size.0 * self.g.size.1, planes)?;
        let _: u32 = size(OP, planes)?;
        let mut pictures: u32 = size(OP, pictures)?;
        let mut rest = self.arguments()?;
        let mut du = du.slice.as_view();
        let kernel = match self.kernel() {
            // No step has a gradient for the pictures.
            "eleven" => "naive",
            // The others count in 32 bits.
            _ if u32::try_from(du.len()).is_err() => "naive",
            known => known,
        };
        let entry = format!("fold_{kernel}_{}", T::SUFFIX);
        let mut arguments: Vec<&mut dyn Argument> = vec![&mut du, &mut dx, &mut pictures];
        arguments.extend(rest.iter_mut().map(|v| v as &mut dyn Argument));
        launch(device, Kernels::Unfold, &entry, grid, &mut arguments)
    }

    /// The plain outputs of `pictures`.
    pub(super) fn maps(self, order: Order, pictures: usize) -> Maps {
        let positions = self.g.out_pixels();
        let (channel, picture) = match order {
            Order::ChannelsFirst => (pictures * positions, positions),
            Order::PicturesFirst => (positions, self.output()),
        };
        Maps {
            pictures,
            outputs: self.outputs(),
            positions,
            channel,
            picture,
        }
    }
}

pub(crate) fn forward(
    g: &Geometry,
    relu: bool,
    x: Placed<'_>,
    w: Placed<'_>,
    b: Placed<'_>,
) -> Result<CudaStorage> {
    #[cfg(feature = "cudnn")]
    if let Some(y) = super::cudnn::forward(g, relu, x, w, b)? {
        return Ok(y);
    }
    let device = &x.0.device;
    for_element!(OP, x.0, T => {
        let parts = Parts::of::<T>(g);
        let (x, w) = (view::<T>(OP, x.0, x.1)?, view::<T>(OP, w.0, w.1)?);
        let turned = parts.turned(device, &w)?;
        let w = turned.as_ref().map_or(w, |turned| turned.slice.as_view());
        let b = view::<T>(OP, b.0, b.1)?;
        let mut y = Buffer::<T>::new(device, g.n * parts.output())?;
        let mut u = Buffer::<T>::new(device, parts.unfolded(parts.largest()))?;
        let mut m = Buffer::<T>::new(device, parts.largest() * parts.output())?;
        for (first, pictures) in parts.each() {
            let input = x.slice(first * parts.input()..(first + pictures) * parts.input());
            parts.unfold(device, input, &mut u, pictures)?;
            let product = parts.product(pictures);
            multiply(device, &product, &w, &u.slice.as_view(), &mut m.slice.as_view_mut())?;
            let range = first * parts.output()..(first + pictures) * parts.output();
            let maps = parts.maps(Order::ChannelsFirst, pictures);
            bias::spread(device, maps, &m, b.slice(..), y.slice.slice_mut(range), relu)?;
        }
        Ok(y.into_storage(device))
    })
}

/// The gradient of the input. `y` is the output, where a ReLU follows.
pub(crate) fn input_gradient(
    g: &Geometry,
    w: Placed<'_>,
    y: Option<Placed<'_>>,
    dy: Placed<'_>,
) -> Result<CudaStorage> {
    let found = backward(g, None, Some(w), y, dy)?;
    Ok(found.input.expect("the weight was given"))
}

/// The gradients of weight and bias. `y` is the output, where a ReLU follows.
pub(crate) fn weight_gradient(
    g: &Geometry,
    x: Placed<'_>,
    y: Option<Placed<'_>>,
    dy: Placed<'_>,
) -> Result<[CudaStorage; 2]> {
    let found = backward(g, Some(x), None, y, dy)?;
    Ok(found.parameters.expect("the input was given"))
}

/// The gradients of input, weight and bias.
pub(crate) fn gradients(
    g: &Geometry,
    x: Placed<'_>,
    w: Placed<'_>,
    y: Option<Placed<'_>>,
    dy: Placed<'_>,
) -> Result<[CudaStorage; 3]> {
    let found = backward(g, Some(x), Some(w), y, dy)?;
    let [dw, db] = found.parameters.expect("the input was given");
    Ok([found.input.expect("the weight was given"), dw, db])
}

pub(super) struct Gradients {
    pub(super) input: Option<CudaStorage>,
    /// Of weight and bias.
    pub(super) parameters: Option<[CudaStorage; 2]>,
}

pub(super) fn given<T: Element>(tensor: Option<Placed<'_>>) -> Result<Option<CudaView<'_, T>>> {
    tensor.map(|(s, l)| view::<T>(OP, s, l)).transpose()
}

/// The gradients of weight and bias where `x` is given, that of the input where `w` is. The masked
/// gradient of a part serves both, and the unfolded pictures and their gradient take turns in one
/// workspace.
fn backward(
    g: &Geometry,
    x: Option<Placed<'_>>,
    w: Option<Placed<'_>>,
    y: Option<Placed<'_>>,
    dy: Placed<'_>,
) -> Result<Gradients> {
    #[cfg(feature = "cudnn")]
    if let Some(found) = super::cudnn::backward(g, x, w, y, dy)? {
        return Ok(found);
    }
    let device = &dy.0.device;
    for_element!(OP, dy.0, T => {
        let parts = Parts::of::<T>(g);
        let (x, w, y) = (given::<T>(x)?, given::<T>(w)?, given::<T>(y)?);
        let dy = view::<T>(OP, dy.0, dy.1)?;
        let turned = w.as_ref().map(|w| parts.turned(device, w)).transpose()?.flatten();
        let w = w.map(|w| turned.as_ref().map_or(w, |turned| turned.slice.as_view()));
        let input = w.as_ref().map(|_| Buffer::<T>::new(device, g.n * parts.input()));
        let mut dx = input.transpose()?;
        // Of all parts, in f32 whatever the type.
        let weights = x.as_ref().map_or(0, |_| parts.outputs() * g.taps());
        let mut dw = Buffer::<f32>::new(device, weights)?;
        let mut masked = Buffer::<T>::new(device, parts.largest() * parts.output())?;
        let mut unfolded = Buffer::<T>::new(device, parts.unfolded(parts.largest()))?;
        let sums: usize = parts.each().map(|(_, pictures)| bias::sums(pictures)).sum();
        let mut partial = Buffer::<f32>::new(device, sums * parts.outputs())?;
        let mut summed = 0;
        for (first, pictures) in parts.each() {
            let range = first * parts.output()..(first + pictures) * parts.output();
            let y = y.as_ref().map(|y| y.slice(range.clone()));
            let rows = summed..summed + bias::sums(pictures);
            let here = rows.start * parts.outputs()..rows.end * parts.outputs();
            summed = rows.end;
            let here = &mut partial.slice.slice_mut(here);
            let maps = parts.maps(Order::ChannelsFirst, pictures);
            bias::gather(device, maps, y, dy.slice(range), &mut masked, here)?;
            let masked = masked.slice.as_view();
            let forward = parts.product(pictures);
            let input = first * parts.input()..(first + pictures) * parts.input();
            if let Some(x) = &x {
                parts.unfold(device, x.slice(input.clone()), &mut unfolded, pictures)?;
                let u = unfolded.slice.as_view();
                let (m, n, a, b) = match parts.turns() {
                    true => (forward.k, forward.m, &u, &masked),
                    false => (forward.m, forward.k, &masked, &u),
                };
                let product = Product {
                    m,
                    n,
                    k: forward.n,
                    transpose_a: false,
                    transpose_b: true,
                    accumulate: first > 0,
                    ..forward
                };
                multiply(device, &product, a, b, &mut dw.slice.as_view_mut())?;
            }
            if let (Some(w), Some(dx)) = (&w, &mut dx) {
                let product = Product {
                    m: forward.k,
                    k: forward.m,
                    transpose_a: !forward.transpose_a,
                    ..forward
                };
                multiply(device, &product, w, &masked, &mut unfolded.slice.as_view_mut())?;
                parts.fold(device, &unfolded, dx.slice.slice_mut(input), pictures)?;
            }
        }
        let parameters = match x {
            None => None,
            Some(_) => {
                let db = bias::total::<T>(device, &partial, sums, parts.outputs())?;
                let dw = match <T as Element>::SUFFIX {
                    _ if parts.turns() => {
                        let by_taps = dw.slice.as_view();
                        let dw: Buffer<T> =
                            parts.turn(device, "turn_sums", &by_taps, (g.taps(), g.o))?;
                        dw.into_storage(device)
                    }
                    "f32" => dw.into_storage(device),
                    // One part of sums: rounded.
                    _ => bias::total::<T>(device, &dw, 1, weights)?.into_storage(device),
                };
                Some([dw, db.into_storage(device)])
            }
        };
        Ok(Gradients {
            input: dx.map(|dx| dx.into_storage(device)),
            parameters,
        })
    })
}

#[cfg(test)]
mod tests;
