//! A linear layer on a GPU: cuBLAS, and `kernels/bias.cu` around it.

use super::bias;
use super::element::{Element, for_element, view};
use super::launch::{Buffer, multiply};
use super::product::Product;
use crate::linear::Sizes;
use candle_core::cuda_backend::cudarc::driver::CudaView;
use candle_core::{CudaDevice, CudaStorage, Layout, Result};

const OP: &str = "linear";

/// A tensor's storage with its layout.
pub(crate) type Placed<'a> = (&'a CudaStorage, &'a Layout);

pub(crate) fn forward(
    s: Sizes,
    relu: bool,
    x: Placed<'_>,
    w: Placed<'_>,
    b: Placed<'_>,
) -> Result<CudaStorage> {
    let device = &x.0.device;
    for_element!(OP, x.0, T => {
        let mut y = Buffer::<T>::new(device, s.n * s.o)?;
        let product = Product {
            m: s.n,
            n: s.o,
            k: s.k,
            batch: 1,
            transpose_a: false,
            transpose_b: true,
            accumulate: false,
        };
        let (x, w) = (view::<T>(OP, x.0, x.1)?, view::<T>(OP, w.0, w.1)?);
        multiply(device, &product, &x, &w, &mut y.slice.as_view_mut())?;
        let b = view::<T>(OP, b.0, b.1)?;
        bias::rows(device, (s.n, s.o), &mut y, b, relu)?;
        Ok(y.into_storage(device))
    })
}

/// Gradients of input, weight and bias. `y` is the output, where a ReLU follows.
pub(crate) fn backward(
    s: Sizes,
    x: Placed<'_>,
    w: Placed<'_>,
    y: Option<Placed<'_>>,
    dy: Placed<'_>,
) -> Result<[CudaStorage; 3]> {
    let device = &x.0.device;
    for_element!(OP, x.0, T => {
        let (x, w) = (view::<T>(OP, x.0, x.1)?, view::<T>(OP, w.0, w.1)?);
        let dy = view::<T>(OP, dy.0, dy.1)?;
        let y = y.map(|y| view::<T>(OP, y.0, y.1)).transpose()?;
        let (g, db) = bias::mask::<T>(device, (s.n, s.o), y, dy)?;
        let g = g.slice.as_view();
        let dx = times_weight(device, s, &g, &w)?;
        let dw = times_input(device, s, &g, &x)?;
        Ok([
            dx.into_storage(device),
            dw.into_storage(device),
            db.into_storage(device),
        ])
    })
}

/// The gradient of the input alone.
pub(crate) fn input_gradient(
    s: Sizes,
    w: Placed<'_>,
    y: Option<Placed<'_>>,
    dy: Placed<'_>,
) -> Result<CudaStorage> {
    let device = &w.0.device;
    for_element!(OP, w.0, T => {
        let (w, dy) = (view::<T>(OP, w.0, w.1)?, view::<T>(OP, dy.0, dy.1)?);
        let y = y.map(|y| view::<T>(OP, y.0, y.1)).transpose()?;
        let (g, _) = bias::mask::<T>(device, (s.n, s.o), y, dy)?;
        Ok(times_weight(device, s, &g.slice.as_view(), &w)?.into_storage(device))
    })
}

/// The gradients of weight and bias alone.
pub(crate) fn weight_gradient(
    s: Sizes,
    x: Placed<'_>,
    y: Option<Placed<'_>>,
    dy: Placed<'_>,
) -> Result<[CudaStorage; 2]> {
    let device = &x.0.device;
    for_element!(OP, x.0, T => {
        let (x, dy) = (view::<T>(OP, x.0, x.1)?, view::<T>(OP, dy.0, dy.1)?);
        let y = y.map(|y| view::<T>(OP, y.0, y.1)).transpose()?;
        let (g, db) = bias::mask::<T>(device, (s.n, s.o), y, dy)?;
        let dw = times_input(device, s, &g.slice.as_view(), &x)?;
        Ok([dw.into_storage(device), db.into_storage(device)])
    })
}

/// `dx = g · w`.
fn times_weight<T: Element>(
    device: &CudaDevice,
    s: Sizes,
    g: &CudaView<'_, T>,
    w: &CudaView<'_, T>,
) -> Result<Buffer<T>> {
    let mut dx = Buffer::<T>::new(device, s.n * s.k)?;
    let product = Product {
        m: s.n,
        n: s.k,
        k: s.o,
        batch: 1,
        transpose_a: false,
        transpose_b: false,
        accumulate: false,
    };
    multiply(device, &product, g, w, &mut dx.slice.as_view_mut())?;
    Ok(dx)
}

/// `dw = gᵀ · x`.
fn times_input<T: Element>(
    device: &CudaDevice,
    s: Sizes,
    g: &CudaView<'_, T>,
    x: &CudaView<'_, T>,
) -> Result<Buffer<T>> {
    let mut dw = Buffer::<T>::new(device, s.o * s.k)?;
    let product = Product {
        m: s.o,
        n: s.k,
        k: s.n,
        batch: 1,
        transpose_a: true,
        transpose_b: false,
        accumulate: false,
    };
    multiply(device, &product, g, x, &mut dw.slice.as_view_mut())?;
    Ok(dw)
}
