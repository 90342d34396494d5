//! From nodes, which read and write values by name, to layers one after another.

use std::collections::BTreeMap;

use tandem_alexnet::spec::{
    Activation, AdaptiveAveragePool, AlphaConvention, Convolution, Dropout, DropoutRule, Layer,
    Linear, Lrn, Sees,
};

use super::attributes::Attributes;
use super::message;
use super::pooling;
use super::read::{Constant, Graph, Node};
use crate::chain::Chain;
use crate::decimal::decimal;
use crate::error::Problem;
use crate::refusal::Refusal;
use crate::stored::Stored;

/// What a model computes.
pub(super) struct Walked<'a> {
    pub chain: Chain<'a>,
    /// Channels of its pictures, and their side.
    pub channels: usize,
    pub crop: usize,
    /// Parameters that the graph multiplies by a number, which Tandem does once here.
    pub factors: Vec<(String, f64)>,
}

/// What flows from one node to the next, for one picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Flow {
    Maps {
        channels: usize,
        side: usize,
    },
    /// The same with each of so many groups of channels as a picture of its own: what LRN in each of
    /// two towers looks like.
    Apart {
        channels: usize,
        side: usize,
        groups: usize,
    },
    Features(usize),
    /// Softmax has been.
    Probabilities,
}

pub(super) struct Walk<'a> {
    pub(super) chain: Chain<'a>,
    pub(super) flow: Flow,
    constants: BTreeMap<String, Constant<'a>>,
    /// The names of the value that the last layer gave.
    current: Vec<String>,
    factors: Vec<(String, f64)>,
    /// The layer that was added last and came without a bias: the next node may add it.
    unbiased: Option<String>,
}

pub(super) type Step<T> = std::result::Result<T, Refusal>;

