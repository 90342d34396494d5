//! What lies beside the data and cannot be read, such as another user's folder: said, and passed over.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::holds::FIRST;
use super::tree::File;
use crate::DataError;

/// Words in the names of folders that belong to a set. What cannot be listed of those is missing.
const NEEDED: [&str; 11] = [
    "train",
    "training",
    "validation",
    "valid",
    "val",
    "dev",
    "test",
    "testing",
    "devkit",
    "data",
    "default",
];

/// What was warned of.
static SAID: Mutex<BTreeSet<(PathBuf, Beside)>> = Mutex::new(BTreeSet::new());

/// What is warned of, of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Beside {
    /// It cannot be listed.
    Unreadable,
    /// It holds pictures of forms that are not read.
    Pictures,
    /// Numbers of its files are missing.
    Numbers,
    /// It holds another set.
    Set,
}

/// Whether a folder is named as one of a set's own.
pub(crate) fn is_needed(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_lowercase();
    let mut words = name.split(|c: char| !c.is_alphanumeric());
    words.any(|word| NEEDED.contains(&word))
}

/// Warns of `folder`, once: a set is looked at for several forms, and once for each part.
pub(crate) fn say_once(folder: &Path, what: Beside, warning: &str) {
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.insert((folder.into(), what)) {
        tracing::warn!("{warning}");
    }
}

/// The first names in an archive that lies among the data. One that is damaged from its start, or holds
/// nothing, is an error if its name is that of a part, and else warned of.
pub(crate) fn first_members(file: &File) -> Result<Vec<String>, DataError> {
    let path = file.path();
    let found = file.first_members(FIRST).and_then(|names| {
        if names.is_empty() && is_needed(&path) {
            return Err(DataError::Archive {
                path: path.clone(),
                offset: 0,
                reason: "its end is here: it holds no files".into(),
            });
        }
        Ok(names)
    });
    match found {
        Err(error) if !is_needed(&path) => {
            let warning = format!("{error}; no part of a set is looked for in it");
            say_once(&path, Beside::Unreadable, &warning);
            Ok(Vec::new())
        }
        found => found,
    }
}

/// What was found by looking into `folder`; `None`, and a warning, if it could not be read and its name
/// is not that of a part.
pub(crate) fn unless_unreadable<T>(
    folder: &Path,
    found: Result<T, DataError>,
) -> Result<Option<T>, DataError> {
    match found {
        Err(error @ DataError::Read { .. }) if !is_needed(folder) => {
            let warning = format!("{error}; no part of a set is looked for in it");
            say_once(folder, Beside::Unreadable, &warning);
            Ok(None)
        }
        found => found.map(Some),
    }
}
