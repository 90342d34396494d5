//! The limits of a spec's numbers, checked before any arithmetic is done with them.
//!
//! What depends on the layer before (does a window fit, do channels divide) is checked by
//! [`crate::shapes`].

use std::collections::HashMap;

use super::{Layer, Spec};
use crate::error::SpecError;

/// Layers in a spec.
pub const MAX_LAYERS: usize = 256;
/// Any side, kernel, stride, padding or number of channels.
pub const MAX_SIZE: usize = 65_536;
/// Classes. ImageNet's Fall 2011 release has 21,841.
pub const MAX_CLASSES: usize = 1_000_000;
/// Towers of a layer.
pub const MAX_TOWERS: usize = 8;
/// Parameters of a network: 16 GiB of f32.
pub const MAX_PARAMETERS: u64 = 1 << 32;
/// Values that one layer gives for one picture: 4 GiB of f32.
pub const MAX_VALUES: u64 = 1 << 30;

/// Each number of `spec` on its own, and the names.
pub(super) fn fields(spec: &Spec) -> Result<(), SpecError> {
    let whole = |field, value, least, most| range("[input]", field, value, least, most);
    whole("channels", spec.input_channels(), 1, MAX_SIZE)?;
    whole("side", spec.input.side, 1, MAX_SIZE)?;
    whole("crop", spec.input.crop, 1, spec.input.side)?;
    range("the spec", "classes", spec.classes, 1, MAX_CLASSES)?;
    range(
        "the spec",
        "number of layers",
        spec.layers.len(),
        1,
        MAX_LAYERS,
    )?;
    for index in 0..spec.layers.len() {
        layer(spec, index)?;
    }
    names(spec)
}

fn layer(spec: &Spec, index: usize) -> Result<(), SpecError> {
    let label = spec.label(index);
    let size = |field, value| range(&label, field, value, 1, MAX_SIZE);
    match &spec.layers[index] {
        Layer::Convolution(layer) => {
            size("channels", layer.channels)?;
            size("kernel", layer.kernel)?;
            size("stride", layer.stride)?;
            range(&label, "padding", layer.padding, 0, MAX_SIZE)?;
            range(&label, "towers", layer.towers, 1, MAX_TOWERS)?;
            size("groups", layer.groups)?;
            real(&label, "weight_std", layer.weight_std, Real::NotNegative)?;
            real(&label, "bias", layer.bias, Real::Finite)
        }
        Layer::Linear(layer) => {
            if let Some(channels) = layer.channels {
                range(&label, "channels", channels, 1, MAX_CLASSES)?;
            }
            range(&label, "towers", layer.towers, 1, MAX_TOWERS)?;
            real(&label, "weight_std", layer.weight_std, Real::NotNegative)?;
            real(&label, "bias", layer.bias, Real::Finite)
        }
        Layer::Lrn(layer) => {
            size("size", layer.size)?;
            if layer.size.is_multiple_of(2) {
                return Err(SpecError::EvenWindow {
                    layer: label,
                    size: layer.size,
                });
            }
            // k = 0 would divide by zero where every neuron in the window is silent.
            real(&label, "k", layer.k, Real::Positive)?;
            real(&label, "alpha", layer.alpha, Real::NotNegative)?;
            real(&label, "beta", layer.beta, Real::NotNegative)
        }
        Layer::MaxPool(layer) | Layer::AveragePool(layer) => {
            size("kernel", layer.kernel)?;
            size("stride", layer.stride)?;
            // More, and a window could lie in the padding altogether.
            range(&label, "padding", layer.padding, 0, layer.kernel / 2)
        }
        Layer::AdaptiveAveragePool(layer) => size("output", layer.output),
        Layer::Dropout(layer) => real(&label, "p", layer.p, Real::Probability),
    }
}

/// Names become tensor names (`conv1.weight`), so they are plain, and each stands for one layer.
fn names(spec: &Spec) -> Result<(), SpecError> {
    let mut seen = HashMap::new();
    for (index, name) in spec
        .layers
        .iter()
        .enumerate()
        .filter_map(|(i, l)| Some((i, l.name()?)))
    {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return Err(SpecError::Name {
                layer: index + 1,
                name: name.to_owned(),
            });
        }
        if let Some(first) = seen.insert(name, index) {
            return Err(SpecError::DuplicateName {
                name: name.to_owned(),
                first: first + 1,
                second: index + 1,
            });
        }
    }
    Ok(())
}

fn range(
    place: &str,
    field: &'static str,
    value: usize,
    least: usize,
    most: usize,
) -> Result<(), SpecError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(SpecError::OutOfRange {
        place: place.to_owned(),
        field,
        value,
        least,
        most,
    })
}

enum Real {
    Finite,
    NotNegative,
    Positive,
    Probability,
}

fn real(layer: &str, field: &'static str, value: f64, kind: Real) -> Result<(), SpecError> {
    let (fits, wanted) = match kind {
        Real::Finite => (true, "a finite number"),
        Real::NotNegative => (value >= 0.0, "zero or a positive number"),
        Real::Positive => (value > 0.0, "a positive number"),
        Real::Probability => ((0.0..1.0).contains(&value), "at least 0 and below 1"),
    };
    if fits && value.is_finite() {
        return Ok(());
    }
    Err(SpecError::Real {
        layer: layer.to_owned(),
        field,
        value,
        wanted,
    })
}
