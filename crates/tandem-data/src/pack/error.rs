//! What can be wrong with a pack: each error names the file and the fix.

use std::path::{Path, PathBuf};

use crate::DataError;

/// An error of making or reading a pack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The system refused to write a file.
    #[error("cannot write {path}: {source}{}", space(source))]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// What is to be packed is more than the disk holds.
    #[error(
        "{path} needs {} more, and its disk has {} free{}", bytes(*needed), bytes(*free), as_jpeg_instead(*as_jpeg)
    )]
    DiskSpace {
        /// Where it was to go.
        path: PathBuf,
        /// Bytes it needs beyond what is there.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// Bytes it would take as JPEG of quality 90; 0 if it is JPEG already.
        as_jpeg: u64,
    },
    /// The folder holds the shards of other data or other settings.
    #[error(
        "{path} is of other pictures or other settings than those to be packed; give another folder, \
         or remove that one first"
    )]
    OtherPack {
        /// The file that is there.
        path: PathBuf,
    },
    /// The folder holds something that is no pack.
    #[error("{path} is not empty, and no pack ({found} is in it); give a new folder")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// What is in it, the first by name.
        found: String,
    },
    /// Another process packs there.
    #[error("another process is packing into {path}; wait for it, or give another folder")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// Packing was stopped before it was done.
    #[error(
        "{path} is a pack that was not finished; `tandem data pack SOURCE {path}` with the same \
         settings goes on"
    )]
    Unfinished {
        /// The folder.
        path: PathBuf,
    },
    /// The pack has no such part.
    #[error(
        "{path} has no {part} pictures: there were none in what was packed. Pack a set that has them, \
         into another folder"
    )]
    NoPart {
        /// The folder.
        path: PathBuf,
        /// The part's name.
        part: &'static str,
    },
    /// A shard or a mean is not there.
    #[error(
        "{path} is missing; `tandem data pack SOURCE FOLDER` again, with the same settings, makes it anew"
    )]
    NoFile {
        /// The file.
        path: PathBuf,
    },
    /// A file of a pack is not what was written.
    #[error(
        "{path} is damaged: {problem}. `tandem data pack SOURCE FOLDER` again, with the same settings, \
         makes the damaged files anew"
    )]
    Shard {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// The description of a pack does not read.
    #[error(
        "{path} describes no pack that this Tandem reads: {problem}. If it is damaged, remove it and \
         `tandem data pack SOURCE FOLDER` again with the same settings: what is whole is kept"
    )]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl PackError {
    /// What is wrong with a file of a pack that cannot be opened.
    pub(super) fn unread(path: &Path, source: std::io::Error) -> DataError {
        let path = path.into();
        match source.kind() {
            std::io::ErrorKind::NotFound => Self::NoFile { path }.into(),
            _ => DataError::Read { path, source },
        }
    }
}

/// What to do about a disk that is full.
fn space(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            "; make room and give the same command again: it goes on"
        }
        _ => "",
    }
}

/// Bytes as people read them.
fn bytes(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

fn as_jpeg_instead(as_jpeg: u64) -> String {
    match as_jpeg {
        0 => String::new(),
        _ => format!(
            "; as JPEG of quality 90 (--jpeg 90) it would take about {}",
            bytes(as_jpeg)
        ),
    }
}
