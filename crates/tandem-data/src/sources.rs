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
mod numbered;
pub(crate) mod parquet;
mod slice;
pub(crate) mod tar;
mod tiny;
mod tree;
mod unread;
pub(crate) mod webdataset;
mod wnid;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::beside::Beside;
pub use self::devkit::ilsvrc_ids;
use self::holds::Holds;
pub use self::parquet::ParquetProblem;
pub(crate) use self::tree::SYSTEM;
use self::tree::{File, Folder, is_archive};
pub use self::wnid::ilsvrc_classes;
use crate::pack::PackError;
use crate::{DataError, Dataset, Pack, Part, pack};

/// What to give where nothing stands.
const GIVE: &str =
    "IDX, CIFAR, ILSVRC 2012, Tiny-ImageNet, WebDataset or parquet files, or picture folders";

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
    let mut parts: Vec<Opened> = Vec::new();
    let mut missing = None;
    for part in Part::ALL {
        let is_validation = |test: &dyn Dataset| {
            parts.iter().any(|(part, before)| {
                *part == Part::Validation && before.fingerprint() == test.fingerprint()
            })
        };
        match open(part) {
            Ok(test) if part == Part::Test && is_validation(&*test) => {}
            Ok(dataset) => parts.push((part, dataset)),
            Err(
                error @ (DataError::Missing { .. }
                | DataError::NoPictures { .. }
                | DataError::Pack(PackError::NoPart { .. })),
            ) => {
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
/// - CIFAR-10 and CIFAR-100 in their binary version, unpacked or not
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
///   `label`, of names or numbers; class names from the metadata of the `datasets` library, or else
///   numbers, and in both cases WNIDs where the pictures' paths carry them
/// - picture folders (JPEG, PNG, WebP), Imagenette's among them: `train/` and `val/`, `validation/` or
///   `test/`, each with a folder a class, and pictures without labels in `test/`; or only a folder a
///   class, of which every tenth picture is held out
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
/// If nothing stands there or nothing is recognised (saying what was looked for), if the files are
/// not what their format says, if some of a part are missing, or if two sets lie in one folder.
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
            looked_for: GIVE,
        },
        _ => DataError::Read {
            path: path.clone(),
            source,
        },
    })?;
    let found = if metadata.is_dir() {
        on_disk(&path, PASSED_THROUGH)?
    } else if !metadata.is_file() {
        return Err(DataError::Read {
            path,
            source: std::io::Error::other("it is neither a file nor a folder"),
        });
    } else {
        let root = Folder::Disk(parent(&path).into());
        if idx::is_file_of(&path) {
            return Ok(set(move |part| idx::open(&root, part)));
        }
        if let Some(kind) = cifar::is_file_of(&path) {
            return Ok(set(move |part| cifar::open(&root, kind, part)));
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

/// The set in a folder on disk: of a form that is only read there, or of another.
fn on_disk(path: &Path, deeper: usize) -> Result<Option<Set>, DataError> {
    let path = path.to_path_buf();
    if pack::recognises(&path) {
        return Ok(Some(set(move |part| Pack::open(&path, part))));
    }
    let root = Folder::Disk(path.clone());
    let files = parquet::files(&path)?;
    let Some(first) = files.first() else {
        return in_folder(&root, deeper);
    };
    if let Some((name, _)) = in_files(&root).first() {
        return Err(DataError::Several {
            path,
            first: (*name).into(),
            second: format!("parquet files ({})", first.display()),
        });
    }
    if let Some(other) = beside_parquet(&root, &files)? {
        // A set's own folder may have pictures beside it, which its description shows.
        let is_own = |file: &PathBuf| {
            let below = file.strip_prefix(&path).unwrap_or(file);
            below
                .iter()
                .next()
                .is_some_and(|name| beside::is_needed(Path::new(name)))
        };
        if !files.iter().all(is_own) {
            return Err(DataError::Several {
                first: first.display().to_string(),
                second: other.display().to_string(),
                path,
            });
        }
        let warning = format!(
            "{} is passed over: parquet files are beside it",
            other.display()
        );
        beside::say_once(&other, Beside::Set, &warning);
    }
    numbered::check(&files, "a set of numbered parquet files")?;
    Ok(Some(set(move |part| parquet::open(&path, &files, part))))
}

/// A folder in `root` with data that is no parquet file of `files`, where none of these are in `root`
/// itself.
fn beside_parquet(root: &Folder, files: &[PathBuf]) -> Result<Option<PathBuf>, DataError> {
    let here = root.path();
    if files.iter().any(|file| file.parent() == Some(&*here)) {
        return Ok(None);
    }
    let holds = |folder: &Folder| {
        let data = folder.files(|name| tree::is_picture(name) || is_archive(name));
        // One that cannot be listed is warned of elsewhere.
        !in_files(folder).is_empty() || data.is_ok_and(|data| !data.is_empty())
    };
    for name in root.folders()? {
        let folder = root.join(&name);
        let path = folder.path();
        if files.iter().any(|file| file.starts_with(&path)) {
            continue;
        }
        let below = folder.folders().unwrap_or_default();
        if holds(&folder) || below.iter().any(|name| holds(&folder.join(name))) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The sets of which `root` holds the files that they are given out as.
fn in_files(root: &Folder) -> Vec<(&'static str, Set)> {
    let mut sets: Vec<(&'static str, Set)> = Vec::new();
    if idx::recognises(root) {
        let root = root.clone();
        sets.push(("IDX files", set(move |part| idx::open(&root, part))));
    }
    for kind in [cifar::Kind::Ten, cifar::Kind::Hundred] {
        if cifar::recognises(root, kind) {
            let root = root.clone();
            let set = set(move |part| cifar::open(&root, kind, part));
            sets.push((kind.set(), set));
        }
    }
    sets
}

/// The set in a folder on disk or in an archive.
fn in_folder(root: &Folder, deeper: usize) -> Result<Option<Set>, DataError> {
    let here = root.clone();
    let mut sets = in_files(root);
    match (sets.pop(), sets.pop()) {
        (None, _) => {}
        (Some((name, set)), None) => {
            if matches!(folder::recognises(root), Ok(true)) {
                let path = root.path();
                let warning = format!(
                    "picture folders in {} are passed over: {name} are beside them",
                    path.display()
                );
                beside::say_once(&path, Beside::Set, &warning);
            }
            return Ok(Some(set));
        }
        (Some((second, _)), Some((first, _))) => {
            return Err(DataError::Several {
                path: root.path(),
                first: first.into(),
                second: second.into(),
            });
        }
    }
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
    let found = match (folders.as_slice(), archives.as_slice()) {
        _ if deeper == 0 => None,
        // An archive beside it is most likely what the folder was unpacked from.
        ([folder], [] | [_]) => match root.join(folder) {
            Folder::Disk(path) => Some(on_disk(&path, deeper - 1)),
            folder => Some(in_folder(&folder, deeper - 1)),
        },
        ([], [archive]) => Some(in_folder(&archive.enter()?, deeper - 1)),
        _ => None,
    };
    match found {
        // What is said of the outer folder says more.
        None | Some(Err(DataError::EmptyClasses { .. }) | Ok(None)) => {}
        Some(found) => return found,
    }
    unread::explain(root)?;
    recognised.map(|_| None)
}

/// The set in the archive at `path`, or the set that it is a file of.
fn in_file(path: &Path) -> Result<Option<Set>, DataError> {
    let folder = Folder::Disk(parent(path).into());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if ilsvrc::is_file_of(&name) || (name == "wnids.txt" && tiny::recognises(&folder)) {
        return in_folder(&folder, 0);
    }
    let file = File::at(path);
    let members = match file.first_members(holds::FIRST) {
        Err(DataError::Archive { .. }) if !is_archive(&name) => Vec::new(),
        found => found?,
    };
    if members.is_empty() && !is_archive(&name) {
        unread::explain_file(&file)?;
        return Ok(None);
    }
    if let Some(found) = webdataset::of_file(&file)? {
        return Ok(Some(set(move |part| found.open(part))));
    }
    match ilsvrc::holds(&file, &members)? {
        Holds::ClassFolders | Holds::Other => {
            unread::explain_parquet(&file, &members)?;
            let found = in_folder(&file.enter()?, PASSED_THROUGH)?;
            if found.is_none() {
                unread::explain_archive(&file)?;
            }
            Ok(found)
        }
        // The other parts are in files beside it.
        _ => in_folder(&folder, 0),
    }
}
