//! From candle's tensors to slices on the CPU.

use crate::error::OpError;
use crate::real::Real;
use candle_core::{CpuStorage, Layout, Result, Storage, Tensor};
#[cfg(feature = "cuda")]
use candle_core::{CudaStorage, Shape, op::BackpropOp};

/// The elements of a contiguous layout; the start offset is honoured.
pub(crate) fn slice<'a, T: Real>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let all = T::slice(storage)?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&all[start..end]),
        None => Err(OpError::shape(
            "cpu kernel",
            "inputs must be contiguous",
            format!("{layout:?}"),
        )
        .into()),
    }
}

/// Runs `f` on the elements of contiguous CPU tensors; an absent tensor is an empty slice.
pub(crate) fn with_cpu<T: Real, R>(
    tensors: &[Option<&Tensor>],
    f: impl FnOnce(&[&[T]]) -> Result<R>,
) -> Result<R> {
    let guards: Vec<_> = tensors
        .iter()
        .map(|tensor| tensor.map(Tensor::storage_and_layout))
        .collect();
    let slices = guards
        .iter()
        .map(|guard| match guard {
            None => Ok(&[][..]),
            Some((storage, layout)) => match &**storage {
                Storage::Cpu(storage) => slice::<T>(storage, layout),
                other => Err(OpError::Device {
                    op: "cpu kernel",
                    device: format!("{:?}", other.device().location()),
                }
                .into()),
            },
        })
        .collect::<Result<Vec<&[T]>>>()?;
    f(&slices)
}

/// Runs `f` on the storages and layouts of tensors on one GPU; an absent tensor is `None`.
#[cfg(feature = "cuda")]
pub(crate) fn with_cuda<R>(
    op: &'static str,
    tensors: &[Option<&Tensor>],
    f: impl FnOnce(&[Option<(&CudaStorage, &Layout)>]) -> Result<R>,
) -> Result<R> {
    let guards: Vec<_> = tensors
        .iter()
        .map(|tensor| tensor.map(Tensor::storage_and_layout))
        .collect();
    let mut devices = tensors.iter().flatten().map(|tensor| tensor.device());
    let first = devices.next();
    let same = devices.all(|device| first.is_some_and(|first| first.same_device(device)));
    let storages = guards
        .iter()
        .map(|guard| match guard {
            None => Ok(None),
            Some((storage, layout)) => match &**storage {
                Storage::Cuda(storage) if same => Ok(Some((storage, *layout))),
                other => Err(OpError::Device {
                    op,
                    device: format!("{:?}", other.device().location()),
                }
                .into()),
            },
        })
        .collect::<Result<Vec<_>>>()?;
    f(&storages)
}

/// A tensor without a history.
#[cfg(feature = "cuda")]
pub(crate) fn on_cuda(storage: CudaStorage, shape: impl Into<Shape>) -> Tensor {
    Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false)
}
