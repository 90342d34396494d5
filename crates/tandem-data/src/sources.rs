//! The forms in which labelled pictures are found, one file a form, and how a form is recognised.
//!
//! Below the forms: a [`slice`] is the bytes of one picture; a [`tree`] makes folders of archives
//! ([`archive`]; [`tar`] finds the members); a [`listing`] is a data set of slices in the one order
//! all forms share; [`wnid`] names the classes; [`labels`] and [`devkit`] label pictures that do not
//! lie by class.

mod archive;
mod beside;
mod builtin;
mod cifar;
pub(crate) mod devkit;
mod folder;
mod holds;
pub(crate) mod idx;
mod ilsvrc;
pub(crate) mod labels;
mod listing;
pub(crate) mod mat5;
mod memory;
pub(crate) mod parquet;
mod slice;
pub(crate) mod tar;
mod tiny;
mod tree;
pub(crate) mod webdataset;
mod wnid;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::devkit::ilsvrc_ids;
use self::holds::Holds;
pub use self::parquet::ParquetProblem;
use self::tree::{File, Folder, is_archive};
pub use self::wnid::ilsvrc_classes;
use crate::{DataError, Dataset, Pack, Part, pack};

const LOOKED_FOR: &str = "a pack (pack.json), IDX files (train-images-idx3-ubyte[.gz] …), \
    parquet files (train-….parquet …, or in train/ …), \
    CIFAR-10 binary files (data_batch_1.bin …), CIFAR-100 binary files (train.bin, test.bin), \
    ILSVRC 2012 (ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar with \
    ILSVRC2012_devkit_t12.tar.gz, ILSVRC2012_img_test.tar, or what is in them; Kaggle's \
    ILSVRC/Data/CLS-LOC with LOC_val_solution.csv), Tiny-ImageNet-200 (wnids.txt …), \
    WebDataset shards (.tar files of KEY.jpg with KEY.cls or KEY.json), \
    or picture folders (train/ and val/, valid/ or test/ with a folder a class, or a folder a class), \
    unpacked or as one .tar, .tar.gz or .tgz";

/// Folders with nothing in them but one folder or archive are passed through, this many deep.
const PASSED_THROUGH: usize = 3;

/// A set that was recognised: it opens a part.
type Set = Box<dyn Fn(Part) -> Result<Arc<dyn Dataset>, DataError>>;

