//! Models that Tandem wrote: their metadata says what their graph is, and is believed if it is that.

use std::collections::HashMap;

use tandem_alexnet::spec::Spec;

use super::read::{Constant, Graph};
use super::write::{self, METADATA, Precision};
use crate::error::Problem;
use crate::naming::{self, Named};
use crate::{Format, Imported, Options};

/// Whose model it is.
pub(super) enum Found<'a> {
    Own(Box<Imported>),
    /// It has no metadata of ours.
    Foreign(Graph<'a>),
    /// It has, and other nodes than Tandem writes for them.
    Changed(Graph<'a>),
}

pub(super) fn import<'a>(graph: Graph<'a>, options: &Options) -> Result<Found<'a>, Problem> {
    let entries = graph.model.metadata_props.iter();
    let said: HashMap<String, String> = entries
        .filter_map(|entry| {
            let key = entry.key.strip_prefix(METADATA)?;
            Some((key.to_owned(), entry.value.clone()))
        })
        .collect();
    let Some(spec) = said.get("spec") else {
        return Ok(Found::Foreign(graph));
    };
    let Ok(spec) = Spec::parse(spec) else {
        return Ok(Found::Changed(graph));
    };
    let nodes = graph.nodes.iter().map(|node| &node.node);
    let written = [Precision::Single, Precision::Half]
        .into_iter()
        .any(|precision| match write::layers(&spec, precision) {
            Ok(layers) => layers.nodes.iter().eq(nodes.clone()),
            Err(_) => false,
        });
    if !written {
        return Ok(Found::Changed(graph));
    }
    let tensors = graph.initializers.into_iter();
    let tensors = tensors.filter_map(|(name, constant)| match constant {
        // Of the graph's own making: what a reshaping or a factor takes.
        Constant::Numbers(stored) if !stored.shape.is_empty() => Some((name, stored)),
        Constant::Numbers(_) | Constant::Integers(_) | Constant::Other => None,
    });
    let named = Named {
        tensors: tensors.collect(),
        said,
        notes: Vec::new(),
    };
    // The metadata's network is the graph's; another one named by the user would not be.
    let options = Options {
        model: None,
        ..options.clone()
    };
    let imported = naming::import(named, Format::Onnx, &options)?;
    Ok(Found::Own(Box::new(imported)))
}
