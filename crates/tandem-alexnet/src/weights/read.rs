//! Reading safetensors from anyone: every fault of the file is an error that names it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors};

use super::is_finite;
use crate::error::WeightsError;

/// Names and shapes.
pub(crate) type Shapes = BTreeMap<String, Vec<usize>>;

/// A safetensors file in memory, its header checked against its length.
pub(crate) struct Archive {
    path: PathBuf,
    bytes: Vec<u8>,
    metadata: BTreeMap<String, String>,
}

/// One tensor that a network has no use for, lacks or cannot take.
#[derive(Debug, PartialEq, Eq)]
pub enum Misfit {
    Missing {
        name: String,
        shape: Vec<usize>,
    },
    Unexpected {
        name: String,
        shape: Vec<usize>,
    },
    Shape {
        name: String,
        stored: Vec<usize>,
        wanted: Vec<usize>,
    },
    Type {
        name: String,
        stored: String,
    },
    /// Nothing follows from it but more of the kind.
    NotFinite {
        name: String,
    },
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::Missing { name, shape } => write!(f, "{name} {shape:?} is missing"),
            Misfit::Unexpected { name, shape } => {
                write!(f, "{name} {shape:?} is not part of the network")
            }
            Misfit::Shape {
                name,
                stored,
                wanted,
            } => write!(f, "{name} is {stored:?}, and must be {wanted:?}"),
            Misfit::Type { name, stored } => write!(
                f,
                "{name} holds {stored}, and must hold F32, F64, F16 or BF16"
            ),
            Misfit::NotFinite { name } => {
                write!(f, "{name} holds values that are not finite")
            }
        }
    }
}

impl Archive {
    /// Reads the whole file. Memory in proportion to the file's true length, whatever its header
    /// claims.
    pub(crate) fn read(path: &Path) -> Result<Self, WeightsError> {
        let bytes = std::fs::read(path).map_err(|source| WeightsError::Read {
            path: path.to_owned(),
            source,
        })?;
        let invalid = |cause| WeightsError::Invalid {
            path: path.to_owned(),
            cause,
        };
        // `deserialize` does these checks, and more; the metadata is only to be had from here.
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(invalid)?;
        let metadata = header
            .metadata()
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect();
        Ok(Self {
            path: path.to_owned(),
            bytes,
            metadata,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// An entry of the metadata.
    pub(crate) fn metadata(&self, key: &'static str) -> Result<&str, WeightsError> {
        let path = || self.path.clone();
        self.metadata
            .get(key)
            .map(String::as_str)
            .ok_or_else(|| WeightsError::NoMetadata { path: path(), key })
    }

    /// An entry of the metadata that need not be there.
    pub(crate) fn optional(&self, key: &str) -> Option<String> {
        self.metadata.get(key).cloned()
    }

    /// An entry of the metadata as `parse` understands it.
    pub(crate) fn expect<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, WeightsError> {
        let text = self.metadata(key)?;
        parse(text).ok_or_else(|| WeightsError::Metadata {
            path: self.path.clone(),
            key,
            value: text.chars().take(80).collect(),
        })
    }

    /// Every tensor as f32 on the CPU, if they are those of `wanted`, with or without those of
    /// `optional`.
    pub(crate) fn tensors(
        &self,
        network: &str,
        wanted: &Shapes,
        optional: &Shapes,
    ) -> Result<BTreeMap<String, Tensor>, WeightsError> {
        let archive =
            SafeTensors::deserialize(&self.bytes).map_err(|cause| WeightsError::Invalid {
                path: self.path.clone(),
                cause,
            })?;
        let stored: BTreeMap<_, _> = archive.iter().collect();
        let mut misfits = Vec::new();
        for (name, shape) in wanted
            .iter()
            .filter(|(name, _)| !stored.contains_key(name.as_str()))
        {
            misfits.push(Misfit::Missing {
                name: name.clone(),
                shape: shape.clone(),
            });
        }
        let mut tensors = BTreeMap::new();
        for (name, view) in stored {
            let name = name.to_owned();
            let shape = view.shape().to_vec();
            match (
                wanted.get(&name).or_else(|| optional.get(&name)),
                float(view.dtype()),
            ) {
                (None, _) => misfits.push(Misfit::Unexpected { name, shape }),
                (Some(right), _) if *right != shape => misfits.push(Misfit::Shape {
                    name,
                    stored: shape,
                    wanted: right.clone(),
                }),
                (Some(_), None) => misfits.push(Misfit::Type {
                    name,
                    stored: view.dtype().to_string(),
                }),
                (Some(_), Some(dtype)) => {
                    let tensor = Tensor::from_raw_buffer(view.data(), dtype, &shape, &Device::Cpu)
                        .and_then(|tensor| tensor.to_dtype(DType::F32))
                        .map_err(|source| WeightsError::Tensor {
                            path: self.path.clone(),
                            name: name.clone(),
                            source: Box::new(source),
                        })?;
                    match is_finite(&tensor) {
                        true => drop(tensors.insert(name, tensor)),
                        false => misfits.push(Misfit::NotFinite { name }),
                    }
                }
            }
        }
        if misfits.is_empty() {
            return Ok(tensors);
        }
        Err(WeightsError::DoNotFit {
            path: self.path.clone(),
            network: network.to_owned(),
            misfits,
        })
    }
}

/// The types that convert to f32.
fn float(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F32 => Some(DType::F32),
        Dtype::F64 => Some(DType::F64),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        _ => None,
    }
}
