use std::num::NonZeroUsize;

use clap::Args;
use tandem_alexnet::placement::Placement;

use super::Precision;

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
    /// Where the towers live: cpu, cuda:0, or one a tower as in cuda:0,cuda:1; they need not exist here
    #[arg(long, default_value = "cpu", value_name = "LIST")]
    pub devices: Placement,
    /// Numbers of activations; bf16 is for GPUs
    #[arg(long, value_enum, default_value_t = Precision::F32, value_name = "f32|bf16", hide_possible_values = true)]
    pub precision: Precision,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
}
