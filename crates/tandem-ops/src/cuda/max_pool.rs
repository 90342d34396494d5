//! Host side of `kernels/max_pool.cu`.

use super::compile::Kernels;
use super::element::{Element, for_element, size, view};
use super::launch::{self, Argument, Buffer, launch};
use super::pooling::{is_three_by_two, lines, over_planes, window_arguments};
use super::version::Version;
use crate::window::Grid;
use candle_core::{CudaDevice, CudaStorage, Layout, Result, Shape};

const OP: &str = "max-pool2d";

/// The maxima, and the winner of each as its place in its window.
pub(crate) fn forward(
    grid: &Grid,
    x: &CudaStorage,
    l: &Layout,
) -> Result<(CudaStorage, Buffer<u8>)> {
    let planes = l.shape().elem_count() / (grid.size.0 * grid.size.1);
    let count = planes * grid.out.0 * grid.out.1;
    let mut winners = Buffer::<u8>::new(&x.device, count)?;
    for_element!(OP, x, T => {
        let mut x_view = view::<T>(OP, x, l)?;
        let mut y = Buffer::<T>::new(&x.device, count)?;
        let tensors: [&mut dyn Argument; 3] = [&mut x_view, &mut y, &mut winners];
        run::<T>(&x.device, grid, planes, tensors, Pass::Forward)?;
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
    let planes = shape.elem_count() / (grid.size.0 * grid.size.1);
    for_element!(OP, dy, T => {
        let mut winners = winners.slice.as_view();
        let mut dy_view = view::<T>(OP, dy, l)?;
        let mut dx = Buffer::<T>::new(&dy.device, shape.elem_count())?;
        let tensors: [&mut dyn Argument; 3] = [&mut winners, &mut dy_view, &mut dx];
        run::<T>(&dy.device, grid, planes, tensors, Pass::Backward)?;
        Ok(dx.into_storage(&dy.device))
    })
}

#[derive(Clone, Copy)]
enum Pass {
    Forward,
    Backward,
}

/// Outputs of a column that a thread of the paper's window makes forward, and inputs of each of two
/// columns backward.
const OUTPUTS: usize = 3;
const INPUTS: usize = 4;

fn run<T: Element>(
    device: &CudaDevice,
    grid: &Grid,
    planes: usize,
    mut tensors: [&mut dyn Argument; 3],
    pass: Pass,
) -> Result<()> {
    let (pass, places, (high, wide)) = match pass {
        Pass::Forward => ("forward", grid.out, (OUTPUTS, 1)),
        Pass::Backward => ("backward", grid.size, (INPUTS, 2)),
    };
    let mut window = window_arguments(OP, grid)?;
    let mut planes_u: u32 = size(OP, planes)?;
    let mut arguments: Vec<&mut dyn Argument> = Vec::new();
    arguments.extend(tensors.iter_mut().map(|t| &mut **t as &mut dyn Argument));
    arguments.push(&mut planes_u);
    let threads = places.0.div_ceil(high) * places.1.div_ceil(wide);
    let lines = lines(planes, threads);
    let mut lines_u: u32 = size(OP, lines)?;
    let version = Version::serving(is_three_by_two(grid));
    // The paper's window is known to its kernels; the sizes come first.
    let (name, taken) = version.of(("three_by_two", 4), ("naive", window.len()));
    let blocks = match version {
        Version::Fast => {
            // Threads are numbered in 32 bits.
            let threads = lines * threads;
            let _: u32 = size(OP, threads)?;
            arguments.push(&mut lines_u);
            launch::Grid::of(OP, threads)?
        }
        Version::Naive => over_planes(OP, places.0 * places.1, planes)?,
    };
    arguments.extend(window[..taken].iter_mut().map(|v| v as &mut dyn Argument));
    let entry = format!("max_pool_{pass}_{name}_{}", T::SUFFIX);
    launch(device, Kernels::MaxPool, &entry, blocks, &mut arguments)
}
