//! A batch from the host to its device, without waiting for what the device still has to do.
//!
//! CUDA copies from ordinary memory of the host only once what is queued before is done, and the host
//! may have to wait until then. Here the values are first put into pinned memory, which a GPU reads by
//! itself, and the copy has a queue of its own.

#[cfg(feature = "cuda")]
use crate::cuda::upload::Queue;
use candle_core::{Device, Result, Shape, Tensor};
#[cfg(feature = "cuda")]
use std::sync::{Mutex, PoisonError};

/// What one device is sent at each step: a tensor of each element type, or fewer.
#[derive(Debug)]
pub struct Upload {
    device: Device,
    #[cfg(feature = "cuda")]
    queue: Option<Mutex<Queue>>,
}

impl Upload {
    pub fn to(device: &Device) -> Result<Self> {
        Ok(Self {
            #[cfg(feature = "cuda")]
            queue: match device {
                Device::Cuda(device) => Some(Mutex::new(Queue::to(device)?)),
                _ => None,
            },
            device: device.clone(),
        })
    }

    /// `tensor` on the device. From the CPU to a GPU it is u8, u32 or f32, and the host waits for
    /// nothing but the copy before the last of its element type.
    ///
    /// # Errors
    /// When the element type is another, or the device has no room.
    pub fn tensor(&self, tensor: &Tensor) -> Result<Tensor> {
        #[cfg(feature = "cuda")]
        if let (Some(queue), true) = (&self.queue, tensor.device().is_cpu()) {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            return queue.send(tensor);
        }
        tensor.to_device(&self.device)
    }

    /// `bytes` of the host as a tensor on the device, copied from where they lie; to a GPU as
    /// [`Upload::tensor`] sends.
    ///
    /// # Errors
    /// When `shape` has another number of elements, or the device has no room.
    pub fn bytes(&self, bytes: &[u8], shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        #[cfg(feature = "cuda")]
        if let (Some(queue), true) = (&self.queue, shape.elem_count() == bytes.len()) {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            return queue.send_bytes(bytes, &shape);
        }
        Tensor::from_slice(bytes, shape, &self.device)
    }
}
