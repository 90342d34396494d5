//! A NumPy `.npy` of a pickled dictionary, as `bvlc_alexnet.npy` goes round: Caffe's AlexNet converted
//! for TensorFlow, `{'conv1': [weights, biases], …, 'fc8': …}` in an array of one object.
//!
//! TensorFlow's convolutions are (height, width, inputs, outputs), its linear layers (inputs,
//! outputs), and fc6 reads a map row by row, column by column, channel by channel. Pictures are Caffe's
//! still: blue, green, red, minus the mean of each.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tandem_alexnet::spec::{Layer, Normalise, Spec};

use crate::error::Problem;
use crate::fit::{bounded, fit};
use crate::format::Format;
use crate::mean::{Mean, change_first_weight, turned};
use crate::pickle::{self, ArrayState, Dialect, Heap, Id, Value};
use crate::stored::{Element, Stored};
use crate::{ChannelOrder, Imported, Options, array};

/// The mean blue, green and red that go round with these weights.
const MEAN: [f32; 3] = [104.0, 117.0, 124.0];
const PRESET: &str = "bvlc-alexnet";

pub(crate) fn import(bytes: &[u8], options: &Options) -> Result<Imported, Problem> {
    options.check_needed(Format::Npy, true)?;
    let start = objects(bytes)?;
    let pickled = pickle::run(bytes, start, Dialect::Numpy)?;
    let heap = &pickled.heap;
    let arrays = arrays(heap, pickled.root)?;
    let mut budget = bytes.len();
    let mut tensors = BTreeMap::new();
    for (name, state) in arrays {
        tensors.insert(name.clone(), stored(heap, &name, state, &mut budget)?);
    }
    let spec = match &options.model {
        Some(spec) => spec.clone(),
        None => {
            let outputs = tensors.get("fc8.bias").and_then(|bias| bias.shape.first());
            let spec = Spec::preset(PRESET)?;
            spec.for_data(outputs.copied().unwrap_or(spec.classes), 3)?
        }
    };
    if let Some(fc6) = first_linear(&spec) {
        turn(&mut tensors, &fc6);
    }
    bounded(&tensors, bytes.len())?;
    let mut notes = Vec::new();
    let mut parameters = fit(&spec, &tensors, &mut notes)?;
    if spec.input_channels() == 3 {
        change_first_weight(&spec, &mut parameters, turned)?;
    }
    let (mean, said) = match &options.mean {
        Some(path) => (Mean::read(path)?, "that in the file given"),
        None => (
            Mean::Channels(MEAN.to_vec()),
            "red 124, green 117 and blue 104",
        ),
    };
    let shape = (spec.input_channels(), spec.input.side);
    let mean = match spec.input.normalise {
        Normalise::Mean => Some(mean.picture(shape, ChannelOrder::Bgr)?),
        Normalise::Torchvision => None,
    };
    notes.push(format!(
        "taken for Caffe's AlexNet as converted for TensorFlow: pictures are RGB here, the first layer turned round \
         from BGR, and the mean subtracted is {said}"
    ));
    Imported::of(Format::Npy, (spec, parameters, mean), options, notes)
}

/// Where the pickle begins, in an array of objects.
fn objects(bytes: &[u8]) -> Result<usize, Problem> {
    let parts = array::parts(bytes).and_then(|(header, rest)| {
        let header = std::str::from_utf8(header).ok()?;
        Some((header, bytes.len() - rest.len()))
    });
    let (header, start) = parts.ok_or_else(|| wrong("is a NumPy file cut short"))?;
    if !header.replace(' ', "").contains("'descr':'|O'") {
        return Err(wrong(
            "is a NumPy file of one array of numbers, and weights are a dictionary of arrays",
        ));
    }
    Ok(start)
}

/// The arrays in the dictionary, by our names.
fn arrays<'h>(heap: &'h Heap, root: Id) -> Result<Vec<(String, &'h ArrayState)>, Problem> {
    let mut layers = root;
    // The array of one object around it.
    if let Some(state) = array(heap, root) {
        match heap.get(state.data) {
            Value::List(objects) if objects.len() == 1 => layers = objects[0],
            _ => return Err(wrong("is a NumPy file of several objects")),
        }
    }
    let Value::Dict(layers) = heap.get(layers) else {
        let what = format!(
            "is a NumPy file of {}, and weights are a dictionary",
            heap.kind(layers)
        );
        return Err(wrong(what));
    };
    let mut arrays = Vec::new();
    for &(name, layer) in layers {
        let name = heap
            .text(name)
            .ok_or_else(|| wrong("has a layer whose name is no text"))?;
        let pair = pair(heap, layer).ok_or_else(|| {
            wrong(format!(
                "layer `{name}` is {}, and must be weights and biases",
                heap.kind(layer)
            ))
        })?;
        for (role, id) in ["weight", "bias"].into_iter().zip(pair) {
            let state = array(heap, id)
                .ok_or_else(|| wrong(format!("layer `{name}`: its {role} is {}", heap.kind(id))))?;
            arrays.push((format!("{name}.{role}"), state));
        }
    }
    Ok(arrays)
}

