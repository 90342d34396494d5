//! The mean that a network subtracts: a picture, or a number for each channel.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use tandem_alexnet::spec::{Layer, Spec};

use crate::error::Problem;
use crate::{ChannelOrder, array, caffe};

/// Blue, green and red of ILSVRC 2012's training pictures: the mean over imagenet_mean.binaryproto, as
/// Caffe's own examples print it.
pub(crate) const ILSVRC: [f32; 3] = [104.00699, 116.66877, 122.67892];

/// The longest file taken for a mean: 3 x 2048 x 2048 in double precision.
const MAX_FILE: u64 = 100 << 20;

/// The largest side of pictures whose mean is made of a number for each channel: a file of a few bytes
/// may say any.
const MAX_SIDE: usize = 1024;

/// On 0..255, channels in the order that the network reads.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Mean {
    /// (channels, side, side)
    Picture {
        channels: usize,
        side: usize,
        values: Vec<f32>,
    },
    Channels(Vec<f32>),
}

impl Mean {
    /// The mean in the file at `path`: a blob as Caffe's `compute_image_mean` writes it, or an array of
    /// NumPy's of (channels, side, side) or of (channels).
    ///
    /// # Errors
    ///
    /// When it cannot be read or is neither.
    pub(crate) fn read(path: &Path) -> Result<Self, Problem> {
        let refuse = |what: String| Problem::Mean {
            path: path.to_owned(),
            what,
        };
        let bytes = crate::read(path, MAX_FILE).map_err(|problem| refuse(problem.to_string()))?;
        Self::of(&bytes).map_err(|problem| refuse(problem.to_string()))
    }

    pub(crate) fn of(bytes: &[u8]) -> Result<Self, Problem> {
        let stored = match array::is_npy(bytes) {
            true => array::read("the mean", bytes)?,
            false => caffe::blob_file("the mean", bytes)?,
        };
        // Caffe's blob is a batch of one.
        let shape: Vec<usize> = match stored.shape.as_slice() {
            [1, rest @ ..] if rest.len() == 3 => rest.to_vec(),
            shape => shape.to_vec(),
        };
        let values = stored.to_tensor()?.flatten_all().and_then(|t| t.to_vec1());
        let values: Vec<f32> = values.map_err(|error| Problem::Tensor {
            name: "the mean".to_owned(),
            what: error.to_string(),
        })?;
        let finite = values.iter().all(|value| value.is_finite());
        match shape[..] {
            [channels, h, w] if finite && h == w && channels > 0 && h > 0 => Ok(Self::Picture {
                channels,
                side: h,
                values,
            }),
            [channels] if finite && channels > 0 => Ok(Self::Channels(values)),
            _ => Err(Problem::Tensor {
                name: "the mean".to_owned(),
                what: format!(
                    "{shape:?} in place of finite numbers, (channels, side, side) or (channels)"
                ),
            }),
        }
    }

    /// The known means of ILSVRC 2012's channels.
    pub(crate) fn ilsvrc(order: ChannelOrder) -> Self {
        let mut means = ILSVRC.to_vec();
        if order == ChannelOrder::Rgb {
            means.reverse();
        }
        Self::Channels(means)
    }

    /// The side of a picture.
    pub(crate) fn side(&self) -> Option<usize> {
        match self {
            Self::Picture { side, .. } => Some(*side),
            Self::Channels(_) => None,
        }
    }

    /// The mean as weights hold it, (channels, side, side), `order` saying how the network reads
    /// channels.
    ///
    /// # Errors
    ///
    /// When it is of another number of channels or another size.
    pub(crate) fn picture(
        self,
        (channels, side): (usize, usize),
        order: ChannelOrder,
    ) -> Result<Tensor, Problem> {
        let refuse = |what: String| Problem::Tensor {
            name: "the mean".to_owned(),
            what,
        };
        let values = match self {
            Self::Picture {
                channels: c,
                side: s,
                values,
            } if (c, s) == (channels, side) => values,
            Self::Picture {
                channels: c,
                side: s,
                ..
            } => {
                return Err(refuse(format!(
                    "is of {c}x{s}x{s}, and the pictures are {channels}x{side}x{side}"
                )));
            }
            Self::Channels(_) if side > MAX_SIDE => {
                return Err(refuse(format!(
                    "of pictures of {side}x{side} would be too large"
                )));
            }
            Self::Channels(values) if values.len() == channels || values.len() == 1 => {
                let of = |channel: usize| *values.get(channel).unwrap_or(&values[0]);
                let planes = (0..channels).map(|channel| vec![of(channel); side * side]);
                planes.flatten().collect()
            }
            Self::Channels(values) => {
                let count = values.len();
                return Err(refuse(format!(
                    "is of {count} channels in place of {channels}"
                )));
            }
        };
        let mean = Tensor::from_vec(values, (channels, side, side), &Device::Cpu);
        let turned = match order {
            ChannelOrder::Bgr if channels == 3 => mean.and_then(|mean| mean.flip(&[0])),
            _ => mean,
        };
        turned.map_err(|error| refuse(error.to_string()))
    }
}

/// What pictures are scaled to before a crop of so many pixels is cut: 256 for ImageNet's crops, as
/// everyone has it, and in that proportion for others.
pub(crate) fn side_for(crop: usize) -> usize {
    match crop {
        193..=256 => 256,
        _ => crop.saturating_mul(8).div_ceil(7),
    }
}

/// Puts in place of the first layer's weight what `change` makes of it.
pub(crate) fn change_first_weight(
    spec: &Spec,
    parameters: &mut BTreeMap<String, Tensor>,
    change: impl FnOnce(&Tensor) -> candle_core::Result<Tensor>,
) -> Result<(), Problem> {
    let first = spec.layers.iter().find_map(Layer::name).unwrap_or_default();
    let name = format!("{first}.weight");
    if let Some(weight) = parameters.get_mut(&name) {
        *weight = change(weight).map_err(|error| Problem::Tensor {
            name,
            what: error.to_string(),
        })?;
    }
    Ok(())
}

/// The weight `(outputs, …)` of a first layer for RGB pictures in place of BGR.
pub(crate) fn turned(weight: &Tensor) -> candle_core::Result<Tensor> {
    let outputs = weight.dim(0)?;
    let by_channel = weight.reshape((outputs, 3, weight.elem_count() / outputs / 3))?;
    by_channel.flip(&[1])?.reshape(weight.shape())?.contiguous()
}
