//! A repository in the cache, laid out as Python's `huggingface_hub` does:
//!
//! ```text
//! CACHE/datasets--OWNER--NAME/          of a model models--OWNER--NAME/
//!     blobs/ID                  contents; ID is the file's ETag: SHA-256, or git's SHA-1 for small files
//!     blobs/ID.incomplete       the first part of contents
//!     refs/REVISION             the commit that a branch or tag was last
//!     trees/COMMIT.json         which files the commit has (`tree.rs`)
//!     snapshots/COMMIT/PATH     a relative link to ../../blobs/ID
//! CACHE/.locks/datasets--OWNER--NAME/ID.lock
//! ```
//!
//! Python writes the part of a blob under a name of its own for each process since 2.0, so only this
//! crate goes on from `ID.incomplete`; it does so under the lock. Where locks do nothing (some network
//! file systems), two processes may spoil that file: its checksum is wrong then, and it is begun anew.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::choice::some_of;
use crate::explain::file;
use crate::{HubError, Kind};

/// A repository's folder in the cache.
#[derive(Debug)]
pub(crate) struct Repository {
    kind: Kind,
    name: String,
    folder: PathBuf,
    locks: PathBuf,
}

/// The lock over a blob; it ends with the value.
pub(crate) struct Lock {
    _file: Option<File>,
}

impl Repository {
    /// `name` is `OWNER/NAME`, or `NAME`; nothing is created.
    pub(crate) fn new(cache: &Path, kind: Kind, name: &str) -> Self {
        let folder = format!("{}--{}", kind.plural(), name.replace('/', "--"));
        Self {
            kind,
            name: name.into(),
            locks: cache.join(".locks").join(&folder),
            folder: cache.join(folder),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn blob(&self, id: &str) -> PathBuf {
        self.folder.join("blobs").join(id)
    }

    pub(crate) fn incomplete(&self, id: &str) -> PathBuf {
        self.folder.join("blobs").join(format!("{id}.incomplete"))
    }

    pub(crate) fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    pub(crate) fn tree(&self, commit: &str) -> PathBuf {
        self.folder.join("trees").join(format!("{commit}.json"))
    }

    /// Waits until no other process downloads the blob.
    pub(crate) async fn lock(&self, id: &str) -> Result<Lock, HubError> {
        let path = self.locks.join(format!("{id}.lock"));
        let failed = |source| file("lock", path.clone(), source);
        fs::create_dir_all(&self.locks).map_err(failed)?;
        let lock = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(failed)?;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Lock { _file: Some(lock) }),
                Err(TryLockError::WouldBlock) => {
                    tokio::time::sleep(Duration::from_millis(100)).await
                }
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    return Ok(Lock { _file: None });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }

    /// Puts the blob `id` into the snapshot as `path`, in place of what is there.
    pub(crate) fn point(&self, commit: &str, path: &str, id: &str) -> Result<(), HubError> {
        let pointer = self.snapshot(commit).join(path);
        let up = "../".repeat(path.split('/').count() + 1);
        let target = format!("{up}blobs/{id}");
        if fs::read_link(&pointer).is_ok_and(|there| there == Path::new(&target)) {
            return Ok(());
        }
        in_one_piece(&pointer, |unfinished| {
            #[cfg(unix)]
            return std::os::unix::fs::symlink(&target, unfinished);
            #[cfg(not(unix))]
            return fs::hard_link(self.blob(id), unfinished);
        })
    }

    /// The commit that `revision` was when it was last looked up; itself if it is a commit.
    pub(crate) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.into());
        }
        let commit = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        Some(commit.trim().to_string()).filter(|commit| is_commit(commit))
    }

    /// Notes that `revision` is now `commit`.
    pub(crate) fn refer(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        write_in_one_piece(&self.folder.join("refs").join(revision), commit)
    }

    /// The paths of all files of a snapshot; `None` if there is no such snapshot. A link to a blob that
    /// is gone counts, and does not exist when it is opened.
    pub(crate) fn files(&self, commit: &str) -> Result<Option<Vec<String>>, HubError> {
        let root = self.snapshot(commit);
        if !root.is_dir() {
            return Ok(None);
        }
        let (mut files, mut folders) = (Vec::new(), vec![root.clone()]);
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
            for entry in entries.map_err(|source| file("read", folder.clone(), source))? {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if let Some(path) = path.strip_prefix(&root).ok().and_then(Path::to_str) {
                    files.push(path.replace(std::path::MAIN_SEPARATOR, "/"));
                }
            }
        }
        files.sort_unstable();
        Ok(Some(files))
    }

    /// Which commits are there, in words.
    pub(crate) fn cached(&self) -> Option<String> {
        let commits = fs::read_dir(self.folder.join("snapshots")).ok()?.flatten();
        let mut commits: Vec<String> = commits
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        commits.sort_unstable();
        let main = self.commit("main").filter(|main| commits.contains(main));
        match (main, commits.is_empty()) {
            (_, true) => None,
            (Some(main), _) => Some(format!("`main` of commit {main}")),
            (None, _) => Some(format!("commit {}", some_of(commits))),
        }
    }
}

