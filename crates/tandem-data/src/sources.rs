//! The forms in which labelled pictures are found, one file a form, and how a form is recognised.

mod builtin;
mod cifar;
mod folder;
mod idx;
mod memory;

use std::path::Path;
use std::sync::Arc;

use crate::{DataError, Dataset, Pack, Part, pack};

const LOOKED_FOR: &str = "a pack (pack.json), IDX files (train-images-idx3-ubyte[.gz] …), \
    CIFAR-10 binary files (data_batch_1.bin …), CIFAR-100 binary files (train.bin, test.bin), \
    or picture folders (train/ and val/, valid/ or test/ with a folder a class, or a folder a class)";

/// A part of a data set, and its pictures.
pub type Opened = (Part, Arc<dyn Dataset>);

/// Opens every part that the data `spec` names has, at least one; see [`open`].
///
/// A [`Part::Test`] is only there if it is no [`Part::Validation`] under another name.
///
/// # Errors
///
/// As [`open`], but for parts that are missing.
pub fn open_all(spec: &str) -> Result<Vec<Opened>, DataError> {
    let mut parts = Vec::new();
    let mut missing = None;
    for part in Part::ALL {
        match open(spec, part) {
            Ok(test) if part == Part::Test && test.label(0).is_some() => {}
            Ok(dataset) => parts.push((part, dataset)),
            Err(error @ (DataError::Missing { .. } | DataError::NoPictures { .. })) => {
                missing = missing.or(Some(error));
            }
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if parts.is_empty() => Err(error),
        _ => Ok(parts),
    }
}

/// Opens one part of the data that `spec` names: `builtin`, or the path of a folder (or of a file in
/// it), recognised by what it holds.
///
/// - IDX, plain or gzip: MNIST, and Fashion-MNIST if a folder on the way is named so
/// - CIFAR-10 and CIFAR-100 in their binary version
/// - picture folders (JPEG, PNG, WebP): `train/` and `val/`, `valid/` or `test/`, each with a folder a
///   class; or only a folder a class, of which every tenth picture is held out
///
/// ```
/// use tandem_data::{Part, open};
/// let train = open("builtin", Part::Train)?;
/// assert_eq!((train.len(), train.channels()), (6000, 1));
/// assert_eq!(train.classes()[9], "Ankle boot");
/// # Ok::<(), tandem_data::DataError>(())
/// ```
///
/// # Errors
///
/// If nothing stands there or nothing is recognised (saying what was looked for), or if the files are
/// not what their format says.
pub fn open(spec: &str, part: Part) -> Result<Arc<dyn Dataset>, DataError> {
    if spec == "builtin" {
        return Ok(Arc::new(builtin::open(part)?));
    }
    let path = Path::new(spec);
    let metadata = std::fs::metadata(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => DataError::NotFound {
            path: path.into(),
            looked_for: LOOKED_FOR,
        },
        _ => DataError::Read {
            path: path.into(),
            source,
        },
    })?;
    if metadata.is_dir() {
        if pack::recognises(path) {
            return Ok(Arc::new(Pack::open(path, part)?));
        }
        if idx::recognises(path) {
            return Ok(Arc::new(idx::open(path, part)?));
        }
        if let Some(kind) = cifar::recognises(path) {
            return Ok(Arc::new(cifar::open(path, kind, part)?));
        }
        if folder::recognises(path)? {
            return Ok(Arc::new(folder::open(path, part)?));
        }
    } else if let Some(parent) = path.parent() {
        // "data.bin" has the parent "", which means here.
        let parent = if parent.as_os_str().is_empty() {
            Path::new(".")
        } else {
            parent
        };
        if idx::is_file_of(path) {
            return Ok(Arc::new(idx::open(parent, part)?));
        }
        if let Some(kind) = cifar::is_file_of(path) {
            return Ok(Arc::new(cifar::open(parent, kind, part)?));
        }
    }
    Err(DataError::Unrecognised {
        path: path.into(),
        looked_for: LOOKED_FOR,
    })
}
