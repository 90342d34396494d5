//! From a batch to what the towers see of it.
//!
//! conv1 sees the picture in every tower. GPUs are each given the bytes, and crop, mirror, colour and
//! normalise them themselves: of a picture of 256 × 256 that moves 2 × 192 KiB for two towers.
//! Values made on the first and sent on would move 192 + 588 KiB, and the second would wait for the
//! first.

use candle_core::{Device, Result, Tensor};
use tandem_data::{Form, Images, Mirror, Normalise, Preprocess};
use tandem_ops::augment::{self, Augment};

use crate::error::NetworkError;
use crate::network::Network;

/// Pictures `(N, C, crop, crop)`, once or the same on each device that reads them; or what the first
/// layers made of them, to go on from there.
#[derive(Clone, Debug)]
pub struct Input {
    copies: Vec<Tensor>,
    /// Layers that it has been through.
    layers: usize,
}

impl From<&Tensor> for Input {
    fn from(tensor: &Tensor) -> Self {
        Self::pictures(vec![tensor.clone()])
    }
}

impl Input {
    fn pictures(copies: Vec<Tensor>) -> Self {
        Self { copies, layers: 0 }
    }

    /// What the first `layers` layers gave for pictures, as [`Network::forward_to`] the last of them
    /// does: `(N, C, H, W)` or `(N, F)`, all towers.
    pub fn after(layers: usize, values: Tensor) -> Self {
        let copies = vec![values];
        Self { copies, layers }
    }

    pub(crate) fn layers(&self) -> usize {
        self.layers
    }

    /// The copy on `device`, or the first where none is.
    pub(crate) fn nearest(&self, device: &Device) -> &Tensor {
        let here = |copy: &&Tensor| copy.device().same_device(device);
        self.copies.iter().find(here).unwrap_or(&self.copies[0])
    }
}

/// Turns batches into input for a network.
pub struct Feed {
    /// Each GPU with its operation. Empty, and the loader makes the values, unless all are GPUs.
    gpus: Vec<(Device, Augment)>,
}

impl Feed {
    /// For `network`, from pictures of `preprocess`.
    ///
    /// # Errors
    /// When the mean is of other pictures, or a GPU has no room for it.
    pub fn new(
        network: &Network,
        preprocess: Preprocess,
        normalise: &Normalise,
    ) -> std::result::Result<Self, NetworkError> {
        normalise.check(preprocess)?;
        let (devices, crop) = (network.devices(), network.spec().input.crop);
        let dtype = network.precision().dtype();
        let mut gpus: Vec<(Device, Augment)> = Vec::new();
        if devices.iter().all(Device::is_cuda) {
            for device in devices {
                if gpus.iter().all(|(other, _)| !other.same_device(device)) {
                    let constants = constants(normalise, preprocess, device)?;
                    gpus.push((device.clone(), Augment::new(crop, constants, dtype)?));
                }
            }
        }
        Ok(Self { gpus })
    }

    /// What to ask the loader for.
    pub fn form(&self) -> Form {
        match self.gpus.is_empty() {
            true => Form::Values,
            false => Form::Bytes,
        }
    }

    /// The input for the pictures of a batch in [`Feed::form`].
    pub fn input(&self, images: Images) -> Result<Input> {
        match images {
            Images::Values { values, shape } => {
                Ok((&Tensor::from_vec(values.into_vec(), &shape[..], &Device::Cpu)?).into())
            }
            Images::Draws(_) => candle_core::bail!("draws are no pictures"),
            Images::Bytes { .. } if self.gpus.is_empty() => {
                candle_core::bail!("bytes are for GPUs; ask the loader for values")
            }
            Images::Bytes {
                bytes,
                shape,
                draws,
            } => {
                let draws: Vec<augment::Draw> = draws.iter().map(draw).collect();
                let on_each = |(_, op): &(Device, Augment)| op.forward(&bytes, shape, &draws);
                let copies = self.gpus.iter().map(on_each);
                Ok(Input::pictures(copies.collect::<Result<_>>()?))
            }
        }
    }
}

fn constants(
    normalise: &Normalise,
    preprocess: Preprocess,
    device: &Device,
) -> Result<augment::Normalise> {
    let Preprocess { side, channels } = preprocess;
    Ok(match normalise {
        Normalise::Mean(mean) => {
            let mean = Tensor::from_slice(mean, (channels, side, side), device)?;
            augment::Normalise::Mean(mean)
        }
        Normalise::Torchvision => {
            let pairs =
                (0..channels).flat_map(|c| <[f32; 2]>::from(Normalise::torchvision(c, channels)));
            let pairs = Tensor::from_vec(pairs.collect(), (channels, 2), device)?;
            augment::Normalise::Affine(pairs)
        }
    })
}

fn draw(draw: &tandem_data::Draw) -> augment::Draw {
    augment::Draw {
        // Sides are at most 16,384.
        top: draw.top as u32,
        left: draw.left as u32,
        mirrored: draw.mirror == Mirror::On,
        shift: draw.shift,
    }
}
