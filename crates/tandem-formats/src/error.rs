//! What can be wrong with another framework's file.

use std::io;
use std::path::PathBuf;

use tandem_alexnet::error::SpecError;
use tandem_alexnet::weights::Misfit;

use crate::fit::Suggestion;
use crate::format::Format;

/// A file that is refused.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct FormatError {
    pub path: PathBuf,
    pub problem: Box<Problem>,
}

/// Why a file is refused. The message is written to stand after the file's name.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("cannot be read: {0}")]
    Read(io::Error),
    #[error("is {length} bytes long, and no more than {most} are read")]
    TooLong { length: u64, most: u64 },
    #[error(
        "is no weights file that Tandem knows{}: it reads safetensors, what torch.save writes, Caffe's .caffemodel, \
         ONNX, and NumPy's dictionaries of arrays", instead(*.0)
    )]
    Unrecognised(Looks),
    #[error(
        "is not a whole safetensors file: {0}; was it cut short when it was copied, or is it something else?"
    )]
    Safetensors(::safetensors::SafeTensorError),
    /// The ZIP, stream or tar around a pickle.
    #[error("{what}")]
    Archive { what: String },
    #[error("its pickle makes no sense at byte {at}: {what}")]
    Pickle { at: usize, what: String },
    /// The pickle would have something imported or called.
    #[error(
        "its pickle names `{module}.{name}` at byte {at}, which no weights need, and is refused: a pickle can \
         run any program{}",
        module_hint(module)
    )]
    Refused {
        module: String,
        name: String,
        at: usize,
    },
    #[error("holds no state dict: {what}; in PyTorch: torch.save(model.state_dict(), FILE)")]
    StateDict { what: String },
    #[error(
        "its tensors share or repeat values: they would be more than its {length} bytes can hold"
    )]
    TooManyValues { length: usize },
    #[error("its metadata's `{key}` makes no sense: {cause}")]
    Metadata { key: &'static str, cause: String },
    /// Bytes that are not protobuf, or not of the message they should be.
    #[error(
        "is not a whole {format} file: {cause}; was it cut short when it was copied, or is it something else?"
    )]
    Protobuf { format: &'static str, cause: String },
    /// A layer that Tandem's networks do not have.
    #[error("{layer} {what}")]
    Layer { layer: String, what: String },
    /// What the file leaves open, and nobody may guess.
    #[error("does not say {what}; {hint}")]
    Unsaid { what: String, hint: &'static str },
    /// What was said of pictures would change nothing.
    #[error(
        "is a file of {format} whose pictures are made in one way only: leave out --{option}, which would be \
         ignored"
    )]
    Needless {
        option: &'static str,
        format: Format,
    },
    /// A mean that was given, or lies beside the file.
    #[error("the mean in {}: {what}", path.display())]
    Mean { path: PathBuf, what: String },
    /// Values in another file, where they are not read.
    #[error("the values of `{name}` are said to be in `{location}`: {what}")]
    External {
        name: String,
        location: String,
        what: String,
    },
    /// One tensor of the file contradicts itself.
    #[error("{name}: {what}")]
    Tensor { name: String, what: String },
    #[error("is not of a network that Tandem knows: its tensors are {found}{suggestion}")]
    UnknownNames {
        found: String,
        suggestion: Suggestion,
    },
    #[error("does not fit `{network}`:{}{suggestion}", lines(misfits))]
    DoesNotFit {
        network: String,
        misfits: Vec<Misfit>,
        suggestion: Suggestion,
    },
    #[error("lacks the training mean, `input.mean`, that its network subtracts from pictures")]
    NoMean,
    #[error("names {names} classes and its network has {classes}")]
    Classes { names: usize, classes: usize },
    #[error("{labels} labels were given and the network in the file has {classes} classes")]
    Labels { labels: usize, classes: usize },
    #[error("its network is refused: {0}")]
    Spec(#[from] SpecError),
    #[error("{0}")]
    Compute(#[from] candle_core::Error),
}

/// What a file that is no weights file looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looks {
    Empty,
    Page,
    LfsPointer,
    Unknown,
}

impl Looks {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let start = bytes.trim_ascii_start();
        if bytes.is_empty() {
            Self::Empty
        } else if start.starts_with(b"version https://git-lfs") {
            Self::LfsPointer
        } else if start.starts_with(b"<") {
            Self::Page
        } else {
            Self::Unknown
        }
    }
}

fn instead(looks: Looks) -> &'static str {
    match looks {
        Looks::Empty => " (it is empty)",
        Looks::Page => " (it looks like a page of the web: fetch the file itself)",
        Looks::LfsPointer => " (it is a pointer of Git LFS: `git lfs pull` fetches the file)",
        Looks::Unknown => "",
    }
}

/// Misfits that are listed; of many it is enough to know how many.
const LISTED: usize = 20;

fn lines(misfits: &[Misfit]) -> String {
    let mut text: String = misfits
        .iter()
        .take(LISTED)
        .map(|misfit| format!("\n  {misfit}"))
        .collect();
    if misfits.len() > LISTED {
        text.push_str(&format!("\n  and {} more", misfits.len() - LISTED));
    }
    text
}

/// What to do about a file that holds a module and not its weights.
fn module_hint(module: &str) -> &'static str {
    let is_network = [
        "torch.nn.",
        "torchvision.",
        "__main__",
        "__torch__",
        "models",
        "torch.jit",
    ]
    .iter()
    .any(|start| module.starts_with(start));
    match is_network {
        true => {
            "; it seems to be of a whole module: in PyTorch, torch.save(model.state_dict(), FILE)"
        }
        false => "",
    }
}
