//! Picture folders: one folder a class, its name the class's name.
//!
//! Either `train/` beside `val/`, `valid/`, `validation/` or `dev/`, or else `test/` (the first that is
//! there, in capitals or not), or `train/` alone, or only the class folders: then every tenth picture of
//! a class is held out.
//! Pictures directly in `test/` are without labels; class folders in `test/` beside `val/` are a test set
//! with labels. Folders named by WNIDs, as Imagenette's are, are ILSVRC's classes.

use super::beside::{Beside, say_once};
use super::listing::{Listing, Sample};
use super::tree::{Folder, is_other_picture, is_picture};
use super::wnid;
use crate::{DataError, Part};

const TRAIN: [&str; 2] = ["train", "training"];
const HELD_OUT: [&str; 4] = ["val", "valid", "validation", "dev"];
const TEST: [&str; 2] = ["test", "testing"];

/// The first of the folders of these names, in capitals or not.
fn named(folder: &Folder, names: &[&str]) -> Result<Option<Folder>, DataError> {
    let there = folder.folders()?;
    let found = names
        .iter()
        .find_map(|name| there.iter().find(|there| there.eq_ignore_ascii_case(name)));
    Ok(found.map(|name| folder.join(name)))
}

/// Whether pictures lie in it, and no folders: it is then a class, though it may be named `train`, or
/// has none.
fn is_flat(folder: &Folder) -> Result<bool, DataError> {
    Ok(folder.folders()?.is_empty() && !folder.pictures()?.is_empty())
}

/// The folder of the training pictures, where some are set apart.
fn train_of(folder: &Folder) -> Result<Option<Folder>, DataError> {
    match named(folder, &TRAIN)? {
        Some(train) if !is_flat(&train)? => Ok(Some(train)),
        _ => Ok(None),
    }
}

/// Whether `folder` is laid out as one of the two kinds.
///
/// # Errors
///
/// If it holds folders and none of them a picture: class folders that are all empty, most likely, or
/// that cannot be read.
pub(crate) fn recognises(folder: &Folder) -> Result<bool, DataError> {
    if train_of(folder)?.is_some() {
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
    let Some(train) = train_of(folder)? else {
        let classes = folder.folders()?;
        return list(folder, &classes, &classes, Some(part));
    };
    let classes = train.folders()?;
    let test = named(folder, &TEST)?;
    let unlabelled = test.as_ref().map_or(Ok(false), is_flat)?;
    if let (Part::Test, Some(test), true) = (part, &test, unlabelled) {
        let mut samples = Vec::new();
        append(test, None, &mut samples)?;
        return Listing::new(test.path(), names(&classes), samples, None);
    }
    let test = test.filter(|_| !unlabelled);
    let apart = match (part, named(folder, &HELD_OUT)?) {
        (Part::Test, Some(held_out)) => match test {
            Some(test) if has_classes_of(&test, &classes)? => Some(test),
            _ => Some(held_out),
        },
        (_, held_out) => held_out.or(test),
    };
    let apart = match apart {
        None => return list(&train, &classes, &classes, Some(part)),
        Some(_) if part == Part::Train => return list(&train, &classes, &classes, None),
        Some(apart) => apart,
    };
    let present = apart.folders()?;
    if let Some(unknown) = present.iter().find(|class| !classes.contains(class)) {
        return Err(DataError::UnknownClass {
            path: apart.join(unknown).path(),
            train: train.path(),
        });
    }
    list(&apart, &classes, &present, None)
}

/// Whether folders lie in `test`, and each is a class.
fn has_classes_of(test: &Folder, classes: &[String]) -> Result<bool, DataError> {
    let there = test.folders()?;
    Ok(!there.is_empty() && there.iter().all(|class| classes.contains(class)))
}

fn names(classes: &[String]) -> Vec<String> {
    let name = |class: &String| wnid::class(class, None);
    classes.iter().map(name).collect()
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
    Listing::new(root.path(), names(classes), samples, held_out)
}

/// Appends the pictures directly in `folder`, of which there must be some.
pub(crate) fn append(
    folder: &Folder,
    label: Option<u32>,
    samples: &mut Vec<Sample<super::slice::Slice>>,
) -> Result<(), DataError> {
    let files = folder.files(|name| is_picture(name) || is_other_picture(name))?;
    let (pictures, others): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| is_picture(&file.name));
    if pictures.is_empty() {
        return Err(DataError::EmptyClass {
            path: folder.path(),
        });
    }
    if let Some(other) = others.first() {
        say_once(
            folder.path().parent().unwrap_or(&folder.path()),
            Beside::Pictures,
            &format!(
                "{} and others of its kind are passed over: JPEG, PNG and WebP are read",
                other.path().display()
            ),
        );
    }
    for picture in pictures {
        samples.push(Sample {
            label,
            place: picture.slice(),
            key: picture.name,
        });
    }
    Ok(())
}