fn set<D: Dataset + 'static>(open: impl Fn(Part) -> Result<D, DataError> + 'static) -> Set {
    Box::new(move |part| Ok(Arc::new(open(part)?)))
}

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
    let open = recognise(spec)?;
    let mut parts = Vec::new();
    let mut missing = None;
    for part in Part::ALL {
        match open(part) {
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
/// it), recognised by what it holds, whatever its own name.
///
/// - IDX, plain or gzip: MNIST, and Fashion-MNIST if a folder on the way is named so
/// - CIFAR-10 and CIFAR-100 in their binary version
/// - ILSVRC 2012: the training pictures as `ILSVRC2012_img_train.tar` (a tar of a tar a class), as
///   those tars, or as folders; validation and test pictures as their tar or a folder; the labels in
///   the devkit, `ILSVRC2012_devkit_t12.tar.gz` or unpacked. Kaggle's tree: `ILSVRC/Data/CLS-LOC` with
///   `LOC_val_solution.csv` and `LOC_synset_mapping.txt`
/// - Tiny-ImageNet-200
/// - WebDataset: shards with `train`, `val` or `test` in their path, or without: then every tenth
///   picture of a class is held out
/// - parquet files of Hugging Face's layout, any number of them, or one: `train-….parquet`,
///   `validation-….parquet`, `test-….parquet`, or in folders of these names; of a set without
///   held-out pictures every tenth of a class is. Columns `image` (bytes, or bytes and path) and
///   `label`; class names from the metadata of the `datasets` library, or else numbers, and in both
///   cases WNIDs where the pictures' paths carry them
/// - picture folders (JPEG, PNG, WebP), Imagenette's among them: `train/` and `val/`, `valid/` or
///   `test/`, each with a folder a class; or only a folder a class, of which every tenth picture is
///   held out
///
/// An archive stands for the folder that it would be unpacked to, and is never unpacked to disk: a
/// tar is read where it lies, a `.tar.gz` or `.tgz` is kept in memory, of at most 2 GiB unpacked.
///
/// Encoded pictures stand in one order, whatever the form: by label, then by key. A class named by a
/// WNID is called by that and its words, `n01751748 sea snake`, so that classes are sorted by WNID.
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
    recognise(spec)?(part)
}

/// [`open`]s what a training run reads: the pictures to train on and those held out. The data is
/// recognised once for both.
///
/// # Errors
///
/// As [`open`].
pub fn open_for_training(spec: &str) -> Result<[Arc<dyn Dataset>; 2], DataError> {
    let open = recognise(spec)?;
    Ok([open(Part::Train)?, open(Part::Validation)?])
}

/// The set that `spec` names.
fn recognise(spec: &str) -> Result<Set, DataError> {
    if spec == "builtin" {
        return Ok(set(builtin::open));
    }
    let path = PathBuf::from(spec);
    let metadata = std::fs::metadata(&path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => DataError::NotFound {
            path: path.clone(),
            looked_for: LOOKED_FOR,
        },
        _ => DataError::Read {
            path: path.clone(),
            source,
        },
    })?;
    let found = if metadata.is_dir() {
        if pack::recognises(&path) {
            return Ok(set(move |part| Pack::open(&path, part)));
        }
        if idx::recognises(&path) {
            return Ok(set(move |part| idx::open(&path, part)));
        }
        if let Some(kind) = cifar::recognises(&path) {
            return Ok(set(move |part| cifar::open(&path, kind, part)));
        }
        let files = parquet::files(&path)?;
        if !files.is_empty() {
            return Ok(set(move |part| parquet::open(&path, &files, part)));
        }
        in_folder(&Folder::Disk(path.clone()), PASSED_THROUGH)?
    } else {
        if idx::is_file_of(&path) {
            return Ok(set(move |part| idx::open(parent(&path), part)));
        }
        if let Some(kind) = cifar::is_file_of(&path) {
            return Ok(set(move |part| cifar::open(parent(&path), kind, part)));
        }
        if parquet::is_file_of(&path) {
            let files = [path.clone()];
            return Ok(set(move |part| parquet::open(parent(&path), &files, part)));
        }
        in_file(&path)?
    };
    found.ok_or(DataError::Unrecognised {
        path,
        looked_for: LOOKED_FOR,
    })
}

/// The folder of a file: "data.bin" has the parent "", which means here.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The set of encoded pictures in a folder on disk or in an archive.
fn in_folder(root: &Folder, deeper: usize) -> Result<Option<Set>, DataError> {
    let here = root.clone();
    if tiny::recognises(root) {
        return Ok(Some(set(move |part| tiny::open(&here, part))));
    }
    if let Some(found) = webdataset::find(root)? {
        return Ok(Some(set(move |part| found.open(part))));
    }
    if let Some(found) = ilsvrc::find(root)? {
        return Ok(Some(set(move |part| found.open(part))));
    }
    let recognised = folder::recognises(root);
    if matches!(recognised, Ok(true)) {
        return Ok(Some(set(move |part| folder::open(&here, part))));
    }
    let (folders, archives) = (root.folders()?, root.files(is_archive)?);
    let only = match (folders.as_slice(), archives.as_slice()) {
        ([folder], []) => Some(root.join(folder)),
        ([], [archive]) if deeper > 0 => Some(archive.enter()?),
        _ => None,
    };
    match only.filter(|_| deeper > 0) {
        Some(folder) => match in_folder(&folder, deeper - 1) {
            // What is said of the outer folder says more.
            Err(DataError::EmptyClasses { .. }) | Ok(None) => recognised.map(|_| None),
            found => found,
        },
        None => recognised.map(|_| None),
    }
}

/// The set in the archive at `path`, or the set that it is a file of.
fn in_file(path: &Path) -> Result<Option<Set>, DataError> {
    let folder = Folder::Disk(parent(path).into());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if ilsvrc::is_file_of(&name) || (name == "wnids.txt" && tiny::recognises(&folder)) {
        return in_folder(&folder, 0);
    }
    let file = File::at(path);
    let members = file.first_members(holds::FIRST)?;
    if members.is_empty() && !is_archive(&name) {
        return Ok(None);
    }
    if let Some(found) = webdataset::of_file(&file)? {
        return Ok(Some(set(move |part| found.open(part))));
    }
    match Holds::of(members.iter().map(String::as_str)) {
        Holds::ClassFolders | Holds::Other => in_folder(&file.enter()?, PASSED_THROUGH),
        // The other parts are in files beside it.
        _ => in_folder(&folder, 0),
    }
}
