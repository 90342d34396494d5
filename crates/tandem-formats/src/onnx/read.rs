//! From the bytes of a model to its nodes and constants, values still where they lie.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use prost::encoding::decode_varint;

use super::external::External;
use super::message;
use crate::error::Problem;
use crate::stored::{Element, Stored};
use crate::wire::{Budget, Field, Value, append};

/// Bytes of a model that are no values: names, attributes, the labels of a network of ours.
const STRUCTURE: usize = 4 << 20;
const MAX_NODES: usize = 4096;
const MAX_CONSTANTS: usize = 8192;
const MAX_ATTRIBUTES: usize = 32;
/// Integers of a constant that are kept: shapes and axes have a handful.
const MAX_INTEGERS: usize = 64;

/// A model as the file has it.
pub(super) struct Graph<'a> {
    /// Without its graph.
    pub model: message::Model,
    /// Without its nodes and initializers.
    pub graph: message::Graph,
    pub nodes: Vec<Node<'a>>,
    pub initializers: BTreeMap<String, Constant<'a>>,
}

pub(super) struct Node<'a> {
    /// Without tensors in attributes.
    pub node: message::Node,
    /// The tensor in an attribute: what a Constant gives.
    pub tensor: Option<Constant<'a>>,
}

#[derive(Clone, Debug)]
pub(super) enum Constant<'a> {
    /// Floating-point numbers.
    Numbers(Stored<'a>),
    Integers(Vec<i64>),
    /// Of no use here: many integers, truth values, strings.
    Other,
}

fn broken(cause: String) -> Problem {
    Problem::Protobuf {
        format: "ONNX",
        cause,
    }
}

/// An error that says what there is too much of, unless one more may come to `list`.
fn room<T>(list: &[T], most: usize, what: &str) -> Result<(), Problem> {
    match list.len() < most {
        true => Ok(()),
        false => Err(broken(format!("it has more than {most} {what}"))),
    }
}

pub(super) fn read<'a>(bytes: &'a [u8], folder: Option<&Path>) -> Result<Graph<'a>, Problem> {
    let mut budget = Budget::new("ONNX", STRUCTURE);
    let mut graphs = Vec::new();
    let model = budget.decode(bytes, |tag, value| match (tag, value) {
        (7, Value::Bytes(graph)) => {
            room(&graphs, 1, "graph")?;
            graphs.push(graph);
            Ok(Field::Taken)
        }
        _ => Ok(Field::Kept),
    })?;
    let graph = graphs.pop();
    let bytes = graph.ok_or_else(|| broken("it has no graph".to_owned()))?;
    let (mut nodes, mut tensors) = (Vec::new(), Vec::new());
    let graph = budget.decode(bytes, |tag, value| match (tag, value) {
        (1, Value::Bytes(node)) => {
            room(&nodes, MAX_NODES, "nodes")?;
            nodes.push(node);
            Ok(Field::Taken)
        }
        (5, Value::Bytes(tensor)) => {
            room(&tensors, MAX_CONSTANTS, "initializers")?;
            tensors.push(tensor);
            Ok(Field::Taken)
        }
        // Shapes of values in between, which follow from the layers.
        (13, _) => Ok(Field::Taken),
        _ => Ok(Field::Kept),
    })?;
    let mut external = External::of(folder);
    let mut initializers = BTreeMap::new();
    for bytes in tensors {
        let (name, constant) = tensor(&mut budget, &mut external, bytes)?;
        initializers.insert(name, constant);
    }
    let nodes = nodes.into_iter();
    let nodes = nodes.map(|bytes| node(&mut budget, &mut external, bytes));
    Ok(Graph {
        model,
        graph,
        nodes: nodes.collect::<Result<_, _>>()?,
        initializers,
    })
}

