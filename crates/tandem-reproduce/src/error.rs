//! What keeps the paper from being measured again. Every message names the thing, the place and what
//! would be accepted.

use std::io;
use std::path::PathBuf;

use tandem_alexnet::error::{ConfigError, NetworkError, RunError, SpecError, TrainError};
use tandem_alexnet::trained::TrainedError;
use tandem_data::DataError;

use crate::page::PageError;

#[derive(Debug, thiserror::Error)]
pub enum ReproduceError {
    #[error("unknown experiment `{name}`{hint}; there are {known}, and `all`")]
    UnknownExperiment {
        name: String,
        hint: String,
        known: String,
    },
    #[error("the network `{network}` has no layer {layers} to change: nothing would be compared")]
    NoSuchLayer { network: String, layers: String },
    #[error("the network `{network}` cannot be changed in {layers}: {source}")]
    Change {
        network: String,
        layers: String,
        source: Box<SpecError>,
    },
    #[error(
        "{seeds} seed has no spread, and an interval needs one: 2 or more are needed, 3 are usual (--seeds 3)"
    )]
    Seeds { seeds: u64 },
    #[error(
        "{data} has {classes} classes, and of so few the top-5 error says nothing: the experiments need 6 or more"
    )]
    Classes { data: String, classes: usize },
    #[error(
        "{data} has {found} training pictures, and {arm} learns {wanted}: a larger set, or --quick where that asks for fewer"
    )]
    Pictures {
        data: String,
        arm: String,
        found: usize,
        wanted: usize,
    },
    #[error("`star` needs a second set to learn first: say --second SPEC")]
    NoSecond,
    #[error(
        "{} holds a study of another kind: its {what} is {there}, and {asked} was asked for; give another --out, or ask for what it holds", path.display()
    )]
    AnotherStudy {
        path: PathBuf,
        what: &'static str,
        there: String,
        asked: String,
    },
    #[error("{} was begun with other settings ({what}): remove that folder, or give another --out", path.display())]
    AnotherRun { path: PathBuf, what: String },
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{}: line {line}: {message}", path.display())]
    Line {
        path: PathBuf,
        line: usize,
        message: String,
    },
    #[error("{}: {message}", path.display())]
    Syntax { path: PathBuf, message: String },
    #[error("there is no study in {}: nothing was measured there yet", path.display())]
    NoStudy { path: PathBuf },
    #[error("{0}")]
    Config(Box<ConfigError>),
    #[error("--data {data}: {source}")]
    Data {
        data: String,
        source: Box<DataError>,
    },
    #[error("{0}")]
    Spec(Box<SpecError>),
    #[error("{0}")]
    Run(Box<RunError>),
    #[error("{0}")]
    Train(Box<TrainError>),
    #[error("{0}")]
    Trained(Box<TrainedError>),
    #[error("{0}")]
    Network(Box<NetworkError>),
    #[error("{0}")]
    Page(#[from] PageError),
}

/// Errors of the network's crate are large, and rare: they go in a box.
macro_rules! boxed {
    ($($variant:ident($error:ty)),*) => {$(
        impl From<$error> for ReproduceError {
            fn from(error: $error) -> Self {
                Self::$variant(Box::new(error))
            }
        }
    )*};
}

boxed!(
    Config(ConfigError),
    Spec(SpecError),
    Run(RunError),
    Train(TrainError),
    Trained(TrainedError),
    Network(NetworkError)
);
