//! What can go wrong with a run: its folder, its checkpoints, and the training itself.

use std::io;
use std::path::{Path, PathBuf};

use super::{ConfigError, NetworkError, SpecError, StartError, WeightsError};
use crate::checkpoint::DataIdentity;
use crate::class_weights::EmptyClass;
use crate::tuning::TuningError;

/// A run directory or checkpoint that is refused, or cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(
        "{} holds another run (its {holds} is there); go on with it by --resume {}, or choose another --out",
        path.display(), path.display()
    )]
    HoldsAnotherRun { path: PathBuf, holds: &'static str },
    #[error("there is no run in {} to resume; --out starts a new one", path.display())]
    NoRun { path: PathBuf },
    #[error(
        "another process trains in {}: stop it first, or choose another --out",
        path.display()
    )]
    InUse { path: PathBuf },
    #[error(
        "{} is gone; the weights beside it still serve eval and predict, but the run cannot go on",
        path.display()
    )]
    ConfigMissing { path: PathBuf },
    #[error("cannot {doing} {}: {cause}{}", path.display(), advice(cause))]
    File {
        doing: Doing,
        path: PathBuf,
        // Not `source`: the message ends in advice, and would repeat it.
        cause: io::Error,
    },
    /// Weights or a momentum that training cannot go on from: a checkpoint never holds them.
    #[error("{name} is no longer finite after step {step}, and is not saved")]
    NotFinite { name: String, step: u64 },
    #[error(
        "{} is of step {step}, and its {} is gone; the weights still serve eval and predict, but the run cannot go on",
        weights.display(), state.display()
    )]
    StateMissing {
        weights: PathBuf,
        step: u64,
        state: PathBuf,
    },
    #[error("{} holds the state of step {step}: it was renamed, and the run cannot go on from it", path.display())]
    StateOfAnotherStep { path: PathBuf, step: u64 },
    #[error(
        "the checkpoint is of `{saved}` and the network given is `{given}`: {difference}; resume with the run's own \
         settings, or start a new run"
    )]
    AnotherSpec {
        saved: String,
        given: String,
        difference: String,
    },
    #[error(
        "the checkpoint learned from {saved} and the data given is {given}; resume with the same pictures, or start a new run"
    )]
    AnotherData {
        saved: DataIdentity,
        given: DataIdentity,
    },
    #[error("{0}")]
    Weights(#[from] WeightsError),
    #[error("{0}")]
    Config(#[from] ConfigError),
}

/// What was being done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    Create,
    Read,
    Write,
    Remove,
}

impl Doing {
    /// For `map_err`: the error of doing this with `path`.
    pub(crate) fn failed(self, path: &Path) -> impl FnOnce(io::Error) -> RunError {
        let path = path.to_owned();
        move |cause| RunError::File {
            doing: self,
            path,
            cause,
        }
    }
}

impl std::fmt::Display for Doing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Doing::Create => "create",
            Doing::Read => "read",
            Doing::Write => "write",
            Doing::Remove => "remove",
        })
    }
}

/// What to do about it, where that is known: empty, or from a semicolon on.
pub fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free space there",
        io::ErrorKind::FileTooLarge => "; the disk or a limit (ulimit -f) forbids a file so large",
        io::ErrorKind::PermissionDenied => {
            "; choose a folder you may write to, or change its permissions"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; choose a folder on a disk that can be written to",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "; a file has the name of a folder there"
        }
        _ => "",
    }
}

/// A training run that cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error("{0}")]
    Network(#[from] NetworkError),
    #[error("{0}")]
    Run(#[from] RunError),
    #[error("{0}")]
    Start(Box<StartError>),
    #[error("{0}")]
    Tuning(#[from] TuningError),
    #[error("{0}")]
    EmptyClass(#[from] EmptyClass),
    #[error(
        "the loss is not a finite number at step {step}, with learning rate {rate}: {}",
        layer.as_ref().map_or_else(
            || "every weight and gradient is finite".to_owned(),
            |layer| format!("the first layer whose values are not finite is {layer}"),
        )
    )]
    Diverged {
        step: u64,
        rate: f64,
        layer: Option<String>,
    },
    #[error(
        "{name} is no longer finite after step {step}, with learning rate {rate}: it is not saved"
    )]
    WeightsDiverged { name: String, step: u64, rate: f64 },
    #[error("{0}")]
    Compute(#[from] candle_core::Error),
}

impl From<StartError> for TrainError {
    fn from(error: StartError) -> Self {
        Self::Start(Box::new(error))
    }
}

impl From<SpecError> for TrainError {
    fn from(error: SpecError) -> Self {
        Self::Network(error.into())
    }
}

impl From<tandem_data::DataError> for TrainError {
    fn from(error: tandem_data::DataError) -> Self {
        Self::Network(error.into())
    }
}

impl From<tandem_ops::OpError> for TrainError {
    fn from(error: tandem_ops::OpError) -> Self {
        Self::Compute(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_file_names_it_and_what_to_do() {
        let error = Doing::Write.failed(Path::new("runs/1/last.safetensors"))(
            io::ErrorKind::PermissionDenied.into(),
        );
        assert_eq!(
            error.to_string(),
            "cannot write runs/1/last.safetensors: permission denied; choose a folder you may write to, or change its \
             permissions"
        );
    }
}
