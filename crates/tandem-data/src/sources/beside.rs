//! Folders that lie beside the data and cannot be listed, such as another user's: said, and passed over.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::DataError;

/// Words in the names of folders that belong to a set. What cannot be listed of those is missing.
const NEEDED: [&str; 10] = [
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
];

/// Folders that were told of: each is looked at for several forms, and once for each part.
static SAID: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// What was found by looking into `folder`; `None`, and a warning, if it could not be read and its name
/// is not that of a part.
pub(crate) fn unless_unreadable<T>(
    folder: &Path,
    found: Result<T, DataError>,
) -> Result<Option<T>, DataError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_lowercase();
    let mut words = name.split(|c: char| !c.is_alphanumeric());
    match found {
        Err(error @ DataError::Read { .. }) if !words.any(|word| NEEDED.contains(&word)) => {
            let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
            if said.insert(folder.into()) {
                tracing::warn!("{error}; no part of a set is looked for in it");
            }
            Ok(None)
        }
        found => found.map(Some),
    }
}
