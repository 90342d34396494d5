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
use std::fs::{self, File};
#[cfg(feature = "hub")]
use std::io;
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

/// The weights that `named`, a name of the hub, stands for, of whatever framework: a file in the cache,
/// once it is there, and its own name with the commit, `hf:OWNER/NAME@COMMIT:FILE`.
pub fn weights(named: &str) -> Result<(PathBuf, String)> {
    download::weights(named)
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
    remove_abandoned(parent);
    let (unfinished, _lock) = unfinished(parent).with_context(unmade)?;
    // Inside, since a temporary folder is for its owner alone, and what is made is not.
    let inside = unfinished.path().join("new");
    fs::create_dir(&inside).with_context(unmade)?;
    let filled = fill(&inside)?;
    refuse_if_there(out)?;
    fs::rename(&inside, out).with_context(unmade)?;
    Ok(filled)
}

/// What the name of an unfinished folder begins with.
#[cfg(feature = "hub")]
const UNFINISHED: &str = ".tandem-hub-";

/// A temporary folder in `parent`, and the lock that says that it is not abandoned.
#[cfg(feature = "hub")]
fn unfinished(parent: &Path) -> io::Result<(tempfile::TempDir, Option<File>)> {
    loop {
        let folder = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(parent)?;
        // Windows opens no folders, and some network file systems have no locks: nothing is taken for
        // abandoned there.
        let lock = File::open(folder.path()).ok();
        let lock = lock.filter(|lock| lock.lock().is_ok());
        // Before that another process may have taken it for abandoned, and removed it.
        if folder.path().exists() {
            return Ok((folder, lock));
        }
    }
}

/// Removes from `parent` what commands that were killed left behind: nobody holds its lock.
#[cfg(feature = "hub")]
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(UNFINISHED)
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_ours
            && let Ok(folder) = File::open(entry.path())
            && folder.try_lock().is_ok()
        {
            // It is in nobody's way.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
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

    pub fn weights(named: &str) -> Result<(PathBuf, String)> {
        refused(named, "a weights file")
    }

    pub fn companion(named: &str, _: &str) -> Result<Option<PathBuf>> {
        refused(named, "a run directory")
    }

    fn refused<T>(named: &str, instead: &str) -> Result<T> {
        let what = format!("{named}: this build cannot download from the hub");
        let hint = format!("build with --features hub, or give {instead}");
        Err(Failure::usage(what, hint).into())
    }
}

#[cfg(all(test, unix, feature = "hub"))]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_command_left_is_removed_and_what_another_makes_is_not() {
        let place = tempfile::tempdir().unwrap();
        let abandoned = place.path().join(".tandem-hub-killed");
        fs::create_dir_all(abandoned.join("new")).unwrap();
        fs::write(abandoned.join("new/best.safetensors"), "half").unwrap();
        fresh(&place.path().join("a"), |folder| {
            assert!(!abandoned.exists());
            fs::write(folder.join("file"), "text")?;
            fresh(&place.path().join("b"), |_| Ok(()))
        })
        .unwrap();
        assert!(place.path().join("a/file").is_file());
        let left = fs::read_dir(place.path()).unwrap().flatten();
        let mut left: Vec<_> = left.map(|entry| entry.file_name()).collect();
        left.sort_unstable();
        assert_eq!(left, ["a", "b"]);
    }
}
