//! What is typed, as one checked value. Nothing after this looks at the command line again.

mod data;
mod show;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use candle_core::DType;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use tandem_alexnet::placement::Placement;

pub use data::{Data, DataCommand, Pack, Sample, Source, Stats, Verify};
pub use show::{Activations, Confusion, Filters, Neighbours, Show, ShowCommand, Shown, Top5};

const EXAMPLES: &str = "\
Examples:
  tandem train                               train `mini` on the pictures shipped with Tandem
  tandem train --model alexnet --data DIR    train the two-tower AlexNet on a folder of pictures
  tandem eval --weights runs/mini-1 --data builtin
  tandem predict --weights runs/mini-1 shirt.png
  tandem show top5 runs/mini-1               pictures and their likeliest classes, drawn
  tandem data pack ~/imagenet packed         decode, scale and cut a set once, for fast training
  tandem info --model alexnet                layers, parameters, and what crosses between towers
  tandem bench --model alexnet --batch 64    time a training step
  tandem doctor                              what this machine has, and what is missing

Exit status: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C, 143 stopped by SIGTERM.";

/// Train, fine-tune and run AlexNet as published in 2012: two towers on two devices.
#[derive(Debug, Parser)]
#[command(name = "tandem", version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub global: Global,
}

/// Options every subcommand takes.
#[derive(Debug, Args)]
pub struct Global {
    /// Threads for arithmetic [default: one a core this process may use]
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Say nothing on standard error but warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more on standard error; twice for the libraries' own words
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Train(Train),
    Eval(Eval),
    Predict(Predict),
    Show(Show),
    Data(Data),
    Bench(Bench),
    Info(Info),
    Doctor(Doctor),
    Completions(Completions),
}

/// Train a network, or go on with a run that was stopped
#[derive(Debug, Args)]
#[command(after_help = "\
Without arguments, `mini` learns the shipped pictures in about two minutes on two cores.

Settings come from, each over the one before: the model's own recipe, --config FILE, the flags
above, --set KEY=VALUE. The run's config.toml holds the result, and is itself a --config file.

Ctrl-C or SIGTERM finishes the step, saves and exits; a second one stops at once. Either way
`tandem train --resume DIR` goes on from the last checkpoint, to the same bytes.

Examples:
  tandem train
  tandem train --epochs 20 --seed 7 --out runs/seed-7
  tandem train --model alexnet --data ~/pictures --batch 128 --devices cpu,cpu
  tandem train --model alexnet --data ~/pictures --devices cuda:0,cuda:1 --set precision=bf16
  tandem train --set rate.initial=0.02 --set sgd.weight_decay=0.001
  tandem train --resume runs/seed-7")]
pub struct Train {
    /// A preset or a specification file (TOML) [default: mini]
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// Pictures: `builtin`, or a directory or file of IDX, CIFAR binary or picture folders
    /// [default: builtin]
    #[arg(long, value_name = "SPEC")]
    pub data: Option<String>,
    /// Passes over the training pictures, at most [default: the model's recipe]
    #[arg(long, value_name = "N")]
    pub epochs: Option<NonZeroUsize>,
    /// Pictures a step [default: the model's recipe; 128 in the paper]
    #[arg(long, value_name = "N")]
    pub batch: Option<NonZeroUsize>,
    /// Where the towers live: one device for all, or one a tower [default: cpu]
    #[arg(long, value_name = "LIST")]
    pub devices: Option<Placement>,
    /// Every random choice follows from it [default: the model's recipe]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The run directory, new or empty [default: the next free runs/MODEL-N]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with the run in this directory, with its own settings; --devices may change, and
    /// --data says where the same pictures are now
    #[arg(long, value_name = "DIR", conflicts_with_all = ["model", "epochs", "batch", "seed", "out", "config", "settings"])]
    pub resume: Option<PathBuf>,
    /// Settings from a TOML file, such as another run's config.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One setting, over everything else; may be given many times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
}

/// Measure a network's error on the test pictures
#[derive(Debug, Args)]
#[command(after_help = "\
Prints top-1 and top-5 error and the mean loss. Ten views are the paper's (section 4.1): four
corners, the centre and their mirror images, their softmax averaged; ten times the work.

Examples:
  tandem eval --weights runs/mini-1 --data builtin
  tandem eval --weights runs/mini-1/best.safetensors --data ~/pictures --views 10 --json")]
pub struct Eval {
    /// A weights file, or a run directory (its best.safetensors)
    #[arg(long, value_name = "FILE|RUN|hf:OWNER/NAME")]
    pub weights: String,
    /// Pictures: `builtin`, or a directory or file of IDX, CIFAR binary or picture folders
    #[arg(long, value_name = "SPEC")]
    pub data: String,
    /// Crops of each picture whose predictions are averaged
    #[arg(long, value_enum, default_value_t = Views::One, value_name = "1|10", hide_possible_values = true)]
    pub views: Views,
    /// Pictures a step; does not change the result
    #[arg(long, default_value = "128", value_name = "N")]
    pub batch: NonZeroUsize,
    /// Where the towers live: one device for all, or one a tower
    #[arg(long, default_value = "cpu", value_name = "LIST")]
    pub devices: Placement,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
}

