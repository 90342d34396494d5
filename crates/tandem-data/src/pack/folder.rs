//! The folder that is packed into: held by one process, of one source, never with half a file under a
//! whole file's name.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{DESCRIPTION, Description, PackError};
use crate::{DataError, Part, sources};

/// Ends the name of a file that is not whole.
pub(super) const UNFINISHED: &str = "unfinished";

/// Held while packing; stays in the folder and says what is packed there.
const LOCK: &str = ".tandem-lock";

/// Whether the shards that may lie in `out` are of these parts, each with its identity. What is being packed stands in the lock
/// file before the first shard does, and what was packed in the description.
pub(super) fn claim(
    out: &Path,
    mut lock: &File,
    parts: &[(Part, u64)],
    before: Option<&Description>,
) -> Result<(), DataError> {
    let line = |(part, identity): &(Part, u64)| format!("{} {identity:016x}\n", part.name());
    let wanted: String = parts.iter().map(line).collect();
    let ours = match before {
        Some(before) => {
            before.parts.len() == parts.len()
                && parts.iter().all(|(part, identity)| {
                    let before = before.parts.get(part.name());
                    before.is_some_and(|before| before.identity == *identity)
                })
        }
        None => fs::read_to_string(out.join(LOCK)).is_ok_and(|begun| begun == wanted),
    };
    if ours {
        return Ok(());
    }
    for entry in fs::read_dir(out).map_err(reading(out))? {
        let path = entry.map_err(reading(out))?.path();
        if path.ends_with(DESCRIPTION) || path.extension().is_some_and(|ending| ending == "shard") {
            return Err(PackError::OtherPack { path }.into());
        }
    }
    lock.set_len(0)
        .and_then(|()| lock.write_all(wanted.as_bytes()))
        .and_then(|()| lock.sync_all())
        .map_err(writing(&out.join(LOCK)))
}

/// Refuses a folder that holds something else than a pack, begun or whole: it is somebody's data, and
/// would be hard to tell from a pack's files.
pub(super) fn refuse_others(out: &Path) -> Result<(), DataError> {
    if out.join(LOCK).exists() || out.join(DESCRIPTION).exists() {
        return Ok(());
    }
    let mut found: Vec<String> = Vec::new();
    for entry in fs::read_dir(out).map_err(reading(out))? {
        let entry = entry.map_err(reading(out))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let shard = name.ends_with(".shard");
        if !shard && !name.starts_with('.') && !sources::SYSTEM.contains(&name.as_str()) {
            found.push(name);
        }
    }
    match found.into_iter().min() {
        None => Ok(()),
        Some(found) => Err(PackError::NotEmpty {
            path: out.into(),
            found,
        }
        .into()),
    }
}

/// One process at a time packs into a folder.
pub(super) fn lock(out: &Path) -> Result<File, DataError> {
    let path = out.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = file.map_err(writing(&path))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(PackError::InUse { path: out.into() }.into()),
        // Some network file systems have no locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// Writes `path` so that it is the old file or the new one, whole.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let unfinished = path.with_extension(UNFINISHED);
    File::create(&unfinished)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&unfinished, path))
        .map_err(writing(path))?;
    sync_folder(path.parent().unwrap_or(path))
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), DataError> {
    // Windows cannot open folders, and its renames need no such sync.
    if cfg!(unix) {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(writing(folder))?;
    }
    Ok(())
}

#[cfg(unix)]
pub(super) fn free_space(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Not asked elsewhere: a disk that fills is told when it does.
#[cfg(not(unix))]
pub(super) fn free_space(_: &Path) -> Option<u64> {
    None
}

pub(super) fn writing(path: &Path) -> impl Fn(io::Error) -> DataError {
    let path = PathBuf::from(path);
    move |source| {
        let path = path.clone();
        PackError::Write { path, source }.into()
    }
}

pub(super) fn reading(path: &Path) -> impl Fn(io::Error) -> DataError {
    let path = PathBuf::from(path);
    move |source| DataError::Read {
        path: path.clone(),
        source,
    }
}
