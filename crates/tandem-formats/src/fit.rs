//! Whether a file's tensors are those of a network, and which network's they would be.
//!
//! The one place where values are copied, and only of tensors whose shape is right.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use candle_core::Tensor;
use tandem_alexnet::error::SpecError;
use tandem_alexnet::parameters;
use tandem_alexnet::presets;
use tandem_alexnet::spec::Spec;
use tandem_alexnet::weights::{Misfit, is_finite};

use crate::error::Problem;
use crate::stored::{Element, Stored};

/// The parameters of `spec` out of `tensors`, which are under its names. What is lost on the way to f32
/// is told in `notes`.
///
/// # Errors
///
/// [`Problem::DoesNotFit`] with all that is missing, too much, of another shape or type, or not
/// finite, and the preset that would fit.
pub(crate) fn fit(
    spec: &Spec,
    tensors: &BTreeMap<String, Stored>,
    notes: &mut Vec<String>,
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
            Some(_) if !stored.element.is_float() => misfits.push(Misfit::Type {
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
        if tensors
            .values()
            .any(|stored| stored.element == Element::F64)
        {
            notes.push("values of double precision are rounded to single".to_owned());
        }
        return Ok(parameters);
    }
    Err(Problem::DoesNotFit {
        network: spec.name.clone(),
        misfits,
        suggestion: Suggestion::of(tensors.values()),
    })
}

/// Whether `tensors` are no more than a file of `length` bytes can hold: those that repeat or share
/// bytes could claim any number of values.
///
/// # Errors
///
/// [`Problem::TooManyValues`] if they are.
pub(crate) fn bounded(tensors: &BTreeMap<String, Stored>, length: usize) -> Result<(), Problem> {
    let floats = tensors.values().filter(|stored| stored.element.is_float());
    let values = floats
        .map(Stored::values)
        .try_fold(0usize, usize::checked_add);
    // No float takes less than two bytes.
    match values.is_some_and(|values| values <= length / 2) {
        true => Ok(()),
        false => Err(Problem::TooManyValues { length }),
    }
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

/// A preset's name and the shapes of its parameters.
type Preset = (&'static str, Vec<Vec<usize>>);

/// Every preset, for colour pictures and its own number of classes.
static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    let shapes = |name| {
        let spec = Spec::preset(name)?;
        let list = parameters::of(&spec.for_data(spec.classes, 3)?)?;
        Ok::<_, SpecError>(list.into_iter().map(|parameter| parameter.shape).collect())
    };
    let presets = presets::ALL.iter().map(|preset| preset.name);
    presets
        .map(|name| (name, shapes(name).expect("a shipped preset is whole")))
        .collect()
});

impl Suggestion {
    pub(crate) fn of<'a>(tensors: impl Iterator<Item = &'a Stored<'a>>) -> Self {
        let found: Vec<&[usize]> = tensors.map(|stored| stored.shape.as_slice()).collect();
        let counts = count(found.iter().copied());
        let mut exact = Vec::new();
        let mut near = (0, 1, "");
        for (preset, shapes) in PRESETS.iter() {
            let (common, of) = (in_common(shapes, &found, &counts), shapes.len());
            if common == of && of == found.len() {
                exact.push(*preset);
            }
            if common * near.1 > near.0 * of {
                near = (common, of, preset);
            }
        }
        match (exact.is_empty(), near) {
            (false, _) => Self::Exact(exact),
            (true, (common, of, preset)) if 2 * common >= of => Self::Near { preset, common, of },
            (true, _) => Self::None,
        }
    }
}

/// How many of a preset's `shapes` are among those found, with the number of classes and of channels
/// that makes most.
fn in_common(shapes: &[Vec<usize>], found: &[&[usize]], counts: &Counts) -> usize {
    let ([first, .., weight, bias], inputs) = (shapes, shapes[shapes.len() - 2][1]) else {
        unreachable!("a preset has more than one layer")
    };
    // Layers that could be the last: as many features read as there.
    let mut classes: Vec<usize> = found
        .iter()
        .filter(|shape| shape.len() == 2 && shape[1] == inputs)
        .map(|shape| shape[0])
        .collect();
    classes.sort_unstable();
    classes.dedup();
    classes.truncate(8);
    classes.push(bias[0]);
    let common = |classes: usize, channels: usize| {
        let mut shapes = shapes.to_vec();
        shapes[0] = [&first[..1], &[channels], &first[2..]].concat();
        let last = shapes.len() - 2;
        shapes[last] = vec![classes, weight[1]];
        shapes[last + 1] = vec![classes];
        let wanted = count(shapes.iter().map(Vec::as_slice));
        let common =
            |(shape, n): (&&[usize], &usize)| (*n).min(counts.get(shape).copied().unwrap_or(0));
        wanted.iter().map(common).sum()
    };
    let candidates = classes
        .iter()
        .flat_map(|&classes| [(classes, 1), (classes, 3)]);
    candidates
        .map(|(classes, channels)| common(classes, channels))
        .max()
        .unwrap_or(0)
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
