use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Recipe;

/// Start from trained weights and learn other classes
#[derive(Debug, Args)]
#[command(
    mut_arg("model", |arg| arg.hide(true).conflicts_with("from")),
    mut_arg("data", |arg| arg.required(true).help(
        "Pictures of the new classes: a folder with a folder a class, or anything that `train --data` takes"
    )),
    after_help = "\
The network, and what is done to pictures before it, are the weights': sides, crop, mean. The last \
layer is new, unless the classes are exactly the weights' own. The rest learns at a third of its \
recipe's rate and the new layer at all of it; --rate says otherwise, by layer.

Frozen layers keep their bytes and cost no backward pass. Those before the first layer that learns \
are a fixed function, computed without dropout. Where the pictures are fixed too, each is taken \
through them once and the features are kept in memory: that is so with --set augment.colour=off and \
a crop that is not random (--set augment.crop=centre, or =corners for four corners and the centre; \
mirror images double them), and for networks that see the whole picture, as `mini`. A random crop \
or colours make other pictures each epoch, and nothing can be kept.

The run directory is one of `tandem train`, which also goes on with it: tandem train --resume DIR.

Examples:
  tandem finetune --from runs/alexnet-1 --data ~/flowers
  tandem finetune --from alexnet-owt-7be5be79.pth --data ~/flowers
  tandem finetune --from runs/alexnet-1 --data ~/flowers --freeze conv1..conv5 --rate fc8=20x
  tandem finetune --from runs/alexnet-1 --data ~/flowers --probe --patience 5
  tandem finetune --from runs/mini-1 --data ~/shoes --keep-classes --class-weights balanced"
)]
pub struct Finetune {
    /// What to start from: a weights file of any framework that `import` reads, a run directory (its
    /// best.safetensors), or a model of the hub
    #[arg(long, value_name = "FILE|RUN|hf:OWNER/NAME")]
    pub from: String,
    /// Layers that keep their weights, as conv1 or conv1..conv5; several by commas
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    pub freeze: Vec<String>,
    /// The rate of a layer or of several, as a multiple of the run's: fc8=10x, conv1..conv5=0.1x;
    /// may be given many times
    #[arg(long = "rate", value_name = "LAYERS=Nx")]
    pub rates: Vec<String>,
    /// Learn the last layer alone: everything else frozen, centre crops, features computed once
    #[arg(long, conflicts_with = "freeze")]
    pub probe: bool,
    /// Keep the last layer's rows of the data's classes, found by name; every class has to be there
    #[arg(long)]
    pub keep_classes: bool,
    /// Updates over which the rate climbs to its value [default: 0]
    #[arg(long, value_name = "STEPS")]
    pub warm_up: Option<u64>,
    /// `balanced` lets every class count the same, however few its pictures [default: equal]
    #[arg(
        long,
        value_enum,
        value_name = "equal|balanced",
        hide_possible_values = true
    )]
    pub class_weights: Option<ClassWeights>,
    /// End after so many validations (one an epoch) without a new lowest error
    #[arg(long, value_name = "N")]
    pub patience: Option<NonZeroU64>,
    #[command(flatten)]
    pub recipe: Recipe,
    /// The run directory, new or empty [default: the next free runs/MODEL-N]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// What a picture of a class counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ClassWeights {
    Equal,
    Balanced,
}

impl From<ClassWeights> for tandem_alexnet::class_weights::ClassWeights {
    fn from(weights: ClassWeights) -> Self {
        match weights {
            ClassWeights::Equal => Self::Equal,
            ClassWeights::Balanced => Self::Balanced,
        }
    }
}
