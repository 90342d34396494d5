use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Write weights as another framework's, or as one small file
#[derive(Debug, Args)]
#[command(after_help = "\
  safetensors   Tandem's own names; the file is taken wherever a run is
  torchvision   the names of torchvision's `alexnet`, for networks of its shape, of any number of
                channels and classes; in Python: net.load_state_dict(safetensors.torch.load_file(FILE))
  onnx          a model of any network: pictures, made as its metadata says, to probabilities

Network, preprocessing, labels, origin and licence are in the file's metadata, and `tandem import` \
reads it back to the same bytes. A file that is there already is never written over.

Examples:
  tandem export runs/mini-1 --to safetensors --half
  tandem export runs/torchvision-1 --to torchvision --out alexnet.safetensors
  tandem export alexnet-owt-7be5be79.pth --to onnx --out alexnet.onnx")]
pub struct Export {
    /// A weights file of any framework that `import` reads, a run directory (its best.safetensors), or a
    /// model of the hub
    #[arg(value_name = "FILE|RUN|hf:OWNER/NAME")]
    pub weights: String,
    /// Whose names and layout
    #[arg(long, value_enum)]
    pub to: ExportFormat,
    /// Write f16 in place of f32: half the size, values rounded to 11 bits
    #[arg(long)]
    pub half: bool,
    /// The licence of the weights, as SPDX calls it: mit, apache-2.0 ... [default: what they say]
    #[arg(long, value_name = "SPDX", value_parser = super::hub::licence)]
    pub licence: Option<String>,
    /// The file to write [default: the run's name and what it became, here]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// What weights can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    Safetensors,
    Torchvision,
    Onnx,
}
