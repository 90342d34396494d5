//! torchvision's names for the layers of its `alexnet`: places in two `nn.Sequential`s.

use std::collections::BTreeMap;

use candle_core::Tensor;
use tandem_alexnet::spec::{DropoutRule, Input, Layer, Spec};
use tandem_alexnet::weights::Weights;

use crate::error::Problem;
use crate::export::ExportError;
use crate::stored::Stored;

/// Convolutions and linear layers, in order.
pub(crate) const LAYERS: [&str; 8] = [
    "features.0",
    "features.3",
    "features.6",
    "features.8",
    "features.10",
    "classifier.1",
    "classifier.4",
    "classifier.6",
];

/// The preset `torchvision` with as many channels, neurons and classes as these tensors have; none if
/// their names are not torchvision's. Whether the tensors fit it is for [`fit`](crate::fit::fit).
pub(crate) fn spec_of(tensors: &BTreeMap<String, Stored>) -> Result<Option<Spec>, Problem> {
    let weight = |layer: &str| tensors.get(&format!("{layer}.weight"));
    let [Some(first), Some(last)] = [LAYERS[0], LAYERS[7]].map(weight) else {
        return Ok(None);
    };
    let mut spec = Spec::preset("torchvision")?;
    let layers = spec.layers.iter_mut().filter(|l| l.name().is_some());
    for (layer, name) in layers.zip(LAYERS) {
        let outputs = weight(name).and_then(|weight| weight.shape.first().copied());
        match (layer, outputs) {
            (Layer::Convolution(layer), Some(outputs)) => layer.channels = outputs,
            (Layer::Linear(layer), Some(outputs)) if name != LAYERS[7] => {
                layer.channels = Some(outputs);
            }
            _ => {}
        }
    }
    let classes = last.shape.first().copied().unwrap_or(spec.classes);
    let channels = first.shape.get(1).copied().unwrap_or(3);
    Ok(Some(spec.for_data(classes, channels)?))
}

/// Gives tensors under torchvision's names those that the layers of `spec` have, in their order.
/// The others keep their names.
pub(crate) fn rename(tensors: &mut BTreeMap<String, Stored>, spec: &Spec) {
    let layers: Vec<&str> = spec.layers.iter().filter_map(Layer::name).collect();
    if layers.len() != LAYERS.len() {
        return;
    }
    for (theirs, ours) in LAYERS.iter().zip(layers) {
        for role in ["weight", "bias"] {
            if let Some(tensor) = tensors.remove(&format!("{theirs}.{role}")) {
                tensors.insert(format!("{ours}.{role}"), tensor);
            }
        }
    }
}

/// The parameters of `weights` under torchvision's names.
///
/// # Errors
///
/// [`ExportError::NotTorchvision`] with the first difference of a network that torchvision's is not.
pub(crate) fn named(weights: &Weights) -> Result<BTreeMap<String, Tensor>, ExportError> {
    let spec = &weights.spec;
    let mut theirs = Spec::preset("torchvision")?;
    // Free are the numbers of channels, neurons and classes, and the size of pictures.
    theirs.classes = spec.classes;
    theirs.input = Input {
        normalise: theirs.input.normalise,
        ..spec.input.clone()
    };
    for (theirs, ours) in theirs.layers.iter_mut().zip(&spec.layers) {
        match (theirs, ours) {
            (Layer::Convolution(theirs), Layer::Convolution(ours)) => {
                theirs.channels = ours.channels;
            }
            (Layer::Linear(theirs), Layer::Linear(ours)) => theirs.channels = ours.channels,
            _ => {}
        }
    }
    if let Some(difference) = at_test(spec).difference(&at_test(&theirs)) {
        return Err(ExportError::NotTorchvision {
            model: spec.name.clone(),
            difference: difference.replace("the other", "torchvision's"),
        });
    }
    let layers = spec.layers.iter().filter_map(Layer::name).zip(LAYERS);
    let named = layers.flat_map(|(ours, theirs)| {
        ["weight", "bias"].into_iter().map(move |role| {
            let tensor = &weights.parameters[&format!("{ours}.{role}")];
            (format!("{theirs}.{role}"), tensor.clone())
        })
    });
    Ok(named.collect())
}

/// `spec` without what only training goes by, and under the same names whatever they were.
fn at_test(spec: &Spec) -> Spec {
    let mut spec = spec.clone();
    spec.name = "alexnet".to_owned();
    let mut number = 0;
    for layer in &mut spec.layers {
        match layer {
            Layer::Convolution(layer) => {
                number += 1;
                layer.name = format!("conv{number}");
                (layer.weight_std, layer.bias) = (0.01, 0.0);
            }
            Layer::Linear(layer) => {
                number += 1;
                layer.name = format!("fc{number}");
                (layer.weight_std, layer.bias) = (0.01, 0.0);
            }
            Layer::Dropout(layer) if layer.rule == DropoutRule::Inverted => layer.p = 0.5,
            _ => {}
        }
    }
    spec
}
