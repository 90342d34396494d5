use std::num::NonZeroUsize;

use candle_core::DType;
use clap::{Args, ValueEnum};
use tandem_alexnet::placement::Placement;

use super::Precision;

/// Time a step, an operation or the loader
#[derive(Debug, Args)]
#[command(after_help = "\
One batch is made before timing starts, except for `data`, which times the loader itself. \
The figure is the median over --steps, after --warmup steps that do not count; of data the mean.

  train  forward, loss, backward and update of --model
  infer  forward of --model
  lrn    every LRN layer of --model, forward and backward
  pool   every max and average pooling layer of --model, forward and backward
  lrn-pool   LRN and the max pooling behind it as one operation
  conv   every convolution of --model, forward and backward
  linear, dropout, softmax, sgd   the same of fully connected layers, dropout, loss, update
  augment   a batch of bytes into what --model sees, on a GPU alone: the CPU's way is in data
  data   the way of --data to batches, each stage with all threads and as a whole

On a GPU the modes lrn to augment also print each kernel, the first versions kept for comparison among \
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
    /// Where the towers live: cpu, cuda:0, or one a tower as in cuda:0,cuda:1
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
    Augment,
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
            Self::Augment => "augment",
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

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
    fn every_bench_mode_is_named_as_it_is_typed() {
        for mode in BenchMode::value_variants() {
            let typed = mode.to_possible_value().unwrap();
            assert_eq!(typed.get_name(), mode.name());
        }
    }
}