/// Writes a file so that whoever reads it meanwhile sees all of it, or what was there before.
pub(crate) fn write_in_one_piece(path: &Path, text: &str) -> Result<(), HubError> {
    in_one_piece(path, |unfinished| fs::write(unfinished, text))
}

/// Puts what `make` makes under another name in the place of `path`.
fn in_one_piece(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), HubError> {
    // Two processes, and two threads of one, may do so at the same moment.
    static MADE: AtomicU64 = AtomicU64::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(format!(".{}-{number}.tmp", std::process::id()));
    let unfinished = PathBuf::from(unfinished);
    fs::create_dir_all(path.parent().expect("it is in the repository's folder"))
        .and_then(|()| make(&unfinished))
        .and_then(|()| fs::rename(&unfinished, path))
        .map_err(|source| file("write", path.into(), source))
}

/// Whether `revision` is the full id of a commit.
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40
        && revision
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789012345678901234567890123456789";

    #[test]
    fn a_pointer_is_relative_and_replaces_one_to_nothing() {
        let cache = tempfile::tempdir().unwrap();
        let repository = Repository::new(cache.path(), Kind::DataSet, "owner/name");
        let pointer = cache.path().join(format!(
            "datasets--owner--name/snapshots/{COMMIT}/data/a.tar"
        ));
        repository.point(COMMIT, "data/a.tar", "gone").unwrap();
        assert!(!pointer.exists());
        fs::create_dir_all(repository.blob("id").parent().unwrap()).unwrap();
        fs::write(repository.blob("id"), "text").unwrap();
        repository.point(COMMIT, "data/a.tar", "id").unwrap();
        assert_eq!(fs::read_to_string(&pointer).unwrap(), "text");
        #[cfg(unix)]
        assert_eq!(
            fs::read_link(&pointer).unwrap(),
            Path::new("../../../blobs/id")
        );
        assert_eq!(repository.files(COMMIT).unwrap().unwrap(), ["data/a.tar"]);
    }

    #[test]
    fn a_revision_with_slashes_and_dots_is_kept_and_what_is_no_commit_is_not_taken() {
        let cache = tempfile::tempdir().unwrap();
        let repository = Repository::new(cache.path(), Kind::DataSet, "mnist");
        for revision in ["refs/convert/parquet", "v1.0"] {
            assert_eq!(repository.commit(revision), None);
            repository.refer(revision, COMMIT).unwrap();
            assert_eq!(repository.commit(revision).unwrap(), COMMIT);
            let text = fs::read_to_string(cache.path().join("datasets--mnist/refs").join(revision));
            assert_eq!(text.unwrap(), COMMIT);
        }
        repository.refer("main", "../../../etc").unwrap();
        assert_eq!(repository.commit("main"), None);
        assert_eq!(repository.commit(COMMIT).unwrap(), COMMIT);
    }
}
