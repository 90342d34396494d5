//! Which network tensors under names are of: by the names, and by what the file says itself.

use std::collections::{BTreeMap, HashMap};

use candle_core::Tensor;
use tandem_alexnet::spec::{Normalise, Spec};
use tandem_alexnet::weights::{MEAN, Misfit, Weights, is_finite};

use crate::error::Problem;
use crate::fit::{Suggestion, fit};
use crate::format::Format;
use crate::stored::Stored;
use crate::{Imported, Options, labels, torchvision};

/// The tensors of a file by the file's names, and what it says beside them.
#[derive(Debug, Default)]
pub(crate) struct Named<'a> {
    pub tensors: BTreeMap<String, Stored<'a>>,
    /// `spec`, `classes`, `step`, `epoch`, `origin` and `licence`, if Tandem wrote the file.
    pub said: HashMap<String, String>,
    /// What its reader left out or took for granted.
    pub notes: Vec<String>,
}

/// The network of `named`, if its names are torchvision's or Tandem's own.
pub(crate) fn import(
    mut named: Named,
    format: Format,
    options: &Options,
) -> Result<Imported, Problem> {
    options.check_needed(format, false)?;
    let mut notes = std::mem::take(&mut named.notes);
    let said = named.said.get("spec").map(|spec| Spec::parse(spec));
    let said = options.model.clone().map(Ok).or(said).transpose()?;
    let mean = named.tensors.remove(MEAN);
    let spec = match said {
        Some(spec) => {
            torchvision::rename(&mut named.tensors, &spec);
            spec
        }
        None => {
            let Some(spec) = torchvision::spec_of(&named.tensors)? else {
                return Err(unknown(&named.tensors));
            };
            torchvision::rename(&mut named.tensors, &spec);
            spec
        }
    };
    // Of weights of another network that is what there is to say, not that its mean is missing.
    let parameters = fit(&spec, &named.tensors, &mut notes)?;
    let mean = mean_of(&spec, mean)?;
    let said_classes = match named.said.get("classes") {
        Some(list) => Some(serde_json::from_str(list).map_err(metadata("classes"))?),
        None => None,
    };
    let number = |key| match named.said.get(key) {
        Some(number) => number.parse().map_err(metadata(key)),
        None => Ok(0),
    };
    let weights = Weights {
        classes: labels::of(&spec, options, said_classes, &mut notes)?,
        step: number("step")?,
        epoch: number("epoch")?,
        origin: named.said.get("origin").cloned(),
        licence: named.said.get("licence").cloned(),
        mean,
        parameters,
        spec,
    };
    Ok(Imported {
        weights,
        format,
        notes,
    })
}

/// The mean picture, where the network of `spec` subtracts one.
fn mean_of(spec: &Spec, stored: Option<Stored>) -> Result<Option<Tensor>, Problem> {
    let wanted = vec![spec.input_channels(), spec.input.side, spec.input.side];
    match (spec.input.normalise, stored) {
        (Normalise::Torchvision, _) => Ok(None),
        (Normalise::Mean, None) => Err(Problem::NoMean),
        (Normalise::Mean, Some(mean)) if mean.shape != wanted => Err(Problem::DoesNotFit {
            network: spec.name.clone(),
            misfits: vec![Misfit::Shape {
                name: MEAN.to_owned(),
                stored: mean.shape,
                wanted,
            }],
            suggestion: Suggestion::None,
        }),
        (Normalise::Mean, Some(mean)) => {
            let mean = mean.to_tensor()?;
            match is_finite(&mean) {
                true => Ok(Some(mean)),
                false => Err(Problem::Tensor {
                    name: MEAN.to_owned(),
                    what: "holds values that are not finite".to_owned(),
                }),
            }
        }
    }
}

fn metadata<E: std::fmt::Display>(key: &'static str) -> impl Fn(E) -> Problem {
    move |cause| Problem::Metadata {
        key,
        cause: cause.to_string(),
    }
}

fn unknown(tensors: &BTreeMap<String, Stored>) -> Problem {
    const SHOWN: usize = 4;
    let names: Vec<String> = tensors
        .iter()
        .take(SHOWN)
        .map(|(name, stored)| format!("{name} {:?}", stored.shape))
        .collect();
    let mut found = match names.as_slice() {
        [] => "none at all".to_owned(),
        names => names.join(", "),
    };
    if tensors.len() > SHOWN {
        found.push_str(&format!(" and {} more", tensors.len() - SHOWN));
    }
    Problem::UnknownNames {
        found,
        suggestion: Suggestion::of(tensors.values()),
    }
}
