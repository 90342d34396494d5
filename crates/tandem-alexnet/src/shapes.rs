//! Shape inference: what each layer of a [`Spec`] gives for one picture, what it holds and what it
//! costs.
//!
//! This is where a layer is found not to fit the one before it, and the data behind `tandem info`.

mod flow;
mod holdings;

use std::fmt;

pub use holdings::{Crossing, Holding};

use crate::error::SpecError;
use crate::spec::{Layer, Lrn, MAX_PARAMETERS, Sees, Spec};

/// (C, H, W) over all towers. A linear layer gives (features, 1, 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl Shape {
    /// Values of one picture.
    pub fn values(self) -> usize {
        // No overflow: `Shapes::of` refuses a shape of more than MAX_VALUES.
        self.channels * self.height * self.width
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}

/// One layer of a network whose input has a known shape. Figures are for one picture and one
/// forward pass.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerShape {
    /// `conv1`, or `conv1/lrn` for a layer without parameters.
    pub name: String,
    /// The word of `kind` in the spec.
    pub kind: &'static str,
    pub input: Shape,
    pub input_towers: usize,
    pub output: Shape,
    pub towers: usize,
    /// Shape of the weight over all towers, as one network with groups has it; none for a layer
    /// without parameters.
    pub weight: Option<Vec<usize>>,
    pub parameters: u64,
    /// Of convolutions and linear layers; the rest counts as none.
    pub multiply_adds: u64,
    /// What one tower hands to another before this layer runs.
    pub crossings: Vec<Crossing>,
}

impl LayerShape {
    /// Values of this layer's output for one picture.
    pub fn activations(&self) -> u64 {
        self.output.values() as u64
    }

    /// (C, H, W) of one tower's share of the output.
    pub fn tower_output(&self) -> Shape {
        Shape {
            channels: self.output.channels / self.towers,
            ..self.output
        }
    }
}

/// The shapes of a whole network.
#[derive(Clone, Debug, PartialEq)]
pub struct Shapes {
    /// What the network sees: (channels, crop, crop).
    pub input: Shape,
    pub layers: Vec<LayerShape>,
}

impl Shapes {
    /// Infers the shape of every layer of `spec`, or says which layer does not fit and what came
    /// in.
    pub fn of(spec: &Spec) -> Result<Self, SpecError> {
        let crop = spec.input.crop;
        let input = Shape {
            channels: spec.input_channels(),
            height: crop,
            width: crop,
        };
        let mut flow = flow::Flow::of_input(input)?;
        let mut layers = Vec::with_capacity(spec.layers.len());
        let mut parameters = 0u64;
        for index in 0..spec.layers.len() {
            let layer = flow.through(spec, index)?;
            parameters = parameters.saturating_add(layer.parameters);
            if parameters > MAX_PARAMETERS {
                return Err(SpecError::TooManyParameters {
                    layer: spec.label(index),
                });
            }
            layers.push(layer);
        }
        last_layer(spec)?;
        Ok(Self { input, layers })
    }

    /// Weights and biases of the whole network.
    pub fn parameters(&self) -> u64 {
        self.layers.iter().map(|layer| layer.parameters).sum()
    }

    /// Multiply-adds of one picture's forward pass.
    pub fn multiply_adds(&self) -> u64 {
        self.layers
            .iter()
            .fold(0, |sum, layer| sum.saturating_add(layer.multiply_adds))
    }

    /// Values of all layers' outputs for one picture.
    pub fn activations(&self) -> u64 {
        self.layers.iter().map(LayerShape::activations).sum()
    }

    /// Towers of the layer that has most.
    pub fn towers(&self) -> usize {
        self.layers
            .iter()
            .map(|layer| layer.towers)
            .max()
            .unwrap_or(1)
    }
}

/// The last layer gives one score a class, to one softmax.
fn last_layer(spec: &Spec) -> Result<(), SpecError> {
    let index = spec.layers.len() - 1;
    let layer = spec.label(index);
    let Layer::Linear(last) = &spec.layers[index] else {
        let kind = spec.layers[index].kind();
        return Err(SpecError::NoFinalLinear { layer, kind });
    };
    if last.towers != 1 {
        let towers = last.towers;
        return Err(SpecError::FinalTowers { layer, towers });
    }
    if last.activation != crate::spec::Activation::None {
        return Err(SpecError::FinalActivation { layer });
    }
    match last.channels {
        Some(channels) if channels != spec.classes => Err(SpecError::FinalChannels {
            layer,
            channels,
            classes: spec.classes,
        }),
        _ => Ok(()),
    }
}

/// Who hands what to whom before a layer of `towers` towers that sees as `sees` reads `input` from
/// `input_towers` towers.
fn crossings(
    sees: Sees,
    input: Shape,
    input_towers: usize,
    towers: usize,
    from_picture: bool,
) -> Vec<Crossing> {
    if sees == Sees::Own || from_picture {
        return Vec::new();
    }
    let values = (input.values() / input_towers) as u64;
    (0..towers)
        .flat_map(|to| (0..input_towers).map(move |from| (from, to)))
        .filter(|(from, to)| from != to)
        .map(|(from_tower, to_tower)| Crossing {
            from_tower,
            to_tower,
            values,
        })
        .collect()
}

/// The channels that the windows of `layer` reach in other towers.
fn crossings_beside(layer: &Lrn, input: Shape, towers: usize) -> Vec<Crossing> {
    let width = input.channels / towers;
    let positions = input.height * input.width;
    let pairs = (0..towers).flat_map(|to| (0..towers).map(move |from| (from, to)));
    pairs
        .filter(|(from, to)| from != to)
        .filter_map(|(from_tower, to_tower)| {
            let reach = layer.reach(to_tower, towers, input.channels);
            let first = reach.start.max(from_tower * width);
            let end = reach.end.min((from_tower + 1) * width);
            let channels = end.checked_sub(first).filter(|&channels| channels > 0)?;
            Some(Crossing {
                from_tower,
                to_tower,
                values: (channels * positions) as u64,
            })
        })
        .collect()
}
