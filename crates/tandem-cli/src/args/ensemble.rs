//! `tandem ensemble …`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use tandem_alexnet::placement::Placement;

use super::{Recipe, Views};

/// Several networks as one: their probabilities averaged
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Networks that differ only in their random choices err on different pictures, and the mean of their \
probabilities errs less than each: in the paper's table 2 five of them go from 40.7 to 38.1 % top-1.

Examples:
  tandem ensemble train --members 5 --out runs/five
  tandem ensemble eval runs/five/member-* --data builtin --views 10"
)]
pub struct Ensemble {
    #[command(subcommand)]
    pub command: EnsembleCommand,
}

#[derive(Debug, Subcommand)]
pub enum EnsembleCommand {
    Train(EnsembleTrain),
    Eval(EnsembleEval),
}

/// Train networks that differ in their seeds, and measure them as one
#[derive(Debug, Args)]
#[command(after_help = "\
Member 1 has --seed, member 2 the next, and so on; each is a run of its own in OUT/member-1, \
OUT/member-2 ... The same command again goes on: members that are done stay as they are, one that was \
stopped is gone on with, and more --members are added to those there.

Examples:
  tandem ensemble train --members 5
  tandem ensemble train --members 3 --epochs 8 --seed 10 --out runs/three
  tandem ensemble train --members 5 --model alexnet --data ~/imagenet-packed --devices cuda:0,cuda:1")]
pub struct EnsembleTrain {
    /// How many networks
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..))]
    pub members: u16,
    #[command(flatten)]
    pub recipe: Recipe,
    /// Where the runs are put, and looked for [default: runs/MODEL-ensemble]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Measure the error of networks one by one and as one
#[derive(Debug, Args)]
#[command(after_help = "\
Members may differ in their layers and in the size of their pictures; they must have learned the same \
classes in the same order. One network is in memory at a time, and four bytes for each picture and \
class.

Examples:
  tandem ensemble eval runs/mini-1 runs/mini-2 runs/mini-3 --data builtin
  tandem ensemble eval runs/five/member-* --data ~/imagenet-packed --views 10 --json")]
pub struct EnsembleEval {
    /// Weights files of any framework that `import` reads, run directories (their best.safetensors), or
    /// models of the hub
    #[arg(required = true, value_name = "FILE|RUN|hf:OWNER/NAME")]
    pub weights: Vec<String>,
    /// Pictures: `builtin`, hf:OWNER/NAME of the hub, or a directory or file: picture folders, a pack of
    /// `tandem data pack`, ILSVRC's archives or Kaggle's tree, Tiny-ImageNet, parquet, WebDataset, CIFAR
    /// binary, IDX
    #[arg(long, value_name = "SPEC")]
    pub data: String,
    /// Crops of each picture whose predictions are averaged
    #[arg(long, value_enum, default_value_t = Views::One, value_name = "1|10", hide_possible_values = true)]
    pub views: Views,
    /// Pictures a step; does not change the result
    #[arg(long, default_value = "128", value_name = "N")]
    pub batch: NonZeroUsize,
    /// Where the towers live: cpu, cuda:0, or one a tower as in cuda:0,cuda:1
    #[arg(long, default_value = "cpu", value_name = "LIST")]
    pub devices: Placement,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
}
