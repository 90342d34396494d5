//! Features of a set of pictures as a file that other tools read: safetensors, or NumPy's npy.
//!
//! safetensors: `features` f32 (N, F) and `labels` i64 (N), −1 where a picture has none; in the
//! metadata `layer`, and as JSON lists `names` (of the pictures) and `classes`. npy: `NAME.npy` f32
//! (N, F), and beside it `NAME.labels.npy` i64 (N), `NAME.names.txt` and `NAME.classes.txt`, a line
//! each.
//!
//! Features are written as they are computed: of a million pictures those of fc7 take 16 GB.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tandem_data::{LoaderOptions, Normalise, Pictures, npy};

use super::features;
use crate::error::{NetworkError, RunError};
use crate::network::Network;
use crate::replacement::{Replacement, replace};

/// Bytes of header that readers of safetensors accept.
const MAX_HEADER: usize = 100_000_000;

/// How a file of features is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Safetensors,
    Npy,
}

/// Features that cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum FeaturesError {
    #[error("{}: a file of features ends in .safetensors or .npy", path.display())]
    UnknownFormat { path: PathBuf },
    #[error(
        "{pictures} pictures have names too long for the header of a safetensors file ({bytes} bytes, at most \
         {MAX_HEADER}): write .npy"
    )]
    TooManyNames { pictures: usize, bytes: usize },
    #[error("{0}")]
    Network(#[from] NetworkError),
    #[error("{0}")]
    File(#[from] RunError),
}

impl Format {
    /// What the ending of `path` says.
    ///
    /// # Errors
    /// [`FeaturesError::UnknownFormat`]
    pub fn of(path: &Path) -> Result<Self, FeaturesError> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("safetensors") => Ok(Self::Safetensors),
            Some("npy") => Ok(Self::Npy),
            _ => Err(FeaturesError::UnknownFormat {
                path: path.to_owned(),
            }),
        }
    }
}

/// Writes what layer `layer` of `network` gives for the centre of each of `pictures` to `path`, in the
/// format that its ending says. A file that was there stays until the new one is whole.
///
/// # Errors
/// See [`FeaturesError`].
pub fn write(
    path: &Path,
    network: &Network,
    layer: usize,
    pictures: &Arc<Pictures>,
    normalise: &Normalise,
    options: LoaderOptions,
) -> Result<(), FeaturesError> {
    let size = network.shapes().layers[layer].output.values();
    let labels: Vec<u8> = (0..pictures.len())
        .map(|i| pictures.label(i).map_or(-1, i64::from))
        .flat_map(i64::to_le_bytes)
        .collect();
    let (header, after) = match Format::of(path)? {
        Format::Safetensors => {
            let header = safetensors_header(pictures, size, &network.spec().layer_name(layer))?;
            (header, labels)
        }
        Format::Npy => {
            beside(path, pictures, &labels)?;
            (npy::header("<f4", &[pictures.len(), size]), Vec::new())
        }
    };
    let mut failed = None;
    let written = Replacement::write(path, |out| {
        out.write_all(&header)?;
        let mut bytes = Vec::with_capacity(4 * size);
        let each = |_, row: Vec<f32>| {
            bytes.clear();
            bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
            out.write_all(&bytes).map_err(Stopped::Io)
        };
        match features(network, layer, pictures, normalise, options, each) {
            Ok(()) => out.write_all(&after),
            Err(Stopped::Io(error)) => Err(error),
            Err(Stopped::Network(error)) => {
                let told = io::Error::other(error.to_string());
                failed = Some(error);
                Err(told)
            }
        }
    });
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(written?.commit()?),
    }
}

/// Why no more rows came.
enum Stopped {
    Io(io::Error),
    Network(NetworkError),
}

impl From<NetworkError> for Stopped {
    fn from(error: NetworkError) -> Self {
        Self::Network(error)
    }
}

/// Labels, names and classes beside `path`.
fn beside(path: &Path, pictures: &Pictures, labels: &[u8]) -> Result<(), RunError> {
    let mut file = npy::header("<i8", &[pictures.len()]);
    file.extend_from_slice(labels);
    replace(&path.with_extension("labels.npy"), &file)?;
    let lines = |lines: &mut dyn Iterator<Item = String>| -> String {
        // A name is a line, whatever it holds.
        lines
            .map(|line| line.replace(['\n', '\r'], " ") + "\n")
            .collect()
    };
    let names = lines(&mut (0..pictures.len()).map(|i| pictures.name(i)));
    replace(&path.with_extension("names.txt"), names.as_bytes())?;
    let classes = lines(&mut pictures.classes().iter().cloned());
    replace(&path.with_extension("classes.txt"), classes.as_bytes())
}

/// The header of a safetensors file of features of `size` values.
fn safetensors_header(
    pictures: &Pictures,
    size: usize,
    layer: &str,
) -> Result<Vec<u8>, FeaturesError> {
    let count = pictures.len();
    let names: Vec<String> = (0..count).map(|i| pictures.name(i)).collect();
    let metadata = BTreeMap::from([
        ("classes", json!(pictures.classes()).to_string()),
        ("format", "tandem-features".to_owned()),
        ("layer", layer.to_owned()),
        ("names", json!(names).to_string()),
    ]);
    let middle = 4 * count * size;
    let header = json!({
        "__metadata__": metadata,
        "features": { "dtype": "F32", "shape": [count, size], "data_offsets": [0, middle] },
        "labels": { "dtype": "I64", "shape": [count], "data_offsets": [middle, middle + 8 * count] },
    });
    let mut text = header.to_string().into_bytes();
    // Tensors start at a multiple of 8 bytes.
    text.resize(text.len().next_multiple_of(8), b' ');
    if text.len() > MAX_HEADER {
        return Err(FeaturesError::TooManyNames {
            pictures: count,
            bytes: text.len(),
        });
    }
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_ending_is_refused_by_name() {
        for name in ["features", "features.csv", "features.NPY"] {
            let error = Format::of(Path::new(name)).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(".npy"), "{error}");
        }
    }
}
