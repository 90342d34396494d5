//! ILSVRC's devkit: which class each `ILSVRC2012_ID` is (`data/meta.mat`) and the IDs of the validation
//! pictures (`data/ILSVRC2012_validation_ground_truth.txt`).

use std::collections::BTreeMap;

use super::beside::first_members;
use super::mat5::{self, Value};
use super::tree::{Folder, is_archive};
use super::wnid;
use crate::DataError;

pub(crate) const ARCHIVE: &str = "ILSVRC2012_devkit_t12.tar.gz";
const DEVKIT: &str = "ILSVRC's devkit";
const META: &str = "meta.mat";
const GROUND_TRUTH: &str = "ILSVRC2012_validation_ground_truth.txt";

/// A class as the devkit numbers it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Synset {
    pub(crate) wnid: String,
    pub(crate) words: String,
}

/// The devkit's `data` folder, if `folder` holds it: unpacked there or one folder below, or as an
/// archive.
pub(crate) fn find(folder: &Folder) -> Result<Option<Folder>, DataError> {
    if let Some(data) = unpacked(folder)? {
        return Ok(Some(data));
    }
    for archive in folder.files(|name| is_archive(name) && wnid::leading(name).is_none())? {
        if holds(&first_members(&archive)?)
            && let Some(data) = unpacked(&archive.enter()?)?
        {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

fn unpacked(folder: &Folder) -> Result<Option<Folder>, DataError> {
    let below = folder.folders()?;
    let below = below.iter().filter(|name| !wnid::is_wnid(name));
    let here = std::iter::once(folder.clone()).chain(below.map(|name| folder.join(name)));
    for place in here {
        for data in [Some(place.clone()), place.folder("data")]
            .into_iter()
            .flatten()
        {
            if data.file(META).is_some() {
                return Ok(Some(data));
            }
        }
    }
    Ok(None)
}

/// Whether an archive with these members is a devkit.
pub(crate) fn holds(members: &[String]) -> bool {
    members
        .iter()
        .any(|path| path.rsplit('/').next() == Some(META))
}

/// The classes a devkit numbers: the one of ID 1 first.
pub(crate) fn synsets(data: &Folder) -> Result<Vec<Synset>, DataError> {
    let file = data.file(META).ok_or_else(|| DataError::Missing {
        path: data.path(),
        missing: META.into(),
        set: DEVKIT,
    })?;
    parse_meta(&file.bytes()?).map_err(|reason| DataError::Meta {
        path: file.path(),
        reason,
    })
}

/// Reads `meta.mat`: of its 1,860 synsets the 1,000 without children are the classes, IDs 1 to 1,000.
pub(crate) fn parse_meta(bytes: &[u8]) -> Result<Vec<Synset>, String> {
    let fields = ["ILSVRC2012_ID", "WNID", "words", "num_children"];
    let mut classes = BTreeMap::new();
    for (entry, values) in mat5::struct_array(bytes, "synsets", fields)?
        .into_iter()
        .enumerate()
    {
        let [
            Value::Number(id),
            Value::Text(wnid),
            words,
            Value::Number(children),
        ] = values
        else {
            return Err(format!(
                "entry {entry} of `synsets` lacks a number or text in ILSVRC2012_ID, WNID or \
                 num_children"
            ));
        };
        if children != 0.0 {
            continue;
        }
        if !wnid::is_wnid(&wnid) {
            return Err(format!("the WNID of entry {entry} is {wnid:?}"));
        }
        let words = match words {
            Value::Text(words) => words,
            _ => String::new(),
        };
        // Compared as it is: what is no whole number is none of 1, 2, 3 … below.
        if classes
            .insert(id.to_bits(), Synset { wnid, words })
            .is_some()
        {
            return Err(format!("two classes have the ILSVRC2012_ID {id}"));
        }
    }
    if classes.is_empty() {
        return Err("it has no synset without children".into());
    }
    let count = classes.len();
    // Bits of positive numbers are in the numbers' order.
    if let Some((place, bits)) = (1..)
        .zip(classes.keys())
        .find(|(place, bits)| f64::from_bits(**bits) != f64::from(*place))
    {
        return Err(format!(
            "its {count} classes should have the ILSVRC2012_IDs 1 to {count}, but there is {} in \
             place of {place}",
            f64::from_bits(*bits)
        ));
    }
    let classes: Vec<Synset> = classes.into_values().collect();
    let mut wnids: Vec<&str> = classes.iter().map(|class| class.wnid.as_str()).collect();
    wnids.sort_unstable();
    if let Some(twins) = wnids.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("two classes have the WNID {}", twins[0]));
    }
    Ok(classes)
}

/// The ground truth's file, and the ID of each validation picture, 1 first.
pub(crate) fn ground_truth(
    data: &Folder,
    classes: usize,
) -> Result<(std::path::PathBuf, Vec<usize>), DataError> {
    let file = data
        .file(GROUND_TRUTH)
        .ok_or_else(|| DataError::Incomplete {
            path: data.path(),
            missing: GROUND_TRUTH.into(),
            set: DEVKIT,
        })?;
    let ids =
        parse_ground_truth(&file.text()?, classes).map_err(|(line, reason)| DataError::Line {
            path: file.path(),
            line,
            reason,
        })?;
    Ok((file.path(), ids))
}

/// Reads one ID, 1 to `classes`, from each line. An error is of a line, from 1.
pub(crate) fn parse_ground_truth(
    text: &str,
    classes: usize,
) -> Result<Vec<usize>, (usize, String)> {
    (1..)
        .zip(text.trim_end().lines())
        .map(|(line, id)| match id.trim().parse() {
            Ok(id) if (1..=classes).contains(&id) => Ok(id),
            _ => Err((
                line,
                format!("{:?} is no ILSVRC2012_ID, 1 to {classes}", id.trim()),
            )),
        })
        .collect()
}

/// The `ILSVRC2012_ID` of each class, as a submission to ILSVRC's server writes them.
///
/// `spec` is the data's path, as [`open`](crate::open) takes it, with the devkit in it or beside it;
/// `classes` are [`Dataset::classes`](crate::Dataset::classes), in their order.
///
/// # Errors
///
/// If there is no devkit, if its `meta.mat` cannot be read, or if it does not know a class.
pub fn ilsvrc_ids(spec: &str, classes: &[String]) -> Result<Vec<u32>, DataError> {
    let path = std::path::Path::new(spec);
    let folder = if path.is_dir() {
        path
    } else {
        super::parent(path)
    };
    let folder = Folder::Disk(folder.into());
    let data = find(&folder)?.ok_or_else(|| DataError::Missing {
        path: folder.path(),
        missing: ARCHIVE.into(),
        set: "ILSVRC 2012 and numbers the classes of a submission",
    })?;
    let synsets = synsets(&data)?;
    let id = |class: &String| {
        let wnid = class.split(' ').next().unwrap_or_default();
        let place = synsets.iter().position(|synset| synset.wnid == wnid);
        place
            .and_then(|place| u32::try_from(place + 1).ok())
            .ok_or_else(|| DataError::Meta {
                path: data.path().join(META),
                reason: format!("it has no class {wnid}"),
            })
    };
    classes.iter().map(id).collect()
}
