//! From bytes to the values a network sees.

use std::sync::Arc;

use crate::{DataError, Preprocess};

/// torchvision's mean of ImageNet, red, green, blue, of 0 to 1.
const TORCHVISION_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// torchvision's standard deviation of ImageNet, of 0 to 1.
const TORCHVISION_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// What is done to the values 0 to 255.
#[derive(Debug, Clone, PartialEq)]
pub enum Normalise {
    /// The training mean (C, side, side), 0 to 255, is subtracted at the place of the crop (section 2
    /// of the paper): values from about −128 to 128.
    Mean(Arc<[f32]>),
    /// Divided by 255, then torchvision's mean subtracted and divided by its deviation, channel by
    /// channel. Grey pictures take the averages over the three channels.
    Torchvision,
}

impl Normalise {
    /// # Errors
    ///
    /// [`DataError::Mean`] if a mean is not of pictures of `preprocess`.
    pub fn check(&self, preprocess: Preprocess) -> Result<(), DataError> {
        match self {
            Self::Mean(mean) if mean.len() != preprocess.len() => Err(DataError::Mean {
                found: mean.len(),
                channels: preprocess.channels,
                side: preprocess.side,
            }),
            _ => Ok(()),
        }
    }

    /// `(x − mean) / deviation` of torchvision as `x · scale + offset`, for x from 0 to 255: the two of
    /// one of `channels` channels, 1 or 3.
    #[must_use]
    pub fn torchvision(channel: usize, channels: usize) -> (f32, f32) {
        let (mean, std) = if channels == 1 {
            (
                TORCHVISION_MEAN.iter().sum::<f32>() / 3.0,
                TORCHVISION_STD.iter().sum::<f32>() / 3.0,
            )
        } else {
            (TORCHVISION_MEAN[channel], TORCHVISION_STD[channel])
        };
        (1.0 / (255.0 * std), -mean / std)
    }
}
