//! What a folder or archive of ILSVRC is, told by the names it holds.

use super::tree::{Folder, is_archive, is_picture};
use super::wnid;
use crate::DataError;

/// How many names of an archive are read to see what it is.
pub(crate) const FIRST: usize = 64;

/// What names say of who holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// `n01440764.tar`: a tar a class.
    ClassArchives,
    /// `n01440764/…`: a folder a class.
    ClassFolders,
    /// `ILSVRC2012_val_00000001.JPEG`.
    Validation,
    /// `ILSVRC2012_test_00000001.JPEG`.
    Test,
    /// `meta.mat`.
    Devkit,
    Other,
}

impl Holds {
    /// Of paths, `/` between their parts, the likeliest first.
    pub(crate) fn of<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        for path in paths {
            let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
            if folders.split('/').any(wnid::is_wnid) {
                return Self::ClassFolders;
            }
            if name == "meta.mat" {
                return Self::Devkit;
            }
            if is_archive(name) && wnid::leading(name).is_some() {
                return Self::ClassArchives;
            }
            if name.starts_with("ILSVRC2012_val_") && is_picture(name) {
                return Self::Validation;
            }
            if name.starts_with("ILSVRC2012_test_") && is_picture(name) {
                return Self::Test;
            }
        }
        Self::Other
    }

    /// Of a folder on disk or in an archive, by what is directly in it.
    pub(crate) fn of_folder(folder: &Folder) -> Result<Self, DataError> {
        let files = folder.files(|name| {
            name == "meta.mat" || name.starts_with("ILSVRC2012_") || wnid::leading(name).is_some()
        })?;
        let folders = folder.folders()?;
        let folders = folders.iter().map(|name| format!("{name}/"));
        let names: Vec<String> = files
            .into_iter()
            .map(|file| file.name)
            .chain(folders)
            .collect();
        Ok(Self::of(names.iter().map(String::as_str)))
    }
}