/// The layers of `graph`.
pub(super) fn walk(graph: Graph<'_>) -> Result<Walked<'_>, Problem> {
    let (input, channels, crop) = pictures(&graph)?;
    let mut walk = Walk {
        chain: Chain::default(),
        flow: Flow::Maps {
            channels,
            side: crop,
        },
        constants: graph.initializers,
        current: vec![input],
        factors: Vec::new(),
        unbiased: None,
    };
    for node in graph.nodes {
        walk.node(node)?;
    }
    if walk.chain.layers.is_empty() {
        return Err(super::broken("there is no layer in its graph".to_owned()));
    }
    Ok(Walked {
        chain: walk.chain,
        channels,
        crop,
        factors: walk.factors,
    })
}

/// The name of the input that is no initializer, its channels and its side.
fn pictures(graph: &Graph) -> Result<(String, usize, usize), Problem> {
    let inputs = graph.graph.input.iter();
    let inputs: Vec<_> = inputs
        .filter(|input| !graph.initializers.contains_key(&input.name))
        .collect();
    let [input] = inputs.as_slice() else {
        return Err(super::broken(format!(
            "it has {} inputs, and a network that looks at pictures has one",
            inputs.len()
        )));
    };
    let tensor = input.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
    let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
    let dims = shape.map_or(&[][..], |shape| &shape.dim);
    let size = |dim: &message::Dimension| match dim.size {
        Some(message::Size::Value(size)) => usize::try_from(size).ok().filter(|&size| size > 0),
        _ => None,
    };
    match dims {
        [_, c, h, w] => match (size(c), size(h), size(w)) {
            (Some(c), Some(h), Some(w)) if h == w => Ok((input.name.clone(), c, h)),
            (_, Some(h), Some(w)) if h != w => Err(super::broken(format!(
                "its pictures are {h}x{w}, and Tandem's are square"
            ))),
            _ => Err(unsized_pictures()),
        },
        _ => Err(unsized_pictures()),
    }
}

fn unsized_pictures() -> Problem {
    Problem::Unsaid {
        what: "how many channels its pictures have and how large they are".to_owned(),
        hint: "export it with a fixed size of input; only the batch may be left open",
    }
}

impl<'a> Walk<'a> {
    fn node(&mut self, node: Node<'a>) -> Result<(), Problem> {
        let Node { node, tensor } = node;
        let op = node.op_type.clone();
        let called = match node.name.is_empty() {
            true => node.output.first().cloned().unwrap_or_default(),
            false => node.name.clone(),
        };
        let step = match node.domain.as_str() {
            "" | "ai.onnx" => self.step(&node, tensor),
            domain => {
                Err(format!("is of `{domain}`, and Tandem knows ONNX's own operators").into())
            }
        };
        step.map_err(|refusal| refusal.of(&format!("node `{called}` ({op})")))
    }

    fn step(&mut self, node: &message::Node, tensor: Option<Constant<'a>>) -> Step<()> {
        let first = node.input.first().map(String::as_str).unwrap_or_default();
        let output = node.output.first().cloned().unwrap_or_default();
        // What is made of constants alone is a constant.
        match (node.op_type.as_str(), tensor, self.constants.get(first)) {
            ("Constant", Some(constant), _) => {
                self.constants.insert(output, constant);
                return Ok(());
            }
            ("Identity" | "Cast", _, Some(constant)) => {
                let constant = constant.clone();
                self.constants.insert(output, constant);
                return Ok(());
            }
            ("Transpose", _, Some(Constant::Numbers(stored))) => {
                let transposed = stored.clone().transposed()?;
                if !matches!(Attributes::of(node).ints("perm")?, None | Some([1, 0])) {
                    return Err("is of more than two dimensions".into());
                }
                self.constants.insert(output, Constant::Numbers(transposed));
                return Ok(());
            }
            _ => {}
        }
        let follows = |name: &String| self.current.contains(name);
        let place = node.input.iter().position(follows).ok_or_else(|| {
            format!("reads `{first}`, which is not what the node before it gives: Tandem has networks of one layer after another")
        })?;
        if place > 0 && node.op_type != "Add" {
            return Err(
                "has what flows through the network in another place than the first".into(),
            );
        }
        if matches!(node.op_type.as_str(), "Identity" | "Cast") {
            self.current.push(output);
            return Ok(());
        }
        let unbiased = self.unbiased.take();
        self.compute(node, &Attributes::of(node), unbiased)?;
        self.current = vec![output];
        Ok(())
    }

    fn compute(
        &mut self,
        node: &message::Node,
        attributes: &Attributes,
        unbiased: Option<String>,
    ) -> Step<()> {
        if self.flow == Flow::Probabilities {
            return Err("comes after the softmax".into());
        }
        match node.op_type.as_str() {
            "Conv" => self.convolution(node, attributes),
            "Gemm" => self.gemm(node, attributes),
            "MatMul" => self.mat_mul(node),
            "Add" => self.add(node, unbiased),
            "Relu" => Ok(self.chain.activation(Activation::Relu)?),
            "Tanh" => Ok(self.chain.activation(Activation::Tanh)?),
            "Sigmoid" => Ok(self.chain.activation(Activation::Sigmoid)?),
            "LRN" => self.lrn(attributes),
            "MaxPool" | "AveragePool" => {
                let (channels, side) = self.maps()?;
                let (layer, side) = pooling::layer(&node.op_type, attributes, side)?;
                self.chain.layers.push(layer);
                self.flow = Flow::Maps { channels, side };
                Ok(())
            }
            "GlobalAveragePool" => {
                let (channels, _) = self.maps()?;
                let layer = AdaptiveAveragePool { output: 1 };
                self.chain.layers.push(Layer::AdaptiveAveragePool(layer));
                self.flow = Flow::Maps { channels, side: 1 };
                Ok(())
            }
            "Dropout" => self.dropout(node, attributes),
            "Mul" => self.factor(node),
            "Flatten" => match attributes.int("axis")?.unwrap_or(1) {
                1 => self.flatten(),
                axis => Err(format!("is flat from axis {axis} on in place of 1").into()),
            },
            "Reshape" => self.reshape(node, attributes),
            "Squeeze" => match self.flow {
                Flow::Maps { side: 1, .. } => self.flatten(),
                _ => Err("squeezes maps of more than one value".into()),
            },
            "Softmax" | "LogSoftmax" => match self.flow {
                Flow::Features(_) => {
                    self.flow = Flow::Probabilities;
                    Ok(())
                }
                _ => Err("is not over the scores of a last layer".into()),
            },
            "BatchNormalization" => {
                Err("normalises over batches, and Tandem's networks have no such layer; fold it into the convolution before it first".into())
            }
            _ => Err("is an operator that no layer of Tandem's is".into()),
        }
    }

    pub(super) fn maps(&self) -> Step<(usize, usize)> {
        match self.flow {
            Flow::Maps { channels, side } => Ok((channels, side)),
            _ => Err("comes where there are no maps".into()),
        }
    }

    fn features(&self) -> Step<usize> {
        match self.flow {
            Flow::Features(features) => Ok(features),
            Flow::Maps { channels, side: 1 } => Ok(channels),
            Flow::Maps { .. } | Flow::Apart { .. } => {
                Err("comes where there are still maps".into())
            }
            Flow::Probabilities => Err("comes after the softmax".into()),
        }
    }

    /// The floating-point numbers of the constant that input `place` is; none where it is left out.
    fn numbers(&self, node: &message::Node, place: usize) -> Step<Option<Stored<'a>>> {
        match node.input.get(place).map(String::as_str) {
            None | Some("") => Ok(None),
            Some(name) => match self.constants.get(name) {
                Some(Constant::Numbers(stored)) => Ok(Some(stored.clone())),
                Some(Constant::Integers(_) | Constant::Other) => {
                    Err(format!("`{name}` holds no floating-point numbers").into())
                }
                None => Err(format!("`{name}` is no constant").into()),
            },
        }
    }

    fn integers(&self, node: &message::Node, place: usize) -> Step<Option<Vec<i64>>> {
        match node.input.get(place).map(String::as_str) {
            None | Some("") => Ok(None),
            Some(name) => match self.constants.get(name) {
                Some(Constant::Integers(integers)) => Ok(Some(integers.clone())),
                _ => Err(format!("`{name}` is no constant of a few integers").into()),
            },
        }
    }

    /// The name of the next layer with weights: counted as in the paper, conv1 to fc8.
    fn next(&self, kind: &str) -> String {
        let before = self
            .chain
            .layers
            .iter()
            .filter(|layer| layer.name().is_some());
        self.chain.name(&format!("{kind}{}", before.count() + 1))
    }

    fn convolution(&mut self, node: &message::Node, attributes: &Attributes) -> Step<()> {
        let (_, side) = self.maps()?;
        let weight = self.numbers(node, 1)?.ok_or("has no weight")?;
        let bias = self.numbers(node, 2)?;
        let [channels, _, h, w] = weight.shape[..] else {
            return Err(format!("has a weight of {:?}", weight.shape).into());
        };
        let kernel = attributes.square("kernel_shape")?;
        if h != w || kernel.is_some_and(|kernel| kernel != h) {
            return Err(format!("has a kernel of {h}x{w}, and Tandem's are square").into());
        }
        let padding = attributes.padding()?;
        let padding = padding.even().ok_or("pads its sides unevenly")?;
        if attributes.square("dilations")?.unwrap_or(1) != 1 {
            return Err("is dilated, and Tandem's convolutions are not".into());
        }
        let stride = attributes.square("strides")?.unwrap_or(1).max(1);
        let groups = attributes.int("group")?.unwrap_or(1);
        let groups = usize::try_from(groups).map_err(|_| "has no groups")?;
        let room = padding.saturating_mul(2).saturating_add(side);
        let room = room
            .checked_sub(h)
            .ok_or("has a kernel larger than its maps")?;
        let name = self.next("conv");
        if bias.is_none() {
            self.unbiased = Some(name.clone());
        }
        let layer = Layer::Convolution(Convolution {
            name,
            channels,
            kernel: h,
            stride,
            padding,
            towers: 1,
            groups,
            sees: Sees::Own,
            activation: Activation::None,
            weight_std: 0.01,
            bias: 0.0,
        });
        self.chain.weighted(layer, weight, bias)?;
        self.flow = Flow::Maps {
            channels,
            side: (room / stride).saturating_add(1),
        };
        Ok(())
    }

    /// alpha A B + beta C, B transposed or not.
    fn gemm(&mut self, node: &message::Node, attributes: &Attributes) -> Step<()> {
        self.features()?;
        if attributes.int("transA")?.unwrap_or(0) != 0 {
            return Err("transposes what flows through the network".into());
        }
        let mut weight = self.numbers(node, 1)?.ok_or("has no weight")?;
        if attributes.int("transB")?.unwrap_or(0) == 0 {
            weight = weight.transposed()?;
        }
        let bias = self.numbers(node, 2)?.map(flat).transpose()?;
        let name = self.linear(weight, bias)?;
        for (attribute, role) in [("alpha", "weight"), ("beta", "bias")] {
            let factor = decimal(attributes.float(attribute)?.unwrap_or(1.0));
            if factor != 1.0 {
                self.factors.push((format!("{name}.{role}"), factor));
            }
        }
        Ok(())
    }

    fn mat_mul(&mut self, node: &message::Node) -> Step<()> {
        self.features()?;
        let weight = self.numbers(node, 1)?.ok_or("has no weight")?;
        self.linear(weight.transposed()?, None)?;
        Ok(())
    }

    fn linear(&mut self, weight: Stored<'a>, bias: Option<Stored<'a>>) -> Step<String> {
        let [outputs, _] = weight.shape[..] else {
            return Err(format!("has a weight of {:?}", weight.shape).into());
        };
        let name = self.next("fc");
        if bias.is_none() {
            self.unbiased = Some(name.clone());
        }
        let layer = Layer::Linear(Linear {
            name: name.clone(),
            channels: Some(outputs),
            towers: 1,
            sees: Sees::Own,
            activation: Activation::None,
            weight_std: 0.01,
            bias: 0.0,
        });
        self.chain.weighted(layer, weight, bias)?;
        self.flow = Flow::Features(outputs);
        Ok(name)
    }

    /// The bias of the layer before, on its own.
    fn add(&mut self, node: &message::Node, unbiased: Option<String>) -> Step<()> {
        let name = unbiased.ok_or("adds to what is not a layer without a bias")?;
        let place = usize::from(node.input.first().is_some_and(|n| self.current.contains(n)));
        let bias = flat(self.numbers(node, place)?.ok_or("adds nothing")?)?;
        self.chain.tensors.insert(format!("{name}.bias"), bias);
        Ok(())
    }

    /// ONNX's formula is a / (bias + alpha / size Σ a²)^beta.
    fn lrn(&mut self, attributes: &Attributes) -> Step<()> {
        let sees = match self.flow {
            Flow::Maps { .. } => Sees::Both,
            Flow::Apart { groups, .. } => {
                let before = self.chain.lrn_groups.replace(groups);
                if before.is_some_and(|before| before != groups) {
                    return Err("is in another number of groups than the one before".into());
                }
                Sees::Own
            }
            _ => return Err("comes where there are no maps".into()),
        };
        let size = attributes.int("size")?.ok_or("does not say its size")?;
        let constant = |name, default: f32| -> Step<f64> {
            Ok(decimal(attributes.float(name)?.unwrap_or(default)))
        };
        self.chain.layers.push(Layer::Lrn(Lrn {
            size: usize::try_from(size).map_err(|_| "has no size")?,
            k: constant("bias", 1.0)?,
            alpha: constant("alpha", 0.0001)?,
            beta: constant("beta", 0.75)?,
            convention: AlphaConvention::DividedBySize,
            sees,
        }));
        Ok(())
    }

    /// The probability was an attribute until opset 12 made it an input.
    fn dropout(&mut self, node: &message::Node, attributes: &Attributes) -> Step<()> {
        let ratio = match self.numbers(node, 1)? {
            Some(ratio) => scalar(&ratio)?,
            None => attributes.float("ratio")?,
        };
        self.chain.layers.push(Layer::Dropout(Dropout {
            p: decimal(ratio.unwrap_or(0.5)),
            rule: DropoutRule::Inverted,
        }));
        Ok(())
    }

    /// Outputs times a number below 1: the paper's dropout at test.
    fn factor(&mut self, node: &message::Node) -> Step<()> {
        let factor = self.numbers(node, 1)?.ok_or("has no factor")?;
        match scalar(&factor)? {
            Some(kept) if kept > 0.0 && kept <= 1.0 => {
                self.chain.layers.push(Layer::Dropout(Dropout {
                    p: 1.0 - decimal(kept),
                    rule: DropoutRule::Paper,
                }));
                Ok(())
            }
            _ => Err("multiplies by what is not one number up to 1".into()),
        }
    }

    fn flatten(&mut self) -> Step<()> {
        self.flow = match self.flow {
            Flow::Maps { channels, side } => Flow::Features(values(channels, side)),
            flow @ Flow::Features(_) => flow,
            _ => return Err("flattens what is neither maps nor features".into()),
        };
        Ok(())
    }

    /// To features; or each group of channels made a picture of its own for LRN, and back.
    fn reshape(&mut self, node: &message::Node, attributes: &Attributes) -> Step<()> {
        let said = match self.integers(node, 1)? {
            Some(shape) => shape,
            None => attributes.ints("shape")?.ok_or("has no shape")?.to_vec(),
        };
        let is = |said: i64, size: usize| usize::try_from(said) == Ok(size);
        let square = |h: i64, w: i64, side: usize| is(h, side) && is(w, side);
        self.flow = match (self.flow, said.as_slice()) {
            (flow @ Flow::Features(n), &[_, m]) if m == -1 || is(m, n) => flow,
            (Flow::Maps { channels, side }, &[batch, m])
                if m == -1 && batch != -1 || is(m, values(channels, side)) =>
            {
                Flow::Features(values(channels, side))
            }
            (Flow::Maps { channels, side }, &[-1, c, h, w]) if square(h, w, side) => {
                let share = usize::try_from(c).ok().filter(|&c| c > 0);
                let share = share.filter(|&share| channels.is_multiple_of(share));
                let groups = channels / share.ok_or("parts channels unevenly")?;
                Flow::Apart {
                    channels,
                    side,
                    groups,
                }
            }
            (Flow::Apart { channels, side, .. }, &[-1, c, h, w])
                if is(c, channels) && square(h, w, side) =>
            {
                Flow::Maps { channels, side }
            }
            _ => return Err(format!("makes {said:?} of what has another form").into()),
        };
        Ok(())
    }
}

/// The only value of a constant.
fn scalar(stored: &Stored) -> Step<Option<f32>> {
    let values = stored.to_tensor()?.flatten_all().and_then(|t| t.to_vec1());
    let values: Vec<f32> = values.map_err(|error| error.to_string())?;
    match values[..] {
        [value] => Ok(Some(value)),
        _ => Ok(None),
    }
}

fn values(channels: usize, side: usize) -> usize {
    side.saturating_mul(side).saturating_mul(channels)
}

/// A bias of one dimension, however many of size 1 it has beside.
fn flat(bias: Stored<'_>) -> Result<Stored<'_>, Problem> {
    let values = bias.shape.iter().product();
    bias.reshaped(vec![values])
}
