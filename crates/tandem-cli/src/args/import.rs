use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Turn weights of another framework into Tandem's
#[derive(Debug, Args)]
#[command(after_help = "\
What a file is shows in what it holds. Read are
  PyTorch       .pth of torchvision's `alexnet`, of any number of channels and classes, in each of
                the three forms that torch.save has had; pickles are read as data, and one that
                would import or call anything is refused
  safetensors   the same; and Tandem's own
  Caffe         a .caffemodel of one layer after another, as bvlc_alexnet and CaffeNet;
                groups become towers, and the mean is that of a .binaryproto beside it
  ONNX          a graph of one layer after another; --normalise, --bgr and --mean say how
                pictures are made if it does not
  NumPy         .npy of a dictionary, as bvlc_alexnet.npy: Caffe's AlexNet converted for TensorFlow

The folder that comes out holds best.safetensors (the weights, and in its metadata all that \
predicting goes by) and config.toml (the same for people: network, preprocessing, labels, origin). \
It is taken wherever a run is: --weights DIR. What is there already is never written over. A file \
that needs nothing said is taken as it is, too, wherever weights are named; it is read anew each time.

Examples:
  tandem import alexnet-owt-7be5be79.pth
  tandem import alexnet.safetensors --out models/torchvision
  tandem import birds.safetensors --labels birds.txt
  tandem import bvlc_alexnet.caffemodel --mean imagenet_mean.binaryproto
  tandem import net.onnx --normalise mean --bgr
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
    /// The mean picture or the means of channels that a Caffe or ONNX network subtracts: a .binaryproto or
    /// .npy
    #[arg(long, value_name = "FILE")]
    pub mean: Option<PathBuf>,
    /// How an ONNX network's pictures are made, if the file does not say
    #[arg(long, value_name = "HOW")]
    pub normalise: Option<NormaliseName>,
    /// An ONNX network's pictures have blue first
    #[arg(long)]
    pub bgr: bool,
    /// The licence of the weights, as SPDX calls it: mit, apache-2.0 ... [default: what they say]
    #[arg(long, value_name = "SPDX", value_parser = super::hub::licence)]
    pub licence: Option<String>,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
}

/// What is done to the pixels of a picture.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum NormaliseName {
    /// 0..255, a mean subtracted
    Mean,
    /// 0..1, minus and over ImageNet's mean and standard deviation for each channel
    Torchvision,
}
