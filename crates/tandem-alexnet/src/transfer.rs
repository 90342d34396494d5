//! Activations and gradients from the device of one tower to that of another.

use candle_core::{Device, Result, Tensor};

/// How tensors travel between the devices of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// As the driver does it, from device to device where it can; or there is one device.
    Direct,
    /// Through the host's memory: two GPUs that do not hand tensors over faithfully.
    Host,
}

impl Transfer {
    /// The way that works between all of `devices`, found by trying.
    #[cfg(feature = "cuda")]
    pub(crate) fn between(devices: &[Device]) -> Result<Self> {
        use tandem_ops::cuda::device::{Route, route};
        for from in devices {
            for to in devices {
                let gpus = from.is_cuda() && to.is_cuda() && !from.same_device(to);
                if gpus && route(from, to)? == Route::Host {
                    return Ok(Self::Host);
                }
            }
        }
        Ok(Self::Direct)
    }

    #[cfg(not(feature = "cuda"))]
    pub(crate) fn between(_devices: &[Device]) -> Result<Self> {
        Ok(Self::Direct)
    }

    /// `tensor` on `device`.
    #[cfg(feature = "cuda")]
    pub(crate) fn send(self, tensor: &Tensor, device: &Device) -> Result<Tensor> {
        use tandem_ops::cuda::device::{send, send_through_host};
        match self {
            Self::Direct => send(tensor, device),
            Self::Host => send_through_host(tensor, device),
        }
    }

    #[cfg(not(feature = "cuda"))]
    pub(crate) fn send(self, tensor: &Tensor, device: &Device) -> Result<Tensor> {
        tensor.to_device(device)
    }
}
