//! The network is data: a [`Spec`] lists the layers of a network and which towers they live in.
//!
//! A spec comes from a preset, a TOML file or a string, and is checked as it enters: every other
//! module may rely on [`Shapes::of`](crate::shapes::Shapes::of) succeeding for a spec that was read
//! here.

mod check;
mod difference;
mod layer;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use check::{MAX_CLASSES, MAX_LAYERS, MAX_PARAMETERS, MAX_SIZE, MAX_TOWERS, MAX_VALUES};
pub use layer::{
    Activation, AdaptiveAveragePool, AlphaConvention, Convolution, Dropout, DropoutRule, Layer,
    Linear, Lrn, Pool, Rounding, Sees,
};

use crate::error::SpecError;
use crate::nearest::{hint, with_hint};
use crate::presets;
use crate::shapes::Shapes;

/// A network: its input and its layers in order.
///
/// ```
/// use tandem_alexnet::{shapes::Shapes, spec::Spec};
///
/// let spec = Spec::preset("alexnet")?;
/// assert_eq!(Shapes::of(&spec)?.parameters(), 60_965_224);
/// assert_eq!(Spec::parse(&spec.to_toml())?, spec);
/// # Ok::<(), tandem_alexnet::error::SpecError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub name: String,
    /// Outputs of the last layer. Training replaces it by the data's number of classes.
    pub classes: usize,
    pub input: Input,
    #[serde(rename = "layer")]
    pub layers: Vec<Layer>,
}

/// What happens to a picture before the first layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Channels of a picture, 1 or 3; the data's where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<usize>,
    /// The shorter side of a picture is scaled to this and the centre square cut (Section 2: 256).
    pub side: usize,
    /// Side of the square crop that the network sees (Section 4.1: 224).
    pub crop: usize,
    #[serde(default)]
    pub normalise: Normalise,
}

/// What is subtracted from a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// The training set's mean for each pixel, on 0..255 (Section 2).
    #[default]
    Mean,
    /// Pixels on 0..1, then minus and over ImageNet's mean and standard deviation for each channel.
    Torchvision,
}

impl Spec {
    /// The shipped spec of that name, see [`presets::ALL`].
    pub fn preset(name: &str) -> Result<Self, SpecError> {
        Self::parse_from(presets::text(name)?, name)
    }

    /// The preset of that name or, where `name` ends in `.toml` or holds a path separator, the
    /// file.
    pub fn named(name: &str) -> Result<Self, SpecError> {
        if name.ends_with(".toml") || name.contains(['/', '\\']) {
            Self::read(Path::new(name))
        } else {
            Self::preset(name)
        }
    }

    /// Reads a TOML file.
    pub fn read(path: &Path) -> Result<Self, SpecError> {
        let text = std::fs::read_to_string(path).map_err(|source| SpecError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse_from(&text, &path.display().to_string())
    }

    /// Reads TOML text and checks it.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        Self::parse_from(text, "the spec")
    }

    fn parse_from(text: &str, origin: &str) -> Result<Self, SpecError> {
        let spec: Self = toml::from_str(text).map_err(|error| SpecError::Syntax {
            origin: origin.to_owned(),
            message: with_hint(&error.to_string()),
        })?;
        spec.check()?;
        Ok(spec)
    }

    /// Whether every size is within its limits and every layer accepts what the one before gives.
    pub fn check(&self) -> Result<(), SpecError> {
        check::fields(self)?;
        Shapes::of(self).map(|_| ())
    }

    /// The spec as TOML, every value written out. Reading it back gives an equal spec.
    pub fn to_toml(&self) -> String {
        toml::to_string(self)
            .expect("a spec holds only strings, numbers and tables, and its keys are fixed")
    }

    /// This network for pictures of `channels` channels in `classes` classes.
    pub fn for_data(&self, classes: usize, channels: usize) -> Result<Self, SpecError> {
        if let Some(wanted) = self.input.channels.filter(|&wanted| wanted != channels) {
            return Err(SpecError::ChannelsDiffer {
                spec: self.name.clone(),
                wanted,
                given: channels,
            });
        }
        let mut spec = self.clone();
        spec.classes = classes;
        spec.input.channels = Some(channels);
        spec.check()?;
        Ok(spec)
    }

    /// Channels of a picture: 3 (RGB) until [`Spec::for_data`] or the TOML says otherwise.
    pub fn input_channels(&self) -> usize {
        self.input.channels.unwrap_or(3)
    }

    /// What a message calls layer `index` (from 0): "layer 4 `conv2`", "layer 2 `conv1/lrn`".
    pub fn label(&self, index: usize) -> String {
        format!("layer {} `{}`", index + 1, self.layer_name(index))
    }

    /// The name of layer `index`; one without parameters is called after the last that has some:
    /// `conv1/lrn`.
    pub fn layer_name(&self, index: usize) -> String {
        let layer = &self.layers[index];
        match layer.name() {
            Some(name) => name.to_owned(),
            None => {
                let before = self.layers[..index].iter().rev().find_map(Layer::name);
                format!("{}/{}", before.unwrap_or("input"), layer.kind())
            }
        }
    }
    /// The place of the layer called `name`, as [`Spec::layer_name`] and `tandem info` call it; the
    /// first of several.
    ///
    /// # Errors
    /// [`SpecError::UnknownLayer`], which names the nearest.
    pub fn layer_named(&self, name: &str) -> Result<usize, SpecError> {
        let names: Vec<String> = (0..self.layers.len()).map(|i| self.layer_name(i)).collect();
        let place = names.iter().position(|known| known == name);
        place.ok_or_else(|| SpecError::UnknownLayer {
            name: name.to_owned(),
            hint: hint(name, names.iter().map(String::as_str)),
            known: names.join(", "),
        })
    }

    /// The place of the last hidden layer, the last with weights before the one that gives the scores:
    /// fc7 in the paper. None where scores are read off the picture itself.
    pub fn last_hidden(&self) -> Option<usize> {
        let before = &self.layers[..self.layers.len() - 1];
        before.iter().rposition(|layer| layer.name().is_some())
    }
}
