//! A linear layer on a GPU: cuBLAS, and `kernels/bias.cu` around it.

use super::compile::Kernels;
use super::element::{Element, for_element, size, view};
use super::launch::{Buffer, Grid, InPlace, launch, multiply};
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
        let grid = Grid {
            blocks: (size(OP, s.o.div_ceil(256))?, size(OP, s.n.min(65_535))?, 1),
            threads: 256,
        };
        launch(
            device,
            Kernels::Bias,
            &format!("bias_rows_{}", <T as Element>::SUFFIX),
            grid,
            &mut [
                &mut InPlace(y.slice.as_view_mut()),
                &mut view::<T>(OP, b.0, b.1)?,
                &mut size::<u32>(OP, s.n)?,
                &mut size::<u32>(OP, s.o)?,
                &mut i32::from(relu),
            ],
        )?;
        Ok(y.into_storage(device))
    })
}

/// Rows whose gradients a thread adds up for the bias; the sums of the parts are added in order.
const PART: usize = 8;

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
        let (g, db) = mask::<T>(device, s, y, dy)?;
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
        let (g, _) = mask::<T>(device, s, y, dy)?;
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
        let (g, db) = mask::<T>(device, s, y, dy)?;
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

/// The gradient behind the ReLU, and the bias's.
fn mask<T: Element>(
    device: &CudaDevice,
    s: Sizes,
    y: Option<CudaView<'_, T>>,
    mut dy: CudaView<'_, T>,
) -> Result<(Buffer<T>, Buffer<T>)> {
    let parts = s.n.div_ceil(PART);
    let mut g = Buffer::<T>::new(device, s.n * s.o)?;
    let mut partial = Buffer::<f32>::new(device, parts * s.o)?;
    let mut relu = i32::from(y.is_some());
    // Without a ReLU the output is not looked at.
    let mut y = y.unwrap_or_else(|| dy.slice(..0));
    let grid = Grid {
        blocks: (size(OP, s.o.div_ceil(256))?, size(OP, parts)?, 1),
        threads: 256,
    };
    launch(
        device,
        Kernels::Bias,
        &format!("bias_mask_{}", T::SUFFIX),
        grid,
        &mut [
            &mut y,
            &mut dy,
            &mut g,
            &mut partial,
            &mut size::<u32>(OP, s.n)?,
            &mut size::<u32>(OP, s.o)?,
            &mut relu,
        ],
    )?;
    let db = total::<T>(device, &partial, parts, s.o)?;
    Ok((g, db))
}

/// The bias's gradient from the sums of the parts; of one part, its sums rounded to the type.
pub(super) fn total<T: Element>(
    device: &CudaDevice,
    partial: &Buffer<f32>,
    parts: usize,
    outputs: usize,
) -> Result<Buffer<T>> {
    let mut db = Buffer::<T>::new(device, outputs)?;
    let grid = Grid {
        blocks: (size(OP, outputs.div_ceil(256))?, 1, 1),
        threads: 256,
    };
    launch(
        device,
        Kernels::Bias,
        &format!("bias_total_{}", T::SUFFIX),
        grid,
        &mut [
            &mut partial.slice.as_view(),
            &mut db,
            &mut size::<u32>(OP, parts)?,
            &mut size::<u32>(OP, outputs)?,
        ],
    )?;
    Ok(db)
}
