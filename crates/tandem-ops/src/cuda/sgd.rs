//! Host side of `kernels/sgd.cu`.

use super::compile::Kernels;
use super::element::{Element, for_element, size, view};
use super::launch::{Grid, InPlace, launch};
use super::version::Version;
use crate::error::OpError;
use candle_core::{CudaStorage, Layout, Result};

/// A step's numbers: see [`crate::sgd::Sgd`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// "paper" or "pytorch".
    pub rule: &'static str,
    pub rate: f64,
    pub momentum: f64,
    /// As the rule multiplies the weight.
    pub decay: f64,
}

/// Blocks enough to fill any GPU; the grid strides over the rest.
const BLOCKS: usize = 4096;

/// `slab[start..]` holds weights and velocities, f32, as many as the gradient has values.
pub(crate) fn step(
    step: Step,
    slab: &mut CudaStorage,
    start: usize,
    gradient: &CudaStorage,
    gl: &Layout,
) -> Result<()> {
    let count = gl.shape().elem_count();
    if count == 0 {
        return Ok(());
    }
    let device = slab.device.clone();
    let slab = slab.as_cuda_slice_mut::<f32>()?;
    let Some(slab) = slab.try_slice_mut(start..start + 2 * count) else {
        let what = format!("{start} and 2 x {count} values");
        return Err(OpError::shape("sgd", "the slab is too short", what).into());
    };
    let mut slab = InPlace(slab);
    for_element!("sgd", gradient, T => {
        let whole = |values: usize| values.is_multiple_of(4);
        let version = Version::serving(whole(count) && whole(start) && whole(gl.start_offset()));
        let (name, blocks) = version.of(
            ("four", count.div_ceil(4 * 256).min(BLOCKS)),
            ("naive", count.div_ceil(256)),
        );
        let grid = Grid {
            blocks: (size("sgd", blocks)?, 1, 1),
            threads: 256,
        };
        launch(
            &device,
            Kernels::Sgd,
            &format!("sgd_{}_{name}_{}", step.rule, <T as Element>::SUFFIX),
            grid,
            &mut [
                &mut slab,
                &mut view::<T>("sgd", gradient, gl)?,
                &mut (count as u64),
                &mut (step.rate as f32),
                &mut (step.momentum as f32),
                &mut (step.decay as f32),
            ],
        )
    })
}