fn node<'a>(
    budget: &mut Budget,
    external: &mut External,
    bytes: &'a [u8],
) -> Result<Node<'a>, Problem> {
    let mut attributes = Vec::new();
    let mut node: message::Node = budget.decode(bytes, |tag, value| match (tag, value) {
        (5, Value::Bytes(attribute)) => {
            room(&attributes, MAX_ATTRIBUTES, "attributes in a node")?;
            attributes.push(attribute);
            Ok(Field::Taken)
        }
        _ => Ok(Field::Kept),
    })?;
    let mut tensors = Vec::new();
    for bytes in attributes {
        let attribute = budget.decode(bytes, |tag, value| match (tag, value) {
            (5, Value::Bytes(tensor)) => {
                room(&tensors, 1, "tensor in a node")?;
                tensors.push(tensor);
                Ok(Field::Taken)
            }
            _ => Ok(Field::Kept),
        })?;
        node.attribute.push(attribute);
    }
    let tensor = tensors.pop().map(|bytes| tensor(budget, external, bytes));
    Ok(Node {
        node,
        tensor: tensor.transpose()?.map(|(_, constant)| constant),
    })
}

/// Numbers of variable length: as integers the first few, and all as halves, which have two bytes each.
#[derive(Default)]
struct Varints {
    integers: Vec<i64>,
    halves: Vec<u8>,
}

impl Varints {
    fn push(&mut self, number: u64) {
        if self.integers.len() <= MAX_INTEGERS {
            self.integers.push(number as i64);
        }
        self.halves.extend((number as u16).to_le_bytes());
    }

    fn push_packed(&mut self, mut numbers: &[u8]) -> Result<(), Problem> {
        while !numbers.is_empty() {
            let number = decode_varint(&mut numbers);
            self.push(number.map_err(|error| broken(error.to_string()))?);
        }
        Ok(())
    }
}

/// A `TensorProto`: its name and its values.
fn tensor<'a>(
    budget: &mut Budget,
    external: &mut External,
    bytes: &'a [u8],
) -> Result<(String, Constant<'a>), Problem> {
    let nothing = || Cow::Borrowed(&[][..]);
    let (mut fixed, mut raw, mut varints) = (nothing(), nothing(), Varints::default());
    let tensor: message::Tensor = budget.decode(bytes, |tag, value| {
        match (tag, value) {
            // float_data, double_data
            (4 | 10, value) => append(&mut fixed, value)?,
            (9, value) => append(&mut raw, value)?,
            // int32_data, which also holds halves, and int64_data
            (5 | 7, Value::Varint(number)) => varints.push(number),
            (5 | 7, Value::Bytes(numbers)) => varints.push_packed(numbers)?,
            // Strings and unsigned integers.
            (6 | 11, _) => {}
            _ => return Ok(Field::Kept),
        }
        Ok(Field::Taken)
    })?;
    let name = tensor.name.clone();
    let shape = tensor.dims.iter().map(|&size| usize::try_from(size));
    let shape: Result<Vec<usize>, _> = shape.collect();
    let shape = shape.map_err(|_| Problem::Tensor {
        name: name.clone(),
        what: format!("its shape is {:?}", tensor.dims),
    })?;
    if tensor.data_location == 1 {
        raw = external.read(&name, &tensor.external_data)?.into();
    }
    let element = match tensor.data_type {
        1 => Element::F32,
        10 => Element::F16,
        11 => Element::F64,
        16 => Element::Bf16,
        6 | 7 => match integers(tensor.data_type, &raw, varints.integers) {
            Some(integers) => return Ok((name, Constant::Integers(integers))),
            None => return Ok((name, Constant::Other)),
        },
        _ => return Ok((name, Constant::Other)),
    };
    let values = match element {
        _ if !raw.is_empty() => raw,
        Element::F16 | Element::Bf16 => varints.halves.into(),
        _ => fixed,
    };
    let stored = Stored::contiguous(&name, shape, element, values)?;
    Ok((name, Constant::Numbers(stored)))
}

/// The integers of a tensor of i32 (6) or i64 (7), unless they are many or cut short.
fn integers(data_type: i32, raw: &[u8], typed: Vec<i64>) -> Option<Vec<i64>> {
    let integers = match (data_type, raw) {
        (_, []) => typed,
        (6, raw) => {
            let (numbers, []) = raw.as_chunks::<4>() else {
                return None;
            };
            let numbers = numbers.iter().take(MAX_INTEGERS + 1);
            numbers.map(|&n| i32::from_le_bytes(n).into()).collect()
        }
        (_, raw) => {
            let (numbers, []) = raw.as_chunks::<8>() else {
                return None;
            };
            let numbers = numbers.iter().take(MAX_INTEGERS + 1);
            numbers.map(|&n| i64::from_le_bytes(n)).collect()
        }
    };
    (integers.len() <= MAX_INTEGERS).then_some(integers)
}
