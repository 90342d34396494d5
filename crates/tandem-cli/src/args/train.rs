use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use tandem_alexnet::placement::Placement;

/// Train a network, or go on with a run that was stopped
#[derive(Debug, Args)]
#[command(after_help = "\
Without arguments, `mini` learns the shipped pictures in about two minutes on two cores.

Settings come from, each over the one before: the model's own recipe, --config FILE, the flags \
above, --set KEY=VALUE. The run's config.toml holds the result, and is itself a --config file; \
docs/settings.md explains every key, those that are left out of it too.

Ctrl-C or SIGTERM finishes the step, saves and exits; a second one stops at once. Either way \
`tandem train --resume DIR` goes on from the last checkpoint, to the same bytes.

Examples:
  tandem train
  tandem train --epochs 20 --seed 7 --out runs/seed-7
  tandem train --model alexnet --data ~/pictures --batch 128 --devices cpu,cpu
  tandem train --model alexnet --data ~/pictures --devices cuda:0,cuda:1 --set precision=bf16
  tandem train --set rate.initial=0.02 --set sgd.weight_decay=0.001
  tandem train --resume runs/seed-7")]
pub struct Train {
    #[command(flatten)]
    pub recipe: Recipe,
    /// The run directory, new or empty [default: the next free runs/MODEL-N]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with the run in this directory, with its own settings; --devices may change, and
    /// --data says where the same pictures are now
    #[arg(long, value_name = "DIR", conflicts_with_all = ["model", "epochs", "batch", "seed", "out", "config", "settings"])]
    pub resume: Option<PathBuf>,
}

/// What a network is, and how it is trained.
#[derive(Debug, Args)]
pub struct Recipe {
    /// A preset or a specification file (TOML) [default: mini]
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// Pictures: `builtin`, hf:OWNER/NAME of the hub, or a directory or file: picture folders, a pack of
    /// `tandem data pack`, ILSVRC's archives or Kaggle's tree, Tiny-ImageNet, parquet, WebDataset, CIFAR
    /// binary, IDX
    /// [default: builtin]
    #[arg(long, value_name = "SPEC")]
    pub data: Option<String>,
    /// Passes over the training pictures, at most [default: the model's recipe]
    #[arg(long, value_name = "N")]
    pub epochs: Option<NonZeroUsize>,
    /// Pictures a step [default: the model's recipe; 128 in the paper]
    #[arg(long, value_name = "N")]
    pub batch: Option<NonZeroUsize>,
    /// Where the towers live: cpu, cuda:0, or one a tower as in cuda:0,cuda:1 [default: cpu]
    #[arg(long, value_name = "LIST")]
    pub devices: Option<Placement>,
    /// Every random choice follows from it [default: the model's recipe]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Settings from a TOML file, such as another run's config.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One setting, over everything else; may be given many times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
}
