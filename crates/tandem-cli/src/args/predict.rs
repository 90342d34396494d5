use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use tandem_alexnet::placement::Placement;

use super::{Part, Views};

/// Name what is in pictures
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tandem predict --weights runs/mini-1 shirt.png boot.jpg
  tandem predict --weights runs/mini-1/last.safetensors --top 3 --json *.png
  tandem predict --weights hf:OWNER/NAME@REVISION shirt.png
  tandem predict --weights runs/mini-1 --data builtin --part test --json
  tandem predict --weights runs/alexnet-1 --data ~/imagenet --views 10 --submission answer.txt")]
pub struct Predict {
    /// A weights file of any framework that `import` reads, a run directory (its best.safetensors), or a
    /// model of the hub
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
    /// Where the towers live: cpu, cuda:0, or one a tower as in cuda:0,cuda:1
    #[arg(long, default_value = "cpu", value_name = "LIST")]
    pub devices: Placement,
    /// Print one JSON object a picture, each on its line, and nothing else
    #[arg(long)]
    pub json: bool,
}
