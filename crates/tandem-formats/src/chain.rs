//! A network as frameworks list it: one layer after another with groups in its convolutions, and no
//! word of towers. Here it becomes a [`Spec`].

use std::collections::BTreeMap;
use std::sync::LazyLock;

use tandem_alexnet::presets;
use tandem_alexnet::spec::{Activation, Input, Layer, MAX_TOWERS, Sees, Spec};

use crate::error::Problem;
use crate::stored::{Element, Stored};

/// Layers so far, all in one tower, and their tensors under the names they have here.
#[derive(Debug, Default)]
pub(crate) struct Chain<'a> {
    /// An LRN sees both where its windows go through all channels, and its own where they stay in one
    /// of `lrn_groups`.
    pub layers: Vec<Layer>,
    pub tensors: BTreeMap<String, Stored<'a>>,
    pub lrn_groups: Option<usize>,
}

impl<'a> Chain<'a> {
    /// A name for a layer that the file calls `theirs`: plain, and nobody else's.
    pub(crate) fn name(&self, theirs: &str) -> String {
        let plain = |c: char| match c.is_ascii_alphanumeric() || c == '-' {
            true => c,
            false => '_',
        };
        let name: String = theirs.chars().take(64).map(plain).collect();
        let taken = |name: &str| self.layers.iter().any(|layer| layer.name() == Some(name));
        let numbered = (2..).map(|n| format!("{name}_{n}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        let free = names.find(|name| !name.is_empty() && !taken(name));
        free.expect("of endless names one is free")
    }

    /// Adds a layer with weights; one without a bias gets one of zeros, which computes the same.
    pub(crate) fn weighted(
        &mut self,
        layer: Layer,
        weight: Stored<'a>,
        bias: Option<Stored<'a>>,
    ) -> Result<(), Problem> {
        let name = layer.name().unwrap_or_default().to_owned();
        let bias = match bias {
            Some(bias) => bias,
            None => {
                let outputs = weight.shape.first().copied().unwrap_or(0);
                let zeros = vec![0; outputs.saturating_mul(4).min(weight.shape.iter().product())];
                Stored::contiguous(&weight.name, vec![zeros.len() / 4], Element::F32, zeros)?
            }
        };
        self.tensors.insert(format!("{name}.weight"), weight);
        self.tensors.insert(format!("{name}.bias"), bias);
        self.layers.push(layer);
        Ok(())
    }

    /// Adds an activation to the layer before, or says why it cannot stand there.
    pub(crate) fn activation(&mut self, activation: Activation) -> Result<(), String> {
        let place = match self.layers.last_mut() {
            Some(Layer::Convolution(layer)) => &mut layer.activation,
            Some(Layer::Linear(layer)) => &mut layer.activation,
            _ => {
                return Err(
                    "an activation stands right after a convolution or linear layer".to_owned(),
                );
            }
        };
        if *place != Activation::None {
            return Err("the layer before has its activation already".to_owned());
        }
        *place = activation;
        Ok(())
    }

    /// Channels of the pictures that the first layer with weights reads, if it is a convolution.
    pub(crate) fn input_channels(&self) -> Option<usize> {
        let Layer::Convolution(first) = self.layers.iter().find(|layer| layer.name().is_some())?
        else {
            return None;
        };
        let weight = self.tensors.get(&format!("{}.weight", first.name))?;
        weight.shape.get(1)?.checked_mul(first.groups)
    }

    /// The network over pictures as `input` says; a preset where it is one but for its classes.
    ///
    /// # Errors
    ///
    /// If it is refused as a spec.
    pub(crate) fn spec(&self, name: &str, input: &Input) -> Result<Spec, Problem> {
        let mut layers = self.layers.clone();
        let towers = assign_towers(&mut layers, self.lrn_groups.unwrap_or(1));
        if let Some(groups) = self.lrn_groups.filter(|&groups| groups != towers) {
            return Err(Problem::Layer {
                layer: "LRN".to_owned(),
                what: format!(
                    "is in {groups} groups of channels, and the layers cannot be parted into as many towers"
                ),
            });
        }
        let classes = match layers.last_mut() {
            Some(Layer::Linear(last)) => last.channels.take().unwrap_or(0),
            _ => 1,
        };
        let spec = Spec {
            name: name.to_owned(),
            classes,
            input: input.clone(),
            layers,
        };
        spec.check()?;
        Ok(preset(&spec).unwrap_or(spec))
    }
}

/// Makes groups towers where all convolutions that have groups have as many, so that the network runs
/// on as many devices; gives how many towers there are. LRN may have groups where convolutions have
/// none.
fn assign_towers(layers: &mut [Layer], lrn_groups: usize) -> usize {
    let mut groups = layers.iter().filter_map(|layer| match layer {
        Layer::Convolution(layer) => Some(layer.groups),
        _ => None,
    });
    // The first reads the picture, which is in no tower.
    let first = groups.next() == Some(1);
    let towers = groups.clone().max().unwrap_or(1).max(lrn_groups);
    let uniform = groups.all(|groups| groups == 1 || groups == towers);
    let last = layers.len().saturating_sub(1);
    let divisible = layers[..last].iter().all(|layer| match layer {
        Layer::Convolution(layer) => layer.channels.is_multiple_of(towers),
        Layer::Linear(layer) => layer.channels.is_some_and(|n| n.is_multiple_of(towers)),
        _ => true,
    });
    if towers == 1 || towers > MAX_TOWERS || !first || !uniform || !divisible {
        for layer in layers {
            if let Layer::Lrn(layer) = layer {
                layer.sees = Sees::Own;
            }
        }
        return 1;
    }
    for (place, layer) in layers.iter_mut().enumerate() {
        match layer {
            Layer::Convolution(layer) => {
                layer.sees = match layer.groups {
                    1 => Sees::Both,
                    _ => Sees::Own,
                };
                (layer.towers, layer.groups) = (towers, 1);
            }
            Layer::Linear(layer) => {
                layer.sees = Sees::Both;
                layer.towers = if place == last { 1 } else { towers };
            }
            _ => {}
        }
    }
    towers
}

/// The preset that `spec` is, for as many classes and channels.
fn preset(spec: &Spec) -> Option<Spec> {
    static PRESETS: LazyLock<Vec<Spec>> = LazyLock::new(|| {
        let presets = presets::ALL.iter().map(|preset| Spec::preset(preset.name));
        presets.filter_map(Result::ok).collect()
    });
    let channels = spec.input.channels?;
    PRESETS.iter().find_map(|preset| {
        let preset = preset.for_data(spec.classes, channels).ok()?;
        (computed(&preset) == computed(spec)).then_some(preset)
    })
}

/// The spec without what makes no difference to what the network computes: its name, and what training
/// from nothing starts from.
fn computed(spec: &Spec) -> Spec {
    let mut spec = spec.clone();
    spec.name = String::new();
    let apart = |layer: &Layer| match layer {
        Layer::Convolution(layer) => layer.towers > 1,
        Layer::Linear(layer) => layer.towers > 1,
        _ => false,
    };
    let alone = !spec.layers.iter().any(apart);
    for layer in &mut spec.layers {
        let sees = match layer {
            Layer::Convolution(layer) => {
                (layer.weight_std, layer.bias) = (0.0, 0.0);
                &mut layer.sees
            }
            Layer::Linear(layer) => {
                (layer.weight_std, layer.bias) = (0.0, 0.0);
                &mut layer.sees
            }
            Layer::Lrn(layer) => &mut layer.sees,
            _ => continue,
        };
        if alone {
            // Of one tower there is nothing else to see.
            *sees = Sees::Own;
        }
    }
    spec
}
