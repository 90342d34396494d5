//! The Hugging Face hub: `hf:OWNER/NAME` as a folder or file on this machine, and `tandem hub`.

#[cfg(feature = "hub")]
mod card;
#[cfg(feature = "hub")]
mod download;
#[cfg(feature = "hub")]
mod publication;
#[cfg(feature = "hub")]
mod pull;
#[cfg(feature = "hub")]
mod push;

#[cfg(feature = "hub")]
use std::fs;
#[cfg(feature = "hub")]
use std::path::Path;
use std::path::PathBuf;

#[cfg(feature = "hub")]
use anyhow::Context;
use anyhow::Result;

use crate::args;
#[cfg(feature = "hub")]
use crate::args::HubCommand;
use crate::failure::Failure;

/// What `--data` names, as [`tandem_data::open`] takes it: of the hub the folder in the cache, once it
/// is there; anything else as it is.
pub fn located(named: &str) -> Result<String> {
    if named.starts_with("hf:") {
        download::folder(named)
    } else {
        Ok(named.to_owned())
    }
}

/// The same data, whatever its owner uploads tomorrow: of the hub with the commit, anything else as it
/// is. What a run remembers.
pub fn pinned(named: &str) -> Result<String> {
    if named.starts_with("hf:") {
        download::pinned(named)
    } else {
        Ok(named.to_owned())
    }
}

/// The weights that `named`, a name of the hub, stands for: a file in the cache, once it is there.
pub fn weights(named: &str) -> Result<PathBuf> {
    download::weights(named)
}

/// The weights that `named` stands for, in the form of whatever framework.
pub fn weights_of_any_form(named: &str) -> Result<PathBuf> {
    download::weights_of_any_form(named)
}

/// The file `beside` the weights that `named`, a name of the hub, stands for; none if there is none.
pub fn companion(named: &str, beside: &str) -> Result<Option<PathBuf>> {
    download::companion(named, beside)
}

/// `tandem hub …`.
#[cfg(feature = "hub")]
pub fn run(args: &args::Hub) -> Result<()> {
    match &args.command {
        HubCommand::Push(args) => push::run(args),
        HubCommand::Pull(args) => pull::run(args),
    }
}

/// `tandem hub …`, where there is no way to it.
#[cfg(not(feature = "hub"))]
pub fn run(_: &args::Hub) -> Result<()> {
    let what = "this build cannot reach the hub";
    Err(Failure::usage(what, "build with --features hub").into())
}

/// Makes the folder `out` with what `fill` puts into it: all of it, or nothing.
#[cfg(feature = "hub")]
fn fresh<T>(out: &Path, fill: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    refuse_if_there(out)?;
    let unmade = || format!("making {}", out.display());
    let parent = match out.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).with_context(unmade)?;
    let unfinished = tempfile::Builder::new()
        .prefix(".tandem-hub-")
        .tempdir_in(parent)
        .with_context(unmade)?;
    // Inside, since a temporary folder is for its owner alone, and what is made is not.
    let inside = unfinished.path().join("new");
    fs::create_dir(&inside).with_context(unmade)?;
    let filled = fill(&inside)?;
    refuse_if_there(out)?;
    fs::rename(&inside, out).with_context(unmade)?;
    Ok(filled)
}

#[cfg(feature = "hub")]
fn refuse_if_there(out: &Path) -> Result<()> {
    match out.symlink_metadata() {
        Ok(_) => {
            let what = format!("{} is there already", out.display());
            let hint = "name another folder; nothing is written over";
            Err(Failure::failed(what, hint).into())
        }
        Err(_) => Ok(()),
    }
}

#[cfg(not(feature = "hub"))]
mod download {
    use std::path::PathBuf;

    use anyhow::Result;

    use crate::failure::Failure;

    pub fn folder(named: &str) -> Result<String> {
        refused(named, "a folder")
    }

    pub fn pinned(named: &str) -> Result<String> {
        refused(named, "a folder")
    }

    pub fn weights(named: &str) -> Result<PathBuf> {
        refused(named, "a weights file")
    }

    pub use weights as weights_of_any_form;

    pub fn companion(named: &str, _: &str) -> Result<Option<PathBuf>> {
        refused(named, "a run directory")
    }

    fn refused<T>(named: &str, instead: &str) -> Result<T> {
        let what = format!("{named}: this build cannot download from the hub");
        let hint = format!("build with --features hub, or give {instead}");
        Err(Failure::usage(what, hint).into())
    }
}
