//! A GPU opened as a training step wants it, and tensors from one GPU to another.

use super::driver::{self, OpenError};
use super::{launch, through_host};
use crate::fault::Fault;
use candle_core::cuda_backend::WrapErr;
use candle_core::{CudaDevice, Device, Result, Tensor};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Opens GPU `ordinal` with one stream of its own, whichever thread uses it; the same device each time.
///
/// candle's `Device::new_cuda` works on a stream a thread: tensors made by one thread and used by
/// another are then not ordered. Here all work of a device is in one queue, so cudarc need not
/// record events for each use of each tensor; [`send`] orders the one thing that crosses queues.
/// Freed memory stays with the device for the next step.
///
/// A device stays open until the process ends: cudarc panics where cuBLAS cannot be closed, as on a
/// GPU that is lost.
pub fn open(ordinal: usize) -> std::result::Result<Device, OpenError> {
    static OPEN: Mutex<BTreeMap<usize, Device>> = Mutex::new(BTreeMap::new());
    let mut devices = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = devices.get(&ordinal) {
        return Ok(device.clone());
    }
    let count = driver::count()?;
    if ordinal >= count {
        return Err(OpenError::NoSuchGpu { ordinal, count });
    }
    let open = || -> Result<Device> {
        let device = CudaDevice::new_with_stream(ordinal)?;
        launch::order_by_stream_alone(&device);
        launch::keep_freed_memory(&device)?;
        launch::sum_in_f32(&device)?;
        Ok(Device::Cuda(device))
    };
    let device = open().map_err(|error| OpenError::failed(ordinal, &error))?;
    devices.insert(ordinal, device.clone());
    Ok(device)
}

/// How tensors go from one GPU to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// From device to device, over NVLink or PCIe.
    Peer,
    /// The driver's own: it has no direct way, and takes what it copies through the host.
    Driver,
    /// Through pinned memory of the host: what the driver copies does not arrive.
    Host,
}

/// `tensor` on another device, as the driver takes it there. Two GPUs go on working at the same
/// time, and the host waits for neither.
pub fn send(tensor: &Tensor, to: &Device) -> Result<Tensor> {
    let sent = tensor.to_device(to)?;
    if let (Device::Cuda(from), Device::Cuda(onto)) = (tensor.device(), to)
        && !tensor.device().same_device(to)
    {
        // The receiver waits for the sender, and has queued the copy on its own stream. Unless the
        // sender waits for that copy in turn, the memory of a tensor dropped after this call could
        // be given out and overwritten while it is still being read.
        from.cuda_stream().join(&onto.cuda_stream()).w()?;
    }
    Ok(sent)
}

/// [`send`], between two GPUs through pinned memory of the host.
pub fn send_through_host(tensor: &Tensor, to: &Device) -> Result<Tensor> {
    match (tensor.device(), to) {
        (Device::Cuda(_), Device::Cuda(onto)) if !tensor.device().same_device(to) => {
            through_host::copy(tensor, onto)
        }
        _ => tensor.to_device(to),
    }
}

/// Values sent to find out whether a route works: 1 MiB.
const PROBE: u32 = 256 * 1024;

/// The route that works between two GPUs: the driver's, unless it refuses or what arrives is not
/// what was sent, as candle's issue 3524 reports of some machines.
pub fn route(from: &Device, to: &Device) -> Result<Route> {
    let (Device::Cuda(sender), Device::Cuda(receiver)) = (from, to) else {
        return Ok(Route::Host);
    };
    let route = match launch::enable_peer_access(sender, receiver)? {
        true => Route::Peer,
        false => Route::Driver,
    };
    let values: Vec<u32> = (0..PROBE).map(|i| i.wrapping_mul(2_654_435_761)).collect();
    let sent = Tensor::new(values.as_slice(), from)?;
    match send(&sent, to).and_then(|tensor| tensor.to_vec1::<u32>()) {
        Ok(arrived) if arrived == values => Ok(route),
        Err(error) if Fault::of(&error).is_some() => Err(error),
        _ => Ok(Route::Host),
    }
}
