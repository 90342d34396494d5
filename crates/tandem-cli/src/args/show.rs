//! `tandem show …`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use tandem_alexnet::placement::Placement;

use super::Part;
use crate::report::figure::Target;

/// Look inside a trained network
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
RUN is what --weights is to `tandem eval`: a run directory, of which the best weights are taken, a \
weights file of any framework that `import` reads, or hf:OWNER/NAME. Pictures are those that the run \
learned from unless --data says others.

A figure is a PNG, or an SVG where --out ends in .svg.

Examples:
  tandem show filters runs/mini-1
  tandem show activations runs/mini-1 shirt.png --layer conv2
  tandem show top5 runs/mini-1 --wrong
  tandem show neighbours runs/mini-1 --out neighbours.svg
  tandem show confusion runs/mini-1 --json"
)]
pub struct Show {
    #[command(subcommand)]
    pub command: ShowCommand,
}

#[derive(Debug, Subcommand)]
pub enum ShowCommand {
    Filters(Filters),
    Activations(Activations),
    Top5(Top5),
    Neighbours(Neighbours),
    Confusion(Confusion),
}

/// What the first convolution has learned, tower beside tower
#[derive(Debug, Args)]
#[command(after_help = "\
Figure 3 of the paper: there one tower learned edges without colour and the other colours, in each \
run anew, whichever of them it was. A tower that learned nothing shows noise.

Examples:
  tandem show filters runs/mini-1
  tandem show filters runs/alexnet-1/last.safetensors --out filters.svg")]
pub struct Filters {
    /// A run directory (its best.safetensors), a weights file of any framework, or hf:OWNER/NAME
    #[arg(value_name = "RUN")]
    pub run: String,
    /// The figure to write, .png or .svg
    #[arg(long, default_value = "filters.png", value_name = "FILE")]
    pub out: Target,
}

/// What a network's pictures are taken from
#[derive(Debug, Args)]
pub struct Shown {
    /// Pictures, in any form that `tandem train --data` takes [default: those of the run]
    #[arg(long, value_name = "SPEC")]
    pub data: Option<String>,
    /// Which part of them
    #[arg(long, value_enum, default_value_t = Part::Validation)]
    pub part: Part,
    /// Where the towers live: cpu, cuda:0, or one a tower as in cuda:0,cuda:1
    #[arg(long, default_value = "cpu", value_name = "LIST")]
    pub devices: Placement,
    /// Print one JSON object and nothing else; a figure is drawn only with --out
    #[arg(long)]
    pub json: bool,
}

/// What a layer makes of a picture: its maps, each with its range
#[derive(Debug, Args)]
#[command(after_help = "\
A layer is called as `tandem info` calls it: conv1, conv1/lrn, conv1/max-pool, ... fc7. What it gives \
is shown after its activation function, so most maps begin at 0. Each is scaled by its own range, \
which stands below it. A fully connected layer has one square of features a tower.

Examples:
  tandem show activations runs/mini-1 shirt.png
  tandem show activations runs/mini-1 --index 7 --layer conv3
  tandem show activations runs/mini-1 --index 7 --layer fc5 --json")]
pub struct Activations {
    /// A run directory (its best.safetensors), a weights file of any framework, or hf:OWNER/NAME
    #[arg(value_name = "RUN")]
    pub run: String,
    /// A JPEG, PNG or WebP file
    #[arg(value_name = "PICTURE", conflicts_with = "index")]
    pub picture: Option<PathBuf>,
    /// Which picture of --data, from 0 [default: 0, where no PICTURE is given]
    #[arg(long, value_name = "N")]
    pub index: Option<usize>,
    /// The layer [default: the first convolution]
    #[arg(long, value_name = "NAME")]
    pub layer: Option<String>,
    #[command(flatten)]
    pub shown: Shown,
    /// The figure to write, .png or .svg [default: activations.png]
    #[arg(long, value_name = "FILE")]
    pub out: Option<Target>,
}

/// Pictures with their five likeliest classes as bars
#[derive(Debug, Args)]
#[command(after_help = "\
Figure 4 of the paper, left. Under each picture stands its right class, in red where it is not among \
the five; the bar of the right class has a colour of its own. Data of fewer classes has fewer bars.

Pictures are taken evenly apart from the whole part, beginning where --seed says. --wrong looks at \
all of it and takes them from those that the network gets wrong.

Examples:
  tandem show top5 runs/mini-1
  tandem show top5 runs/mini-1 --wrong --count 12 --seed 3
  tandem show top5 runs/alexnet-1 --data ~/imagenet --out top5.svg")]
pub struct Top5 {
    /// A run directory (its best.safetensors), a weights file of any framework, or hf:OWNER/NAME
    #[arg(value_name = "RUN")]
    pub run: String,
    /// How many pictures, 1 to 100
    #[arg(long, default_value = "8", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub count: u16,
    /// Which pictures
    #[arg(long, default_value = "0", value_name = "N")]
    pub seed: u64,
    /// Only pictures whose likeliest class is not the right one
    #[arg(long)]
    pub wrong: bool,
    #[command(flatten)]
    pub shown: Shown,
    /// The figure to write, .png or .svg [default: top5.png]
    #[arg(long, value_name = "FILE")]
    pub out: Option<Target>,
}

/// Pictures and the training pictures that the network takes to be most like them
#[derive(Debug, Args)]
#[command(after_help = "\
Figure 4 of the paper, right: nearest are those whose values in the last hidden layer (fc7's 4096 in \
the paper) have the smallest Euclidean distance. A neighbour of another class is written in red.

Every training picture goes through the network; --among takes so many of them, evenly apart. \
Memory does not grow with their number.

Examples:
  tandem show neighbours runs/mini-1
  tandem show neighbours runs/mini-1 --count 3 --nearest 10 --seed 5
  tandem show neighbours runs/alexnet-1 --data ~/imagenet-packed --among 20000 --devices cuda:0")]
pub struct Neighbours {
    /// A run directory (its best.safetensors), a weights file of any framework, or hf:OWNER/NAME
    #[arg(value_name = "RUN")]
    pub run: String,
    /// How many pictures, 1 to 100
    #[arg(long, default_value = "5", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub count: u16,
    /// How many neighbours each, 1 to 20
    #[arg(long, default_value = "6", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=20))]
    pub nearest: u16,
    /// Among so many training pictures [default: all]
    #[arg(long, value_name = "N")]
    pub among: Option<NonZeroUsize>,
    /// Which pictures
    #[arg(long, default_value = "0", value_name = "N")]
    pub seed: u64,
    #[command(flatten)]
    pub shown: Shown,
    /// The figure to write, .png or .svg [default: neighbours.png]
    #[arg(long, value_name = "FILE")]
    pub out: Option<Target>,
}

/// Which class is taken for which
#[derive(Debug, Args)]
#[command(after_help = "\
A row for each right class, a column for each that it was taken for: how many pictures, their share \
of the row, and at the right the error of the class. Above 24 classes shares are shades alone; --json \
has all the numbers.

Examples:
  tandem show confusion runs/mini-1
  tandem show confusion runs/mini-1 --part train --out confusion.svg
  tandem show confusion runs/mini-1 --json")]
pub struct Confusion {
    /// A run directory (its best.safetensors), a weights file of any framework, or hf:OWNER/NAME
    #[arg(value_name = "RUN")]
    pub run: String,
    #[command(flatten)]
    pub shown: Shown,
    /// The figure to write, .png or .svg [default: confusion.png]
    #[arg(long, value_name = "FILE")]
    pub out: Option<Target>,
}
