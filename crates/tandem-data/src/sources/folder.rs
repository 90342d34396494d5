//! Picture folders: one folder a class, its name the class's name.
//!
//! Either `train/` beside `val/`, `valid/` or `test/` (the first that is there), or only the class
//! folders: then every tenth picture of a class is held out. Folders named by WNIDs, as Imagenette's
//! are, are ILSVRC's classes.

use super::listing::{Listing, Sample};
use super::tree::Folder;
use super::wnid;
use crate::{DataError, Part};

const HELD_OUT: [&str; 3] = ["val", "valid", "test"];

/// Whether `folder` is laid out as one of the two kinds.
///
/// # Errors
///
/// If it holds folders and none of them a picture: class folders that are all empty, most likely, or
/// that cannot be read.
pub(crate) fn recognises(folder: &Folder) -> Result<bool, DataError> {
    if folder.folder("train").is_some() {
        return Ok(true);
    }
    let classes = folder.folders()?;
    let mut unreadable = None;
    for class in &classes {
        match folder.join(class).pictures() {
            Ok(pictures) if pictures.is_empty() => {}
            Ok(_) => return Ok(true),
            Err(error) => unreadable = unreadable.or(Some(error)),
        }
    }
    match (unreadable, classes.first()) {
        (Some(error), _) => Err(error),
        (None, None) => Ok(false),
        (None, Some(first)) => Err(DataError::EmptyClasses {
            first: folder.join(first).path(),
            path: folder.path(),
            folders: classes.len(),
        }),
    }
}

/// Lists one part.
pub(crate) fn open(folder: &Folder, part: Part) -> Result<Listing, DataError> {
    let Some(train) = folder.folder("train") else {
        let classes = folder.folders()?;
        return list(folder, &classes, &classes, Some(part));
    };
    let classes = train.folders()?;
    if part == Part::Train {
        return list(&train, &classes, &classes, None);
    }
    let test = HELD_OUT
        .iter()
        .find_map(|name| folder.folder(name))
        .ok_or_else(|| DataError::Missing {
            path: folder.path(),
            missing: "val/, valid/ or test/".into(),
            set: "picture folders with train/",
        })?;
    let present = test.folders()?;
    if let Some(unknown) = present.iter().find(|class| !classes.contains(class)) {
        return Err(DataError::UnknownClass {
            path: test.join(unknown).path(),
            train: train.path(),
        });
    }
    list(&test, &classes, &present, None)
}

/// Lists the pictures of `present` under `root`.
fn list(
    root: &Folder,
    classes: &[String],
    present: &[String],
    held_out: Option<Part>,
) -> Result<Listing, DataError> {
    let mut samples = Vec::new();
    for (label, class) in (0_u32..).zip(classes) {
        if present.binary_search(class).is_err() {
            continue;
        }
        let folder = root.join(class);
        append(&folder, Some(label), &mut samples)?;
    }
    let classes = classes
        .iter()
        .map(|class| wnid::class(class, None))
        .collect();
    Listing::new(root.path(), classes, samples, held_out)
}

/// Appends the pictures directly in `folder`, of which there must be some.
pub(crate) fn append(
    folder: &Folder,
    label: Option<u32>,
    samples: &mut Vec<Sample<super::slice::Slice>>,
) -> Result<(), DataError> {
    let pictures = folder.pictures()?;
    if pictures.is_empty() {
        return Err(DataError::EmptyClass {
            path: folder.path(),
        });
    }
    for picture in pictures {
        samples.push(Sample {
            label,
            place: picture.slice()?,
            key: picture.name,
        });
    }
    Ok(())
}
