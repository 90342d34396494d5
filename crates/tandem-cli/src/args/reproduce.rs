use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use tandem_alexnet::placement::Placement;

/// Measure again what the paper measured, and write a report
#[derive(Debug, Args)]
#[command(after_help = "\
An experiment trains the base network and others that differ from it in one thing, a few times each \
with other seeds, and sets the difference beside the published one. What experiments share is trained \
once. `all` is every experiment.

The study can be stopped and gone on with by the same command: runs that are done are not begun again, \
one that was stopped goes on from its last epoch. Several processes may work on one study.

Experiments: results, activations, two-gpu, connectivity, lrn, overlap, pooling, depth, augmentation, \
dropout, weight-decay, views, ensemble, star, random-labels, baselines.

Examples:
  tandem reproduce all --quick               minutes, on the shipped pictures
  tandem reproduce lrn --plan                what it would train, and how long that takes here
  tandem reproduce all --data /usr/share/datasets/fashion-mnist --second digits --jobs 2 --out study
  tandem reproduce all --report --out study  the report again, from the logs that are there")]
pub struct Reproduce {
    /// An experiment, or `all`
    #[arg(value_name = "EXPERIMENT|all")]
    pub experiment: String,
    /// Pictures: `builtin`, or a directory or file in any form that `tandem train --data` takes
    #[arg(long, default_value = "builtin", value_name = "SPEC")]
    pub data: String,
    /// A second set of pictures, which `star` learns first
    #[arg(long, value_name = "SPEC")]
    pub second: Option<String>,
    /// Networks of each kind, 2 or more [default: 3, with --quick 2]
    #[arg(long, value_name = "K")]
    pub seeds: Option<u64>,
    /// Fewer pictures, epochs and seeds: minutes instead of hours
    #[arg(long)]
    pub quick: bool,
    /// One setting of every run, over those of the experiments, as in `tandem train`; may be given
    /// many times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// The folder of the study
    #[arg(long, default_value = "reproduction", value_name = "DIR")]
    pub out: PathBuf,
    /// Print what would be trained, its cost and time here, and train nothing
    #[arg(long, conflicts_with = "report")]
    pub plan: bool,
    /// Write the report from the logs that are there, and train nothing
    #[arg(long)]
    pub report: bool,
    /// Networks trained at the same time, which share the threads: small ones are done sooner so
    #[arg(long, default_value = "1", value_name = "N")]
    pub jobs: NonZeroUsize,
    /// Where the towers live: cpu, cuda:0, or one a tower as in cuda:0,cuda:1
    #[arg(long, default_value = "cpu", value_name = "LIST")]
    pub devices: Placement,
}
