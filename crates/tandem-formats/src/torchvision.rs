//! torchvision's names for the layers of its `alexnet`: places in two `nn.Sequential`s.

use std::collections::BTreeMap;

use tandem_alexnet::spec::{Layer, Spec};

use crate::error::Problem;
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
