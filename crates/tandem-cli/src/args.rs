//! What is typed, as one checked value. Nothing after this looks at the command line again.

mod bench;
mod data;
mod ensemble;
mod eval;
mod export;
mod features;
mod finetune;
mod hub;
mod import;
mod info;
mod predict;
mod reproduce;
mod show;
mod train;

use std::num::NonZeroUsize;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use bench::{Bench, BenchMode, ElementType};
pub use data::{Data, DataCommand, Pack, Sample, Source, Stats, Verify};
pub use ensemble::{Ensemble, EnsembleCommand, EnsembleEval, EnsembleTrain};
pub use eval::Eval;
pub use export::{Export, ExportFormat};
pub use features::Features;
pub use finetune::Finetune;
pub use hub::Hub;
#[cfg(feature = "hub")]
pub use hub::{HubCommand, Pull, Push};
pub use import::{Import, NormaliseName};
pub use info::Info;
pub use predict::Predict;
pub use reproduce::Reproduce;
pub use show::{Activations, Confusion, Filters, Neighbours, Show, ShowCommand, Shown, Top5};
pub use train::{Recipe, Train};

const EXAMPLES: &str = "\
Examples:
  tandem train                               train `mini` on the pictures shipped with Tandem
  tandem train --model alexnet --data DIR    train the two-tower AlexNet on a folder of pictures
  tandem finetune --from runs/alexnet-1 --data DIR --freeze conv1..conv5
  tandem eval --weights runs/mini-1 --data builtin
  tandem predict --weights runs/mini-1 shirt.png
  tandem ensemble train --members 5          five networks as one: their probabilities averaged
  tandem show top5 runs/mini-1               pictures and their likeliest classes, drawn
  tandem import alexnet.pth                  another framework's weights into Tandem's
  tandem data pack ~/imagenet packed         decode, scale and cut a set once, for fast training
  tandem hub push runs/mini-1 OWNER/NAME     a run as a model of the Hugging Face hub
  tandem reproduce all --quick               the paper's experiments in small, and a report
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
    Finetune(Finetune),
    Eval(Eval),
    Ensemble(Ensemble),
    Predict(Predict),
    Features(Features),
    Show(Show),
    Data(Data),
    Import(Import),
    Export(Export),
    Hub(Hub),
    Reproduce(Reproduce),
    Bench(Bench),
    Info(Info),
    Doctor(Doctor),
    Completions(Completions),
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

/// Say what this machine has for Tandem, what is missing, and how to get it
#[derive(Debug, Args)]
#[command(after_help = "\
Looks at files and runs nvidia-smi if it is there; changes nothing, reaches no network, and \
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
        assert!(train.recipe.model.is_none() && train.resume.is_none());
        assert!(train.recipe.settings.is_empty());
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
}
