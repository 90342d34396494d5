//! A file that is the old one or the new one, whole, whatever happens in between.
//!
//! The new content is written beside the old, synced, renamed over it, and the folder synced: after
//! a loss of power either name still leads to a whole file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Doing, RunError};

/// Ends the name of every file that is not finished. Long enough never to meet a user's own.
pub const UNFINISHED: &str = ".tandem-unfinished";

/// A whole, synced file that waits to take its name. Dropped before [`Replacement::commit`], it is
/// removed.
#[derive(Debug)]
#[must_use]
pub(crate) struct Replacement {
    path: PathBuf,
    temporary: PathBuf,
    /// Whether the temporary name is taken: after a rename it is anybody's.
    waits: bool,
}

impl Replacement {
    /// Writes what shall become `path`; `path` itself stays as it is.
    pub(crate) fn write(
        path: &Path,
        fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<Self, RunError> {
        let this = Self::beside(path);
        let written = File::create(&this.temporary).and_then(|file| {
            let mut out = BufWriter::with_capacity(1 << 20, file);
            fill(&mut out)?;
            out.into_inner()
                .map_err(io::IntoInnerError::into_error)?
                .sync_all()
        });
        // An error drops `this`, and so removes what was written.
        written.map_err(Doing::Write.failed(path))?;
        Ok(this)
    }

    /// The same content waiting to take another name in the same folder, without writing it again
    /// where links are to be had.
    pub(crate) fn linked_as(&self, path: &Path) -> Result<Self, RunError> {
        let this = Self::beside(path);
        remove_if_there(&this.temporary)?;
        if fs::hard_link(&self.temporary, &this.temporary).is_err() {
            fs::copy(&self.temporary, &this.temporary)
                .and_then(|_| File::open(&this.temporary)?.sync_all())
                .map_err(Doing::Write.failed(path))?;
        }
        Ok(this)
    }

    /// Takes the name. Lasting only once the folder is synced too.
    pub(crate) fn rename(mut self) -> Result<(), RunError> {
        fs::rename(&self.temporary, &self.path).map_err(Doing::Write.failed(&self.path))?;
        self.waits = false;
        Ok(())
    }

    /// Takes the name for good.
    pub(crate) fn commit(self) -> Result<(), RunError> {
        let folder = folder(&self.path).to_owned();
        self.rename()?;
        sync_folder(&folder)
    }

    fn beside(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            temporary: unfinished(path),
            waits: true,
        }
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if self.waits {
            // What cannot be removed now is removed on resume.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Makes `path` a file of `bytes`: the whole of them, or what it was before.
///
/// # Errors
///
/// When it cannot be written; `path` is then as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    replace_by(path, |out| out.write_all(bytes))
}

/// Makes `path` a file of what `fill` writes: the whole of it, or what it was before.
///
/// # Errors
///
/// As [`replace`].
pub fn replace_by(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), RunError> {
    Replacement::write(path, fill)?.commit()
}

/// What `path` is called until it is finished.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().expect("callers name a file").to_owned();
    name.push(UNFINISHED);
    path.with_file_name(name)
}

/// Makes renames in `folder` last.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), RunError> {
    // Windows cannot open folders, and its renames need no such sync.
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(Doing::Write.failed(folder))?;
    }
    Ok(())
}

/// Removes what a killed run left unfinished in `folder`.
pub(crate) fn remove_unfinished(folder: &Path) -> Result<(), RunError> {
    for entry in fs::read_dir(folder).map_err(Doing::Read.failed(folder))? {
        let path = entry.map_err(Doing::Read.failed(folder))?.path();
        // A folder so called is a run that began in this one.
        let is_folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
        if path.to_string_lossy().ends_with(UNFINISHED) && !is_folder {
            remove_if_there(&path)?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> Result<(), RunError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Doing::Remove.failed(path)(error))
        }
        _ => Ok(()),
    }
}

/// The folder that `path` is in.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_old_file_stays_until_the_new_one_takes_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        let new = Replacement::write(&path, |out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        new.commit().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn a_failed_write_leaves_an_existing_file_intact_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        let full = |out: &mut BufWriter<File>| {
            out.write_all(b"half of")?;
            Err(io::ErrorKind::StorageFull.into())
        };
        let error = Replacement::write(&path, full).unwrap_err().to_string();
        assert!(
            error.contains(&path.display().to_string()) && error.contains("free space"),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["file"]);
    }

    #[test]
    fn one_content_can_take_two_names() {
        let folder = tempfile::tempdir().unwrap();
        let (last, best) = (folder.path().join("last"), folder.path().join("best"));
        for content in ["one", "two"] {
            let new = Replacement::write(&last, |out| out.write_all(content.as_bytes())).unwrap();
            new.linked_as(&best).unwrap().commit().unwrap();
            new.commit().unwrap();
            assert_eq!(fs::read_to_string(&best).unwrap(), content);
        }
        // The next `last` is another file: what `best` leads to is not written over.
        let three = Replacement::write(&last, |out| out.write_all(b"three")).unwrap();
        three.commit().unwrap();
        assert_eq!(fs::read_to_string(&best).unwrap(), "two");
        assert_eq!(names(folder.path()), ["best", "last"]);
    }

    #[test]
    fn what_a_killed_run_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::mem::forget(Replacement::write(&path, |out| out.write_all(b"killed")).unwrap());
        fs::write(folder.path().join("notes.tmp"), "the user's").unwrap();
        remove_unfinished(folder.path()).unwrap();
        assert_eq!(names(folder.path()), ["notes.tmp"]);
    }
}