/// Views of a test picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Views {
    #[value(name = "1")]
    One,
    #[value(name = "10")]
    Ten,
}

impl From<Views> for tandem_data::Views {
    fn from(views: Views) -> Self {
        match views {
            Views::One => Self::Centre,
            Views::Ten => Self::Ten,
        }
    }
}

/// A part of a set of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    Train,
    Validation,
    Test,
}

impl From<Part> for tandem_data::Part {
    fn from(part: Part) -> Self {
        match part {
            Part::Train => Self::Train,
            Part::Validation => Self::Validation,
            Part::Test => Self::Test,
        }
    }
}

/// Numbers a network computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    F32,
    Bf16,
}

impl From<Precision> for tandem_alexnet::precision::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::Bf16 => Self::Bf16,
        }
    }
}

/// Name what is in pictures
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tandem predict --weights runs/mini-1 shirt.png boot.jpg
  tandem predict --weights runs/mini-1/last.safetensors --top 3 --json *.png
  tandem predict --weights runs/mini-1 --data builtin --part test --json
  tandem predict --weights runs/alexnet-1 --data ~/imagenet --views 10 --submission answer.txt")]
pub struct Predict {
    /// A weights file, or a run directory (its best.safetensors)
    #[arg(long, value_name = "FILE|RUN|hf:OWNER/NAME")]
    pub weights: String,
    /// JPEG, PNG or WebP files
    #[arg(required_unless_present = "data", value_name = "PICTURE")]
    pub pictures: Vec<PathBuf>,
    /// A set of pictures, in any form that `tandem train --data` takes
    #[arg(long, value_name = "SPEC", conflicts_with = "pictures")]
    pub data: Option<String>,
    /// Which part of the set
    #[arg(long, value_enum, default_value_t = Part::Test, requires = "data")]
    pub part: Part,
    /// Crops of each picture whose predictions are averaged
    #[arg(long, value_enum, default_value_t = Views::One, value_name = "1|10", hide_possible_values = true)]
    pub views: Views,
    /// Pictures of --data a step; does not change the result
    #[arg(long, default_value = "128", value_name = "N")]
    pub batch: NonZeroUsize,
    /// Write the five likeliest classes of each picture of --data as ILSVRC's server takes them
    #[arg(long, value_name = "FILE", requires = "data")]
    pub submission: Option<PathBuf>,
    /// Where ILSVRC's devkit is, which numbers the classes of a submission [default: with --data]
    #[arg(long, value_name = "DIR", requires = "submission")]
    pub devkit: Option<String>,
    /// Classes to name for each picture, the likeliest first
    #[arg(long, default_value = "5", value_name = "N")]
    pub top: NonZeroUsize,
    /// Where the towers live: one device for all, or one a tower
    #[arg(long, default_value = "cpu", value_name = "LIST")]
    pub devices: Placement,
    /// Print one JSON object a picture, each on its line, and nothing else
    #[arg(long)]
    pub json: bool,
}

/// Time a step, an operation or the loader
#[derive(Debug, Args)]
#[command(after_help = "\
One batch is made before timing starts, except for `data`, which times the loader itself.
The figure is the median over --steps, after --warmup steps that do not count; of data the mean.

  train  forward, loss, backward and update of --model
  infer  forward of --model
  lrn    every LRN layer of --model, forward and backward
  pool   every max and average pooling layer of --model, forward and backward
  lrn-pool   LRN and the max pooling behind it as one operation
  conv   every convolution of --model, forward and backward
  linear, dropout, softmax, sgd   the same of fully connected layers, dropout, loss, update
  data   the way of --data to batches, each stage with all threads and as a whole

On a GPU the modes lrn to sgd also print each kernel, the first versions kept for comparison among
them: its time, the bytes it must move, and its share of the bandwidth of a copy in the same run.

Examples:
  tandem bench --model alexnet --batch 64
  tandem bench --model alexnet --mode lrn --json
  tandem bench --mode pool --devices cuda:0 --dtype bf16 --steps 50
  tandem bench --mode data --data ~/pictures --threads 4")]
pub struct Bench {
    /// A preset or a specification file (TOML)
    #[arg(long, default_value = "alexnet", value_name = "NAME|FILE")]
    pub model: String,
    /// Pictures a step
    #[arg(long, default_value = "128", value_name = "N")]
    pub batch: NonZeroUsize,
    /// What is timed
    #[arg(long, value_enum, default_value_t = BenchMode::Train, value_name = "MODE")]
    pub mode: BenchMode,
    /// Where the towers live: one device for all, or one a tower
    #[arg(long, default_value = "cpu", value_name = "LIST")]
    pub devices: Placement,
    /// Element type of the modes that time single operations; f32 alone on the CPU
    #[arg(long, value_enum, default_value_t = ElementType::F32, value_name = "TYPE")]
    pub dtype: ElementType,
    /// Numbers of activations and gradients in train and infer; bf16 is for GPUs
    #[arg(long, value_enum, default_value_t = Precision::F32, value_name = "f32|bf16", hide_possible_values = true)]
    pub precision: Precision,
    /// The pictures of `--mode data`
    #[arg(long, default_value = "builtin", value_name = "SPEC")]
    pub data: String,
    /// Steps timed
    #[arg(long, default_value = "5", value_name = "N")]
    pub steps: NonZeroUsize,
    /// Steps before the first one timed
    #[arg(long, default_value = "1", value_name = "N")]
    pub warmup: usize,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
}

