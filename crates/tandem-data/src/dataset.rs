//! What a set of labelled pictures is, and how a data specification is recognised.

use std::path::Path;
use std::sync::Arc;

use crate::{DataError, Picture, builtin, cifar, folder, idx};

const LOOKED_FOR: &str = "IDX files (train-images-idx3-ubyte[.gz] …), \
    CIFAR-10 binary files (data_batch_1.bin …), CIFAR-100 binary files (train.bin, test.bin), \
    or picture folders (train/ and val/, valid/ or test/ with a folder a class, or a folder a class)";

/// Labelled pictures, in a fixed order.
pub trait Dataset: Send + Sync {
    /// How many pictures.
    fn len(&self) -> usize;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The names of the classes; a label is a place in it.
    fn classes(&self) -> &[String];
    /// The label of picture `i`.
    fn label(&self, i: usize) -> u32;
    /// Reads and decodes picture `i`.
    ///
    /// # Errors
    ///
    /// If its file cannot be read or does not decode.
    fn picture(&self, i: usize) -> Result<Picture, DataError>;
    /// A name for picture `i` that a person can find it by.
    fn name(&self, i: usize) -> String;
    /// Channels of the pictures, 1 or 3. A folder may hold grey files among coloured ones.
    fn channels(&self) -> usize;
    /// Tells this data set from others, over runs and machines: contents, labels, classes and order.
    /// Of picture folders: file names and lengths in place of contents.
    fn fingerprint(&self) -> u64;
}

/// Which part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The pictures to train on.
    Train,
    /// The pictures held out.
    Test,
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
