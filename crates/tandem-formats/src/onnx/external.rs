//! Values that lie in another file beside the model: only inside its folder, or of the hub's cache in its
//! `blobs`, and within that file's length.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use super::message::Entry;
use crate::MAX_FILE;
use crate::error::Problem;

/// The folder of a model, and how much of what lies in it may still be read.
pub(super) struct External {
    folder: Option<PathBuf>,
    left: u64,
}

impl External {
    pub(super) fn of(folder: Option<&Path>) -> Self {
        // A file named without a folder is in this one.
        let folder = folder.map(|folder| match folder.as_os_str().is_empty() {
            true => PathBuf::from("."),
            false => folder.to_owned(),
        });
        Self {
            folder,
            left: MAX_FILE,
        }
    }

    /// The bytes that `said` (`location`, `offset`, `length`) stand for.
    ///
    /// # Errors
    ///
    /// [`Problem::External`] if the place is not inside the folder, is not there, or ends beyond its
    /// file.
    pub(super) fn read(&mut self, name: &str, said: &[Entry]) -> Result<Vec<u8>, Problem> {
        let value = |key: &str| {
            let entry = said.iter().find(|entry| entry.key == key);
            entry.map(|entry| entry.value.as_str())
        };
        let location = value("location").unwrap_or_default();
        let refuse = |what: String| Problem::External {
            name: name.to_owned(),
            location: location.chars().take(200).collect(),
            what,
        };
        let number = |key| match value(key).map(str::parse::<u64>) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => Err(refuse(format!("its {key} is no number"))),
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let folder = self.folder.as_deref();
        let folder = folder.ok_or_else(|| refuse("the model came without a folder".to_owned()))?;
        let path = inside(folder, location).map_err(|what| refuse(what.to_owned()))?;
        let failed = |error: std::io::Error| refuse(error.to_string());
        let mut file = File::open(path).map_err(failed)?;
        let whole = file.metadata().map_err(failed)?.len();
        let length = length.unwrap_or_else(|| whole.saturating_sub(offset));
        if offset.checked_add(length).is_none_or(|end| end > whole) {
            return Err(refuse(format!(
                "{length} bytes from {offset} on are not in that file, which has {whole}"
            )));
        }
        self.left = self.left.checked_sub(length).ok_or_else(|| {
            refuse(format!(
                "with it, more than {MAX_FILE} bytes lie in other files"
            ))
        })?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(offset)).map_err(failed)?;
        file.take(length).read_to_end(&mut bytes).map_err(failed)?;
        match bytes.len() as u64 == length {
            true => Ok(bytes),
            false => Err(refuse(
                "that file became shorter while it was read".to_owned(),
            )),
        }
    }
}

/// The file at `location` in `folder`, whichever links lead to it, if it is in there, or where the hub's
/// cache has what it links to from there.
fn inside(folder: &Path, location: &str) -> Result<PathBuf, &'static str> {
    const OUTSIDE: &str = "that is outside the model's folder, and nothing there is read";
    let relative = Path::new(location);
    let plain = |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
    if location.is_empty() || location.contains(['\\', '\0']) || !relative.components().all(plain) {
        return Err(OUTSIDE);
    }
    let path = folder.join(relative).canonicalize();
    let (Ok(path), Ok(folder)) = (path, folder.canonicalize()) else {
        return Err("no such file is in the model's folder");
    };
    let is_inside =
        path.starts_with(&folder) || blobs(&folder).is_some_and(|blobs| path.starts_with(blobs));
    match is_inside && path.is_file() {
        true => Ok(path),
        false => Err(OUTSIDE),
    }
}

/// Where the hub's cache has the files of a model, of which `models--OWNER--NAME/snapshots/COMMIT` has
/// links to `models--OWNER--NAME/blobs`.
fn blobs(folder: &Path) -> Option<PathBuf> {
    let model = folder.ancestors().find(|above| {
        let name = above.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("models--"))
    })?;
    folder
        .starts_with(model.join("snapshots"))
        .then(|| model.join("blobs"))
}
