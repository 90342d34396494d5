//! From nodes, which read and write values by name, to layers one after another.

mod flow;
mod layers;

use std::collections::BTreeMap;

use flow::Flow;
use tandem_alexnet::spec::Activation;

use super::attributes::Attributes;
use super::message;
use super::read::{Constant, Graph, Node};
use crate::chain::Chain;
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

struct Walk<'a> {
    chain: Chain<'a>,
    flow: Flow,
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
            "MaxPool" | "AveragePool" => self.pool(node, attributes),
            "GlobalAveragePool" => self.global_pool(),
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
}
