//! The bytes of one file: a file of its own, or a part of an archive. Nothing is kept open between
//! reads.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::DataError;

/// Most bytes an encoded picture may have. ILSVRC's largest has 15 MB.
const LARGEST_PICTURE: u64 = 256 << 20;

/// What slices are cut from.
#[derive(Debug)]
pub(crate) enum Container {
    /// A folder; each file in it is one slice.
    Folder(PathBuf),
    /// An archive, read where it lies.
    File(PathBuf),
    /// A gzip'd archive, unpacked into memory.
    Memory(PathBuf, Vec<u8>),
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    within: Arc<Container>,
    /// Its path in the container, `/` between the parts. Empty: the container itself.
    member: Box<str>,
    offset: u64,
    length: u64,
}

impl Slice {
    pub(crate) fn new(within: Arc<Container>, member: String, offset: u64, length: u64) -> Self {
        Self {
            within,
            member: member.into(),
            offset,
            length,
        }
    }

    /// The file `member` of a folder, whole. Of one that is not there, such as a link to nowhere, reading
    /// it says so: one picture is not the end of a set.
    pub(crate) fn of_file(folder: Arc<Container>, member: String) -> Self {
        let mut slice = Self::new(folder, member, 0, 0);
        slice.length = std::fs::metadata(slice.file()).map_or(0, |file| file.len());
        slice
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// What it is cut from, its path there and its first byte.
    pub(crate) fn parts(&self) -> (&Arc<Container>, &str, u64) {
        (&self.within, &self.member, self.offset)
    }

    /// The file on disk that holds it.
    pub(crate) fn file(&self) -> PathBuf {
        match &*self.within {
            Container::Folder(path) if !self.member.is_empty() => path.join(&*self.member),
            Container::Folder(path) | Container::File(path) | Container::Memory(path, _) => {
                path.clone()
            }
        }
    }

    /// Its path, an archive standing for a folder.
    pub(crate) fn path(&self) -> PathBuf {
        match &*self.within {
            Container::File(path) | Container::Memory(path, _) if !self.member.is_empty() => {
                shown(&path.join(&*self.member)).into()
            }
            _ => shown(&self.file()).into(),
        }
    }

    /// Where it is, so that a person can find it.
    pub(crate) fn name(&self) -> String {
        let path = self.path();
        match &*self.within {
            Container::Folder(_) => path.display().to_string(),
            Container::File(_) => format!("{} (at byte {})", path.display(), self.offset),
            Container::Memory(..) => {
                format!("{} (at byte {} unpacked)", path.display(), self.offset)
            }
        }
    }

    /// The whole slice.
    pub(crate) fn read(&self) -> Result<Vec<u8>, DataError> {
        self.read_up_to(LARGEST_PICTURE)
    }

    /// The whole slice, if it has at most `limit` bytes.
    pub(crate) fn read_up_to(&self, limit: u64) -> Result<Vec<u8>, DataError> {
        if self.length > limit {
            return Err(DataError::TooLarge {
                path: self.path(),
                length: self.length,
                limit,
            });
        }
        let mut bytes = Vec::new();
        self.open()?
            .take(self.length)
            .read_to_end(&mut bytes)
            .map_err(|source| self.unreadable(source))?;
        if (bytes.len() as u64) < self.length {
            return Err(DataError::Length {
                path: self.name().into(),
                problem: "too short",
                found: format!("{} bytes", bytes.len()),
                wanted: self.length.to_string(),
            });
        }
        Ok(bytes)
    }

    /// A reader that stands at its first byte, and does not stop at its last.
    pub(crate) fn open(&self) -> Result<Reader<'_>, DataError> {
        if let Container::Memory(_, bytes) = &*self.within {
            // An index made by scanning these bytes stays inside them.
            let start = usize::try_from(self.offset).map_or(bytes.len(), |at| at.min(bytes.len()));
            return Ok(Reader::Memory(std::io::Cursor::new(&bytes[start..])));
        }
        let file = plain(&self.file())
            .and_then(|mut file| file.seek(SeekFrom::Start(self.offset)).map(|_| file))
            .map_err(|source| self.unreadable(source))?;
        Ok(Reader::File(file))
    }

    fn unreadable(&self, source: std::io::Error) -> DataError {
        DataError::Read {
            path: self.name().into(),
            source,
        }
    }
}

/// Opens a plain file: to open a pipe is to wait for who writes into it.
pub(crate) fn plain(path: &Path) -> std::io::Result<File> {
    if std::fs::metadata(path)?.is_file() {
        File::open(path)
    } else {
        Err(std::io::Error::other("it is no plain file"))
    }
}

/// An open slice.
pub(crate) enum Reader<'a> {
    File(File),
    Memory(std::io::Cursor<&'a [u8]>),
}

impl Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::File(file) => file.read(into),
            Self::Memory(bytes) => bytes.read(into),
        }
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        match self {
            Self::File(file) => file.seek(to),
            Self::Memory(bytes) => bytes.seek(to),
        }
    }
}

/// A path as messages and lists show it: control characters, which a terminal would obey, escaped.
pub(crate) fn shown(path: &Path) -> String {
    let mut text = String::new();
    for c in path.to_string_lossy().chars() {
        if c.is_control() {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
    text
}
