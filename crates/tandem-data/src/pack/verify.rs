//! Every byte of a pack compared with its checksum.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::description::mean_file;
use super::reader::read_mean;
use super::shard::Shard;
use super::{Description, PartDescription};
use crate::{DataError, Pack, Part};

/// A file of a pack that is not what it was.
#[derive(Debug)]
pub struct Damage {
    pub file: PathBuf,
    pub error: DataError,
}

/// Reads the whole pack in `folder` and returns what is damaged. `progress` is called with the number
/// of pictures each shard adds.
///
/// # Errors
///
/// If `pack.json` cannot be read: nothing is known without it.
pub fn verify(folder: &Path, progress: &(dyn Fn(usize) + Sync)) -> Result<Vec<Damage>, DataError> {
    let description = Description::read(folder)?;
    let shards: Vec<_> = description
        .parts
        .values()
        .flat_map(|part| &part.shards)
        .collect();
    let mut damaged: Vec<Damage> = shards
        .par_iter()
        .filter_map(|listed| {
            let file = folder.join(&listed.file);
            let error = whole(&file, listed.checksum).err();
            progress(listed.pictures);
            error.map(|error| Damage { file, error })
        })
        .collect();
    // What is left: the means, and whether everything belongs together.
    let shards_are_whole = damaged.is_empty();
    for part in Part::ALL {
        let Some(described) = description.parts.get(part.name()) else {
            continue;
        };
        let mean = folder.join(mean_file(part.name()));
        let wrong = match shards_are_whole {
            true => Pack::open(folder, part)
                .err()
                .map(|error| (folder.into(), error)),
            false => read_mean(&mean, description.preprocess(), described.mean_checksum)
                .err()
                .map(|error| (mean, error)),
        };
        damaged.extend(wrong.map(|(file, error)| Damage { file, error }));
    }
    Ok(damaged)
}

/// Whether the shard `path` is the one whose table has this checksum, and everything in it has its own.
pub(super) fn whole(path: &Path, checksum: u32) -> Result<(), DataError> {
    let shard = Shard::open(path)?;
    if shard.header().checksum != checksum {
        return Err(shard.unlisted());
    }
    for i in 0..shard.header().pictures {
        shard.stored(i)?;
    }
    shard.text()?;
    shard.tally()?;
    Ok(())
}

impl PartDescription {
    /// Bytes of all its shards in `folder`, as far as they are there.
    #[must_use]
    pub fn bytes(&self, folder: &Path) -> u64 {
        let length = |file: &str| std::fs::metadata(folder.join(file)).map_or(0, |file| file.len());
        self.shards.iter().map(|shard| length(&shard.file)).sum()
    }
}
