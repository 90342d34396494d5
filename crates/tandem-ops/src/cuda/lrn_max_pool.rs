//! Host side of `kernels/lrn_max_pool.cu`.

use super::compile::Kernels;
use super::element::{Element, for_element, size, view};
use super::launch::{self, Buffer, launch};
use super::lrn::{chunk_for, without_pow};
use super::pooling::is_three_by_two;
use super::version::Version;
use crate::lrn::Lrn;
use crate::window::Grid;
use candle_core::{CudaStorage, Layout, Result};

const OP: &str = "lrn-max-pool2d";

/// Threads of a block at most, and channels it works on at a time.
const THREADS: usize = 512;
const BATCH: usize = 4;

/// Rows of outputs of a block, so that its inputs have a thread each; `None` where the kernel is not
/// for these parameters, or a picture is too wide.
pub(crate) fn strip(lrn: &Lrn, grid: &Grid) -> Option<usize> {
    let most = (THREADS / grid.size.1).saturating_sub(1) / 2;
    let fits = lrn.size() == 5 && without_pow(lrn) && is_three_by_two(grid) && most > 0;
    // As even as can be: the last strip is then nearly as tall as the others.
    (Version::serving(fits) == Version::Fast)
        .then(|| grid.out.0.div_ceil(grid.out.0.div_ceil(most)))
}

/// The maxima and their winners, by blocks of `strip` rows.
pub(crate) fn forward(
    lrn: &Lrn,
    grid: &Grid,
    strip: usize,
    x: &CudaStorage,
    l: &Layout,
) -> Result<(CudaStorage, Buffer<u8>)> {
    let (channels, positions) = lrn.sizes(l.shape())?;
    let groups = lrn.groups();
    let pictures = l.shape().elem_count() / (groups * channels * positions);
    let count = pictures * groups * channels * grid.out.0 * grid.out.1;
    let mut winners = Buffer::<u8>::new(&x.device, count)?;
    let (k, alpha, _) = lrn.constants();
    let threads = (2 * strip + 1) * grid.size.1;
    let places = pictures * grid.out.0.div_ceil(strip);
    let chunk = chunk_for(channels, places * threads * groups, BATCH);
    let blocks = launch::Grid {
        blocks: (size(OP, places * groups * channels.div_ceil(chunk))?, 1, 1),
        threads: size(OP, threads.next_multiple_of(32).min(THREADS))?,
    };
    // A plane is indexed in 32 bits.
    let _: u32 = size(OP, positions)?;
    for_element!(OP, x, T => {
        let mut y = Buffer::<T>::new(&x.device, count)?;
        launch(
            &x.device,
            Kernels::LrnMaxPool,
            &format!("lrn_max_pool_forward_{}", <T as Element>::SUFFIX),
            blocks,
            &mut [
                &mut view::<T>(OP, x, l)?,
                &mut y,
                &mut winners,
                &mut size::<i32>(OP, groups)?,
                &mut size::<i32>(OP, channels)?,
                &mut size::<u32>(OP, grid.size.0)?,
                &mut size::<u32>(OP, grid.size.1)?,
                &mut size::<u32>(OP, grid.out.0)?,
                &mut size::<u32>(OP, grid.out.1)?,
                &mut size::<u32>(OP, strip)?,
                &mut size::<i32>(OP, chunk)?,
                &mut (k as f32),
                &mut (alpha as f32),
            ],
        )?;
        Ok((y.into_storage(&x.device), winners))
    })
}
