//! ONNX: a model is a graph of operators with their attributes, and tensors.
//!
//! Read, a graph becomes layers one after another; operators, pads and attributes are the file's own.
//! Written, a network is a graph of operators that compute the same, and its spec, preprocessing and
//! labels stand in the model's metadata, by which it comes back equal.

mod attributes;
mod external;
mod message;
mod own;
mod pooling;
mod read;
mod walk;
mod write;

use std::path::Path;

use candle_core::Tensor;
use tandem_alexnet::spec::{Input, Normalise, Spec};

use crate::error::Problem;
use crate::fit::fit;
use crate::mean::{Mean, change_first_weight, side_for, turned};
use crate::wire::{Value, first_fields};
use crate::{ChannelOrder, Format, Imported, Options};
use walk::Walked;
pub use write::{ExportError, Precision, model};

/// Whether `bytes` begin as a `ModelProto` does: with the version of its format, who wrote it, or its
/// graph.
pub(crate) fn is_model(bytes: &[u8]) -> bool {
    // ModelProto's fields with how each is written; doc_string and the like come later.
    let fits = |&(tag, value): &(u32, Value)| match value {
        Value::Varint(_) => matches!(tag, 1 | 5),
        Value::Bytes(_) => matches!(tag, 2 | 3 | 4 | 6 | 7 | 8 | 14 | 20 | 25),
        Value::Fixed32(_) | Value::Fixed64(_) => false,
    };
    let first = first_fields(bytes, 4);
    matches!(first.as_slice(), [(1, Value::Varint(1..=1000)), _, ..]) && first.iter().all(fits)
}

fn broken(cause: String) -> Problem {
    Problem::Protobuf {
        format: "ONNX",
        cause,
    }
}

/// The network in `bytes`, a whole model that lies in `folder`.
pub(crate) fn import(
    bytes: &[u8],
    folder: Option<&Path>,
    options: &Options,
) -> Result<Imported, Problem> {
    let graph = read::read(bytes, folder)?;
    let mut notes = Vec::new();
    let graph = match own::import(graph, options)? {
        own::Found::Own(imported) => return Ok(*imported),
        own::Found::Foreign(graph) => graph,
        own::Found::Changed(graph) => {
            notes.push(
                "its layers are not those that its metadata tells of: the layers count".to_owned(),
            );
            graph
        }
    };
    let producer = graph.model.producer_name.clone();
    let walked = walk::walk(graph)?;
    let pictures = Pictures::of(&walked, &producer, options, &mut notes)?;
    let spec = pictures.spec(&walked)?;
    let mut parameters = fit(&spec, &walked.chain.tensors, &mut notes)?;
    for (name, factor) in &walked.factors {
        if let Some(tensor) = parameters.get_mut(name) {
            *tensor = (&*tensor * *factor).map_err(|error| Problem::Tensor {
                name: name.clone(),
                what: error.to_string(),
            })?;
        }
    }
    if pictures.order == ChannelOrder::Bgr && walked.channels == 3 {
        change_first_weight(&spec, &mut parameters, turned)?;
        notes.push(
            "pictures are RGB here: the first layer's input channels and the mean are turned round from BGR"
                .to_owned(),
        );
    }
    let mean = pictures.mean(&walked, spec.input.side)?;
    Imported::of(Format::Onnx, (spec, parameters, mean), options, notes)
}

/// How pictures are made for a model that does not say.
struct Pictures {
    normalise: Normalise,
    order: ChannelOrder,
    /// Where a mean is subtracted.
    mean: Option<Mean>,
}

impl Pictures {
    /// As the user says, or as those who wrote the file are known to do.
    fn of(
        walked: &Walked,
        producer: &str,
        options: &Options,
        notes: &mut Vec<String>,
    ) -> Result<Self, Problem> {
        let order = options.order.unwrap_or_default();
        let given = options.mean.as_deref().map(Mean::read).transpose()?;
        let said = options
            .normalise
            .or(given.as_ref().map(|_| Normalise::Mean));
        let torchvision = Self {
            normalise: Normalise::Torchvision,
            order,
            mean: None,
        };
        match said {
            Some(Normalise::Torchvision) => return Ok(torchvision),
            Some(Normalise::Mean) => {
                let known = given.is_none();
                if known && walked.channels != 3 {
                    return Err(unsaid(
                        "the mean of its pictures, which are not of three channels",
                    ));
                }
                if known {
                    notes.push("ILSVRC 2012's known channel means are subtracted; --mean FILE gives others".to_owned());
                }
                return Ok(Self {
                    normalise: Normalise::Mean,
                    order,
                    mean: Some(given.unwrap_or_else(|| Mean::ilsvrc(order))),
                });
            }
            None => {}
        }
        if torchvision
            .spec(walked)
            .is_ok_and(|spec| spec.name == "torchvision")
        {
            notes.push("the layers are those of torchvision's alexnet, and so pictures are made as torchvision makes them; --normalise says otherwise".to_owned());
            return Ok(torchvision);
        }
        let caffe = ["caffe", "Caffe"]
            .iter()
            .any(|name| producer.contains(name));
        if caffe && walked.channels == 3 {
            notes.push(format!(
                "{producer} wrote it: pictures are made as for Caffe, blue first, ILSVRC 2012's known channel means subtracted; --normalise, --bgr and --mean say otherwise"
            ));
            return Ok(Self {
                normalise: Normalise::Mean,
                order: ChannelOrder::Bgr,
                mean: Some(Mean::ilsvrc(ChannelOrder::Bgr)),
            });
        }
        Err(unsaid("how its pictures are made"))
    }

    fn spec(&self, walked: &Walked) -> Result<Spec, Problem> {
        let side = self.mean.as_ref().and_then(Mean::side);
        let input = Input {
            channels: Some(walked.channels),
            side: side.unwrap_or_else(|| side_for(walked.crop)),
            crop: walked.crop,
            normalise: self.normalise,
        };
        walked.chain.spec("onnx", &input)
    }

    fn mean(self, walked: &Walked, side: usize) -> Result<Option<Tensor>, Problem> {
        let picture = |mean: Mean| mean.picture((walked.channels, side), self.order);
        self.mean.map(picture).transpose()
    }
}

fn unsaid(what: &str) -> Problem {
    Problem::Unsaid {
        what: what.to_owned(),
        hint: "give --normalise torchvision, or --normalise mean with --mean FILE and, if blue comes first, --bgr",
    }
}
