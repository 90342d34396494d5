//! `tandem hub …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Share a trained network on the Hugging Face hub, and fetch one
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Wherever weights are named, hf:OWNER/NAME[@REVISION][:FILE] stands for a model of the hub; it is \
downloaded once, into the cache that Python shares.

Examples:
  tandem hub push runs/mini-1 someone/fashion-mini --licence mit
  tandem predict --weights hf:someone/fashion-mini shirt.png
  tandem hub pull someone/fashion-mini"
)]
pub struct Hub {
    #[command(subcommand)]
    pub command: HubCommand,
}

#[derive(Debug, Subcommand)]
pub enum HubCommand {
    Push(Push),
    Pull(Pull),
}

/// Upload a run's best weights with a model card, in one commit
#[derive(Debug, Args)]
#[command(after_help = "\
Makes the repository if it is not there, and puts into it model.safetensors (the run's best weights), \
config.toml, labels.txt, README.md (the card), curves.png and filters.png. Files that are there already \
are not sent again; others in the repository stay. Of the data's place on this machine only the last \
part is told.

Takes a token that may write, from HF_TOKEN or from where `hf auth login` puts it. --dry-run needs \
none: it writes the same files into a folder, to look at.

Examples:
  tandem hub push runs/mini-1 someone/fashion-mini --licence mit
  tandem hub push runs/mini-1 someone/fashion-mini --private --message 'Sixteen epochs'
  tandem hub push runs/mini-1 someone/fashion-mini --dry-run look")]
pub struct Push {
    /// A run directory (its best.safetensors), or a weights file of any framework that `import` reads
    #[arg(value_name = "RUN")]
    pub run: String,
    /// The repository
    #[arg(value_name = "OWNER/NAME")]
    pub name: String,
    /// Make the repository private; one that is there and public is refused
    #[arg(long)]
    pub private: bool,
    /// The branch to commit to, made if it is not there
    #[arg(long, value_name = "BRANCH", default_value = "main")]
    pub revision: String,
    /// What the commit is called [default: the network, its epochs and its error]
    #[arg(long, value_name = "TEXT")]
    pub message: Option<String>,
    /// The licence of the weights, as SPDX calls it: mit, apache-2.0, cc-by-4.0 ...
    #[arg(long, value_name = "SPDX", value_parser = licence)]
    pub licence: Option<String>,
    /// Write what would be uploaded into this new folder, and ask nobody
    #[arg(long, value_name = "DIR")]
    pub dry_run: Option<PathBuf>,
}

/// Download a model as a run directory
#[derive(Debug, Args)]
#[command(after_help = "\
The folder is new, or the command refuses. It is a run's to eval, predict, show and train from; it \
cannot be resumed, since the optimiser's state is not published.

Examples:
  tandem hub pull someone/fashion-mini
  tandem hub pull someone/fashion-mini@v1.0 --out runs/theirs")]
pub struct Pull {
    /// The model, with a branch, tag or commit
    #[arg(value_name = "OWNER/NAME[@REVISION]")]
    pub name: String,
    /// The folder to make [default: runs/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// A licence's short name: what may stand in one.
pub(super) fn licence(text: &str) -> Result<String, String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-.+".contains(c);
    if (1..=64).contains(&text.len()) && text.chars().all(is_part) {
        return Ok(text.to_owned());
    }
    let rule = "a licence's short name is of letters, digits, `-`, `.` and `+`: mit, apache-2.0";
    Err(format!("{rule}; all are at https://spdx.org/licenses"))
}
