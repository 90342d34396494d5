//! Other frameworks' weights files into Tandem's and out of them.
//!
//! [`import`] sees what a file is by what it holds, never by its name, and gives [`Weights`] that
//! compute what the file's own framework computes. Every file is hostile until it is read: what it
//! claims is held against its length before memory is asked for, and nothing in it is ever run.
//!
//! A format's module turns bytes into tensors under the file's own names ([`Stored`], values still
//! where they lie); a naming (`torchvision.rs`) says which network they are of; `fit.rs` compares
//! them with that network and is the only place that copies values, so that a file of another
//! network is refused at no cost.

mod array;
mod caffe;
mod chain;
mod decimal;
mod dictionary;
mod directory;
mod error;
mod export;
mod fit;
mod format;
mod labels;
mod mean;
mod naming;
pub mod onnx;
mod pickle;
mod pth;
mod refusal;
mod safetensors;
mod stored;
mod torchvision;
mod wire;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use sha2::{Digest, Sha256};
use tandem_alexnet::spec::{Normalise, Spec};
use tandem_alexnet::weights::Weights;

pub use directory::DirectoryError;
pub use error::{FormatError, Looks, Problem};
pub use export::{ExportError, Precision, Target, export};
pub use fit::Suggestion;
pub use format::Format;
pub use stored::{Element, Stored};

/// The longest file that is read: the paper's network with momentum and in double precision is a
/// quarter of it.
pub const MAX_FILE: u64 = 4 << 30;

/// What a user may say of a file that does not say it itself.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The network that the tensors are of, where names and shapes leave that open.
    pub model: Option<Spec>,
    /// Names of the classes in the order of the scores.
    pub labels: Option<Vec<String>>,
    /// The mean that is subtracted from pictures: a file of Caffe's or NumPy's.
    pub mean: Option<PathBuf>,
    /// How pictures are made for a model that does not say.
    pub normalise: Option<Normalise>,
    pub order: Option<ChannelOrder>,
}

impl Options {
    /// Refuses what was said of pictures and a file of `format` leaves no choice in: everything, or,
    /// where its network subtracts a mean, all but that.
    fn check_needed(&self, format: Format, subtracts_mean: bool) -> Result<(), Problem> {
        let said = [
            ("normalise", self.normalise.is_some()),
            ("bgr", self.order.is_some()),
            ("mean", self.mean.is_some() && !subtracts_mean),
        ];
        match said.into_iter().find(|(_, said)| *said) {
            Some((option, _)) => Err(Problem::Needless { option, format }),
            None => Ok(()),
        }
    }
}

/// How a network reads the three channels of a picture. Tandem's pictures are RGB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelOrder {
    #[default]
    Rgb,
    /// Blue first, as OpenCV decodes them: Caffe's.
    Bgr,
}

/// A network from elsewhere.
#[derive(Clone, Debug)]
pub struct Imported {
    pub weights: Weights,
    pub format: Format,
    /// What a user should know: what was assumed, what was left out. A sentence each.
    pub notes: Vec<String>,
}

impl Imported {
    /// The network of a file that says of itself its layers and weights alone: a spec, its parameters and
    /// its mean.
    fn of(
        format: Format,
        (spec, parameters, mean): (Spec, BTreeMap<String, Tensor>, Option<Tensor>),
        options: &Options,
        mut notes: Vec<String>,
    ) -> Result<Self, Problem> {
        let weights = Weights {
            classes: labels::of(&spec, options, None, &mut notes)?,
            step: 0,
            epoch: 0,
            origin: None,
            licence: None,
            mean,
            parameters,
            spec,
        };
        Ok(Self {
            weights,
            format,
            notes,
        })
    }
}

/// Reads the weights in the file at `path`, whatever framework wrote it.
///
/// # Errors
///
/// When the file cannot be read, is none of the formats, is damaged, holds what Tandem refuses to
/// act on, or is of a network that is none of Tandem's.
pub fn import(path: &Path, options: &Options) -> Result<Imported, FormatError> {
    let failed = |problem| FormatError {
        path: path.to_owned(),
        problem: Box::new(problem),
    };
    let bytes = read(path, MAX_FILE).map_err(failed)?;
    let mut imported = import_from(&bytes, path.parent(), options).map_err(failed)?;
    if imported.weights.origin.is_none() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        imported.weights.origin = Some(format!(
            "imported from {name} ({}, SHA-256 {})",
            imported.format,
            hex(&Sha256::digest(&bytes))
        ));
    }
    Ok(imported)
}

/// Reads the weights that `bytes`, a whole file, hold. Its `origin` is what the file says.
///
/// # Errors
///
/// As [`import`].
pub fn import_bytes(bytes: &[u8], options: &Options) -> Result<Imported, Problem> {
    import_from(bytes, None, options)
}

/// The same of a file that lies in `folder`, where other files that belong to it may be.
fn import_from(
    bytes: &[u8],
    folder: Option<&Path>,
    options: &Options,
) -> Result<Imported, Problem> {
    let format = Format::of(bytes).ok_or_else(|| Problem::Unrecognised(error::Looks::of(bytes)))?;
    let named = match format {
        Format::Safetensors => safetensors::read(bytes)?,
        Format::TorchZip => pth::read_zip(bytes)?,
        Format::TorchStream => pth::read_stream(bytes)?,
        Format::TorchTar => pth::read_tar(bytes)?,
        Format::Npy => return dictionary::import(bytes, options),
        Format::Caffe => return caffe::import(bytes, folder, options),
        Format::Onnx => return onnx::import(bytes, folder, options),
    };
    naming::import(named, format, options)
}

/// A whole file of at most so many bytes; devices and pipes, which never end, are not read.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, Problem> {
    let about = std::fs::metadata(path).map_err(Problem::Read)?;
    if !about.is_file() && !about.is_dir() {
        return Err(Problem::Read(std::io::Error::other("it is no plain file")));
    }
    let length = about.len();
    if length > most {
        return Err(Problem::TooLong { length, most });
    }
    std::fs::read(path).map_err(Problem::Read)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
