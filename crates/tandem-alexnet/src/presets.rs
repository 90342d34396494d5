//! The networks shipped with Tandem, as TOML in `presets/`.

use crate::error::SpecError;
use crate::nearest::hint;

/// Every preset: its name and what it is in a line.
pub const ALL: [Preset; 7] = [
    preset(
        "mini",
        "two towers for small pictures: the default run",
        include_str!("../presets/mini.toml"),
    ),
    preset(
        "alexnet",
        "the paper's two towers",
        include_str!("../presets/alexnet.toml"),
    ),
    preset(
        "alexnet-one-gpu",
        "the one-GPU net of the paper's Section 3.2",
        include_str!("../presets/alexnet-one-gpu.toml"),
    ),
    preset(
        "alexnet-star",
        "with a sixth convolution over the last pooling layer",
        include_str!("../presets/alexnet-star.toml"),
    ),
    preset(
        "caffenet",
        "Caffe's reference net: pooling before LRN",
        include_str!("../presets/caffenet.toml"),
    ),
    preset(
        "bvlc-alexnet",
        "Caffe's AlexNet",
        include_str!("../presets/bvlc-alexnet.toml"),
    ),
    preset(
        "torchvision",
        "torchvision's one tower without LRN",
        include_str!("../presets/torchvision.toml"),
    ),
];

/// A shipped network.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    pub name: &'static str,
    pub about: &'static str,
    /// TOML of a [`Spec`](crate::spec::Spec).
    pub text: &'static str,
}

const fn preset(name: &'static str, about: &'static str, text: &'static str) -> Preset {
    Preset { name, about, text }
}

/// The TOML of the preset called `name`.
pub(crate) fn text(name: &str) -> Result<&'static str, SpecError> {
    ALL.iter()
        .find(|preset| preset.name == name)
        .map(|preset| preset.text)
        .ok_or_else(|| SpecError::UnknownPreset {
            name: name.to_owned(),
            hint: hint(name, ALL.iter().map(|preset| preset.name)),
            known: ALL.map(|preset| preset.name).join(", "),
        })
}

/// What training the preset called `name` changes of the paper's values, as TOML; nothing for the
/// paper's own networks.
pub(crate) fn recipe(name: &str) -> &'static str {
    match name {
        "mini" => include_str!("../presets/mini.train.toml"),
        _ => "",
    }
}
