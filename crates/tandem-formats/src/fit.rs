//! Whether a file's tensors are those of a network, and which network's they would be.
//!
//! The one place where values are copied, and only of tensors whose shape is right.

use std::collections::BTreeMap;
use std::fmt;

use candle_core::Tensor;
use tandem_alexnet::parameters;
use tandem_alexnet::presets;
use tandem_alexnet::spec::Spec;
use tandem_alexnet::weights::{Misfit, is_finite};

use crate::error::Problem;
use crate::stored::Stored;

/// The parameters of `spec` out of `tensors`, which are under its names.
///
/// # Errors
///
/// [`Problem::DoesNotFit`] with all that is missing, too much, of another shape or type, or not
/// finite, and the preset that would fit.
pub(crate) fn fit(
    spec: &Spec,
    tensors: &BTreeMap<String, Stored>,
) -> Result<BTreeMap<String, Tensor>, Problem> {
    let wanted: BTreeMap<String, Vec<usize>> = parameters::of(spec)?
        .into_iter()
        .map(|parameter| (parameter.name, parameter.shape))
        .collect();
    let mut misfits: Vec<Misfit> = wanted
        .iter()
        .filter(|(name, _)| !tensors.contains_key(*name))
        .map(|(name, shape)| Misfit::Missing {
            name: name.clone(),
            shape: shape.clone(),
        })
        .collect();
    let mut fitting = Vec::new();
    for (ours, stored) in tensors {
        let name = both(ours, &stored.name);
        match wanted.get(ours) {
            None => misfits.push(Misfit::Unexpected {
                name,
                shape: stored.shape.clone(),
            }),
            Some(shape) if *shape != stored.shape => misfits.push(Misfit::Shape {
                name,
                stored: stored.shape.clone(),
                wanted: shape.clone(),
            }),
            Some(_) if stored.element.size().is_none() => misfits.push(Misfit::Type {
                name,
                stored: stored.element.to_string(),
            }),
            Some(_) => fitting.push((ours, stored)),
        }
    }
    let mut parameters = BTreeMap::new();
    if misfits.is_empty() {
        for (ours, stored) in fitting {
            let tensor = stored.to_tensor()?;
            match is_finite(&tensor) {
                true => drop(parameters.insert(ours.clone(), tensor)),
                false => misfits.push(Misfit::NotFinite {
                    name: both(ours, &stored.name),
                }),
            }
        }
    }
    if misfits.is_empty() {
        return Ok(parameters);
    }
    Err(Problem::DoesNotFit {
        network: spec.name.clone(),
        misfits,
        suggestion: Suggestion::of(tensors.values()),
    })
}

/// Our name, and the file's where it is another.
fn both(ours: &str, theirs: &str) -> String {
    match ours == theirs {
        true => ours.to_owned(),
        false => format!("{ours} ({theirs})"),
    }
}

/// The preset that a file's tensors are of, by their shapes alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Suggestion {
    /// Every shape is one of these presets', which differ in what has no parameters.
    Exact(Vec<&'static str>),
    /// Most shapes are.
    Near {
        preset: &'static str,
        common: usize,
        of: usize,
    },
    #[default]
    None,
}

/// How often each shape occurs.
type Counts<'a> = BTreeMap<&'a [usize], usize>;

impl Suggestion {
    pub(crate) fn of<'a>(tensors: impl Iterator<Item = &'a Stored<'a>>) -> Self {
        let shapes: Vec<&[usize]> = tensors.map(|stored| stored.shape.as_slice()).collect();
        let found = count(shapes.iter().copied());
        let mut exact = Vec::new();
        let mut near = (0, 1, "");
        for preset in presets::ALL {
            let (common, of) = in_common(preset.name, &shapes, &found);
            if common == of && of == shapes.len() {
                exact.push(preset.name);
            }
            if common * near.1 > near.0 * of {
                near = (common, of, preset.name);
            }
        }
        match (exact.is_empty(), near) {
            (false, _) => Self::Exact(exact),
            (true, (common, of, preset)) if 2 * common >= of => Self::Near { preset, common, of },
            (true, _) => Self::None,
        }
    }
}

/// How many of the preset's tensors have a counterpart of their shape among `shapes`, for the number
/// of classes and channels that has most, and how many it has.
fn in_common(preset: &str, shapes: &[&[usize]], found: &Counts) -> (usize, usize) {
    let preset = Spec::preset(preset).expect("a shipped preset is read");
    let inputs = parameters::of(&preset)
        .expect("a shipped preset has parameters")
        .iter()
        .rev()
        .find(|parameter| parameter.shape.len() == 2)
        .map_or(0, |parameter| parameter.shape[1]);
    // Layers that could be the last, as many features read as there.
    let mut classes: Vec<usize> = shapes
        .iter()
        .filter_map(|shape| match shape {
            [classes, read] if *read == inputs => Some(*classes),
            _ => None,
        })
        .collect();
    classes.sort_unstable();
    classes.dedup();
    classes.truncate(8);
    classes.push(preset.classes);
    let mut best = (0, 1);
    for classes in classes {
        for channels in [1, 3] {
            let Ok(spec) = preset.for_data(classes, channels) else {
                continue;
            };
            let Ok(wanted) = parameters::of(&spec) else {
                continue;
            };
            let counts = count(wanted.iter().map(|parameter| parameter.shape.as_slice()));
            let common = counts
                .iter()
                .map(|(shape, &n)| n.min(found.get(shape).copied().unwrap_or(0)))
                .sum();
            if common > best.0 {
                best = (common, wanted.len());
            }
        }
    }
    best
}

fn count<'a>(shapes: impl Iterator<Item = &'a [usize]>) -> Counts<'a> {
    let mut counts = Counts::new();
    for shape in shapes {
        *counts.entry(shape).or_default() += 1;
    }
    counts
}

impl fmt::Display for Suggestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(presets) => {
                let names: Vec<_> = presets.iter().map(|name| format!("`{name}`")).collect();
                write!(f, "\nits shapes are those of {}", names.join(" and of "))
            }
            Self::Near { preset, common, of } => write!(
                f,
                "\nnearest is the preset `{preset}`: {common} of its {of} tensors have their shape here"
            ),
            Self::None => Ok(()),
        }
    }
}
