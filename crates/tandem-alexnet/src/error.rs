//! What can go wrong, by what it goes wrong with. Every message names the thing, the place and what
//! would be accepted.

mod run;

use std::io;
use std::path::PathBuf;

pub use run::{Doing, RunError, TrainError, advice};

use crate::shapes::Shape;
use crate::spec::{MAX_PARAMETERS, MAX_VALUES};
use crate::tuning::TuningError;
use crate::weights::Misfit;

/// A network description that is refused.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    #[error(
        "unknown preset `{name}`{hint}; the presets are {known}, and a file's name ends in .toml"
    )]
    UnknownPreset {
        name: String,
        hint: String,
        known: String,
    },
    #[error("cannot read the spec {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// The TOML does not parse, lacks a key, has an unknown one or a value of another type.
    #[error("{origin}: {message}")]
    Syntax { origin: String, message: String },
    #[error("{place}: {field} is {value}, and must be {least} to {most}")]
    OutOfRange {
        place: String,
        field: &'static str,
        value: usize,
        least: usize,
        most: usize,
    },
    #[error("{layer}: {field} is {value}, and must be {wanted}")]
    Real {
        layer: String,
        field: &'static str,
        value: f64,
        wanted: &'static str,
    },
    #[error(
        "{layer}: size is {size}, and must be odd, since the window has its channel in the middle"
    )]
    EvenWindow { layer: String, size: usize },
    #[error(
        "layer {layer}: the name `{name}` must be letters, digits, - and _: it becomes part of a tensor's name"
    )]
    Name { layer: usize, name: String },
    #[error("layers {first} and {second} are both called `{name}`; names tell their weights apart")]
    DuplicateName {
        name: String,
        first: usize,
        second: usize,
    },
    #[error(
        "{layer} is {kind}, and the last layer must be linear: it gives the scores of the classes"
    )]
    NoFinalLinear { layer: String, kind: &'static str },
    #[error(
        "{layer}: the last layer has {towers} towers, and must have one that sees both: one softmax reads all its scores"
    )]
    FinalTowers { layer: String, towers: usize },
    #[error("{layer}: the last layer must have activation = \"none\": softmax follows it")]
    FinalActivation { layer: String },
    #[error(
        "{layer}: channels is {channels} but there are {classes} classes; leave channels out on the last layer"
    )]
    FinalChannels {
        layer: String,
        channels: usize,
        classes: usize,
    },
    #[error("{layer}: channels is missing; only the last layer has its number from the classes")]
    NoChannels { layer: String },
    #[error("{layer}: {what} {channels} do not divide into {towers} towers of {groups} groups")]
    Indivisible {
        layer: String,
        what: &'static str,
        channels: usize,
        towers: usize,
        groups: usize,
    },
    #[error(
        "{layer}: its {towers} towers cannot each see their own, since {came_from} has {input_towers}; say sees = \"both\""
    )]
    SeesOwn {
        layer: String,
        towers: usize,
        came_from: String,
        input_towers: usize,
    },
    #[error(
        "{layer}: {came} came in, and with padding {padding} on each side the {kernel}x{kernel} window needs at least {needed}x{needed}"
    )]
    DoesNotFit {
        layer: String,
        came: Shape,
        kernel: usize,
        padding: usize,
        needed: usize,
    },
    #[error(
        "{layer}: {came} came in, and its height and width must be multiples of the output's {output}"
    )]
    NotAMultiple {
        layer: String,
        came: Shape,
        output: usize,
    },
    #[error(
        "{layer}: {kind} works on maps, and a linear layer before it left {features} features without height or width"
    )]
    NeedsMap {
        layer: String,
        kind: &'static str,
        features: usize,
    },
    #[error(
        "{layer}: one picture's output has more than {MAX_VALUES} values; a smaller crop or a larger stride helps"
    )]
    TooManyValues { layer: String },
    #[error(
        "{layer}: with it the network has more than {MAX_PARAMETERS} parameters; fewer channels or an earlier pool help"
    )]
    TooManyParameters { layer: String },
    #[error(
        "`{spec}` takes pictures of {wanted} channels and the data has {given}; leave [input] channels out to take either"
    )]
    ChannelsDiffer {
        spec: String,
        wanted: usize,
        given: usize,
    },
    #[error("the network has no layer `{name}`; its layers are {known}{hint}")]
    UnknownLayer {
        name: String,
        hint: String,
        known: String,
    },
}

/// A list of devices that is refused.
#[derive(Debug, thiserror::Error)]
pub enum PlacementError {
    #[error(
        "device `{name}` is not known{hint}; say cpu, cuda:0, or one for each tower: cuda:0,cuda:1"
    )]
    UnknownDevice { name: String, hint: String },
    #[error("{devices} devices for {towers} towers: give one device for all towers, or {towers}")]
    Count { devices: usize, towers: usize },
    #[error(
        "precision bf16 is for GPUs, and the CPU computes in f32: a new run takes precision=f32, one in bf16 goes on with devices as cuda:0"
    )]
    Precision,
    #[error(
        "{device} is not for this build, which computes on the CPU only: build it with `cargo build --release \
         --features cuda`, or say --devices cpu"
    )]
    NotInThisBuild { device: String },
    #[cfg(feature = "cuda")]
    #[error("{0}")]
    Open(#[from] tandem_ops::cuda::driver::OpenError),
}

