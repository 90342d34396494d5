//! The queue by which a GPU's scalars are read; see [`crate::readback`].

use super::element::view;
use super::launch::pinned;
use crate::storage::with_cuda;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, CudaStream, PinnedHostSlice};
use candle_core::{CudaDevice, Result, Tensor};
use std::sync::{Arc, Mutex, PoisonError};

const OP: &str = "readback";

pub(crate) struct Queue {
    work: Arc<CudaStream>,
    copies: Arc<CudaStream>,
    /// One value, where the copies arrive.
    host: Arc<Mutex<PinnedHostSlice<f32>>>,
}

/// A place in the device's queue.
pub(crate) struct Mark {
    reached: CudaEvent,
    copies: Arc<CudaStream>,
    host: Arc<Mutex<PinnedHostSlice<f32>>>,
}

impl Queue {
    pub fn of(device: &CudaDevice) -> Result<Self> {
        let work = device.cuda_stream();
        let copies = work.context().new_stream().w()?;
        let host = Arc::new(Mutex::new(pinned(device, 1)?));
        Ok(Self { work, copies, host })
    }

    pub fn mark(&self) -> Result<Mark> {
        Ok(Mark {
            reached: self.work.record_event(None).w()?,
            copies: self.copies.clone(),
            host: self.host.clone(),
        })
    }
}

impl Mark {
    /// The one f32 of `tensor`, which was queued before the mark. The host waits for the copy, so
    /// the tensor outlives it.
    pub fn read(&self, tensor: &Tensor) -> Result<f64> {
        let mut host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        with_cuda(OP, &[Some(tensor)], |t| match *t {
            [Some((storage, layout))] => {
                let value = view::<f32>(OP, storage, layout)?;
                if value.len() != 1 {
                    let count = value.len();
                    candle_core::bail!("{OP}: one value is read, and there are {count}");
                }
                self.copies.wait(&self.reached).w()?;
                let host = host.as_mut_slice().w()?;
                self.copies.memcpy_dtoh(&value, host).w()?;
                self.copies.synchronize().w()?;
                Ok(f64::from(host[0]))
            }
            _ => unreachable!("one tensor was given"),
        })
    }
}

pub fn synchronize(device: &CudaDevice) -> Result<()> {
    device.cuda_stream().synchronize().w()
}
