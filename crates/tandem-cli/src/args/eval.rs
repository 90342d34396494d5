use std::num::NonZeroUsize;

use clap::Args;
use tandem_alexnet::placement::Placement;

use super::Views;

/// Measure a network's error on the test pictures
#[derive(Debug, Args)]
#[command(after_help = "\
Prints top-1 and top-5 error and the mean loss. Ten views are the paper's (section 4.1): four \
corners, the centre and their mirror images, their softmax averaged; ten times the work.

Examples:
  tandem eval --weights runs/mini-1 --data builtin
  tandem eval --weights runs/mini-1/best.safetensors --data ~/pictures --views 10 --json")]
pub struct Eval {
    /// A weights file of any framework that `import` reads, a run directory (its best.safetensors), or a
    /// model of the hub
    #[arg(long, value_name = "FILE|RUN|hf:OWNER/NAME")]
    pub weights: String,
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
