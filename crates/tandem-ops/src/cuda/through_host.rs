//! From one GPU to another through pinned memory of the host, where the direct way does not work.

use super::element::view;
use super::launch::{Buffer, pinned};
use crate::error::OpError;
use crate::storage::{on_cuda, with_cuda};
use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{DeviceRepr, ValidAsZeroBits};
use candle_core::cuda_backend::{CudaDType, WrapErr};
use candle_core::{CudaDevice, CudaStorage, DType, Layout, Result, Tensor};
use half::{bf16, f16};

const OP: &str = "copy through the host";

/// A copy of `tensor` on `to`. The host waits for both halves of the way.
pub(super) fn copy(tensor: &Tensor, to: &CudaDevice) -> Result<Tensor> {
    let tensor = &tensor.contiguous()?;
    let storage = with_cuda(OP, &[Some(tensor)], |t| match *t {
        [Some((storage, layout))] => match storage.dtype() {
            DType::F32 => carry::<f32>(storage, layout, to),
            DType::F16 => carry::<f16>(storage, layout, to),
            DType::BF16 => carry::<bf16>(storage, layout, to),
            DType::U8 => carry::<u8>(storage, layout, to),
            DType::U32 => carry::<u32>(storage, layout, to),
            other => Err(OpError::dtype(OP, other).into()),
        },
        _ => unreachable!("one tensor was given"),
    })?;
    Ok(on_cuda(storage, tensor.shape()))
}

fn carry<T: CudaDType + DeviceRepr + ValidAsZeroBits>(
    storage: &CudaStorage,
    layout: &Layout,
    to: &CudaDevice,
) -> Result<CudaStorage> {
    let view = view::<T>(OP, storage, layout)?;
    let mut host = pinned::<T>(&storage.device, view.len())?;
    let (there, here) = (to.cuda_stream(), storage.device.cuda_stream());
    here.memcpy_dtoh(&view, &mut host).w()?;
    here.synchronize().w()?;
    let mut copy = Buffer::<T>::new(to, view.len())?;
    there
        .memcpy_htod(host.as_slice().w()?, &mut copy.slice)
        .w()?;
    // Until then the host's memory is read.
    there.synchronize().w()?;
    Ok(copy.into_storage(to))
}
