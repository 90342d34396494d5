//! Host side of `kernels/lrn.cu`.

use super::compile::Kernels;
use super::element::{Element, for_element, size, view};
use super::launch::{Argument, Buffer, Grid, launch};
use super::version::Version;
use crate::lrn::Lrn;
use candle_core::cuda_backend::cudarc::driver::CudaView;
use candle_core::{CudaDevice, CudaStorage, Layout, Result, Shape};

pub(crate) fn forward(op: &Lrn, x: &CudaStorage, l: &Layout) -> Result<(CudaStorage, Shape)> {
    for_element!("lrn", x, T => {
        let inputs = &mut [view::<T>("lrn", x, l)?];
        let y = run::<T>(op, &x.device, l.shape(), inputs, &[l], Pass::Forward)?;
        Ok((y, l.shape().clone()))
    })
}

pub(crate) fn backward(
    op: &Lrn,
    x: &CudaStorage,
    xl: &Layout,
    dy: &CudaStorage,
    dyl: &Layout,
) -> Result<(CudaStorage, Shape)> {
    for_element!("lrn", x, T => {
        let inputs = &mut [view::<T>("lrn", x, xl)?, view::<T>("lrn", dy, dyl)?];
        let dx = run::<T>(op, &x.device, xl.shape(), inputs, &[xl, dyl], Pass::Backward)?;
        Ok((dx, xl.shape().clone()))
    })
}

#[derive(Clone, Copy)]
enum Pass {
    Forward,
    Backward,
}

/// Threads that keep the largest GPU's memory busy, twice over so that no part of it waits for the
/// rest at the end; with fewer, the channels are cut into chunks.
pub(super) const ENOUGH: usize = 512 * 1024;
/// The shortest chunk: a seam reads four to twelve channels twice.
const SHORTEST: usize = 32;

/// Channels that a thread walks along, whole batches of them, where there are `threads` already.
pub(super) fn chunk_for(channels: usize, threads: usize, batch: usize) -> usize {
    let chunks = ENOUGH.div_ceil(threads.max(1));
    let chunk = channels.div_ceil(chunks.clamp(1, channels.div_ceil(SHORTEST)));
    chunk.next_multiple_of(batch).min(channels)
}

/// Whether the kernels' short cut for the power holds: beta is the paper's, and the scale, which is
/// at least k, a normal number.
pub(super) fn without_pow(op: &Lrn) -> bool {
    let (k, alpha, beta) = op.constants();
    beta == 0.75 && k > 1e-30 && alpha >= 0.0
}

/// Channels that a thread works on at a time.
const BATCH: usize = 8;

fn run<T: Element>(
    op: &Lrn,
    device: &CudaDevice,
    shape: &Shape,
    inputs: &mut [CudaView<'_, T>],
    layouts: &[&Layout],
    pass: Pass,
) -> Result<CudaStorage> {
    let (channels, positions) = op.sizes(shape)?;
    let count = shape.elem_count();
    let pictures = count / (channels * positions * op.groups());
    let mut output = Buffer::<T>::new(device, count)?;
    let pass_name = match pass {
        Pass::Forward => "forward",
        Pass::Backward => "backward",
    };
    let (k, alpha, beta) = op.constants();
    let (mut k, mut alpha, mut beta) = (k as f32, alpha as f32, beta as f32);
    let mut channels_i: i32 = size("lrn", channels)?;
    let mut arguments: Vec<&mut dyn Argument> = inputs
        .iter_mut()
        .map(|input| input as &mut dyn Argument)
        .collect();
    arguments.push(&mut output);
    if Version::serving(op.size() == 5) == Version::Fast {
        let even = |value: usize| value.is_multiple_of(2);
        let aligned = even(positions) && layouts.iter().all(|l| even(l.start_offset()));
        let (kind, width) = match without_pow(op) {
            true if aligned => ("pair", 2),
            true => ("five", 1),
            false => ("five_any", 1),
        };
        let threads = pictures * positions / width;
        let chunk = chunk_for(channels, threads * op.groups(), BATCH);
        // Threads are numbered in 32 bits.
        let _: u32 = size("lrn", threads)?;
        let columns = op.groups() * channels.div_ceil(chunk);
        let grid = Grid {
            blocks: (size("lrn", threads.div_ceil(256) * columns)?, 1, 1),
            threads: 256,
        };
        let mut pictures: u32 = size("lrn", pictures)?;
        let mut positions: u32 = size("lrn", positions / width)?;
        let (mut groups, mut chunk): (i32, i32) = (size("lrn", op.groups())?, size("lrn", chunk)?);
        arguments.extend::<[&mut dyn Argument; 8]>([
            &mut pictures,
            &mut groups,
            &mut channels_i,
            &mut positions,
            &mut chunk,
            &mut k,
            &mut alpha,
            &mut beta,
        ]);
        let entry = format!("lrn_{pass_name}_{kind}_{}", T::SUFFIX);
        launch(device, Kernels::Lrn, &entry, grid, &mut arguments)?;
    } else {
        let grid = Grid::of("lrn", count)?;
        let mut count = count as u64;
        let mut positions: u32 = size("lrn", positions)?;
        let mut half: i32 = size("lrn", op.size() / 2)?;
        arguments.extend::<[&mut dyn Argument; 7]>([
            &mut count,
            &mut channels_i,
            &mut positions,
            &mut half,
            &mut k,
            &mut alpha,
            &mut beta,
        ]);
        let entry = format!("lrn_{pass_name}_naive_{}", T::SUFFIX);
        launch(device, Kernels::Lrn, &entry, grid, &mut arguments)?;
    }
    Ok(output.into_storage(device))
}