/// A configuration that is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{origin}: {message}")]
    Syntax { origin: String, message: String },
    #[error("{origin}: unknown key `{key}`{hint}")]
    UnknownKey {
        origin: String,
        key: String,
        hint: String,
    },
    #[error(
        "{origin} is of weights that were imported: there is no training to go on with, and it does not say what \
         they learned from"
    )]
    Imported { origin: String },
    #[error("`{setting}` is not a setting: say key=value, as sgd.momentum=0.8")]
    Setting { setting: String },
    #[error("{origin}: {key} is {value}, and must be {wanted}")]
    Value {
        origin: String,
        key: &'static str,
        value: f64,
        wanted: &'static str,
    },
    #[error("{origin}: {source}")]
    Tuning { origin: String, source: TuningError },
    #[error("{0}")]
    Spec(#[from] SpecError),
    #[error("devices: {0}")]
    Placement(#[from] PlacementError),
}

/// A weights file that is refused.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not a whole safetensors file: {cause}; was it cut short when it was copied, or is it something else?", path.display())]
    Invalid {
        path: PathBuf,
        // Not `source`, as in `RunError::File`.
        cause: safetensors::SafeTensorError,
    },
    #[error("{} says nothing about its `{key}`: it was not written by tandem; if it is of another framework, `tandem import` reads it", path.display())]
    NoMetadata { path: PathBuf, key: &'static str },
    #[error("{}: its `{key}` is `{value}`, which makes no sense of weights", path.display())]
    Metadata {
        path: PathBuf,
        key: &'static str,
        value: String,
    },
    #[error("{} lacks the training mean that the network subtracts: these are weights of another network, or another program wrote them", path.display())]
    NoMean { path: PathBuf },
    #[error("{}: its network is refused: {source}", path.display())]
    Spec { path: PathBuf, source: SpecError },
    #[error("{} names {names} classes and its network has {classes}", path.display())]
    Classes {
        path: PathBuf,
        names: usize,
        classes: usize,
    },
    #[error("{} does not fit `{network}`:{}", path.display(), lines(misfits))]
    DoNotFit {
        path: PathBuf,
        network: String,
        misfits: Vec<Misfit>,
    },
    #[error("{}: cannot take {name}: {source}", path.display())]
    Tensor {
        path: PathBuf,
        name: String,
        source: Box<candle_core::Error>,
    },
}

/// Weights that a run cannot start from.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Weights(#[from] WeightsError),
    #[error("the settings start from {}, and its weights are not given", path.display())]
    NotGiven { path: PathBuf },
    #[error("weights to start from are given, and the settings do not name them with start_from")]
    NotNamed,
    #[error("{} has no parameter of a name and shape that `{network}` has: nothing of it can be a start; `tandem finetune --from` keeps its own network", path.display())]
    NothingInCommon { path: PathBuf, network: String },
    #[error(
        "{} has no class called {}: rows are kept by name, and every class of the data needs one{}",
        path.display(), missing.join(", "),
        if *numbered { "; its classes have numbers for names, and `tandem import --labels FILE` names them" } else { "" }
    )]
    NoSuchClasses {
        path: PathBuf,
        /// Each in backticks, with the nearest name there is.
        missing: Vec<String>,
        /// Whether the weights' classes are called by their numbers.
        numbered: bool,
    },
    #[error(
        "{} subtracts a mean picture of {found:?} and `{network}` one of {wanted:?}: their means are not the same",
        path.display()
    )]
    MeanOfAnotherShape {
        path: PathBuf,
        network: String,
        found: Vec<usize>,
        wanted: Vec<usize>,
    },
    #[error(
        "{} has learned grey pictures, and {picture} is in colour: start from weights of colour pictures, or turn \
         these grey",
        path.display()
    )]
    Coloured { path: PathBuf, picture: String },
    #[error(
        "{layer} is frozen, but not taken from {} and so random: of the last layer only the same classes' rows are \
         taken, of others what has the same shape; let it learn",
        path.display()
    )]
    FrozenAnew { path: PathBuf, layer: String },
    #[error("{} is to learn one class, `{class}`, and there is nothing to tell it from: give pictures of two or more", path.display())]
    OneClass { path: PathBuf, class: String },
    #[error("{0}")]
    Tuning(#[from] TuningError),
    #[error("{0}")]
    Network(#[from] NetworkError),
}

fn lines(misfits: &[Misfit]) -> String {
    misfits
        .iter()
        .map(|misfit| format!("\n  {misfit}"))
        .collect()
}

/// A network that cannot be built or run.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error("{0}")]
    Spec(#[from] SpecError),
    #[error("{0}")]
    Placement(#[from] PlacementError),
    #[error("{0}")]
    Data(#[from] tandem_data::DataError),
    #[error(
        "{picture} has no label, and no error can be measured on it; `tandem predict` needs none"
    )]
    Unlabelled { picture: String },
    #[error("the values given hold no `{name}` of shape {shape:?}")]
    Parameter { name: String, shape: Vec<usize> },
    #[error("{0}")]
    Compute(#[from] candle_core::Error),
}
