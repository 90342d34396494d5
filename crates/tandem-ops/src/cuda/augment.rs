//! Host side of `kernels/augment.cu`.

use super::compile::Kernels;
use super::element::{Element, size, view};
use super::launch::{Buffer, Grid, launch};
use super::linear::Placed;
use super::version::Version;
use crate::augment::Sizes;
use crate::error::OpError;
use candle_core::{CudaStorage, DType, Result};
use half::{bf16, f16};

const OP: &str = "augment";

/// Bytes `x`, places u32 `(outputs, 3)` inside the pictures, shifts f32 `(outputs, 3)` and constants
/// of `kind`, `mean` or `affine`, as values of `dtype`.
pub(crate) fn apply(
    sizes: Sizes,
    kind: &str,
    dtype: DType,
    x: Placed<'_>,
    places: Placed<'_>,
    shifts: Placed<'_>,
    constants: Placed<'_>,
) -> Result<CudaStorage> {
    let inputs = [x, places, shifts, constants];
    match dtype {
        DType::F32 => values::<f32>(sizes, kind, inputs),
        DType::F16 => values::<f16>(sizes, kind, inputs),
        DType::BF16 => values::<bf16>(sizes, kind, inputs),
        other => Err(OpError::dtype(OP, other).into()),
    }
}

fn values<T: Element>(
    sizes: Sizes,
    kind: &str,
    [x, places, shifts, constants]: [Placed<'_>; 4],
) -> Result<CudaStorage> {
    let device = &x.0.device;
    let Sizes {
        pictures,
        views,
        side,
        channels,
        crop,
    } = sizes;
    let outputs = pictures * views;
    // Places in a picture and among the draws are worked out in 32 bits.
    let _: i32 = size(OP, side.saturating_mul(side).max(outputs.saturating_mul(3)))?;
    let mut y = Buffer::<T>::new(device, outputs * channels * crop * crop)?;
    let (name, pixels) = Version::serving(true).of(("four", 4), ("naive", 1));
    let grid = Grid {
        blocks: (
            size(OP, (crop * crop).div_ceil(256 * pixels))?,
            size(OP, outputs.min(65_535))?,
            1,
        ),
        threads: 256,
    };
    launch(
        device,
        Kernels::Augment,
        &format!("augment_{kind}_{name}_{}", T::SUFFIX),
        grid,
        &mut [
            &mut view::<u8>(OP, x.0, x.1)?,
            &mut view::<u32>(OP, places.0, places.1)?,
            &mut view::<f32>(OP, shifts.0, shifts.1)?,
            &mut view::<f32>(OP, constants.0, constants.1)?,
            &mut y,
            &mut size::<u32>(OP, outputs)?,
            &mut size::<u32>(OP, views)?,
            &mut size::<u32>(OP, side)?,
            &mut size::<u32>(OP, channels)?,
            &mut size::<u32>(OP, crop)?,
        ],
    )?;
    Ok(y.into_storage(device))
}
