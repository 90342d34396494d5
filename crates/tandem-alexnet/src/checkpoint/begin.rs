//! The beginning of a run directory, and whose it is.
//!
//! A run directory is made under another name, with its settings inside, and then takes its own: one
//! that is there can be resumed. One process at a time trains in it, held to that by a lock that the
//! system lets go of when the process ends, however it ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;

use super::{BEST, CONFIG, LAST, STATE};
use crate::config::TrainConfig;
use crate::error::{Doing, RunError};
use crate::metrics::METRICS;
use crate::replacement::{Replacement, folder, sync_folder, unfinished};

/// Stays in the run directory: to remove it would be to take it from a process that just opened it.
pub(super) const LOCK: &str = ".tandem-lock";

/// Makes `path` a run directory, locked. What fails leaves nothing behind.
pub(super) fn begin(path: &Path, config: &TrainConfig) -> Result<File, RunError> {
    // A link to a folder, a mount and `.` cannot be made elsewhere and renamed, and Windows renames
    // no folder with an open file in it.
    let there = path.symlink_metadata().is_ok() || path.file_name().is_none();
    if there || cfg!(windows) {
        begin_inside(path, config)
    } else {
        begin_beside(path, config)
    }
}

fn begin_beside(path: &Path, config: &TrainConfig) -> Result<File, RunError> {
    let parent = folder(path);
    fs::create_dir_all(parent).map_err(Doing::Create.failed(path))?;
    let beside = unfinished(path);
    let lock = lock_beside(&beside, path)?;
    let made = write_synced(&beside.join(CONFIG), config)
        .map_err(Doing::Write.failed(&path.join(CONFIG)))
        .and_then(|()| sync_folder(&beside))
        .and_then(|()| {
            fs::rename(&beside, path).map_err(|error| match error.kind() {
                io::ErrorKind::DirectoryNotEmpty => another(path, CONFIG),
                _ => Doing::Create.failed(path)(error),
            })
        });
    if made.is_err() {
        // The error to report is the one there is.
        let _ = fs::remove_dir_all(&beside);
    }
    made?;
    sync_folder(parent)?;
    Ok(lock)
}

/// Makes and locks `beside`, which becomes `path`. Another process may give it that name, or remove it
/// after a failure, at any moment until the lock is ours: a lock on a file that is no longer there is
/// no lock.
fn lock_beside(beside: &Path, path: &Path) -> Result<File, RunError> {
    loop {
        match fs::create_dir(beside) {
            // Of a command that was killed here, or of one at work: its lock tells.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(Doing::Create.failed(path))?,
        }
        match open_lock(beside) {
            Ok(file) => {
                let lock = try_lock(file, path)?;
                if is_at(&lock, &beside.join(LOCK)) {
                    return Ok(lock);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Doing::Create.failed(&path.join(LOCK))(error)),
        }
        if path.symlink_metadata().is_ok() {
            return Err(another(path, CONFIG));
        }
    }
}

/// Whether the open `file` is still the one that `path` names.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |metadata: io::Result<fs::Metadata>| metadata.map(|m| (m.dev(), m.ino())).ok();
    let id_of_file = id(file.metadata());
    id_of_file.is_some() && id_of_file == id(path.metadata())
}

/// Nothing is begun beside on other systems.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

fn begin_inside(path: &Path, config: &TrainConfig) -> Result<File, RunError> {
    fs::create_dir_all(path).map_err(Doing::Create.failed(path))?;
    refuse_another(path)?;
    let lock = lock(path, path)?;
    // Another process may have begun, and even ended, in between.
    refuse_another(path)?;
    let text = config.to_toml();
    let written = Replacement::write(&path.join(CONFIG), |out| out.write_all(text.as_bytes()))
        .and_then(Replacement::commit);
    if written.is_err() {
        let _ = fs::remove_file(path.join(LOCK));
    }
    written?;
    Ok(lock)
}

fn refuse_another(path: &Path) -> Result<(), RunError> {
    let holds = [CONFIG, LAST, BEST, METRICS, STATE]
        .into_iter()
        .find(|name| path.join(name).symlink_metadata().is_ok());
    match holds {
        Some(holds) => Err(another(path, holds)),
        None => Ok(()),
    }
}

fn another(path: &Path, holds: &'static str) -> RunError {
    RunError::HoldsAnotherRun {
        path: path.to_owned(),
        holds,
    }
}

fn write_synced(path: &Path, config: &TrainConfig) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(config.to_toml().as_bytes())?;
    file.sync_all()
}

/// Locks `folder`, which is or will be the run directory `run`, until the file is dropped.
pub(super) fn lock(folder: &Path, run: &Path) -> Result<File, RunError> {
    let file = open_lock(folder).map_err(Doing::Create.failed(&run.join(LOCK)))?;
    try_lock(file, run)
}

fn open_lock(folder: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(LOCK))
}

fn try_lock(file: File, run: &Path) -> Result<File, RunError> {
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunError::InUse {
            path: run.to_owned(),
        }),
        // Some network file systems have no locks. To train there unlocked is what was asked for.
        Err(TryLockError::Error(_)) => Ok(file),
    }
}
