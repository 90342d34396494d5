use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use tandem_alexnet::placement::Placement;

use super::Part;

/// Write what a layer makes of pictures, as vectors for other tools
#[derive(Debug, Args)]
#[command(after_help = "\
FILE.safetensors holds `features` (pictures, values) and `labels`, with the pictures' names and the \
classes in its metadata. FILE.npy holds the vectors alone; FILE.labels.npy, FILE.names.txt and \
FILE.classes.txt beside it hold the rest. A picture is seen by its centre crop. Maps, as of conv5, \
are written channel by channel, row by row.

Examples:
  tandem features --weights runs/alexnet-1 --data ~/flowers --layer fc7 --out fc7.safetensors
  tandem features --weights runs/mini-1 --data builtin --part validation --out hidden.npy")]
pub struct Features {
    /// A weights file of any framework that `import` reads, a run directory (its best.safetensors), or a
    /// model of the hub
    #[arg(long, value_name = "FILE|RUN|hf:OWNER/NAME")]
    pub weights: String,
    /// Pictures, in any form that `tandem train --data` takes
    #[arg(long, value_name = "SPEC")]
    pub data: String,
    /// Which part of the set
    #[arg(long, value_enum, default_value_t = Part::Train)]
    pub part: Part,
    /// Whose output, as `tandem info` names layers [default: the last hidden one, fc7 in the paper]
    #[arg(long, value_name = "LAYER")]
    pub layer: Option<String>,
    /// The file to write, .safetensors or .npy
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Pictures a step
    #[arg(long, default_value = "128", value_name = "N")]
    pub batch: NonZeroUsize,
    /// Where the towers live: cpu, cuda:0, or one a tower as in cuda:0,cuda:1
    #[arg(long, default_value = "cpu", value_name = "LIST")]
    pub devices: Placement,
}
