//! Host side of `kernels/dropout.cu`.

use super::compile::Kernels;
use super::element::{Element, for_element, size, view};
use super::launch::{Buffer, Grid, launch};
use super::version::Version;
use candle_core::{CudaStorage, Layout, Result};

/// A mask: see [`crate::dropout::Dropout`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask {
    pub seed: u64,
    pub stream: u64,
    /// A word at least this large keeps its value.
    pub threshold: u32,
    /// What a kept value is multiplied by.
    pub factor: f64,
}

/// The values of `towers` side by side behind the first axis, the mask of each of the next stream.
pub(crate) fn apply(mask: Mask, towers: usize, x: &CudaStorage, l: &Layout) -> Result<CudaStorage> {
    let all = l.shape().elem_count();
    let count = all / towers;
    let width = match towers {
        1 => count,
        _ => size::<u32>("dropout", count)? as usize / l.dims()[0].max(1),
    };
    for_element!("dropout", x, T => {
        let mut y = Buffer::<T>::new(&x.device, all)?;
        if count > 0 {
            let whole = |values: usize| values.is_multiple_of(4);
            let serves = whole(count) && whole(width) && whole(l.start_offset());
            let (name, values) = Version::serving(serves).of(("four", 4), ("naive", 1));
            let blocks = size("dropout", count.div_ceil(values * 256))?;
            let grid = Grid {
                blocks: (blocks, size("dropout", towers)?, 1),
                threads: 256,
            };
            let Mask { mut seed, mut stream, mut threshold, factor } = mask;
            launch(
                &x.device,
                Kernels::Dropout,
                &format!("dropout_{name}_{}", <T as Element>::SUFFIX),
                grid,
                &mut [
                    &mut view::<T>("dropout", x, l)?,
                    &mut y,
                    &mut (count as u64),
                    &mut (width as u64),
                    &mut seed,
                    &mut stream,
                    &mut threshold,
                    &mut (factor as f32),
                ],
            )?;
        }
        Ok(y.into_storage(&x.device))
    })
}
