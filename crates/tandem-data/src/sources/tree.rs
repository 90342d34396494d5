//! Folders, on disk or in a tar: an archive is listed as if it were unpacked, and never is. What lies
//! below a folder is looked at when somebody asks, so that an archive nobody needs is not scanned.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::archive::{self, Archive};
use super::slice::{Container, Slice, shown};
use super::tar::Member;
use crate::DataError;

/// Most bytes a text, such as a list of labels, may have. ILSVRC's largest has 0.3 MB.
const LARGEST_TEXT: u64 = 64 << 20;

const PICTURES: [&str; 6] = ["jpg", "jpeg", "jpe", "jfif", "png", "webp"];
/// Pictures that are not read.
const OTHERS: [&str; 12] = [
    "bmp", "gif", "tif", "tiff", "ppm", "pgm", "jp2", "heic", "heif", "avif", "jxl", "svg",
];
/// What file systems keep at their root, and macOS beside what it packs.
pub(crate) const SYSTEM: [&str; 4] = [
    "lost+found",
    "System Volume Information",
    "$RECYCLE.BIN",
    "__MACOSX",
];

const ARCHIVES: [&str; 3] = [".tar", ".tgz", ".tar.gz"];

/// Whether a file is named as a picture. By name only: asking the system about each of a million
/// files takes minutes on some disks.
pub(crate) fn is_picture(name: &str) -> bool {
    ends(name, &PICTURES)
}

/// Whether a file is named as a picture of a form that is not read.
pub(crate) fn is_other_picture(name: &str) -> bool {
    ends(name, &OTHERS)
}

fn ends(name: &str, endings: &[&str]) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| {
        endings
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    })
}

/// Whether a file is named as an archive that [`File::enter`] reads.
pub(crate) fn is_archive(name: &str) -> bool {
    ARCHIVES.iter().any(|ending| name.ends_with(ending))
}

/// A folder.
#[derive(Debug, Clone)]
pub(crate) enum Folder {
    Disk(PathBuf),
    /// The folder `1` of an archive; empty is all of it.
    Archive(Arc<Archive>, String),
}

/// A file in a folder.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) name: String,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    /// Its length is not asked for before it is needed.
    Disk(Arc<Container>),
    Archive(Slice),
}

impl Folder {
    /// Its path for people, an archive standing for a folder.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::Disk(path) => shown(path).into(),
            Self::Archive(archive, inside) => archive.path(inside),
        }
    }

    /// The folder `name` in it, which may not be there.
    pub(crate) fn join(&self, name: &str) -> Self {
        match self {
            Self::Disk(path) => Self::Disk(path.join(name)),
            Self::Archive(archive, inside) => {
                Self::Archive(Arc::clone(archive), archive::below(inside, name))
            }
        }
    }

    /// The folder of that name in it, if there is one.
    pub(crate) fn folder(&self, name: &str) -> Option<Self> {
        let folder = self.join(name);
        let there = match &folder {
            Self::Disk(path) => path.is_dir(),
            Self::Archive(archive, inside) => archive.members(inside).is_some(),
        };
        there.then_some(folder)
    }

    /// The names of the folders in it, sorted, without hidden ones and the system's own.
    pub(crate) fn folders(&self) -> Result<Vec<String>, DataError> {
        match self {
            Self::Disk(path) => {
                let is_folder = |entry: &std::fs::DirEntry| match entry.file_type() {
                    Ok(kind) if kind.is_symlink() => entry.path().is_dir(),
                    kind => kind.is_ok_and(|kind| kind.is_dir()),
                };
                on_disk(path, |_, entry| is_folder(entry))
            }
            Self::Archive(archive, inside) => {
                let names = archive.folders_in(inside);
                let names = names.filter(|name| !name.starts_with('.') && !SYSTEM.contains(name));
                Ok(names.map(String::from).collect())
            }
        }
    }

    /// The files in it whose name is wanted, sorted by name, without hidden ones.
    pub(crate) fn files(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<File>, DataError> {
        match self {
            Self::Disk(path) => {
                let folder = Arc::new(Container::Folder(path.clone()));
                let names = on_disk(path, |name, _| wanted(name))?;
                let file = |name| File {
                    name,
                    place: Place::Disk(Arc::clone(&folder)),
                };
                Ok(names.into_iter().map(file).collect())
            }
            Self::Archive(archive, inside) => {
                let members = archive.members(inside).unwrap_or_default();
                let members = members
                    .iter()
                    .filter(|member| !member.path.starts_with('.') && wanted(&member.path));
                Ok(members
                    .map(|member| File::in_archive(archive, inside, member))
                    .collect())
            }
        }
    }

    /// The file of that name in it, if there is one.
    pub(crate) fn file(&self, name: &str) -> Option<File> {
        match self {
            Self::Disk(path) => path.join(name).is_file().then(|| File {
                name: name.into(),
                place: Place::Disk(Arc::new(Container::Folder(path.clone()))),
            }),
            Self::Archive(archive, inside) => {
                let members = archive.members(inside)?;
                let found = members.binary_search_by(|member| member.path.as_str().cmp(name));
                Some(File::in_archive(archive, inside, &members[found.ok()?]))
            }
        }
    }

    /// The pictures directly in it, sorted by name.
    pub(crate) fn pictures(&self) -> Result<Vec<File>, DataError> {
        self.files(is_picture)
    }
}

