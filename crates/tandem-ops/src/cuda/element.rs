//! Element types of the kernels, and from candle's storage to views of them.

use crate::error::OpError;
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::CudaDType;
use candle_core::cuda_backend::cudarc::driver::{CudaView, DeviceRepr};
use candle_core::{CudaStorage, Layout, Result};
use half::{bf16, f16};

/// A type the kernels store values in; they compute in f32.
pub(super) trait Element: CudaDType + DeviceRepr + 'static {
    /// What the names of the kernels for this type end in.
    const SUFFIX: &'static str;
}

impl Element for f32 {
    const SUFFIX: &'static str = "f32";
}
impl Element for f16 {
    const SUFFIX: &'static str = "f16";
}
impl Element for bf16 {
    const SUFFIX: &'static str = "bf16";
}

/// `$body` with `$T` the element type of a storage.
macro_rules! for_element {
    ($op:expr, $storage:expr, $T:ident => $body:expr) => {{
        use candle_core::backend::BackendStorage;
        match $storage.dtype() {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F16 => {
                type $T = half::f16;
                $body
            }
            candle_core::DType::BF16 => {
                type $T = half::bf16;
                $body
            }
            other => Err($crate::error::OpError::dtype($op, other).into()),
        }
    }};
}
pub(super) use for_element;

/// The elements of a contiguous layout; the start offset is honoured.
pub(super) fn view<'a, T: CudaDType>(
    op: &'static str,
    storage: &'a CudaStorage,
    layout: &Layout,
) -> Result<CudaView<'a, T>> {
    let all = storage.as_cuda_slice::<T>()?;
    layout
        .contiguous_offsets()
        .and_then(|(start, end)| all.try_slice(start..end))
        .ok_or_else(|| {
            let layout = format!("{layout:?} of {:?}", storage.dtype());
            OpError::shape(op, "inputs must be contiguous", layout).into()
        })
}

/// A size as the kernels take it.
pub(super) fn size<I: TryFrom<usize>>(op: &'static str, value: usize) -> Result<I> {
    // One bit is left free: kernels add sizes and paddings in 32 bits.
    I::try_from(value)
        .ok()
        .filter(|_| value <= i32::MAX as usize)
        .ok_or_else(|| {
            let what = "a size is above 2³¹ − 1; use a smaller batch";
            OpError::shape(op, what, value.to_string()).into()
        })
}
