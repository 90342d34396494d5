//! Weights for other frameworks to read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use tandem_alexnet::error::{RunError, SpecError};
use tandem_alexnet::replacement::{replace, replace_by};
use tandem_alexnet::weights::{FORMAT, MEAN, Weights, is_finite, write_safetensors};

pub use crate::onnx::Precision;
use crate::{onnx, torchvision};

/// Whose file it becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Tandem's own, under its own names.
    Safetensors,
    /// safetensors under the names that torchvision's `alexnet` loads.
    Torchvision,
    /// A model of ONNX.
    Onnx,
}

/// Weights that cannot be written so.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("`{model}` is not of the shape of torchvision's alexnet: {difference}")]
    NotTorchvision { model: String, difference: String },
    #[error("{name} holds {value}, which is too large for half precision")]
    NoHalf { name: String, value: f32 },
    #[error("{} is there already, and is not written over", path.display())]
    Exists { path: PathBuf },
    #[error("{0}")]
    Onnx(#[from] onnx::ExportError),
    #[error("{0}")]
    Compute(#[from] candle_core::Error),
    #[error("{0}")]
    Spec(#[from] SpecError),
    #[error("{0}")]
    Write(#[from] RunError),
}

/// Writes `weights` to `path`, which must not be there. The metadata says what they are: network,
/// preprocessing, classes, origin and licence; [`import`](crate::import) reads it back.
///
/// # Errors
///
/// When the network is not of the target's shape, a value does not fit, or the file cannot be written.
pub fn export(
    weights: &Weights,
    target: Target,
    precision: Precision,
    path: &Path,
) -> Result<(), ExportError> {
    if path.symlink_metadata().is_ok() {
        return Err(ExportError::Exists {
            path: path.to_owned(),
        });
    }
    if target == Target::Onnx {
        let model = onnx::model(weights, precision)?;
        return Ok(replace(path, &model)?);
    }
    let mut metadata = weights.metadata();
    let parameters = match target {
        Target::Safetensors | Target::Onnx => {
            metadata.insert("format", FORMAT.to_owned());
            weights.parameters.clone()
        }
        Target::Torchvision => {
            // What PyTorch's own libraries write, and some ask for.
            metadata.insert("format", "pt".to_owned());
            torchvision::named(weights)?
        }
    };
    let parameters = match precision {
        Precision::Single => parameters,
        Precision::Half => halved(parameters)?,
    };
    let mut tensors: BTreeMap<&str, &Tensor> = BTreeMap::new();
    for (name, tensor) in &parameters {
        tensors.insert(name, tensor);
    }
    // A mean of pixels keeps its precision: it is no weight, and small.
    tensors.extend(weights.mean.iter().map(|mean| (MEAN, mean)));
    Ok(replace_by(path, |out| {
        write_safetensors(out, &metadata, &tensors)
    })?)
}

fn halved(parameters: BTreeMap<String, Tensor>) -> Result<BTreeMap<String, Tensor>, ExportError> {
    let halved = parameters.into_iter().map(|(name, tensor)| {
        let half = tensor.to_dtype(DType::F16)?;
        if is_finite(&half.to_dtype(DType::F32)?) {
            return Ok((name, half));
        }
        let value = tensor.abs()?.max_all()?.to_scalar()?;
        Err(ExportError::NoHalf { name, value })
    });
    halved.collect()
}