/// What `bench` times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchMode {
    Train,
    Infer,
    Lrn,
    Pool,
    LrnPool,
    Conv,
    Linear,
    Dropout,
    Softmax,
    Sgd,
    Data,
}

impl BenchMode {
    /// As typed, and as printed in the JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Infer => "infer",
            Self::Lrn => "lrn",
            Self::Pool => "pool",
            Self::LrnPool => "lrn-pool",
            Self::Conv => "conv",
            Self::Linear => "linear",
            Self::Dropout => "dropout",
            Self::Softmax => "softmax",
            Self::Sgd => "sgd",
            Self::Data => "data",
        }
    }
}

/// What tensors are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ElementType {
    F32,
    F16,
    Bf16,
}

impl ElementType {
    /// As typed, and as printed in the JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        }
    }
}

/// Show a network: layers, shapes, parameters, work, and what crosses between devices
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tandem info --model alexnet
  tandem info --model alexnet --devices cuda:0,cuda:1 --batch 128
  tandem info --model my-network.toml --json")]
pub struct Info {
    /// A preset or a specification file (TOML)
    #[arg(long, default_value = "alexnet", value_name = "NAME|FILE")]
    pub model: String,
    /// Pictures a step, for the bytes of activations and of what crosses
    #[arg(long, default_value = "128", value_name = "N")]
    pub batch: NonZeroUsize,
    /// Where the towers live: one device for all, or one a tower; they need not exist here
    #[arg(long, default_value = "cpu", value_name = "LIST")]
    pub devices: Placement,
    /// Numbers of activations; bf16 is for GPUs
    #[arg(long, value_enum, default_value_t = Precision::F32, value_name = "f32|bf16", hide_possible_values = true)]
    pub precision: Precision,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
}

/// Say what this machine has for Tandem, what is missing, and how to get it
#[derive(Debug, Args)]
#[command(after_help = "\
Looks at files and runs nvidia-smi if it is there; changes nothing, reaches no network, and
never prints a token.")]
pub struct Doctor {
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
}

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tandem completions bash > ~/.local/share/bash-completion/completions/tandem
  tandem completions zsh  > ~/.zfunc/_tandem
  tandem completions fish > ~/.config/fish/completions/tandem.fish")]
pub struct Completions {
    #[arg(value_enum)]
    pub shell: Shell,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn kind_of_error(line: &str) -> ErrorKind {
        Cli::try_parse_from(line.split_whitespace())
            .expect_err("this line is wrong usage")
            .kind()
    }

    #[test]
    fn the_command_line_has_no_contradictions() {
        Cli::command().debug_assert();
    }

    #[test]
    fn train_needs_no_arguments() {
        let cli = Cli::try_parse_from(["tandem", "train"]).unwrap();
        let Command::Train(train) = cli.command else {
            panic!("not train")
        };
        assert!(train.model.is_none() && train.resume.is_none() && train.settings.is_empty());
    }

    #[test]
    fn bench_times_five_training_steps_of_alexnet_by_default() {
        let cli = Cli::try_parse_from(["tandem", "bench"]).unwrap();
        let Command::Bench(bench) = cli.command else {
            panic!("not bench")
        };
        assert_eq!(
            (bench.model.as_str(), bench.mode),
            ("alexnet", BenchMode::Train)
        );
        assert_eq!(
            (bench.batch.get(), bench.steps.get(), bench.warmup),
            (128, 5, 1)
        );
    }

    #[test]
    fn wrong_usage_is_named_for_what_it_is() {
        assert_eq!(kind_of_error("tandem trian"), ErrorKind::InvalidSubcommand);
        assert_eq!(
            kind_of_error("tandem train --batch 0"),
            ErrorKind::ValueValidation
        );
        assert_eq!(
            kind_of_error("tandem train --resume a --model b"),
            ErrorKind::ArgumentConflict
        );
        assert_eq!(
            kind_of_error("tandem eval --data builtin"),
            ErrorKind::MissingRequiredArgument
        );
        assert_eq!(
            kind_of_error("tandem predict --weights w"),
            ErrorKind::MissingRequiredArgument
        );
        assert_eq!(
            kind_of_error("tandem eval --weights w --data d --views 3"),
            ErrorKind::InvalidValue
        );
        assert_eq!(
            kind_of_error("tandem bench -q -v"),
            ErrorKind::ArgumentConflict
        );
    }

    #[test]
    fn every_bench_mode_is_named_as_it_is_typed() {
        for mode in BenchMode::value_variants() {
            let typed = mode.to_possible_value().unwrap();
            assert_eq!(typed.get_name(), mode.name());
        }
    }
}
