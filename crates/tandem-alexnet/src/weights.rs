//! A weights file: the parameters of a network under their canonical names and all it takes to
//! predict with them.
//!
//! safetensors, with `format`, `step`, `epoch`, `spec` (TOML) and `classes` (a JSON list) in its
//! metadata, `origin` and `licence` where they are known, and the training mean beside the
//! parameters as `input.mean`. Nothing in it depends on the placement that wrote it.

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use candle_core::Tensor;

pub(crate) use read::Archive;
pub use read::Misfit;
pub use write::write_safetensors;

use crate::error::{RunError, WeightsError};
use crate::parameters;
use crate::replacement::replace_by;
use crate::spec::Spec;

/// The tensor that holds the training set's mean picture: (C, side, side), on 0..255.
pub const MEAN: &str = "input.mean";
/// The `format` in the metadata of a file that is Tandem's own.
pub const FORMAT: &str = "tandem";

/// A trained network.
#[derive(Clone, Debug)]
pub struct Weights {
    pub spec: Spec,
    /// Names of the classes, as many as the spec has.
    pub classes: Vec<String>,
    /// Updates made before this was written.
    pub step: u64,
    /// Whole epochs done.
    pub epoch: u64,
    /// How it was trained, or what it was imported from: a sentence for people.
    pub origin: Option<String>,
    /// The terms these weights are under, as their author put them.
    pub licence: Option<String>,
    /// (C, side, side), where the spec subtracts the training mean.
    pub mean: Option<Tensor>,
    /// f32 on the CPU by canonical name, shaped as [`parameters::of`] says.
    pub parameters: BTreeMap<String, Tensor>,
}

impl Weights {
    /// Reads a file that Tandem wrote and checks every tensor against the spec inside.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let archive = Archive::read(path)?;
        archive.expect("format", |format| (format == FORMAT).then_some(()))?;
        let spec = Spec::parse(archive.metadata("spec")?).map_err(|source| WeightsError::Spec {
            path: path.to_owned(),
            source,
        })?;
        let step = archive.expect("step", |step| step.parse().ok())?;
        let epoch = archive.expect("epoch", |epoch| epoch.parse().ok())?;
        let classes: Vec<String> =
            archive.expect("classes", |list| serde_json::from_str(list).ok())?;
        if classes.len() != spec.classes {
            return Err(WeightsError::Classes {
                path: path.to_owned(),
                names: classes.len(),
                classes: spec.classes,
            });
        }
        let (parameters, mean) = fitting(&archive, &spec)?;
        Ok(Self {
            origin: archive.optional("origin"),
            licence: archive.optional("licence"),
            spec,
            classes,
            step,
            epoch,
            mean,
            parameters,
        })
    }

    /// What is said of the network beside its tensors: `spec`, `classes`, `step` and `epoch`, and
    /// `origin` and `licence` where they are known.
    pub fn metadata(&self) -> BTreeMap<&'static str, String> {
        let classes =
            serde_json::to_string(&self.classes).expect("a list of strings is always JSON");
        let known = [("origin", &self.origin), ("licence", &self.licence)];
        let known = known
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.clone()?)));
        BTreeMap::from_iter(known.chain([
            ("step", self.step.to_string()),
            ("epoch", self.epoch.to_string()),
            ("spec", self.spec.to_toml()),
            ("classes", classes),
        ]))
    }

    /// Makes `path` a file of these weights: the whole of it, or what it was before.
    ///
    /// # Errors
    ///
    /// When it cannot be written; `path` is then as it was.
    pub fn replace(&self, path: &Path) -> Result<(), RunError> {
        replace_by(path, |out| self.write(out))
    }

    /// Writes the file's bytes to `out`, the same for the same weights.
    ///
    /// # Errors
    ///
    /// When `out` does not take them.
    pub fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        let mut metadata = self.metadata();
        metadata.insert("format", FORMAT.to_owned());
        let tensors = self
            .parameters
            .iter()
            .map(|(name, tensor)| (name.as_str(), tensor));
        let tensors = tensors
            .chain(self.mean.iter().map(|mean| (MEAN, mean)))
            .collect();
        write_safetensors(out, &metadata, &tensors)
    }
}

/// Whether every value of an f32 tensor on the CPU is a finite number.
pub fn is_finite(tensor: &Tensor) -> bool {
    let values = tensor.flatten_all().and_then(|flat| flat.to_vec1::<f32>());
    values.is_ok_and(|values| values.iter().all(|value| value.is_finite()))
}

/// Reads the parameters of `spec` from any safetensors file with their canonical names and shapes,
/// whoever wrote it.
///
/// f64, f16 and bf16 are converted to f32. All that does not fit is listed in one error.
pub fn read_parameters(path: &Path, spec: &Spec) -> Result<BTreeMap<String, Tensor>, WeightsError> {
    fitting(&Archive::read(path)?, spec).map(|(parameters, _)| parameters)
}

fn fitting(
    archive: &Archive,
    spec: &Spec,
) -> Result<(BTreeMap<String, Tensor>, Option<Tensor>), WeightsError> {
    let wanted = parameters::of(spec).map_err(|source| WeightsError::Spec {
        path: archive.path().to_owned(),
        source,
    })?;
    let wanted = wanted
        .into_iter()
        .map(|parameter| (parameter.name, parameter.shape))
        .collect();
    let side = spec.input.side;
    let optional = BTreeMap::from([(MEAN.to_owned(), vec![spec.input_channels(), side, side])]);
    let mut tensors = archive.tensors(&spec.name, &wanted, &optional)?;
    let mean = tensors.remove(MEAN);
    Ok((tensors, mean))
}
