//! To which part a file belongs, and whether several belong together.

use std::path::{Component, Path};

use super::shard::Shard;
use crate::{DataError, Part};

/// The part a file belongs to, by the words of its name or else of the folders it is in below `root`.
pub(super) fn part_of(root: &Path, file: &Path) -> Part {
    let below = file.strip_prefix(root).unwrap_or(file);
    below
        .components()
        .rev()
        .find_map(part_named)
        .unwrap_or(Part::Train)
}

/// The part that a file or folder is named as.
fn part_named(component: Component) -> Option<Part> {
    let name = component.as_os_str().to_string_lossy().to_lowercase();
    name.split(|c: char| !c.is_alphanumeric())
        .find_map(|word| match word {
            "train" | "training" => Some(Part::Train),
            "validation" | "valid" | "val" | "dev" => Some(Part::Validation),
            "test" | "testing" => Some(Part::Test),
            _ => None,
        })
}

/// Checks that the files are of one set. Those of one folder, or of folders named as parts, are taken for
/// one; of different folders with different columns or class names they are not.
pub(super) fn one_set(root: &Path, shards: &[Shard]) -> Result<(), DataError> {
    let Some((first, others)) = shards.split_first() else {
        return Ok(());
    };
    let home = |shard: &Shard| -> Vec<String> {
        let folder = shard.path.strip_prefix(root).ok().and_then(Path::parent);
        let names = folder.into_iter().flat_map(Path::components);
        names
            .filter(|name| part_named(*name).is_none())
            .map(|name| name.as_os_str().to_string_lossy().into_owned())
            .collect()
    };
    let here = home(first);
    for other in others {
        let alike = other.names == first.names && other.columns() == first.columns();
        if !alike && home(other) != here {
            return Err(DataError::Several {
                path: root.into(),
                first: first.path.display().to_string(),
                second: other.path.display().to_string(),
            });
        }
        if other.names.is_none() != first.names.is_none() {
            tracing::warn!(
                "of {} and {} only one names its classes; they are taken for files of one set",
                first.path.display(),
                other.path.display()
            );
            break;
        }
    }
    Ok(())
}
