//! Folders, on disk or in a tar: an archive is listed as if it were unpacked, and never is. What lies
//! below a folder is looked at when somebody asks, so that an archive nobody needs is not scanned.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;

use super::slice::{Container, Slice, shown};
use super::tar::{self, Member};
use crate::DataError;

/// Most bytes a gzip'd archive may unpack to, since it is kept in memory. Imagenette's has 0.1 GB.
const LARGEST_UNPACKED: u64 = 1 << 30;

/// Most bytes a text, such as a list of labels, may have. ILSVRC's largest has 0.3 MB.
const LARGEST_TEXT: u64 = 64 << 20;

const PICTURES: [&str; 4] = ["jpg", "jpeg", "png", "webp"];
const ARCHIVES: [&str; 3] = [".tar", ".tgz", ".tar.gz"];

/// Whether a file is named as a picture. By name only: asking the system about each of a million
/// files takes minutes on some disks.
pub(crate) fn is_picture(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| {
        PICTURES
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
    /// Its path, an archive standing for a folder.
    pub(crate) fn path(&self) -> PathBuf {
        match self {
            Self::Disk(path) => path.clone(),
            Self::Archive(archive, inside) if inside.is_empty() => archive.path.clone(),
            Self::Archive(archive, inside) => shown(&archive.path.join(inside)).into(),
        }
    }

    /// The folder `name` in it, which may not be there.
    pub(crate) fn join(&self, name: &str) -> Self {
        match self {
            Self::Disk(path) => Self::Disk(path.join(name)),
            Self::Archive(archive, inside) => {
                Self::Archive(Arc::clone(archive), below(inside, name))
            }
        }
    }

    /// The folder of that name in it, if there is one.
    pub(crate) fn folder(&self, name: &str) -> Option<Self> {
        let folder = self.join(name);
        let there = match &folder {
            Self::Disk(path) => path.is_dir(),
            Self::Archive(archive, inside) => archive.folders.contains_key(inside),
        };
        there.then_some(folder)
    }

    /// The names of the folders in it, sorted, without hidden ones.
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
                let first = below(inside, "");
                let names = archive
                    .folders
                    .range(first.clone()..)
                    .map_while(|(path, _)| path.strip_prefix(&first))
                    .filter(|name| {
                        !name.is_empty() && !name.contains('/') && !name.starts_with('.')
                    });
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
                let members = archive.folders.get(inside).map_or(&[][..], Vec::as_slice);
                let members = members
                    .iter()
                    .filter(|member| !member.path.starts_with('.') && wanted(&member.path));
                Ok(members.map(|member| archive.file(inside, member)).collect())
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
                let members = archive.folders.get(inside)?;
                let found = members.binary_search_by(|member| member.path.as_str().cmp(name));
                Some(archive.file(inside, &members[found.ok()?]))
            }
        }
    }

    /// The pictures directly in it, sorted by name.
    pub(crate) fn pictures(&self) -> Result<Vec<File>, DataError> {
        self.files(is_picture)
    }
}

