use std::path::PathBuf;

use clap::Args;

/// Turn weights of another framework into Tandem's
#[derive(Debug, Args)]
#[command(after_help = "\
What a file is shows in what it holds. Read are
  safetensors   torchvision's `alexnet`, of any number of channels and classes; Tandem's own

The folder that comes out holds best.safetensors (the weights, and in its metadata all that
predicting goes by) and config.toml (the same for people: network, preprocessing, labels, origin).
It is taken wherever a run is: --weights DIR. What is there already is never written over.

Examples:
  tandem import alexnet.safetensors
  tandem import alexnet.safetensors --out models/torchvision
  tandem import birds.safetensors --labels birds.txt
  tandem predict --weights runs/torchvision-1 picture.jpg")]
pub struct Import {
    /// The weights file
    #[arg(value_name = "FILE|hf:OWNER/NAME")]
    pub file: String,
    /// The folder to make [default: runs/MODEL-N, the first that is free]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Names of the classes, a line each, in the order of the scores [default: the file's; of 1,000
    /// classes ILSVRC 2012's; else numbers]
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// The network that the file is of, a preset or a TOML file, where the file leaves that open
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
}
