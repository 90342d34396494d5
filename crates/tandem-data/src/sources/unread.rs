//! What is often given and not read: said by its name, with the way to what is.

use std::io::Read;
use std::path::PathBuf;

use super::holds::FIRST;
use super::tree::{File, Folder, is_archive, is_picture};
use crate::DataError;

/// What a file is that is not read, and what to do about it.
type Kind = (&'static str, &'static str);

const ZIP: Kind = (
    "a zip archive",
    "`unzip` it and give the folder that comes of it",
);
const RAR: Kind = (
    "a rar archive",
    "unpack it and give the folder that comes of it",
);
const SEVEN: Kind = (
    "a 7z archive",
    "unpack it and give the folder that comes of it",
);
const BZIP2: Kind = (
    "packed with bzip2",
    "`bunzip2` it; a .tar is then read where it lies",
);
const XZ: Kind = (
    "packed with xz",
    "`xz -d` it; a .tar is then read where it lies",
);
const ZSTD: Kind = (
    "packed with zstd",
    "`zstd -d` it; a .tar is then read where it lies",
);
const ARROW: Kind = (
    "an Arrow file, of the `datasets` library's cache or its save_to_disk",
    "in Python, `load_from_disk(…)[\"train\"].to_parquet(\"train.parquet\")` writes what is read",
);
const PICKLE: Kind = (
    "a Python pickle",
    "of CIFAR fetch the binary version (cifar-10-binary.tar.gz, cifar-100-binary.tar.gz) from the \
     same page; write others as picture folders",
);
const NUMPY: Kind = (
    "a NumPy array",
    "write its pictures to a folder a class, as PNG files",
);
const HDF5: Kind = (
    "an HDF5 file",
    "write its pictures to a folder a class, as PNG files",
);
const PICTURE: Kind = (
    "a picture, not a set of them",
    "give a folder with a folder of pictures a class; `tandem predict` takes single pictures",
);

/// How files begin.
const STARTS: [(&[u8], Kind); 14] = [
    (b"PK\x03\x04", ZIP),
    (b"Rar!", RAR),
    (b"7z\xbc\xaf\x27\x1c", SEVEN),
    (b"BZh", BZIP2),
    (b"\xfd7zXZ\0", XZ),
    (b"\x28\xb5\x2f\xfd", ZSTD),
    (b"ARROW1", ARROW),
    (b"\xff\xff\xff\xff\x10\x00\x00\x00", ARROW),
    (b"\x80\x02", PICKLE),
    (b"\x80\x04", PICKLE),
    (b"\x93NUMPY", NUMPY),
    (b"\x89HDF\r\n", HDF5),
    (b"\xff\xd8\xff", PICTURE),
    (b"\x89PNG", PICTURE),
];

/// What stands in the names of files that begin in no way of their own.
const NAMES: [(&str, Kind); 3] = [
    (
        ".tfrecord",
        (
            "a TFRecord file",
            "write its pictures to a folder a class, or as WebDataset shards",
        ),
    ),
    (
        ".mdb",
        (
            "an LMDB database",
            "write its pictures to a folder a class, or as WebDataset shards",
        ),
    ),
    (
        ".beton",
        (
            "an FFCV file",
            "give the pictures that it was made of, and `tandem data pack` them",
        ),
    ),
];

/// How files end that are looked into.
const ENDINGS: [&str; 17] = [
    "zip", "rar", "7z", "bz2", "tbz", "tbz2", "xz", "txz", "zst", "arrow", "pkl", "pickle", "npy",
    "npz", "h5", "hdf5", "hdf",
];

/// CIFAR as pickles: files that are there in no other set.
const PICKLED: [(&str, &[&str], Kind); 2] = [
    (
        "CIFAR-10",
        &["data_batch_1", "batches.meta"],
        (
            "the Python version of CIFAR-10 (pickles)",
            "fetch the binary version, cifar-10-binary.tar.gz, from the same page",
        ),
    ),
    (
        "CIFAR-100",
        &["train", "test", "meta"],
        (
            "the Python version of CIFAR-100 (pickles)",
            "fetch the binary version, cifar-100-binary.tar.gz, from the same page",
        ),
    ),
];

/// What is known of a file in which no set was found.
///
/// # Errors
///
/// [`DataError::Unread`] if it is known and not read; that it cannot be read at all.
pub(crate) fn explain_file(file: &File) -> Result<(), DataError> {
    let mut start = Vec::new();
    let slice = file.slice();
    slice
        .open()?
        .take(slice.length().min(16))
        .read_to_end(&mut start)
        .map_err(|source| DataError::Read {
            path: file.path(),
            source,
        })?;
    let path = file.path();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let by_start = STARTS.iter().find(|(bytes, _)| start.starts_with(bytes));
    let by_name = || NAMES.iter().find(|(part, _)| name.contains(part));
    let kind = by_start.map(|(_, kind)| kind);
    match kind.or_else(|| by_name().map(|(_, kind)| kind)) {
        Some(kind) => Err(unread(path, *kind)),
        None => Ok(()),
    }
}

/// What is known of a folder in which no set was found.
///
/// # Errors
///
/// [`DataError::Unread`] if it holds what is known and not read, or pictures without classes.
pub(crate) fn explain(folder: &Folder) -> Result<(), DataError> {
    let holds = |name: &&str| folder.file(name).is_some();
    if let Some((_, _, kind)) = PICKLED
        .iter()
        .find(|(_, names, _)| names.iter().all(&holds))
    {
        return Err(unread(folder.path(), *kind));
    }
    let known = |name: &str| {
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        let by_ending = ENDINGS
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known));
        by_ending || NAMES.iter().any(|(part, _)| name.contains(part))
    };
    // One is enough: a set has hundreds, all alike.
    if let Some(file) = folder.files(known)?.first() {
        explain_file(file)?;
    }
    if let Some(shard) = folder.files(is_archive)?.first() {
        explain_archive(shard)?;
    }
    if matches!(folder, Folder::Archive(..)) {
        return Ok(());
    }
    if folder.folders()?.is_empty() && !folder.pictures()?.is_empty() {
        let kind = (
            "a folder of pictures without a folder a class",
            "put those of each class into a folder of its name, or give the folder above if this is \
             one class; `tandem predict` takes pictures without labels",
        );
        return Err(unread(folder.path(), kind));
    }
    Ok(())
}

/// Parquet files are read where they lie, and not in an archive.
///
/// # Errors
///
/// [`DataError::Unread`] if `members`, the first of `file`, are parquet files.
pub(crate) fn explain_parquet(file: &File, members: &[String]) -> Result<(), DataError> {
    if !members.iter().any(|name| name.ends_with(".parquet")) {
        return Ok(());
    }
    let kind = (
        "an archive of parquet files",
        "unpack it and give the folder that comes of it",
    );
    Err(unread(file.path(), kind))
}

/// What is known of an archive in which no set was found.
///
/// # Errors
///
/// [`DataError::Unread`] if it holds pictures: their labels are missing.
pub(crate) fn explain_archive(file: &File) -> Result<(), DataError> {
    let members = file.first_members(FIRST)?;
    if !members.iter().any(|name| is_picture(name)) {
        return Ok(());
    }
    let kind = (
        "an archive of pictures without labels",
        "a WebDataset has KEY.cls or KEY.json beside each KEY.jpg; other pictures lie in a folder a class",
    );
    Err(unread(file.path(), kind))
}

fn unread(path: PathBuf, (what, fix): Kind) -> DataError {
    DataError::Unread { path, what, fix }
}
