//! The queue by which a GPU's scalars are read; see [`crate::readback`].

use super::element::view;
use crate::storage::with_cuda;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, CudaStream};
use candle_core::{CudaDevice, Result, Tensor};
use std::sync::Arc;

const OP: &str = "readback";

pub(crate) struct Queue {
    work: Arc<CudaStream>,
    copies: Arc<CudaStream>,
}

/// A place in the device's queue.
pub(crate) struct Mark {
    reached: CudaEvent,
    copies: Arc<CudaStream>,
}

impl Queue {
    pub fn of(device: &CudaDevice) -> Result<Self> {
        let work = device.cuda_stream();
        let copies = work.context().new_stream().w()?;
        Ok(Self { work, copies })
    }

    pub fn mark(&self) -> Result<Mark> {
        Ok(Mark {
            reached: self.work.record_event(None).w()?,
            copies: self.copies.clone(),
        })
    }
}

impl Mark {
    /// The one f32 of `tensor`, which was queued before the mark. The host waits for the copy, so
    /// the tensor outlives it.
    pub fn read(&self, tensor: &Tensor) -> Result<f64> {
        self.copies.wait(&self.reached).w()?;
        let values = with_cuda(OP, &[Some(tensor)], |t| match *t {
            [Some((storage, layout))] => {
                let value = view::<f32>(OP, storage, layout)?;
                self.copies.clone_dtoh(&value).w()
            }
            _ => unreachable!("one tensor was given"),
        })?;
        match values.as_slice() {
            [value] => Ok(f64::from(*value)),
            other => candle_core::bail!("{OP}: one value is read, and there are {}", other.len()),
        }
    }
}
