//! Picture folders: one folder a class, its name the class's name.
//!
//! Either `train/` beside `val/`, `valid/` or `test/` (the first that is there), or only the class
//! folders: then every tenth picture of a class, in the order of their names, is held out.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::decode::decode;
use crate::fingerprint::Fingerprint;
use crate::{DataError, Dataset, Part, Picture};

const HELD_OUT: [&str; 3] = ["val", "valid", "test"];
const ENDINGS: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// Picture 9, 19, 29 … of a class is held out where there is no folder of held-out pictures.
const EVERY: usize = 10;

/// The files of one part.
#[derive(Debug)]
pub(crate) struct Folder {
    classes: Vec<String>,
    /// By class, then by name.
    files: Vec<(PathBuf, u32)>,
    fingerprint: u64,
}

/// Whether `folder` is laid out as one of the two kinds.
///
/// # Errors
///
/// If it holds folders and none of them a picture: class folders that are all empty, most likely.
pub(crate) fn recognises(folder: &Path) -> Result<bool, DataError> {
    if folder.join("train").is_dir() {
        return Ok(true);
    }
    let classes = folders(folder)?;
    for class in &classes {
        if !pictures(&folder.join(class))?.is_empty() {
            return Ok(true);
        }
    }
    match classes.first() {
        None => Ok(false),
        Some(first) => Err(DataError::EmptyClasses {
            first: folder.join(first),
            path: folder.into(),
            folders: classes.len(),
        }),
    }
}

/// Lists one part.
pub(crate) fn open(folder: &Path, part: Part) -> Result<Folder, DataError> {
    let train = folder.join("train");
    if !train.is_dir() {
        return hold_out(folder, part);
    }
    let classes = folders(&train)?;
    match part {
        Part::Train => list(&train, &classes, &classes, |_| true),
        Part::Validation | Part::Test => {
            let test = HELD_OUT
                .iter()
                .map(|name| folder.join(name))
                .find(|path| path.is_dir())
                .ok_or_else(|| DataError::Missing {
                    path: folder.into(),
                    missing: "val/, valid/ or test/".into(),
                    set: "picture folders with train/",
                })?;
            let present = folders(&test)?;
            if let Some(unknown) = present.iter().find(|class| !classes.contains(class)) {
                return Err(DataError::UnknownClass {
                    path: test.join(unknown),
                    train,
                });
            }
            list(&test, &classes, &present, |_| true)
        }
    }
}

fn hold_out(folder: &Path, part: Part) -> Result<Folder, DataError> {
    let classes = folders(folder)?;
    list(folder, &classes, &classes, |place| {
        (place % EVERY == EVERY - 1) == (part != Part::Train)
    })
}

/// Lists the pictures of `present` under `root` whose place in their class is wanted.
fn list(
    root: &Path,
    classes: &[OsString],
    present: &[OsString],
    wanted: impl Fn(usize) -> bool,
) -> Result<Folder, DataError> {
    let mut files = Vec::new();
    let mut print = Fingerprint::new();
    classes
        .iter()
        .for_each(|class| print.bytes(class.as_encoded_bytes()));

    for (label, class) in (0_u32..).zip(classes) {
        if !present.contains(class) {
            continue;
        }
        let folder = root.join(class);
        let names = pictures(&folder)?;
        if names.is_empty() {
            return Err(DataError::EmptyClass { path: folder });
        }
        for (_, name) in names
            .into_iter()
            .enumerate()
            .filter(|(place, _)| wanted(*place))
        {
            let path = folder.join(&name);
            let length = std::fs::metadata(&path)
                .map_err(|source| DataError::Read {
                    path: path.clone(),
                    source,
                })?
                .len();
            print.bytes(name.as_encoded_bytes());
            print.word(length);
            print.word(label.into());
            files.push((path, label));
        }
    }
    if files.is_empty() {
        return Err(DataError::NoPictures {
            path: root.into(),
            reason: "there are no class folders, or (where every tenth picture of a class is held \
                     out) fewer than ten pictures in each; add pictures, or a val/ beside train/",
        });
    }
    Ok(Folder {
        classes: classes
            .iter()
            .map(|class| class.to_string_lossy().into_owned())
            .collect(),
        files,
        fingerprint: print.finish(),
    })
}

/// The folders in `path`, sorted by name, without hidden ones.
fn folders(path: &Path) -> Result<Vec<OsString>, DataError> {
    entries(path, |entry| entry.is_dir())
}

/// The pictures directly in `path`, sorted by name, without hidden ones.
fn pictures(path: &Path) -> Result<Vec<OsString>, DataError> {
    // By name only: asking the system about each of a million files takes minutes on some disks.
    entries(path, |entry| {
        entry
            .extension()
            .and_then(|ending| ending.to_str())
            .is_some_and(|ending| {
                ENDINGS
                    .iter()
                    .any(|known| ending.eq_ignore_ascii_case(known))
            })
    })
}

fn entries(path: &Path, wanted: impl Fn(&Path) -> bool) -> Result<Vec<OsString>, DataError> {
    let failed = |source| DataError::Read {
        path: path.into(),
        source,
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") && wanted(&path.join(&name)) {
            names.push(name);
        }
    }
    // The system's order is not the same everywhere.
    names.sort_unstable();
    Ok(names)
}

impl Dataset for Folder {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, i: usize) -> Option<u32> {
        Some(self.files[i].1)
    }

    fn picture(&self, i: usize) -> Result<Picture, DataError> {
        decode(&self.files[i].0)
    }

    fn name(&self, i: usize) -> String {
        self.files[i].0.display().to_string()
    }

    fn key(&self, i: usize) -> String {
        let stem = self.files[i].0.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    fn channels(&self) -> usize {
        3
    }

    fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}
