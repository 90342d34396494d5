//! Tiny-ImageNet-200: `wnids.txt`, `words.txt`, `train/n…/images/*.JPEG`, `val/images` with
//! `val/val_annotations.txt`, and `test/images` without labels. Also with `val` sorted into class
//! folders, as many scripts leave it.

use std::collections::HashMap;

use super::folder::append;
use super::labels::{Labels, parse, places, tiny};
use super::listing::{Listing, Sample};
use super::slice::Slice;
use super::tree::Folder;
use super::wnid;
use crate::{DataError, Part};

const SET: &str = "Tiny-ImageNet-200";

/// Whether `folder` holds the set.
pub(crate) fn recognises(folder: &Folder) -> bool {
    folder.file("wnids.txt").is_some()
        && ["train", "val", "test"]
            .iter()
            .any(|part| folder.folder(part).is_some())
}

/// Lists one part.
pub(crate) fn open(folder: &Folder, part: Part) -> Result<Listing, DataError> {
    let missing = |missing: &str| DataError::Missing {
        path: folder.path(),
        missing: missing.into(),
        set: SET,
    };
    let list = folder
        .file("wnids.txt")
        .ok_or_else(|| missing("wnids.txt"))?;
    let mut wnids: Vec<String> = list.text()?.split_whitespace().map(String::from).collect();
    if let Some(place) = wnids.iter().position(|name| !wnid::is_wnid(name)) {
        return Err(DataError::Line {
            path: list.path(),
            line: place + 1,
            reason: format!("{:?} is no WNID, such as n01440764", wnids[place]),
        });
    }
    wnids.sort_unstable();
    wnids.dedup();

    let name = match part {
        Part::Train => "train",
        Part::Validation => "val",
        Part::Test => "test",
    };
    let root = folder.folder(name).ok_or_else(|| missing(name))?;
    let mut samples = Vec::new();
    match part {
        Part::Train => by_class(&root, &wnids, &mut samples)?,
        Part::Validation => match root.file("val_annotations.txt") {
            Some(file) => {
                let of =
                    parse(&file.text()?, &places(&wnids), tiny).map_err(|(line, reason)| {
                        DataError::Line {
                            path: file.path(),
                            line,
                            reason,
                        }
                    })?;
                let labels = Labels {
                    file: file.path(),
                    of,
                };
                samples = labels.of_pictures(&pictures_of(&root))?;
            }
            None if root.folders()?.iter().any(|name| wnid::is_wnid(name)) => {
                by_class(&root, &wnids, &mut samples)?;
            }
            None => {
                return Err(DataError::NoLabels {
                    pictures: root.path(),
                    missing: "val_annotations.txt".into(),
                });
            }
        },
        Part::Test => append(&pictures_of(&root), None, &mut samples)?,
    }
    let words = words(folder)?;
    let classes = wnids
        .iter()
        .map(|wnid| wnid::class(wnid, words.get(wnid).map(String::as_str)))
        .collect();
    Listing::new(root.path(), classes, samples, None)
}

fn by_class(
    root: &Folder,
    wnids: &[String],
    samples: &mut Vec<Sample<Slice>>,
) -> Result<(), DataError> {
    for (label, wnid) in (0..).zip(wnids) {
        let class = root.folder(wnid).ok_or_else(|| DataError::MissingClass {
            path: root.path(),
            class: wnid.clone(),
        })?;
        append(&pictures_of(&class), Some(label), samples)?;
    }
    Ok(())
}

/// The pictures are in a folder `images`, or directly there.
fn pictures_of(folder: &Folder) -> Folder {
    folder.folder("images").unwrap_or_else(|| folder.clone())
}

/// `words.txt`: a WNID, a tab, its words; of all of WordNet.
fn words(folder: &Folder) -> Result<HashMap<String, String>, DataError> {
    let Some(file) = folder.file("words.txt") else {
        return Ok(HashMap::new());
    };
    let text = file.text()?;
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    Ok(lines
        .map(|(wnid, words)| (wnid.into(), words.into()))
        .collect())
}
