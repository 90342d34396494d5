//! A scalar from its device to the host, without waiting for what is queued behind it.
//!
//! A GPU works through its queue in order. A plain copy to the host stands at the queue's end, and
//! when it is done the GPU has nothing left to do until the host has queued more. Here the copy has
//! a queue of its own, which waits for the scalar alone.

#[cfg(feature = "cuda")]
use crate::cuda::readback::{Mark, Queue};
use candle_core::{DType, Device, Result, Tensor};

/// Where the scalars of one device are read.
pub struct Readback {
    #[cfg(feature = "cuda")]
    queue: Option<Queue>,
}

impl Readback {
    pub fn of(device: &Device) -> Result<Self> {
        #[cfg(not(feature = "cuda"))]
        let _ = device;
        Ok(Self {
            #[cfg(feature = "cuda")]
            queue: match device {
                Device::Cuda(device) => Some(Queue::of(device)?),
                _ => None,
            },
        })
    }

    /// `tensor`, of one value, as the device has it once it has done what is queued now.
    pub fn scalar(&self, tensor: Tensor) -> Result<Scalar> {
        Ok(Scalar {
            #[cfg(feature = "cuda")]
            mark: self.queue.as_ref().map(Queue::mark).transpose()?,
            tensor,
        })
    }
}

/// A scalar that its device may not have computed yet.
pub struct Scalar {
    #[cfg(feature = "cuda")]
    mark: Option<Mark>,
    tensor: Tensor,
}

impl Scalar {
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Its value; waits until there is one.
    pub fn read(&self) -> Result<f64> {
        #[cfg(feature = "cuda")]
        if let Some(mark) = &self.mark {
            return mark.read(&self.tensor);
        }
        self.tensor.to_dtype(DType::F64)?.to_scalar()
    }
}

/// Waits until `device` has done all that is queued. An error is one that [`crate::fault::Fault::of`]
/// can tell, as that of candle's own `synchronize` is not.
pub fn synchronize(device: &Device) -> Result<()> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(device) => crate::cuda::readback::synchronize(device),
        other => other.synchronize(),
    }
}
