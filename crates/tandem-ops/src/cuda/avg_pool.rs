//! Host side of `kernels/avg_pool.cu`.

use super::compile::Kernels;
use super::element::{Element, for_element, size, view};
use super::launch::{Argument, Buffer, launch};
use super::pooling::{is_three_by_two, over_planes, window_arguments};
use super::version::Version;
use crate::window::Grid;
use candle_core::{CudaStorage, Layout, Result};

const OP: &str = "avg-pool2d";

pub(crate) fn forward(grid: &Grid, x: &CudaStorage, l: &Layout) -> Result<CudaStorage> {
    let planes = l.shape().elem_count() / (grid.size.0 * grid.size.1);
    run(grid, x, l, "forward", planes, grid.out)
}

pub(crate) fn backward(grid: &Grid, dy: &CudaStorage, l: &Layout) -> Result<CudaStorage> {
    let planes = l.shape().elem_count() / (grid.out.0 * grid.out.1);
    run(grid, dy, l, "backward", planes, grid.size)
}

/// `out` is the size of the planes that are written.
fn run(
    grid: &Grid,
    from: &CudaStorage,
    l: &Layout,
    pass: &str,
    planes: usize,
    out: (usize, usize),
) -> Result<CudaStorage> {
    let places = out.0 * out.1;
    for_element!(OP, from, T => {
        let mut from_view = view::<T>(OP, from, l)?;
        let mut to = Buffer::<T>::new(&from.device, planes * places)?;
        let mut planes_u: u32 = size(OP, planes)?;
        let mut window = window_arguments(OP, grid)?;
        let mut arguments: Vec<&mut dyn Argument> = vec![&mut from_view, &mut to, &mut planes_u];
        let version = Version::serving(is_three_by_two(grid));
        // The paper's window is known to its kernels; the sizes come first.
        let (name, taken) = version.of(("three_by_two", 4), ("naive", window.len()));
        arguments.extend(window[..taken].iter_mut().map(|v| v as &mut dyn Argument));
        let entry = format!("avg_pool_{pass}_{name}_{}", <T as Element>::SUFFIX);
        let blocks = over_planes(OP, places, planes)?;
        launch(&from.device, Kernels::AvgPool, &entry, blocks, &mut arguments)?;
        Ok(to.into_storage(&from.device))
    })
}