fn below(inside: &str, name: &str) -> String {
    if inside.is_empty() {
        name.into()
    } else {
        format!("{inside}/{name}")
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
        if text.starts_with('.') || !wanted(&text, &entry) {
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

    /// Where its bytes are.
    pub(crate) fn slice(&self) -> Result<Slice, DataError> {
        match &self.place {
            Place::Disk(folder) => Slice::of_file(Arc::clone(folder), self.name.clone()),
            Place::Archive(slice) => Ok(slice.clone()),
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
        self.slice()?.read_up_to(LARGEST_TEXT)
    }

    /// A small file's text; what is not UTF-8 in it becomes U+FFFD.
    pub(crate) fn text(&self) -> Result<String, DataError> {
        Ok(String::from_utf8_lossy(&self.bytes()?).into_owned())
    }

    /// The tar it is, plain or gzip'd, as a folder.
    ///
    /// # Errors
    ///
    /// If it is damaged, holds something [`tar::scan`] refuses or two members of one name, or is
    /// gzip'd and unpacks to more than 1 GiB.
    pub(crate) fn enter(&self) -> Result<Folder, DataError> {
        Ok(Folder::Archive(
            Arc::new(Archive::of(self.slice()?)?),
            String::new(),
        ))
    }

    /// The paths of the first `count` files of the tar it is; none if it is something else. Of a
    /// gzip'd one no more is unpacked than this takes.
    pub(crate) fn first_members(&self, count: usize) -> Result<Vec<String>, DataError> {
        let slice = self.slice()?;
        let start = start(&slice, GZIP.len())?;
        let mut head = Vec::new();
        let (reader, length): (Box<dyn ReadSeek + '_>, u64) = if start == GZIP {
            // Enough for the headers before the first files of an archive of pictures.
            MultiGzDecoder::new(slice.open()?)
                .take(HEAD)
                .read_to_end(&mut head)
                .or_else(|source| {
                    if head.is_empty() {
                        Err(gzip(&slice, source))
                    } else {
                        Ok(0)
                    }
                })?;
            // Cut short on purpose: the last member may end beyond.
            (Box::new(std::io::Cursor::new(&head)), u64::MAX / 2)
        } else {
            (Box::new(slice.open()?), slice.length())
        };
        let mut names = Vec::new();
        let scanned = tar::scan(reader, length, |member| {
            names.push(member.path);
            if names.len() < count {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        match scanned {
            // An archive damaged further on is refused by who enters it.
            Err(_) | Ok(()) => Ok(names),
        }
    }
}

trait ReadSeek: Read + std::io::Seek {}
impl<T: Read + std::io::Seek> ReadSeek for T {}

const GZIP: [u8; 2] = [0x1f, 0x8b];
const HEAD: u64 = 4 << 20;

fn start(slice: &Slice, count: usize) -> Result<Vec<u8>, DataError> {
    let mut start = Vec::new();
    slice
        .open()?
        .take(slice.length().min(count as u64))
        .read_to_end(&mut start)
        .map_err(|source| DataError::Read {
            path: slice.name().into(),
            source,
        })?;
    Ok(start)
}

fn gzip(slice: &Slice, source: std::io::Error) -> DataError {
    DataError::Gzip {
        path: slice.name().into(),
        source,
    }
}

/// The members of a tar, by the folder they are in.
#[derive(Debug)]
pub(crate) struct Archive {
    /// Where it is, an archive around it standing for a folder.
    path: PathBuf,
    /// What its members are slices of, and its own path and first byte in there.
    within: Arc<Container>,
    inside: String,
    offset: u64,
    /// Of each folder, its own files sorted by name; here a member's path is its name.
    folders: BTreeMap<String, Vec<Member>>,
}

impl Archive {
    fn of(slice: Slice) -> Result<Self, DataError> {
        let path = slice.path();
        let (within, inside, offset, length) = if start(&slice, GZIP.len())? == GZIP {
            let bytes = gunzip(&slice)?;
            let length = bytes.len() as u64;
            let within = Container::Memory(path.clone(), bytes);
            (Arc::new(within), String::new(), 0, length)
        } else {
            let (within, member, offset) = slice.parts();
            let (within, member) = match &**within {
                Container::Folder(_) => (Arc::new(Container::File(slice.file())), ""),
                _ => (Arc::clone(within), member),
            };
            (within, member.into(), offset, slice.length())
        };
        let mut archive = Self {
            path,
            within,
            inside,
            offset,
            folders: BTreeMap::from([(String::new(), Vec::new())]),
        };
        archive.scan(length)?;
        Ok(archive)
    }

    fn scan(&mut self, length: u64) -> Result<(), DataError> {
        let whole = Slice::new(
            Arc::clone(&self.within),
            self.inside.clone(),
            self.offset,
            length,
        );
        let folders = &mut self.folders;
        tar::scan(whole.open()?, length, |mut member| {
            let folder = match member.path.rsplit_once('/') {
                Some((folder, name)) => {
                    let folder = folder.to_string();
                    member.path = name.into();
                    folder
                }
                None => String::new(),
            };
            folders.entry(folder).or_default().push(member);
            ControlFlow::Continue(())
        })
        .map_err(|damage| DataError::Archive {
            path: self.path.clone(),
            offset: damage.offset,
            reason: damage.reason,
        })?;

        // Folders of which nothing but folders is in the archive.
        let paths: Vec<String> = self.folders.keys().cloned().collect();
        for path in &paths {
            let above = path.match_indices('/').map(|(end, _)| &path[..end]);
            for folder in above {
                if !self.folders.contains_key(folder) {
                    self.folders.insert(folder.into(), Vec::new());
                }
            }
        }
        for (folder, members) in &mut self.folders {
            members.sort_unstable_by(|a, b| (&a.path, a.offset).cmp(&(&b.path, b.offset)));
            let twins = members.windows(2).find(|pair| pair[0].path == pair[1].path);
            if let Some([first, second]) = twins {
                return Err(DataError::Archive {
                    path: self.path.clone(),
                    offset: second.offset,
                    reason: format!(
                        "a second file `{}`; the first is at byte {}",
                        shown(below(folder, &second.path).as_ref()),
                        first.offset
                    ),
                });
            }
            members.shrink_to_fit();
        }
        Ok(())
    }

    fn file(&self, folder: &str, member: &Member) -> File {
        let path = below(&self.inside, &below(folder, &member.path));
        File {
            name: member.path.clone(),
            place: Place::Archive(Slice::new(
                Arc::clone(&self.within),
                path,
                self.offset + member.offset,
                member.length,
            )),
        }
    }
}

fn gunzip(slice: &Slice) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    MultiGzDecoder::new(slice.open()?.take(slice.length()))
        .take(LARGEST_UNPACKED + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| gzip(slice, source))?;
    if bytes.len() as u64 > LARGEST_UNPACKED {
        return Err(DataError::Unpacked {
            path: slice.path(),
            limit: LARGEST_UNPACKED,
        });
    }
    Ok(bytes)
}