/// The names in a folder on disk, sorted: the system's order is not the same everywhere.
fn on_disk(
    path: &Path,
    wanted: impl Fn(&str, &std::fs::DirEntry) -> bool,
) -> Result<Vec<String>, DataError> {
    let failed = |source| DataError::Read {
        path: path.into(),
        source,
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if text.starts_with('.') || SYSTEM.contains(&&*text) || !wanted(&text, &entry) {
            continue;
        }
        let Ok(name) = name.into_string() else {
            return Err(DataError::NotUtf8 {
                path: shown(&entry.path()).into(),
            });
        };
        names.push(name);
    }
    names.sort_unstable();
    Ok(names)
}

impl File {
    /// The file on disk at `path`.
    pub(crate) fn at(path: &Path) -> Self {
        Self {
            name: String::new(),
            place: Place::Disk(Arc::new(Container::Folder(path.into()))),
        }
    }

    fn in_archive(archive: &Archive, folder: &str, member: &Member) -> Self {
        Self {
            name: member.path.clone(),
            place: Place::Archive(archive.slice(folder, member)),
        }
    }

    /// Where its bytes are.
    pub(crate) fn slice(&self) -> Slice {
        match &self.place {
            Place::Disk(folder) => Slice::of_file(Arc::clone(folder), self.name.clone()),
            Place::Archive(slice) => slice.clone(),
        }
    }

    /// Its path, an archive standing for a folder.
    pub(crate) fn path(&self) -> PathBuf {
        match &self.place {
            Place::Disk(folder) => Slice::new(Arc::clone(folder), self.name.clone(), 0, 0).path(),
            Place::Archive(slice) => slice.path(),
        }
    }

    /// A small file's bytes.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, DataError> {
        self.slice().read_up_to(LARGEST_TEXT)
    }

    /// A small file's text; what is not UTF-8 in it becomes U+FFFD.
    pub(crate) fn text(&self) -> Result<String, DataError> {
        Ok(String::from_utf8_lossy(&self.bytes()?).into_owned())
    }

    /// The tar it is, plain or gzip'd, as a folder.
    ///
    /// # Errors
    ///
    /// See [`Archive::of`].
    pub(crate) fn enter(&self) -> Result<Folder, DataError> {
        Ok(Folder::Archive(
            Arc::new(Archive::of(&self.slice())?),
            String::new(),
        ))
    }

    /// The paths of the first `count` files of the tar it is.
    ///
    /// # Errors
    ///
    /// If it is damaged before its first file ends, or is no tar.
    pub(crate) fn first_members(&self, count: usize) -> Result<Vec<String>, DataError> {
        archive::first_members(&self.slice(), count)
    }
}
