//! What happens to the pictures of a run before the network sees them.

use serde::{Deserialize, Serialize};
use tandem_data::{Part, Randomisation};

/// What a training picture goes through beside the random crop (Section 4.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AugmentConfig {
    /// Where the crop lies.
    #[serde(default)]
    pub crop: Crop,
    /// Whether half of the pictures are mirrored left to right. Not for digits.
    pub mirror: bool,
    pub colour: Colour,
}

/// Where the crop of a training picture lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Crop {
    /// Anywhere.
    #[default]
    Random,
    /// In the middle.
    Centre,
    /// In a corner or the middle, of the five each time any.
    Corners,
}

/// Shifts along the principal components of the training pictures' colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    Off,
    /// By the roots of the eigenvalues on 0..255, as the authors' cuda-convnet.
    Convnet,
    /// By the eigenvalues on 0..1, as Torch.
    Paper01,
}

/// What is made random of the data, to see whether a network can learn it by heart (Zhang et al.,
/// "Understanding deep learning requires rethinking generalization", 2017, Section 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Randomise {
    /// The probability that a training picture's label is replaced by any, 0 to 1.
    pub labels: f64,
    pub pixels: PixelOrder,
}

/// Where the pixels of a picture go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PixelOrder {
    #[default]
    Original,
    /// To other places, the same for all pictures.
    Shuffled,
    /// To other places, others for each picture.
    Random,
}

impl Randomise {
    /// For the pictures of `part`: labels are random where the network learns, never where it is
    /// measured.
    pub(crate) fn of(self, part: Part, seed: u64) -> Randomisation {
        Randomisation {
            label_probability: match part {
                Part::Train => self.labels,
                Part::Validation | Part::Test => 0.0,
            },
            pixels: match self.pixels {
                PixelOrder::Original => tandem_data::PixelOrder::Original,
                PixelOrder::Shuffled => tandem_data::PixelOrder::Shuffled,
                PixelOrder::Random => tandem_data::PixelOrder::Random,
            },
            seed,
        }
    }
}
