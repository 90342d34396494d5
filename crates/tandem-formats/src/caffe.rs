//! Caffe: a `.caffemodel` holds the layers with their parameters and their weights.
//!
//! What the layers are is read from them: sizes, groups, the order of pooling and LRN, the crop. Blobs
//! stay where they lie in the file. Caffe's networks read pictures as blue, green, red; here the input
//! channels of the first layer and of the mean are turned round, and pictures are RGB for good.

mod layers;
mod mean;
mod message;

use std::borrow::Cow;
use std::path::Path;

use candle_core::Tensor;
use tandem_alexnet::parameters;
use tandem_alexnet::spec::{Input, Normalise, Spec};

use crate::chain::Chain;
use crate::error::Problem;
use crate::fit::fit;
use crate::mean::{Mean, change_first_weight, side_for, turned};
use crate::stored::{Element, Stored};
use crate::wire::{Budget, Field, Value, append, first_fields};
use crate::{ChannelOrder, Format, Imported, Options};
use layers::{Pictures, Walk};

/// Bytes of a file that are not weights: bvlc_alexnet's are some 3,000.
const STRUCTURE: usize = 1 << 20;
const MAX_LAYERS: usize = 1024;
const MAX_BLOBS: usize = 8;

/// A layer as the file has it.
struct Parsed<'a> {
    layer: message::Layer,
    blobs: Vec<Stored<'a>>,
}

/// Whether `bytes` begin as a `NetParameter` does: with a name, or right away with its layers.
pub(crate) fn is_model(bytes: &[u8]) -> bool {
    let is_name = |name: &[u8]| {
        let text = std::str::from_utf8(name);
        text.is_ok_and(|text| !text.chars().any(char::is_control))
    };
    match first_fields(bytes, 2).as_slice() {
        [(2 | 100, Value::Bytes(layer)), ..] => is_layer(layer),
        [(1, Value::Bytes(name)), (2..=8 | 100, _), ..] => is_name(name),
        _ => false,
    }
}

fn is_layer(bytes: &[u8]) -> bool {
    matches!(
        first_fields(bytes, 1).as_slice(),
        [(1..=4, Value::Bytes(_))]
    )
}

/// The network in `bytes`, a whole `.caffemodel` that lies in `folder`.
pub(crate) fn import(
    bytes: &[u8],
    folder: Option<&Path>,
    options: &Options,
) -> Result<Imported, Problem> {
    options.check_needed(Format::Caffe, true)?;
    let (net, layers) = parse(bytes)?;
    let mut walk = Walk::over(&net);
    for layer in layers {
        walk.layer(layer)?;
    }
    let (chain, pictures) = walk.end()?;
    let channels = chain.input_channels().unwrap_or(3);
    let mut notes = Vec::new();
    let mean = mean::find(&pictures, channels, folder, options, &mut notes)?;
    let spec = sized(&chain, &net, &pictures, &mean, channels, &mut notes)?;
    let mut parameters = fit(&spec, &chain.tensors, &mut notes)?;
    let side = spec.input.side;
    let mean = mean.picture((channels, side), ChannelOrder::Bgr)?;
    change_first_weight(&spec, &mut parameters, |weight| {
        first_weight(weight, channels, pictures.scale)
    })?;
    if channels == 3 {
        notes.push(
            "pictures are RGB here: the first layer's input channels and the mean are turned round from Caffe's BGR"
                .to_owned(),
        );
    }
    Imported::of(
        Format::Caffe,
        (spec, parameters, Some(mean)),
        options,
        notes,
    )
}

/// The weight for RGB pictures, Caffe's factor after the mean taken in.
fn first_weight(weight: &Tensor, channels: usize, scale: f32) -> candle_core::Result<Tensor> {
    let turned = match channels {
        3 => turned(weight)?,
        _ => weight.clone(),
    };
    match scale == 1.0 {
        true => Ok(turned),
        false => turned * f64::from(scale),
    }
}

/// Sides tried where the file does not say the crop: those of the released networks.
const USUAL_CROPS: [usize; 2] = [227, 224];

/// The spec for pictures of the size that the file says, or else of the first usual one that its weights
/// fit.
fn sized(
    chain: &Chain,
    net: &message::Net,
    pictures: &Pictures,
    mean: &Mean,
    channels: usize,
    notes: &mut Vec<String>,
) -> Result<Spec, Problem> {
    let name = match net.name.as_deref() {
        Some(name) if !name.is_empty() => Chain::default().name(name),
        _ => "caffe".to_owned(),
    };
    let of = |crop: usize| {
        let side = mean.side().unwrap_or_else(|| side_for(crop));
        let input = Input {
            channels: Some(channels),
            side,
            crop,
            normalise: Normalise::Mean,
        };
        chain.spec(&name, &input)
    };
    if let Some(crop) = pictures.crop {
        return of(crop);
    }
    let fits = |spec: &Spec| {
        let wanted = parameters::of(spec).unwrap_or_default();
        wanted.iter().all(|parameter| {
            let tensor = chain.tensors.get(&parameter.name);
            tensor.is_some_and(|tensor| tensor.shape == parameter.shape)
        })
    };
    for crop in USUAL_CROPS {
        if let Some(spec) = of(crop).ok().filter(&fits) {
            notes.push(format!(
                "the file does not say how large its pictures are: {crop}x{crop}, which its layers fit"
            ));
            return Ok(spec);
        }
    }
    Err(Problem::Unsaid {
        what: "how large the pictures are that it sees, and its layers fit neither 227 nor 224"
            .to_owned(),
        hint: "its deploy.prototxt does; a Caffe model that was saved after training holds it too",
    })
}

