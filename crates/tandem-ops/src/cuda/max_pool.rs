//! Host side of `kernels/max_pool.cu`.

use super::compile::Kernels;
use super::element::{Element, for_element, size, view};
use super::launch::{Argument, Buffer, launch};
use super::pooling::{over_planes, window_arguments};
use crate::window::Grid;
use candle_core::{CudaStorage, Layout, Result, Shape};

const OP: &str = "max-pool2d";

/// The paper's window has kernels of its own.
fn kind(grid: &Grid) -> &'static str {
    match (grid.window.kernel, grid.window.stride) {
        ((3, 3), (2, 2)) => "three_by_two",
        _ => "naive",
    }
}

/// The maxima, and the winner of each as its place in its window.
pub(crate) fn forward(
    grid: &Grid,
    x: &CudaStorage,
    l: &Layout,
) -> Result<(CudaStorage, Buffer<u8>)> {
    let planes = l.shape().elem_count() / (grid.size.0 * grid.size.1);
    let places = grid.out.0 * grid.out.1;
    let mut winners = Buffer::<u8>::new(&x.device, planes * places)?;
    for_element!(OP, x, T => {
        let mut x_view = view::<T>(OP, x, l)?;
        let mut y = Buffer::<T>::new(&x.device, planes * places)?;
        let mut planes_u: u32 = size(OP, planes)?;
        let mut window = window_arguments(OP, grid)?;
        let mut arguments: Vec<&mut dyn Argument> =
            vec![&mut x_view, &mut y, &mut winners, &mut planes_u];
        arguments.extend(window.iter_mut().map(|v| v as &mut dyn Argument));
        let entry = format!("max_pool_forward_{}_{}", kind(grid), <T as Element>::SUFFIX);
        let blocks = over_planes(OP, places, planes)?;
        launch(&x.device, Kernels::MaxPool, &entry, blocks, &mut arguments)?;
        Ok((y.into_storage(&x.device), winners))
    })
}

/// The gradient of an input of `shape`.
pub(crate) fn backward(
    grid: &Grid,
    shape: &Shape,
    winners: &Buffer<u8>,
    dy: &CudaStorage,
    l: &Layout,
) -> Result<CudaStorage> {
    let places = grid.size.0 * grid.size.1;
    let planes = shape.elem_count() / places;
    for_element!(OP, dy, T => {
        let mut winners = winners.slice.as_view();
        let mut dy_view = view::<T>(OP, dy, l)?;
        let mut dx = Buffer::<T>::new(&dy.device, shape.elem_count())?;
        let mut planes_u: u32 = size(OP, planes)?;
        let mut window = window_arguments(OP, grid)?;
        let mut arguments: Vec<&mut dyn Argument> =
            vec![&mut winners, &mut dy_view, &mut dx, &mut planes_u];
        arguments.extend(window.iter_mut().map(|v| v as &mut dyn Argument));
        let entry = format!("max_pool_backward_{}_{}", kind(grid), <T as Element>::SUFFIX);
        let blocks = over_planes(OP, places, planes)?;
        launch(&dy.device, Kernels::MaxPool, &entry, blocks, &mut arguments)?;
        Ok(dx.into_storage(&dy.device))
    })
}