/// Weights and biases: a list or tuple of two, or a dictionary of `weights` and `biases`.
fn pair(heap: &Heap, layer: Id) -> Option<[Id; 2]> {
    let items = match array(heap, layer) {
        Some(state) => state.data,
        None => layer,
    };
    match heap.get(items) {
        Value::List(items) | Value::Tuple(items) => items.as_slice().try_into().ok(),
        Value::Dict(entries) => {
            let find = |wanted| {
                let mut found = entries.iter().rev();
                found
                    .find(|(key, _)| heap.text(*key) == Some(wanted))
                    .map(|(_, id)| *id)
            };
            Some([find("weights")?, find("biases")?])
        }
        _ => None,
    }
}

fn array<'h>(heap: &'h Heap, id: Id) -> Option<&'h ArrayState> {
    match heap.get(id) {
        Value::Array(array) => array.state.as_ref(),
        _ => None,
    }
}

/// The array `name` in our order of dimensions: outputs first. `budget` is how many bytes may still be
/// made of text.
fn stored<'a>(
    heap: &Heap<'a>,
    name: &str,
    state: &ArrayState,
    budget: &mut usize,
) -> Result<Stored<'a>, Problem> {
    let wrong = |what: String| Problem::Tensor {
        name: name.to_owned(),
        what,
    };
    let element = element(heap, state.dtype);
    let element = element
        .ok_or_else(|| wrong("is not of little-endian floating-point numbers".to_owned()))?;
    let bytes: Cow<[u8]> = match heap.get(state.data) {
        Value::Bytes(bytes) => Cow::Borrowed(bytes),
        Value::Latin1(text) => {
            *budget = budget
                .checked_sub(text.len())
                .ok_or_else(|| wrong("repeats the values of others".to_owned()))?;
            let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
            Cow::Owned(bytes.ok_or_else(|| wrong("has bytes that are none".to_owned()))?)
        }
        _ => return Err(wrong(format!("its values are {}", heap.kind(state.data)))),
    };
    let shape = state.shape.clone();
    let stored = match state.fortran {
        // The same bytes are an array of the dimensions backwards.
        true => {
            let backwards = shape.iter().rev().copied().collect();
            let stored = Stored::contiguous(name, backwards, element, bytes)?;
            stored.permuted(&(0..shape.len()).rev().collect::<Vec<_>>())
        }
        false => Stored::contiguous(name, shape, element, bytes)?,
    };
    Ok(match stored.shape.len() {
        4 => stored.permuted(&[3, 2, 0, 1]),
        2 => stored.permuted(&[1, 0]),
        _ => stored,
    })
}

fn element(heap: &Heap, dtype: Id) -> Option<Element> {
    let Value::Dtype(dtype) = heap.get(dtype) else {
        return None;
    };
    let order = dtype.order.unwrap_or("<");
    match dtype.code {
        _ if order != "<" => None,
        "f2" => Some(Element::F16),
        "f4" => Some(Element::F32),
        "f8" => Some(Element::F64),
        _ => None,
    }
}

/// The name of the weights of the first linear layer, and the channels of the map it reads.
fn first_linear(spec: &Spec) -> Option<(String, usize)> {
    let mut channels = None;
    for layer in &spec.layers {
        match layer {
            Layer::Convolution(layer) => channels = Some(layer.channels),
            Layer::Linear(layer) => return Some((format!("{}.weight", layer.name), channels?)),
            _ => {}
        }
    }
    None
}

/// Puts the inputs of the first linear layer, row by row, column by column, channel by channel, in our
/// order: channel by channel.
fn turn(tensors: &mut BTreeMap<String, Stored>, (name, channels): &(String, usize)) {
    let Some(weight) = tensors.remove(name) else {
        return;
    };
    let side = match weight.shape.as_slice() {
        [_, inputs] => (inputs / channels).isqrt(),
        _ => 0,
    };
    // Where the inputs are no square map, `fit` says what the shape must be.
    let turned = match weight.shape.get(1) == Some(&(side * side * channels)) && side > 0 {
        true => weight.channels_first(side, *channels),
        false => weight,
    };
    tensors.insert(name.clone(), turned);
}

fn wrong(what: impl Into<String>) -> Problem {
    Problem::Archive { what: what.into() }
}