fn broken(cause: String) -> Problem {
    Problem::Protobuf {
        format: "Caffe",
        cause,
    }
}

fn parse(bytes: &[u8]) -> Result<(message::Net, Vec<Parsed<'_>>), Problem> {
    let mut budget = Budget::new("Caffe", STRUCTURE);
    let mut layers = Vec::new();
    let net = budget.decode(bytes, |tag, value| match (tag, value) {
        (2 | 100, Value::Bytes(_)) if layers.len() == MAX_LAYERS => {
            Err(broken(format!("it has more than {MAX_LAYERS} layers")))
        }
        (2 | 100, Value::Bytes(layer)) => {
            layers.push((tag, layer));
            Ok(Field::Taken)
        }
        _ => Ok(Field::Kept),
    })?;
    let layers = layers.into_iter();
    let parsed = layers.map(|(tag, bytes)| layer(&mut budget, tag, bytes));
    Ok((net, parsed.collect::<Result<_, _>>()?))
}

/// A `V1LayerParameter` where the net has it as field 2, else a `LayerParameter`.
fn layer<'a>(budget: &mut Budget, tag: u32, bytes: &'a [u8]) -> Result<Parsed<'a>, Problem> {
    let v1 = tag == 2;
    let (mut blobs, mut v0) = (Vec::new(), false);
    let field = if v1 { 6 } else { 7 };
    let take = |tag, value| match value {
        Value::Bytes(_) if tag == field && blobs.len() == MAX_BLOBS => {
            Err(broken(format!("a layer has more than {MAX_BLOBS} blobs")))
        }
        Value::Bytes(blob) if tag == field => {
            blobs.push(blob);
            Ok(Field::Taken)
        }
        // The whole layer, with its blobs, as it was before V1.
        Value::Bytes(_) if v1 && tag == 1 => {
            v0 = true;
            Ok(Field::Taken)
        }
        _ => Ok(Field::Kept),
    };
    let layer = match v1 {
        true => budget.decode::<message::V1Layer>(bytes, take)?.into(),
        false => budget.decode::<message::Layer>(bytes, take)?,
    };
    if v0 {
        return Err(Problem::Layer {
            layer: layer.name.unwrap_or_default(),
            what: "is in Caffe's first format (V0), of 2013; Caffe's `upgrade_net_proto_binary` makes such a file current".to_owned(),
        });
    }
    let name = layer.name.as_deref().unwrap_or_default();
    let blobs = blobs.into_iter().enumerate();
    let blobs = blobs.map(|(i, bytes)| blob(budget, &format!("{name}'s blob {i}"), bytes));
    Ok(Parsed {
        blobs: blobs.collect::<Result<_, _>>()?,
        layer,
    })
}

/// A `BlobProto` that is a file of its own, a `.binaryproto`.
pub(crate) fn blob_file<'a>(name: &str, bytes: &'a [u8]) -> Result<Stored<'a>, Problem> {
    blob(&mut Budget::new("binaryproto", STRUCTURE), name, bytes)
}

/// A `BlobProto`. Differences, which a solver may have left beside the values, are passed over.
fn blob<'a>(budget: &mut Budget, name: &str, bytes: &'a [u8]) -> Result<Stored<'a>, Problem> {
    let (mut single, mut double) = (Cow::Borrowed(&[][..]), Cow::Borrowed(&[][..]));
    let blob: message::Blob = budget.decode(bytes, |tag, value| match tag {
        5 => append(&mut single, value).map(|()| Field::Taken),
        8 => append(&mut double, value).map(|()| Field::Taken),
        6 | 9 => Ok(Field::Taken),
        _ => Ok(Field::Kept),
    })?;
    let dimensions = match blob.shape {
        Some(shape) => shape.dim,
        None => [blob.num, blob.channels, blob.height, blob.width]
            .map(|size| i64::from(size.unwrap_or(0)))
            .to_vec(),
    };
    let shape: Result<Vec<usize>, _> = dimensions.iter().map(|&n| usize::try_from(n)).collect();
    let shape = shape.map_err(|_| Problem::Tensor {
        name: name.to_owned(),
        what: format!("its shape is {dimensions:?}"),
    })?;
    match double.is_empty() {
        true => Stored::contiguous(name, shape, Element::F32, single),
        false => Stored::contiguous(name, shape, Element::F64, double),
    }
}
