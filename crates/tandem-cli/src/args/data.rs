//! `tandem data …`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Pack a set of pictures for training, and look into one
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  tandem data info ~/imagenet
  tandem data pack ~/imagenet ~/imagenet-packed --jpeg 90
  tandem train --model alexnet --data ~/imagenet-packed
  tandem data sample ~/imagenet-packed --out sample.png"
)]
pub struct Data {
    #[command(subcommand)]
    pub command: DataCommand,
}

#[derive(Debug, Subcommand)]
pub enum DataCommand {
    Pack(Pack),
    Info(Source),
    Verify(Verify),
    Stats(Stats),
    Sample(Sample),
}

/// Decode, scale and cut every picture once, into files that training maps into memory
#[derive(Debug, Args)]
#[command(after_help = "\
The shorter side is scaled to --side and the centre cut out, as section 2 of the paper says. Raw \
bytes are read fastest: 192 KiB a picture of 256 x 256, 252 GB for the 1.28 million of ILSVRC. \
--jpeg 90 takes about a tenth and decodes each picture anew each epoch.

A pack that was not finished, or whose files are damaged, is gone on with by the same command. \
Pictures lie in one random order: a source on a spinning disk is read slowly, one on an SSD is not.

Examples:
  tandem data pack ~/imagenet ~/imagenet-packed
  tandem data pack ~/imagenet ~/imagenet-packed --jpeg 90
  tandem data pack ~/pictures packed --side 64")]
pub struct Pack {
    /// Pictures in any form that --data takes
    #[arg(value_name = "SOURCE")]
    pub source: String,
    /// The folder to pack into, new, empty, or one that was begun
    #[arg(value_name = "OUT")]
    pub out: PathBuf,
    /// Side of the packed pictures, pixels
    #[arg(long, default_value = "256", value_name = "N")]
    pub side: NonZeroUsize,
    /// Pack one channel, not three
    #[arg(long)]
    pub grey: bool,
    /// Store JPEG of this quality, 1 to 100, not raw bytes
    #[arg(long, value_name = "QUALITY", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub jpeg: Option<u8>,
    /// The share of pictures that may fail to decode; they are left out and listed
    #[arg(long, default_value = "0.01", value_name = "SHARE")]
    pub bad_share: f64,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
}

/// Say what is in a set of pictures
#[derive(Debug, Args)]
pub struct Source {
    /// Pictures in any form that --data takes
    #[arg(value_name = "SPEC")]
    pub source: String,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
}

/// Check every picture: of a pack the checksums, of anything else that it decodes
#[derive(Debug, Args)]
#[command(after_help = "\
Prints a line for each damaged file or picture, and exits with 1 if there is one.")]
pub struct Verify {
    /// Pictures in any form that --data takes
    #[arg(value_name = "SPEC")]
    pub source: String,
}

/// Mean, deviation, covariance and principal colours, and the pictures of each class
#[derive(Debug, Args)]
#[command(after_help = "\
Of the training pictures, over all pixels, from 0 to 255. The eigenvalues and eigenvectors are those \
of the PCA colour shifts of section 4.1 of the paper.")]
pub struct Stats {
    #[command(flatten)]
    pub source: Source,
    /// Side the pictures are brought to first; a pack has its own
    #[arg(long, default_value = "256", value_name = "N")]
    pub side: NonZeroUsize,
}

/// Draw some training pictures as the network sees them
#[derive(Debug, Args)]
#[command(after_help = "\
A row a picture: first the picture brought to --side, then crops of it, mirrored and shifted in \
colour as in as many epochs.")]
pub struct Sample {
    /// Pictures in any form that --data takes
    #[arg(value_name = "SPEC")]
    pub source: String,
    /// The PNG to write
    #[arg(long, default_value = "sample.png", value_name = "FILE")]
    pub out: PathBuf,
    /// How many pictures
    #[arg(long, default_value = "8", value_name = "N")]
    pub count: NonZeroUsize,
    /// Side the pictures are brought to first; a pack has its own
    #[arg(long, default_value = "256", value_name = "N")]
    pub side: NonZeroUsize,
    /// Side of the crops [default: seven eighths of --side, as 224 of 256]
    #[arg(long, value_name = "N")]
    pub crop: Option<NonZeroUsize>,
    /// Which pictures, and how they are varied
    #[arg(long, default_value = "0", value_name = "N")]
    pub seed: u64,
}
